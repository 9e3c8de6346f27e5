/** The open incidents of topics, of one kind: begun once for each cause, and ended with it. */
import type { Clock } from '#util/clock.ts';
import type { Incident, RunEvent } from '#contract/status.ts';

/** How long a topic with an open incident waits before it is tried again. */
const RETRY_MS = 30_000;

export interface TopicIncidentsOptions {
  readonly mirror: string;
  readonly clock: Clock;
  readonly severity: Incident['severity'];
  consequenceOf(topic: string): string;
  onEvent(event: Extract<RunEvent, { event: 'incident' | 'incident-ended' }>): void;
}

export class TopicIncidents {
  readonly #options: TopicIncidentsOptions;
  /** `triedMs`: monotonic time of the last attempt. */
  readonly #open = new Map<string, { readonly incident: Incident; triedMs: number }>();

  constructor(options: TopicIncidentsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  of(topic: string): Incident | null {
    return this.#open.get(topic)?.incident ?? null;
  }

  has(topic: string): boolean {
    return this.#open.has(topic);
  }

  /** Whether the topic may be tried: nothing is open, or the last attempt was long enough ago. */
  isDue(topic: string): boolean {
    const open = this.#open.get(topic);
    return !open || this.#options.clock.monotonic() - open.triedMs >= RETRY_MS;
  }

  /** The same code as before is the same incident: it is not told again. */
  raise(topic: string, { code, cause, nextStep }: Pick<Incident, 'code' | 'cause' | 'nextStep'>): void {
    const { mirror, clock, severity } = this.#options;
    const triedMs = clock.monotonic();
    const open = this.#open.get(topic);
    if (open?.incident.code === code) {
      open.triedMs = triedMs;
      return;
    }
    this.end(topic);
    const incident: Incident = {
      code,
      severity,
      mirror,
      topic,
      partition: null,
      offsets: null,
      cause,
      consequence: this.#options.consequenceOf(topic),
      nextStep,
      endsByItself: true,
      at: clock.now(),
    };
    this.#open.set(topic, { incident, triedMs });
    this.#options.onEvent({ event: 'incident', incident });
  }

  end(topic: string): void {
    const open = this.#open.get(topic);
    if (!open) return;
    this.#open.delete(topic);
    this.#options.onEvent({ event: 'incident-ended', incident: open.incident, at: this.#options.clock.now() });
  }

  /** Ends those of all other topics. */
  endBut(topics: ReadonlySet<string>): void {
    for (const topic of this.#open.keys()) if (!topics.has(topic)) this.end(topic);
  }
}
