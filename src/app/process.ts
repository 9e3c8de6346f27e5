/** What the processes that run jobs of a store have in common. */
import type { OptionSources } from '#contract/option-values.ts';
import type { Clock } from '#util/clock.ts';
import type { Announcer, ProcessEvent } from './announcer.ts';
import type { Host } from './host.ts';
import type { RunJob } from './supervised-job.ts';

export interface ProcessOptions {
  /** Flags, environment and file, as they are now. */
  readonly sources: () => OptionSources;
  readonly version: string;
  /** Ends the process in good order. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: ProcessEvent) => void;
}

/** How jobs are run on a host that is given to them. */
export type RunOn = (host: Host) => RunJob;

/** What was begun, so that all of it is ended, the last first, also where the next could not begin. */
export class Ends {
  readonly #clock: Clock;
  readonly #announcer: Announcer;
  readonly #ends: (() => Promise<void> | void)[] = [];

  constructor(clock: Clock, announcer: Announcer) {
    this.#clock = clock;
    this.#announcer = announcer;
  }

  push(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  async endAll(): Promise<void> {
    this.#announcer.tell({ event: 'stopping', at: this.#clock.now() });
    for (const end of this.#ends.toReversed()) {
      try {
        await end();
      } catch (error) {
        this.#announcer.trouble('not everything has ended in good order', error);
      }
    }
    this.#announcer.tell({ event: 'stopped', at: this.#clock.now() });
  }
}

/** Resolves when it is. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
