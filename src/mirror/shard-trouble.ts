/** What keeps a shard from copying, as it is told: what it waits out, and the incident that is open. */
import { Backoff } from '#util/backoff.ts';
import { sleep } from '#util/clock.ts';
import type { Incident } from '#contract/status.ts';
import { ClusterUnreachableError, type KafkaError } from '#kafka/errors.ts';
import type { ShardContext } from './shard-context.ts';
import type { ShardStop } from './shard-stop.ts';

/** What it waits out, and since when (monotonic) without any progress. */
export interface Waiting {
  readonly error: KafkaError;
  readonly sinceMs: number;
  /** When it was told `error`. */
  readonly toldMs: number;
}

/** Between attempts after what passes, and after a stop whose cause may have ended. */
const PAUSE_MS = { baseMs: 50, maxMs: 5_000 };
const RETRY_MS = { baseMs: 1_000, maxMs: 30_000 };

type Context = Pick<
  ShardContext,
  | 'source'
  | 'target'
  | 'mirrorName'
  | 'sourceTopic'
  | 'partition'
  | 'clock'
  | 'random'
  | 'onTrouble'
  | 'onIncident'
  | 'onIncidentEnded'
>;

export class ShardTrouble {
  readonly #context: Context;
  readonly #pauses: Backoff;
  readonly #retries: Backoff;
  #waiting: Waiting | null = null;
  #incident: Incident | null = null;

  constructor(context: Context) {
    this.#context = context;
    this.#pauses = new Backoff(context.random, PAUSE_MS);
    this.#retries = new Backoff(context.random, RETRY_MS);
  }

  /** Null while it goes on. */
  get waiting(): Waiting | null {
    return this.#waiting;
  }

  get incident(): Incident | null {
    return this.#incident;
  }

  /** Tells what is waited out, and waits before the next attempt: while nobody answers, until somebody does. */
  async waitOut(error: KafkaError, signal: AbortSignal): Promise<void> {
    const { clock, sourceTopic: topic, partition, source, target } = this.#context;
    const toldMs = clock.monotonic();
    this.#waiting = { error, sinceMs: this.#waiting?.sinceMs ?? toldMs, toldMs };
    this.#context.onTrouble({ topic, partition }, error);
    await this.pause(signal);
    if (!(error instanceof ClusterUnreachableError)) return;
    // One attempt for all partitions: thousands that each ask again take half a core and a gigabyte.
    // Of both, so that each is known to be gone; then the next attempt tells what keeps us from going on.
    const [ofSource, ofTarget] = [source.untilReachable(signal), target.untilReachable(signal)];
    await (error.cluster === source.name ? ofSource : ofTarget);
  }

  /** Before the next attempt: longer each time until something has advanced. */
  pause(signal: AbortSignal): Promise<void> {
    return sleep(this.#context.clock, this.#pauses.next(), signal);
  }

  /** Before it is looked whether the cause of a stop has ended. */
  pauseStopped(signal: AbortSignal): Promise<void> {
    return sleep(this.#context.clock, this.#retries.next(), signal);
  }

  /** The same cause at the same place is the same incident, however often it is met. */
  raise(stop: ShardStop): void {
    this.#waiting = null; // now it is known what for
    const { mirrorName, sourceTopic, partition, clock } = this.#context;
    const { code, offsets } = stop.reason;
    const open = this.#incident;
    if (open && open.code === code && open.offsets?.from === offsets?.from) return;
    this.#endIncident();
    const place = { mirror: mirrorName, topic: sourceTopic, partition };
    this.#incident = { ...stop.reason, severity: 'error', ...place, at: clock.now() };
    this.#context.onIncident(this.#incident);
  }

  /** Nothing is waited for, and the target has taken what lies before `offset`; all of it where there is no more. */
  endBefore(offset: number): void {
    this.#waiting = null;
    if (offset > (this.#incident?.offsets?.from ?? -1)) this.#endIncident();
  }

  /** Nothing is waited for; an incident that is open stays. */
  endWaiting(): void {
    this.#waiting = null;
  }

  /** Something has advanced, or is answered as it should: pauses begin short again. */
  ease(): void {
    this.#pauses.reset();
  }

  #endIncident(): void {
    const incident = this.#incident;
    if (!incident) return;
    this.#incident = null;
    this.#retries.reset();
    this.#context.onIncidentEnded(incident);
  }
}
