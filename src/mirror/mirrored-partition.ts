/**
 * One partition of a mirror as this process sees it: while it is ours, a shard copies it; while it is another process's, the
 * target's watermark says how far that one is. Shards come and go with their terms; what was counted stays.
 */
import { assert } from '#util/assert.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { ErrorCode } from '#contract/errors.ts';
import type { NextPlaces } from '#contract/offset-map.ts';
import type { Incident, ShardStatus } from '#contract/status.ts';
import type { Term } from '#jobs/ownership.ts';
import type { ShardName } from '#jobs/shard-ranges.ts';
import type { Shard } from './shard.ts';
import type { Waiting } from './shard-trouble.ts';
import type { StoppedRecord } from './state-records.ts';

export interface PartitionPlace {
  /** Of the shard, in the group. */
  readonly name: ShardName;
  readonly topic: string;
  readonly targetTopic: string;
  readonly partition: number;
}

/** What copies a partition, with identical offsets or mapped. */
export type RunningShard = Pick<
  Shard,
  | 'run'
  | 'status'
  | 'position'
  | 'incident'
  | 'waiting'
  | 'isCaughtUp'
  | 'measuredAt'
  | 'measure'
  | 'quietAtMs'
  | 'isSettled'
  | 'bytesCopied'
> & {
  /** Where the records lie of a copy with other offsets, in a target of its own; null until it is known. */
  readonly places?: NextPlaces | null;
  /** Saves that, as far as it can be saved. */
  saveMap?(): Promise<void>;
} & Partial<Pick<Shard, 'drain' | 'openTransactions' | 'openUntil' | 'saveOpenTransactions'>>;

/** Parts of a shard's term that the shard does not need. */
type HeldTerm = Omit<Term, 'shard' | 'quietAtMs'>;

export interface HeldPartition {
  readonly partition: number;
  readonly term: HeldTerm;
}

/** Partitions may share one. */
export interface MirroredPartitionOptions {
  readonly clock: Clock;
  createShard(held: HeldPartition): RunningShard;
  /** What goes on in the place of a shard that has stopped for good; null for nothing. */
  successorOf?(incident: Incident, held: HeldPartition): Promise<RunningShard | null>;
  /** There are other processes, and what is not ours is theirs. */
  hasPeers(): boolean;
  /** What is shown stays as it is from now on. */
  isStopping(): boolean;
  /** Nothing is waited for any more. */
  readonly closed: AbortSignal;
  /** The incident is another process's from now on. */
  onIncidentGone(incident: Incident): void;
  /** A shard has stopped for good, which others cannot see; null: another one begins. */
  onStopped?(incident: Incident | null, partition: number): void;
}

/** Nothing is copied until it is lifted, whoever's turn it is. */
interface Refusal {
  readonly incident: Incident;
  readonly lifted: AbortController;
}

const NOTHING = { recordsCopied: 0, bytesCopied: 0, holesFilled: 0, refusals: 0 };

export class MirroredPartition {
  readonly name: ShardName;
  readonly topic: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly #options: MirroredPartitionOptions;
  #shard: RunningShard | null = null;
  /** One has stopped for good, and another may go on in its place. */
  #isChanging = false;
  #holding: Promise<void> = Promise.resolve();
  /** The shard of now. */
  #running: Promise<void> = Promise.resolve();
  /** Of the shards of earlier terms. */
  #counted = NOTHING;
  #refusal: Refusal | null = null;
  /** Ends what is being copied. */
  #refused = new AbortController();
  /** Of the process that has the partition, where it is another's. */
  #elsewhere: Incident | null = null;
  /** Of the target, measured while the partition is another's. */
  #watermark: number | null = null;
  #ends: { readonly stableOffset: number; readonly highWatermark: number; readonly at: number } | null = null;

  constructor(place: PartitionPlace, options: MirroredPartitionOptions) {
    this.name = place.name;
    this.topic = place.topic;
    this.targetTopic = place.targetTopic;
    this.partition = place.partition;
    this.#options = options;
  }

