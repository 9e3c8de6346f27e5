/** What the processes that run jobs of a store have in common. */
import type { OptionValues } from '#contract/options.ts';
import type { ServeEvent } from '#contract/serve-events.ts';
import type { RunEvent } from '#contract/status.ts';
import type { Host } from './host.ts';
import type { RunJob } from './supervised-job.ts';
import { troubleEvent } from './trouble.ts';

export interface ProcessOptions {
  readonly values: OptionValues;
  readonly version: string;
  /** Ends the process in good order. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: ServeEvent | RunEvent) => void;
}

/** How jobs are run on a host that is given to them. */
export type RunOn = (host: Host) => RunJob;

/** What was begun, so that all of it is ended, the last first, also where the next could not begin. */
export class Ends {
  readonly #host: Pick<Host, 'clock'>;
  readonly #options: ProcessOptions;
  readonly #ends: (() => Promise<void> | void)[] = [];

  constructor(host: Pick<Host, 'clock'>, options: ProcessOptions) {
    this.#host = host;
    this.#options = options;
  }

  push(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  async endAll(): Promise<void> {
    const { clock } = this.#host;
    const { onEvent } = this.#options;
    onEvent({ event: 'stopping', at: clock.now() });
    for (const end of this.#ends.toReversed()) {
      try {
        await end();
      } catch (error) {
        onEvent(
          troubleEvent({ message: 'not everything has ended in good order', requestId: null, error }, clock.now()),
        );
      }
    }
    onEvent({ event: 'stopped', at: clock.now() });
  }
}

/** Resolves when it is. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
