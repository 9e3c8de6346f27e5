/**
 * One partition with identical offsets, mirrored by simulated processes between two clusters played in memory, and the
 * judgement: what the target holds is the source, offset for offset, or one incident names the exact place where it is not.
 */
import type { Incident } from '#contract/status.ts';
import { DataPath } from '#jobs/data-path.ts';
import { groupIdOf, Ownership, PROTOCOL_NAME, PROTOCOL_TYPE, type Term, TIMES } from '#jobs/ownership.ts';
import { shardName } from '#jobs/shard-ranges.ts';
import { GroupMember } from '#kafka/group-member.ts';
import type { Permit } from '#kafka/permit.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import type { TransactionProtocol } from '#kafka/transactions.ts';
import { MirroredPartition } from '#mirror/mirrored-partition.ts';
import { EXPIRATION_DEFAULT_MS } from '#mirror/producer-memory.ts';
import type { PartitionState } from '#mirror/shard-context.ts';
import { Shard } from '#mirror/shard.ts';
import { assert, must } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import { ManualClock } from '../manual-clock.ts';
import { ModelLog } from '../model-log.ts';
import { ModelTransactions } from '../model-transactions.ts';
import { PlayedCluster } from '../played-cluster.ts';
import { PlayedGroup } from '../played-group.ts';
import type { RawBatch, RawRecord } from '../raw-batch.ts';
import { sourceBatch, TRANSACTIONAL } from '../source-batches.ts';
import { SimulatedProcess, type CallFate } from './simulated-process.ts';

const SOURCE_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const TARGET_ID = 'AAAAAAAAAAAAAAAAAAAAAg';
export const DATA_PID = 4711;
const MARKER_PID = 4712;
const FOREIGN_PID = 99;
const SHARD = shardName(SOURCE_ID, 0);
const PLACE = { name: SHARD, topic: 'orders', targetTopic: 'copy', partition: 0 };

/** How processes come to write: each for itself at once, one after the other, or as their group says. */
export type Writers = 'doubles' | 'alone' | 'group';

export interface ShardPlan {
  readonly writers: Writers;
  readonly transactions: 'preserve' | 'committed-only';
  readonly protocol: TransactionProtocol;
}

/** One process: a shard while a term lasts. */
export class MirrorProcess {
  readonly host: SimulatedProcess;
  readonly ownership: Ownership | null;
  readonly #world: ShardWorld;
  readonly #end = new AbortController();
  #state: PartitionState | undefined;
  shard: Shard | null = null;
  isGone = false;

