/**
 * What jobs do by themselves is logged right after, and never waits for the log: events stand here, in bounded memory,
 * until the log has taken them. Those that find no room are counted, and the log says how many as soon as it can.
 */
import { logActions, type AuditEvent, type AuditOutcome } from '#contract/audit.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { ownEvent, type AuditLog } from './audit-log.ts';

const EVENTS_MAX = 10_000;
const AGAIN_MS = 1_000;

export class AuditSpool {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #log: AuditLog | null = null;
  #events: { readonly event: AuditEvent; readonly outcome: AuditOutcome }[] = [];
  #lost = 0;
  #isDraining = false;

  /** `signal` ends the attempts; what is left is lost with the process. */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#events.length;
  }

  /** The log that takes them from now on; null while there is none. */
  attach(log: AuditLog | null): void {
    this.#log = log;
    void this.#drain();
  }

  note(event: AuditEvent, outcome: AuditOutcome = 'succeeded'): void {
    if (this.#events.length >= EVENTS_MAX) this.#lost++;
    else this.#events.push({ event, outcome });
    void this.#drain();
  }

  async #drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    while (this.#log && !this.#signal.aborted && (this.#events.length > 0 || this.#lost > 0))
      if (!(await this.#logNext(this.#log))) await sleep(this.#clock, AGAIN_MS, this.#signal);
    this.#isDraining = false;
  }

  /** False where the log does not take it. */
  async #logNext(log: AuditLog): Promise<boolean> {
    const [next] = this.#events;
    const lost = this.#lost;
    try {
      if (next) await log.record(next.event, next.outcome);
      else await log.record({ ...ownEvent(logActions.spoolOverflow), evidence: [{ kind: 'lost-events', size: lost }] });
    } catch {
      return false; // the log has reported why to its owner
    }
    if (next) this.#events.shift();
    else this.#lost -= lost;
    return true;
  }
}