  /** We may write to it, or still have something on its way. */
  get isHeld(): boolean {
    return this.#shard !== null;
  }

  get isElsewhere(): boolean {
    return !this.#shard && this.#options.hasPeers();
  }

  /** Copies while the term lasts, and releases it. Only a bug of ours goes through. */
  hold(term: HeldTerm): Promise<void> {
    // What an earlier term of ours has on its way may still land: the next one begins behind it.
    this.#holding = this.#holding.then(() => this.#hold(term));
    return this.#holding;
  }

  /** What a mapped partition knows is saved, as far as it can be. */
  async saveMap(): Promise<void> {
    await this.#shard?.saveMap?.();
  }

  get openTransactions(): { readonly count: number; readonly from: number | null } {
    return this.#shard?.openTransactions ?? { count: 0, from: null };
  }

  async openUntil(): Promise<number | null> {
    return (await this.#shard?.openUntil?.()) ?? null;
  }

  async saveOpenTransactions(): Promise<void> {
    await this.#shard?.saveOpenTransactions?.();
  }

  /** Copies on until no transaction is open on the target; resolves when nothing is copied any more. */
  async drain(): Promise<void> {
    if (!this.#shard?.drain) return;
    this.#shard.drain();
    await this.#running;
  }

  /** No shard runs, and every term is released. */
  finished(): Promise<void> {
    return this.#holding;
  }

  async #hold(term: HeldTerm): Promise<void> {
    const { clock, closed } = this.#options;
    if (term.lost.aborted) return term.release({ isSettled: term.takeover === 'handed-over' });
    assert(!this.#shard, 'one shard at a time');
    for (let held = term; ; held = { ...term, takeover: 'evicted' }) {
      const refused = this.#refused.signal;
      const shard = await this.#copy(held, refused);
      const lifted = this.#refusal?.lifted.signal ?? AbortSignal.abort();
      // One that has stopped for good keeps its partition: nobody else could go on with it either.
      await aborted(refused.aborted ? AbortSignal.any([term.lost, lifted]) : term.lost);
      const waitMs = shard.quietAtMs - clock.monotonic();
      if (waitMs > 0) await sleep(clock, waitMs, closed);
      if (!this.#options.isStopping()) this.#detach(shard);
      if (term.lost.aborted) return term.release({ isSettled: shard.isSettled });
    }
  }

  /** Until the shard has ended; returns the last one that ran. */
  async #copy(term: HeldTerm, refused: AbortSignal): Promise<RunningShard> {
    const held: HeldTerm = {
      ...term,
      lost: AbortSignal.any([term.lost, refused]),
      mayWrite: () => !refused.aborted && term.mayWrite(),
    };
    let shard = this.#options.createShard({ partition: this.partition, term: held });
    this.#shard = shard;
    this.#watermark = null;
    this.#options.onStopped?.(null, this.partition);
    this.#running = shard.run();
    await this.#running;
    const isOver = (): boolean => held.lost.aborted || this.#options.isStopping();
    const { incident } = shard;
    this.#isChanging = !isOver() && incident !== null && this.#options.successorOf !== undefined;
    const successor =
      this.#isChanging && incident
        ? await this.#options.successorOf?.(incident, { partition: this.partition, term: held })
        : null;
    this.#isChanging = false;
    if (successor) {
      this.#detach(shard);
      this.#shard = shard = successor;
      await shard.run();
    }
    if (!isOver() && shard.incident && !shard.incident.endsByItself)
      this.#options.onStopped?.(shard.incident, this.partition);
    return shard;
  }

  /** Nothing is copied any more, in this term and in those to come, until `permit`. */
  refuse(incident: Incident): void {
    if (this.#refusal) return;
    this.#refusal = { incident, lifted: new AbortController() };
    this.#refused.abort();
  }

  permit(): void {
    const refusal = this.#refusal;
    if (!refusal) return;
    this.#refusal = null;
    this.#refused = new AbortController();
    refusal.lifted.abort();
  }

  /** It has stopped for good in the process that has it; null: nothing is known of that. */
  stoppedElsewhere(incident: Incident | null): void {
    this.#elsewhere = incident;
  }

  #detach(shard: RunningShard): void {
    const { recordsCopied, bytesCopied, holesFilled, refusals } = this.#withCounts(shard.status(0));
    this.#counted = { recordsCopied, bytesCopied, holesFilled, refusals };
    this.#shard = null;
    if (shard.incident) this.#options.onIncidentGone(shard.incident);
  }

  get position(): number | null {
    if (this.#shard) return this.#shard.position;
    return this.isElsewhere ? this.#watermark : null;
  }

  get places(): NextPlaces | null {
    return this.#shard?.places ?? null;
  }

  /** None while it is not decided whether something goes on in its place: nothing has ended yet. */
  get incident(): Incident | null {
    if (this.#refusal) return this.#refusal.incident;
    if (this.isElsewhere) return this.#elsewhere;
    return this.#isChanging ? null : (this.#shard?.incident ?? null);
  }

  /** Since this process started, by the shards of all its terms. */
  get bytesCopied(): number {
    return this.#counted.bytesCopied + (this.#shard?.bytesCopied ?? 0);
  }

  get waiting(): Waiting | null {
    return this.#shard?.waiting ?? null;
  }

  get isCaughtUp(): boolean {
    if (this.#shard) return this.#shard.isCaughtUp;
    return this.position !== null && this.#ends !== null && this.position >= this.#ends.stableOffset;
  }

  /** When the source's offsets were measured last; null before the first time. */
  get measuredAt(): number | null {
    return this.#shard ? this.#shard.measuredAt : (this.#ends?.at ?? null);
  }

  measure(ends: { readonly stableOffset: number; readonly highWatermark: number }): void {
    if (this.#shard) this.#shard.measure(ends);
    this.#ends = { ...ends, at: this.#options.clock.now() };
  }

  /** Where the target ends, of a partition that is elsewhere. */
  measureTarget(watermark: number): void {
    this.#watermark = watermark;
  }

  status(now: number): ShardStatus {
    if (this.#shard) return this.#withRefusal(this.#withCounts(this.#shard.status(now)));
    const { topic, targetTopic, partition, position, measuredAt } = this;
    const stable = this.#ends?.stableOffset ?? null;
    const lagRecords = position === null || stable === null ? null : Math.max(0, stable - position);
    return {
      topic,
      targetTopic,
      partition,
      state: this.isElsewhere ? 'elsewhere' : 'starting',
      position,
      sourceLogStart: null,
      sourceStableOffset: stable,
      sourceHighWatermark: this.#ends?.highWatermark ?? null,
      lagRecords,
      lagMs: lagRecords === 0 ? 0 : null,
      measuredAt,
      ...this.#counted,
      incident: null,
    };
  }

  #withRefusal(status: ShardStatus): ShardStatus {
    return this.#refusal ? { ...status, state: 'stopped', incident: this.#refusal.incident } : status;
  }

  #withCounts(status: ShardStatus): ShardStatus {
    const { recordsCopied, bytesCopied, holesFilled, refusals } = this.#counted;
    return {
      ...status,
      recordsCopied: status.recordsCopied + recordsCopied,
      bytesCopied: status.bytesCopied + bytesCopied,
      holesFilled: status.holesFilled + holesFilled,
      refusals: status.refusals + refusals,
    };
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** What another process has said of a partition that has stopped there for good. */
export function incidentElsewhere(
  { topic, partition }: Pick<PartitionPlace, 'topic' | 'partition'>,
  { code, cause }: Pick<StoppedRecord, 'code' | 'cause'>,
  { mirror, at }: Pick<Incident, 'mirror' | 'at'>,
): Incident {
  return {
    code: code as ErrorCode,
    severity: 'error',
    mirror,
    topic,
    partition,
    offsets: null,
    cause: `${topic}/${partition} has stopped in another process: ${cause}`,
    consequence: 'It is not waited for.',
    nextStep: 'The process that has it says what to do.',
    endsByItself: false,
    at,
  };
}