  constructor(world: ShardWorld) {
    this.#world = world;
    const { clock, group, random } = world;
    this.host = new SimulatedProcess({ clock, group, random, fateOf: (name) => world.fateOf(name) });
    this.#state = world.state;
    this.ownership = world.plan.writers === 'group' ? this.#share() : null;
    if (this.ownership) return;
    const term = { takeover: 'evicted', lost: this.#end.signal, mayWrite: () => true } as const;
    this.shard = this.#newShard(term);
    void this.shard.run().catch((error: unknown) => world.fail(error));
  }

  get isAlive(): boolean {
    return !this.host.isDead && !this.isGone;
  }

  get position(): number | null {
    return this.isAlive ? (this.shard?.position ?? null) : null;
  }

  #share(): Ownership {
    const { cluster, clock } = this.host.machine;
    const member = new GroupMember(cluster, {
      groupId: groupIdOf('mirror'),
      protocolType: PROTOCOL_TYPE,
      protocolName: PROTOCOL_NAME,
      sessionTimeoutMs: TIMES.sessionTimeoutMs,
    });
    const ownership = new Ownership({
      member,
      clock,
      random: this.#world.random,
      name: 'process',
      content: 'content',
      levels: () => new Map(),
      shards: () => new Set([SHARD]),
      times: TIMES,
      onTerm: (term) => {
        this.#world.count('terms');
        partition.hold(term).catch((error: unknown) => this.#world.fail(error));
      },
      onTrouble: () => {},
    });
    const partition = new MirroredPartition(PLACE, {
      clock,
      createShard: ({ term }) => (this.shard = this.#newShard(term)),
      hasPeers: () => true,
      isStopping: () => false,
      closed: this.#end.signal,
      onIncidentGone: () => {},
    });
    void ownership.run().then(
      () => (this.isGone = true),
      (error: unknown) => this.#world.fail(error),
    );
    return ownership;
  }

  /** As Ctrl-C: what is on its way is waited for. */
  stop(): void {
    if (this.ownership) return this.ownership.stop();
    this.shard?.stop();
    this.isGone = true;
  }

  #newShard(term: Pick<Term, 'takeover' | 'lost' | 'mayWrite'>): Shard {
    const world = this.#world;
    const { clock } = this.host.machine;
    const { pool } = this.host;
    const source = this.host.clusterOf(world.source);
    const target = this.host.clusterOf(world.target);
    const dataPath = new DataPath({ source, target, clock, pool });
    term.lost.addEventListener('abort', () => this.#world.count('lost terms'), { once: true });
    return new Shard({
      mirrorName: 'east-to-west',
      source,
      target,
      clock,
      random: createRandom(world.random.next() * 2 ** 31),
      pool,
      term,
      state: {
        load: async () => {
          this.#state = (await this.#onState(() => world.state, null)) ?? this.#state;
        },
        partition: () => this.#state,
        putPartition: async (_, __, state, permit) => {
          this.#state = await this.#onState(() => world.putState(state), permit);
        },
      },
      dataPath,
      logStartGate: { enter: async () => {}, leave: async () => {} },
      sourceTopic: 'orders',
      sourceTopicId: SOURCE_ID,
      targetTopic: 'copy',
      targetTopicId: TARGET_ID,
      partition: 0,
      policy: {
        transactions: world.plan.transactions,
        timestamps: 'append',
        producerId: DATA_PID,
        mergeBelowBytes: world.mergeBelowBytes,
        mergedBytesMax: 400,
      },
      writer: new BatchWriter({ codec: 0, baseOffset: 0 }),
      batchBytesMax: 1_000_000,
      expirationMs: () => world.expirationMs,
      readBatchBytesMax: async () => 1_000_000,
      dataProducerId: DATA_PID,
      markerProducerId: MARKER_PID,
      transactionalIdPrefix: 'lockstep-m',
      start: { at: 'earliest' },
      fillOffsetsMax: Infinity,
      countBytes: () => {},
      onTrouble: () => {},
      onIncident: (incident) => void world.incidents.push(incident),
      onIncidentEnded: (incident) => void world.ended.push(incident),
    });
  }

  /** A read of the state topic, or a write to it. */
  async #onState(effect: () => PartitionState | undefined, permit: Permit | null): Promise<PartitionState | undefined> {
    const answer = await this.host.ask(
      this.#world.stateTopic(effect),
      permit ? 'put state' : 'load state',
      null,
      permit ? { mayLeave: () => permit.isGiven() } : {},
    );
    return answer as PartitionState | undefined;
  }
}

export class ShardWorld {
  readonly plan: ShardPlan;
  readonly random: Random;
  readonly clock = new ManualClock();
  readonly group = new PlayedGroup(this.clock);
  readonly source: PlayedCluster;
  readonly target: PlayedCluster;
  readonly coordinator: ModelTransactions;
  readonly incidents: Incident[] = [];
  readonly ended: Incident[] = [];
  readonly processes: MirrorProcess[] = [];
  readonly counts: Record<string, number> = {};
  readonly mergeBelowBytes: number;
  state: PartitionState | undefined;
  /** The source has neither transactions nor holes. */
  isPlain: boolean;
  /** What becomes of a typed request. */
  fateOf: (name: string) => CallFate | null = () => null;
  /** A bug of ours that came through. */
  error: Error | null = null;
  /** All records that the source ever showed, by their offsets; `null` where several were there. */
  readonly #original = new Map<number, string>();
  readonly #open = new Map<number, number>();
  /** The first offset that each lost, and how much the source had been asked before. */
  readonly truncations: { readonly offset: number; readonly asked: number }[] = [];
  foreignAt: number | null = null;
  /** After which the target's brokers forget a producer. */
  expirationMs = EXPIRATION_DEFAULT_MS;

