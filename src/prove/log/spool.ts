/**
 * What jobs do by themselves is logged right after, and never waits for the log: events stand here, in bounded memory,
 * until the log has taken them. Those that find no room are counted, and the log says how many as soon as it can.
 */
import { logActions, type AuditEvent, type AuditOutcome } from '#contract/audit.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { ownEvent, type AuditLog } from './audit-log.ts';

const EVENTS_MAX = 10_000;
const EVENTS_AT_ONCE = 256;
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
      if (!(await this.#logSome(this.#log))) await sleep(this.#clock, AGAIN_MS, this.#signal);
    this.#isDraining = false;
  }

  /** False where the log does not take all of them. */
  async #logSome(log: AuditLog): Promise<boolean> {
    const some = this.#events.slice(0, EVENTS_AT_ONCE);
    if (some.length === 0) return this.#logLost(log);
    const results = await Promise.allSettled(some.map(({ event, outcome }) => log.record(event, outcome)));
    const refused = some.filter((_, i) => results[i]?.status === 'rejected'); // the log has told its owner why
    this.#events.splice(0, some.length, ...refused);
    return refused.length === 0;
  }

  async #logLost(log: AuditLog): Promise<boolean> {
    const size = this.#lost;
    const event = { ...ownEvent(logActions.spoolOverflow), evidence: [{ kind: 'lost-events', size }] };
    const [result] = await Promise.allSettled([log.record(event)]);
    if (result.status === 'rejected') return false;
    this.#lost -= size;
    return true;
  }
}