  constructor(plan: ShardPlan, random: Random) {
    this.plan = plan;
    this.random = random;
    this.isPlain = plan.writers === 'doubles' || (plan.transactions === 'committed-only' && this.chance(0.3));
    this.mergeBelowBytes = this.chance(0.5) ? 150 : 0;
    const log = new ModelLog();
    this.coordinator = new ModelTransactions(log, { protocol: plan.protocol });
    const { clock } = this;
    const pool = null as never; // its own connections are not used
    this.source = new PlayedCluster({
      name: 'source',
      topic: 'orders',
      topicId: SOURCE_ID,
      clock,
      pool,
      log: new ModelLog(),
    });
    this.target = new PlayedCluster({
      name: 'target',
      topic: 'copy',
      topicId: TARGET_ID,
      clock,
      pool,
      log,
      transactions: this.coordinator,
    });
    if (plan.writers === 'group') this.source.pollMs = this.target.pollMs = 100;
  }

  chance(share: number): boolean {
    return this.random.next() < share;
  }

  below(count: number): number {
    return Math.floor(this.random.next() * count);
  }

  count(name: string, by = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }

  fail(error: unknown): void {
    this.error ??= error instanceof Error ? error : new Error(String(error));
  }

  // ---- the state topic: what was written first counts (state-topic.ts)

  putState(state: PartitionState): PartitionState {
    const known = this.state?.leaderEpochs.length ?? 0;
    if (!this.state || state.leaderEpochs.length > known || known === 0) this.state = state;
    return this.state;
  }

  stateTopic(effect: () => PartitionState | undefined): PlayedCluster {
    const topic: Pick<PlayedCluster, 'name' | 'handle' | 'requestTimeoutMs'> = {
      name: 'target',
      requestTimeoutMs: 5_000,
      handle: async () => effect(),
    };
    return topic as PlayedCluster;
  }

  // ---- the source

  write(): void {
    const chance = this.random.next();
    if (this.isPlain) return this.append(-1);
    const producerId = 100 + this.below(3);
    if (chance < 0.35) this.append(-1);
    else if (chance < 0.65) this.append(producerId);
    else if (chance < 0.85) this.end(producerId, this.chance(0.7));
    else this.#hole();
  }

  #hole(): void {
    this.source.log.end += 1 + this.below(this.chance(0.05) ? 700 : 4);
  }

  append(producerId: number): void {
    const { log } = this.source;
    const base = log.end;
    const count = 1 + this.below(4);
    const records = Array.from({ length: count }, (_, i) => ({
      timestamp: this.clock.now(),
      key: null,
      value: Buffer.from(`record ${base + i}, leader ${log.leaderEpoch}`.padEnd(this.below(120), '.')),
    }));
    const attributes = producerId < 0 ? 0 : TRANSACTIONAL;
    const baseSequence = producerId < 0 ? -1 : (log.producers.get(producerId)?.lastSequence ?? -1) + 1;
    const batch = sourceBatch({ baseOffset: 0, records, attributes, producerId, baseSequence });
    assert(log.append(batch, { isTransactional: producerId >= 0 }).errorCode === 0, 'the source takes it');
    if (producerId >= 0) this.#open.set(producerId, base);
    for (const each of must(log.parsed().at(-1), 'batch').records()) this.#original.set(each.offset, textOf(each));
    this.count('written', count);
  }

  end(producerId: number, isCommit: boolean): void {
    this.source.log.appendEnd({ producerId, producerEpoch: 0 }, isCommit);
    this.#open.delete(producerId);
  }

  endAll(): void {
    for (const producerId of this.#open.keys()) this.end(producerId, true);
    this.append(-1);
  }

  /** Takes some batches below the last, never of what is open, here or there. */
  compact(): void {
    const { log } = this.source;
    const below = Math.min(log.stableOffset, log.end - 1);
    const copied = this.plan.transactions === 'preserve' ? this.target.log.stableOffset : Infinity;
    const isKept = ({ lastOffset, isControl, isTransactional }: RawBatch): boolean =>
      isControl || lastOffset >= (isTransactional ? Math.min(below, copied) : below);
    const kept = log.parsed().map((batch) => isKept(batch) || this.chance(0.6));
    const batches = log.batches.filter((_, i) => kept[i]);
    this.count('compacted', log.batches.length - batches.length);
    log.batches.splice(0, log.batches.length, ...batches);
  }

  /** An unclean election: what is not yet replicated is lost. */
  truncate(): void {
    const { log } = this.source;
    const batches = log.parsed().slice(-4);
    const offset = batches[this.below(batches.length)]?.baseOffset;
    if (offset === undefined || offset < (this.state?.logStart ?? log.logStart)) return;
    this.truncations.push({ offset, asked: this.source.journal.length });
    log.truncate(offset);
    for (let i = 0; i < 1 + this.below(4); i++) this.append(-1);
    this.count('truncations');
  }

  /** Truncations that came when the mirror had its answer of an earlier one: it told what it knew. */
  get unseenTruncations(): readonly number[] {
    const lastAsked = this.source.journal.lastIndexOf('OffsetForLeaderEpoch');
    return this.truncations.filter(({ asked }) => asked > lastAsked).map(({ offset }) => offset);
  }

  /** Another program writes to the target. */
  writeForeign(): void {
    const { log } = this.target;
    if (this.foreignAt !== null || !this.state || this.state.leaderEpochs.length === 0) return;
    if (log.end <= this.state.logStart) return;
    const isIdempotent = this.chance(0.5);
    this.foreignAt = log.end;
    const records = [{ timestamp: 1, key: null, value: Buffer.from('foreign') }];
    const producerId = isIdempotent ? FOREIGN_PID : -1;
    const batch = sourceBatch({ baseOffset: 0, records, producerId, baseSequence: isIdempotent ? 0 : -1 });
    assert(log.append(batch).errorCode === 0, 'the target takes it');
    this.count('foreign');
  }

  // ---- processes

  get alive(): MirrorProcess[] {
    return this.processes.filter(({ isAlive }) => isAlive);
  }

  start(): MirrorProcess {
    const process = new MirrorProcess(this);
    this.processes.push(process);
    return process;
  }

  get isCopied(): boolean {
    const { end } = this.source.log;
    return this.target.log.end === end && this.alive.some(({ position }) => position === end);
  }

  async until(condition: () => boolean, what: string, limitMs = 300_000): Promise<void> {
    const deadline = this.clock.monotonic() + limitMs;
    while (!condition()) {
      if (this.error !== null) throw this.error;
      if (this.clock.monotonic() >= deadline) throw new Error(`${what}: not within ${limitMs} ms; ${this.describe()}`);
      await this.clock.advance(50);
    }
    if (this.error !== null) throw this.error;
  }

  describe(): string {
    const shards = this.processes.map(({ isAlive, shard }) =>
      isAlive ? `${shard?.status(0).state} at ${shard?.position}` : 'gone',
    );
    const told = this.incidents.map(({ code, cause, offsets }) => `${code} ${JSON.stringify(offsets)} ${cause}`);
    const ends = `source ${this.source.log.logStart}–${this.source.log.end}, target ${this.target.log.logStart}–${this.target.log.end}`;
    return `${ends}; ${shards.join(', ')}; ${told.join(' | ')}; ${this.target.journal.slice(-12).join(' ')}`;
  }

  /** Of a transaction that is open on the target the source has lost the first batch: then nobody can tell which it is. */
  hasLostOpen(): boolean {
    const batches = this.source.log.parsed();
    return [...this.target.log.producers.values()].some(({ currentTxnStartOffset: first }) => {
      const isThere = batches.some((batch) => batch.baseOffset <= first && batch.lastOffset >= first);
      return first >= 0 && (!isThere || first < this.source.log.logStart);
    });
  }

  // ---- the judgement

  /** What a reader of the target finds that is not the source's; below `end` where something stopped it there. */
  differences(end = Infinity): string[] {
    const { plan } = this;
    const [source, target] = [this.source.log, this.target.log];
    const from = Math.max(source.logStart, this.state?.logStart ?? source.logStart);
    const isMeant = ({ offset }: RawRecord): boolean => offset >= from && offset < end;
    const isPreserved = plan.transactions === 'preserve';
    const shown = isPreserved ? source.records() : source.committedRecords();
    const found = [
      ...this.#missing('uncommitted', shown.filter(isMeant), target.records()),
      ...this.#wrong(target.records().filter(isMeant)),
      ...misplaced(
        source.parsed(),
        target.parsed().filter(({ baseOffset }) => baseOffset < end),
      ),
    ];
    if (end < Infinity) return found;
    if (isPreserved) {
      found.push(...this.#missing('committed', source.committedRecords().filter(isMeant), target.committedRecords()));
      found.push(...markers(source.parsed(), target.parsed(), from));
      if (target.stableOffset !== target.end) found.push(`open from ${target.stableOffset} on`);
      if (this.coordinator.unasked > 0) found.push(`${this.coordinator.unasked} ends that nobody asked for`);
    }
    if (target.logStart !== (this.state?.logStart ?? 0))
      found.push(`the target begins at ${target.logStart}, and copying at ${this.state?.logStart}`);
    return found;
  }

  /** A record that the source shows stands in its place. */
  #missing(name: string, shown: readonly RawRecord[], target: readonly RawRecord[]): string[] {
    const copied = new Map(target.map((each) => [each.offset, textOf(each)]));
    const missing = shown.find((each) => copied.get(each.offset) !== textOf(each));
    return missing ? [`${name} at ${missing.offset}: ${textOf(missing)} and ${copied.get(missing.offset)}`] : [];
  }

  /** Whatever stands on the target once stood there at the source: compaction may have taken it since. */
  #wrong(target: readonly RawRecord[]): string[] {
    const wrong = target.find((each) => this.#original.get(each.offset) !== textOf(each));
    return wrong ? [`at ${wrong.offset} the target has ${textOf(wrong)}`] : [];
  }
}

function textOf({ timestamp, value }: RawRecord): string {
  return `${timestamp} ${value?.toString()}`;
}

/** A control record of the target where the source shows a record to anybody. */
function misplaced(source: readonly RawBatch[], target: readonly RawBatch[]): string[] {
  const controls = new Set(target.filter(({ isControl }) => isControl).map(({ baseOffset }) => baseOffset));
  const plain = source.filter(({ isControl, isTransactional }) => !isControl && !isTransactional);
  const hidden = plain.flatMap((batch) => [...batch.records()]).find(({ offset }) => controls.has(offset));
  return hidden ? [`a control record stands at ${hidden.offset} in the place of a record`] : [];
}

/** A control record of the source is one of the same kind on the target. */
function markers(source: readonly RawBatch[], target: readonly RawBatch[], from: number): string[] {
  const onTarget = new Map(target.map(({ baseOffset, marker }) => [baseOffset, marker]));
  const wrong = source.find(
    ({ marker, baseOffset }) => marker !== null && baseOffset >= from && onTarget.get(baseOffset) !== marker,
  );
  return wrong ? [`${wrong.marker} at ${wrong.baseOffset}, and ${onTarget.get(wrong.baseOffset)}`] : [];
}
