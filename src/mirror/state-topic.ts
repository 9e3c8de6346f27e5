/**
 * The topic `__lockstep.state` on the target cluster: one partition, compacted, read in full at every start. It is the
 * only memory that a mirror has outside the mirrored logs; losing Lockstep's own disk loses nothing.
 *
 * Several processes may start one mirror at the same time, and no broker arbitrates. The log does: a mirror's record
 * and a topic's claim belong to the FIRST that wrote the key; a later record of another owner is not taken. Compaction
 * would keep the last instead of the first, so whoever meets a record that was not taken behind the valid one writes the
 * valid one again; the topic's `min.compaction.lag.ms` leaves a day for that. In the same way a mirror that runs writes
 * everything again when somebody deletes the topic or records of it: no other place has it.
 */
import { isDeepStrictEqual } from 'node:util';
import { assert, must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { AppError } from '#contract/errors.ts';
import { TIMES } from '#jobs/ownership.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs } from '#kafka/configs.ts';
import { BrokerError, KafkaError } from '#kafka/errors.ts';
import type { Permit } from '#kafka/permit.ts';
import { initProducerId } from '#kafka/producers.ts';
import { ATTRIBUTE_CONTROL } from '#kafka/records/batch-header.ts';
import { retrying } from '#kafka/retry.ts';
import { appendRecords, readLog } from '#kafka/simple-log.ts';
import { awaitPartitions, createTopic, TOPIC_ALREADY_EXISTS, type NewTopic } from '#kafka/topics.ts';
import type { StoredGroup } from './group-memory.ts';
import { readLogStart, readWatermark } from './offsets.ts';
import {
  appliedKey,
  claimKey,
  creatingKey,
  decodeState,
  encodeState,
  failoverKey,
  groupKey,
  mappedKey,
  mirrorIdOf,
  mirrorKey,
  openKey,
  partitionKey,
  pieceKey,
  stoppedKey,
  type AppliedRecord,
  type ClaimRecord,
  type CreatingRecord,
  type FailoverRecord,
  type GroupRecord,
  type LedgerRecord,
  type MappedPlace,
  type MappedRecord,
  type MirrorRecord,
  type OpenRecord,
  type PartitionRecord,
  type PlacedRecord,
  type StateRecord,
  type StoppedRecord,
} from './state-records.ts';

export const STATE_TOPIC = '__lockstep.state';
/** Of the transactional ids by which a mirror gets its producer ids. */
export const TRANSACTIONAL_ID_PREFIX = 'lockstep-';
const PARTITION = 0;
const REPLICAS = 3;
const COMPACTION_LAG_MS = 24 * 3_600_000;
/** Keys and values of one append stay far below the default `max.message.bytes` of 1 MB. */
const APPEND_BYTES_MAX = 512 * 1024;
/** After an append without an answer: when the log has not grown for so long, what was under way has landed or never will. */
const STILL_MS = 1_000;
const APPEND_ATTEMPTS_MAX = 5;
/** Offset of a record that is not in the log any more. */
const NOWHERE = -1;

/** What makes one mirror, before it has producer ids. */
export type MirrorChoices = Pick<
  MirrorRecord,
  'name' | 'sourceClusterId' | 'targetClusterId' | 'transactions' | 'timestamps' | 'start'
>;

export type MappedStateRecord = Extract<StateRecord, { kind: 'mapped' | 'ledger' | 'placed' }>;
export type PieceOf<Kind> = Kind extends 'ledger' ? LedgerRecord : PlacedRecord;

export type TopicClaim = ClaimRecord & { readonly targetTopic: string };

export class StateTopic {
  readonly #cluster: Cluster;
  /** The valid record of each key, and where it stands in the log. */
  readonly #records = new Map<string, { readonly record: StateRecord; readonly offset: number }>();
  /** Keys whose last record in the log is not the valid one. */
  readonly #overwritten = new Set<string>();
  /**
   * Keys of which the log holds no record that we can read, or a later version's as the last one, and why. Only who asks
   * for such a key is refused: what a foreign program, or a newer Lockstep, writes under one key is no matter of the others.
   */
  readonly #unreadable = new Map<string, AppError>();
  #nextOffset: number | null = null;
  /** Of the topic that was opened; null where it is only looked at. */
  #topicId: string | null = null;
  #isMissing = false;
  #loading: Promise<void> = Promise.resolve();
  /** A read that has not begun yet: shared by all who ask until then. */
  #nextLoad: Promise<void> | null = null;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * Creates the topic when it is missing, and reads it. Throws AppError STATE_TOPIC_INVALID when it exists with other
   * partitions or another cleanup policy, KafkaError when the cluster refuses.
   */
  static async open(cluster: Cluster): Promise<StateTopic> {
    if (!(await retrying(cluster, () => exists(cluster), { repeatable: true }))) await create(cluster);
    await check(cluster);
    const state = new StateTopic(cluster);
    state.#topicId = topicIdOf(cluster);
    await state.load();
    await state.#restoreOverwritten();
    return state;
  }

  /** What it holds, without writing anything; null when there is no such topic. Throws as `open`. */
  static async peek(cluster: Cluster): Promise<StateTopic | null> {
    if (!(await exists(cluster))) return null;
    await check(cluster);
    const state = new StateTopic(cluster);
    await state.load();
    return state;
  }

  /** As `peek`, of a cluster where this mirror writes nothing: how the topic is set concerns those who do. Throws KafkaError. */
  static async look(cluster: Cluster): Promise<StateTopic | null> {
    if (!(await exists(cluster))) return null;
    await awaitPartitions(cluster, STATE_TOPIC, 1);
    const state = new StateTopic(cluster);
    await state.load();
    return state;
  }

  /** Throws AppError STATE_TOPIC_INVALID when its record cannot be read; so do `claim` and `partition`. */
  mirror(mirrorId: string): MirrorRecord | null {
    const record = this.#recordOf(mirrorKey(mirrorId));
    return record?.kind === 'mirror' ? record.value : null;
  }

  claim(targetTopic: string): ClaimRecord | null {
    const record = this.#recordOf(claimKey(targetTopic));
    return record?.kind === 'claim' ? record.value : null;
  }

  /** Which mirror is about to create a topic; null once it is claimed. Throws as `mirror`. */
  creating(targetTopic: string): CreatingRecord | null {
    const record = this.#recordOf(creatingKey(targetTopic));
    return record?.kind === 'creating' ? record.value : null;
  }

  /** null takes the record away. */
  async putCreating(targetTopic: string, value: CreatingRecord | null): Promise<void> {
    await this.#putContested([{ kind: 'creating', key: creatingKey(targetTopic), value }]);
  }

  /** How far a failover of the mirror came; null where none was begun, or it was abandoned. Throws as `mirror`. */
  failover(mirrorId: string): FailoverRecord | null {
    const record = this.#recordOf(failoverKey(mirrorId));
    return record?.kind === 'failover' ? record.value : null;
  }

  /** null takes the record away. */
  async putFailover(mirrorId: string, value: FailoverRecord | null): Promise<void> {
    await this.#putContested([{ kind: 'failover', key: failoverKey(mirrorId), value }]);
  }

  /** Why the partition has stopped for good, as the process said that had it; null where nothing is known. */
  stopped(place: MappedPlace): StoppedRecord | null {
    const key = stoppedKey(place);
    const record = this.#unreadable.has(key) ? undefined : this.#recordOf(key);
    return record?.kind === 'stopped' ? record.value : null;
  }

  /** null takes the record away. */
  async putStopped(place: MappedPlace, value: StoppedRecord | null): Promise<void> {
    await this.#putContested([{ kind: 'stopped', key: stoppedKey(place), value }]);
  }

  /** Of a name and target, whatever its source: there is at most one (`checkMirror`). */
  mirrorNamed(name: string): MirrorRecord | null {
    for (const { record } of this.#records.values())
      if (record.kind === 'mirror' && record.value?.name === name) return record.value;
    return null;
  }

  /** What a mirror has set on the target around the records; without what cannot be read. */
  appliedOf(mirrorId: string): AppliedRecord[] {
    const prefix = appliedKey(mirrorId, '').slice(0, -32);
    return [...this.#records].flatMap(([key, { record }]) =>
      record.kind === 'applied' && record.value && key.startsWith(prefix) && !this.#unreadable.has(key)
        ? [record.value]
        : [],
    );
  }

  /** By the text of what was applied; null takes the record away. */
  async putApplied(mirrorId: string, applied: ReadonlyMap<string, AppliedRecord | null>): Promise<void> {
    if (applied.size === 0) return;
    const records = [...applied].map(([text, value]): StateRecord => ({
      kind: 'applied',
      key: appliedKey(mirrorId, text),
      value,
    }));
    await this.#putContested(records);
  }

  /** Without what cannot be read. */
  groupsOf(mirrorId: string): StoredGroup[] {
    const prefix = `group/${mirrorId}/`;
    return [...this.#records].flatMap(([key, { record }]) => {
      if (record.kind !== 'group' || !record.value || !key.startsWith(prefix) || this.#unreadable.has(key)) return [];
      const [topic = '', ...rest] = key.slice(prefix.length).split('/');
      return [{ groupId: rest.join('/'), topic, value: record.value }];
    });
  }

  async putGroups(mirrorId: string, groups: readonly StoredGroup<GroupRecord | null>[]): Promise<void> {
    await this.#putContested(
      groups.map(({ groupId, topic, value }): StateRecord => ({
        kind: 'group',
        key: groupKey(mirrorId, topic, groupId),
        value,
      })),
    );
  }

  /** All of a mirror, also of topics that are gone; without those that cannot be read. */
  claimsOf(mirrorId: string): TopicClaim[] {
    return [...this.#records].flatMap(([key, { record }]) =>
      record.kind === 'claim' && record.value?.mirrorId === mirrorId && !this.#unreadable.has(key)
        ? [{ ...record.value, targetTopic: key.slice(claimKey('').length) }]
        : [],
    );
  }

  /** Names of the mirrors that copy a topic of another cluster to this one; without those that cannot be read. */
  mirrorsOf(copied: { readonly clusterId: string; readonly topicId: string }): string[] {
    const names = [...this.#records].flatMap(([key, { record }]) => {
      if (record.kind !== 'claim' || record.value?.sourceTopicId !== copied.topicId || this.#unreadable.has(key))
        return [];
      const mirror = this.#records.get(mirrorKey(record.value.mirrorId))?.record;
      const isOfCluster = mirror?.kind === 'mirror' && mirror.value?.sourceClusterId === copied.clusterId;
      return isOfCluster ? [record.value.mirrorName] : [];
    });
    return [...new Set(names)];
  }

  /** Of the topic that its `targetTopicId` names, which may be gone. */
  partition(targetTopic: string, partition: number): PartitionRecord | null {
    const record = this.#recordOf(partitionKey(targetTopic, partition));
    return record?.kind === 'partition' ? record.value : null;
  }

  /** Null also where it cannot be read: it is only needed where the source has lost all else that says so. */
  openTransactions(targetTopic: string, partition: number): OpenRecord | null {
    const record = this.#records.get(openKey(targetTopic, partition))?.record;
    return record?.kind === 'open' ? record.value : null;
  }

  /** Without leave WithheldError is thrown. */
  async putOpenTransactions(targetTopic: string, partition: number, value: OpenRecord, permit?: Permit): Promise<void> {
    await this.#putContested([{ kind: 'open', key: openKey(targetTopic, partition), value }], permit);
  }

  /** Of a merged topic: those that were copied into it so far. */
  sourcesOf(targetTopic: string): string[] {
    const prefix = `mapped/${targetTopic}/`;
    return [...this.#records.keys()].flatMap((key) => (key.startsWith(prefix) ? [key.split('/')[3] ?? ''] : []));
  }

  mapped(place: MappedPlace): MappedRecord | null {
    const record = this.#recordOf(mappedKey(place));
    return record?.kind === 'mapped' ? record.value : null;
  }

  /** A piece of a mapped partition, which the head may name or not. Throws as `mirror`. */
  piece<Kind extends 'ledger' | 'placed'>(kind: Kind, place: MappedPlace, index: number): PieceOf<Kind> | null {
    const record = this.#recordOf(pieceKey(kind, place, index));
    return record?.kind === kind ? (record.value as PieceOf<Kind> | null) : null;
  }

  /**
   * Records of one mapped partition, appended with acks=all: up to APPEND_BYTES_MAX all of them or none. Without leave
   * WithheldError is thrown.
   */
  async putMapped(records: readonly MappedStateRecord[], permit?: Permit): Promise<void> {
    await this.#putContested(records, permit);
  }

  #recordOf(key: string): StateRecord | undefined {
    const error = this.#unreadable.get(key);
    if (error) throw error;
    return this.#records.get(key)?.record;
  }

  /** Reads what was appended since the last read, to the end of the log as of now. */
  load(): Promise<void> {
    if (this.#nextLoad) return this.#nextLoad;
    const read = this.#loading.then(() => {
      this.#nextLoad = null;
      return this.#load();
    });
    this.#nextLoad = read;
    this.#loading = read.catch(() => {}); // one at a time; a failure is the failed callers'
    return read;
  }

  async #load(): Promise<void> {
    if (this.#nextOffset !== null && (await this.#isEarlierLog(this.#nextOffset))) this.#readAnew();
    const from = this.#nextOffset;
    const before = from === null ? [...this.#unreadable] : []; // the log that they were found in may be gone
    const read = { topic: STATE_TOPIC, partition: PARTITION, ...(from === null ? {} : { from }) };
    for await (const batch of readLog(this.#cluster, read)) {
      for (let i = 0; i < batch.count; i++) {
        const offset = batch.offsetOf(i);
        if (offset < (from ?? 0)) continue;
        if ((batch.attributes & ATTRIBUTE_CONTROL) === 0) this.#takeRecord(batch.recordAt(i));
        this.#nextOffset = offset + 1;
      }
    }
    for (const [key, error] of before) if (this.#unreadable.get(key) === error) this.#unreadable.delete(key);
  }

  /** What somebody else has written over a valid record is no record: the valid one is written again. */
  #takeRecord(bytes: Parameters<typeof decodeState>[0]): void {
    const decoded = decodeState(bytes);
    if (decoded === null) return;
    if (decoded.kind !== 'unreadable') this.#take(decoded, bytes.offset);
    else if (this.#records.has(decoded.key) && !decoded.isLater) this.#overwritten.add(decoded.key);
    else this.#unreadable.set(decoded.key, decoded.error);
  }

  /**
   * To be called now and then while a mirror runs: writes again what somebody has taken out of the topic, or the whole
   * topic, and returns what was found; null when all is well. Throws AppError STATE_TOPIC_INVALID when it cannot hold what
   * it has to, KafkaError when the cluster refuses.
   */
  async verify(): Promise<string | null> {
    const loss = await this.#findLoss();
    if (loss === null) return null;
    if (!(await exists(this.#cluster))) await create(this.#cluster);
    await check(this.#cluster);
    await this.#loading;
    this.#readAnew();
    this.#topicId = topicIdOf(this.#cluster);
    await this.load();
    await this.#restoreOverwritten();
    return `Topic ${STATE_TOPIC} on cluster "${this.#cluster.name}" ${loss}; it was written again from memory.`;
  }

  async #findLoss(): Promise<string | null> {
    const wasMissing = this.#isMissing;
    this.#isMissing = !(await exists(this.#cluster)); // a broker that has just started may not know it for a moment
    if (this.#isMissing) return wasMissing ? 'was deleted' : null;
    const topicId = topicIdOf(this.#cluster);
    if (topicId !== this.#topicId) return 'was deleted and created anew';
    await check(this.#cluster);
    await this.load();
    const logStart = await readLogStart(this.#cluster, STATE_TOPIC, PARTITION);
    const isCut = [...this.#records.values()].some(({ offset }) => offset < logStart);
    return isCut ? 'has lost records' : null;
  }

  /** The log ends before what was read of it: it was cut by an election, or is another topic's. */
  async #isEarlierLog(nextOffset: number): Promise<boolean> {
    return (await readWatermark(this.#cluster, STATE_TOPIC, PARTITION)) < nextOffset;
  }

  /** What is known stays valid; what the log does not show when it is read anew is written again. */
  #readAnew(): void {
    for (const [key, { record }] of this.#records) this.#records.set(key, { record, offset: NOWHERE });
    this.#nextOffset = null;
  }

  /**
   * The record of a mirror: the one that exists, or a new one with producer ids of its own. Every process that starts
   * the same mirror gets the same. Throws AppError MIRROR_CHANGED when what was recorded differs from `choices`.
   */
  async establishMirror(choices: MirrorChoices): Promise<{ mirrorId: string; record: MirrorRecord }> {
    const mirrorId = mirrorIdOf(choices);
    this.checkMirror(choices);
    if (this.mirror(mirrorId) === null) {
      // The same ids for every caller; from here on the record is the truth, as transactional ids are forgotten (rule 2).
      const data = await initProducerId(this.#cluster, `${TRANSACTIONAL_ID_PREFIX}${mirrorId}-data`);
      const marker = await initProducerId(this.#cluster, `${TRANSACTIONAL_ID_PREFIX}${mirrorId}-markers`);
      const record: MirrorRecord = {
        ...choices,
        dataProducerId: data.producerId,
        markerProducerId: marker.producerId,
        createdAt: this.#cluster.clock.now(),
      };
      await this.#putContested([{ kind: 'mirror', key: mirrorKey(mirrorId), value: record }]);
    }
    const record = this.mirror(mirrorId);
    assert(record !== null, 'a mirror record that was written is read back');
    this.checkMirror(choices);
    return { mirrorId, record };
  }

  /**
   * Throws AppError when a mirror with these choices cannot go on with what is recorded: MIRROR_CHANGED when they differ,
   * CLUSTER_ID_MISMATCH when the mirror of that name copied from another source cluster.
   */
  checkMirror(choices: MirrorChoices): void {
    const recorded = this.mirror(mirrorIdOf(choices));
    if (recorded) return checkChoices(recorded, choices);
    for (const { record } of this.#records.values()) {
      if (record.kind === 'mirror' && record.value?.name === choices.name) throw sourceChanged(record.value, choices);
    }
  }

  /**
   * Claims a target topic, or updates the claim that is ours already, and returns the claim that holds afterwards:
   * another mirror's when that came first. The topic is there, so nobody is about to create it any more.
   */
  async putClaim(targetTopic: string, value: ClaimRecord): Promise<ClaimRecord> {
    const created: StateRecord = { kind: 'creating', key: creatingKey(targetTopic), value: null };
    const isCreated = this.#records.has(created.key);
    await this.#putContested([{ kind: 'claim', key: claimKey(targetTopic), value }, ...(isCreated ? [created] : [])]);
    const claim = this.claim(targetTopic);
    assert(claim !== null, 'a claim that was written is read back');
    return claim;
  }

  /** Records of partitions; appended with acks=all before it returns. What holds then may be another worker's. */
  async putPartitions(
    partitions: readonly {
      readonly targetTopic: string;
      readonly partition: number;
      readonly value: PartitionRecord;
    }[],
    permit?: Permit,
  ): Promise<void> {
    const records = partitions.map(({ targetTopic, partition, value }): StateRecord => ({
      kind: 'partition',
      key: partitionKey(targetTopic, partition),
      value,
    }));
    await this.#putContested(records, permit);
  }

  /** Without leave WithheldError is thrown. */
  async putPartition(targetTopic: string, partition: number, value: PartitionRecord, permit?: Permit): Promise<void> {
    await this.putPartitions([{ targetTopic, partition, value }], permit);
  }

  async #putContested(records: readonly StateRecord[], permit?: Permit): Promise<void> {
    await this.#append(records, permit);
    await this.load();
    await this.#restoreOverwritten();
  }

  /** The log's order decides: see the head of this file. */
  #take(record: StateRecord, offset: number): void {
    const current = this.#records.get(record.key);
    if (current && current.offset >= offset) return; // a read that was under way while we wrote
    if (record.value === null) {
      this.#records.delete(record.key);
      this.#overwritten.delete(record.key);
      this.#unreadable.delete(record.key);
    } else if (current && !mayReplace(current.record, record)) {
      this.#overwritten.add(record.key);
    } else {
      this.#records.set(record.key, { record, offset });
      this.#overwritten.delete(record.key);
      this.#unreadable.delete(record.key);
    }
  }

  async #restoreOverwritten(): Promise<void> {
    const isLost = (key: string, offset: number): boolean =>
      !this.#unreadable.has(key) && (offset === NOWHERE || this.#overwritten.has(key)); // never over a later version's
    const records = [...this.#records].flatMap(([key, { record, offset }]) => (isLost(key, offset) ? [record] : []));
    if (records.length === 0) return;
    await this.#append(records);
    await this.load();
  }

  async #append(records: readonly StateRecord[], permit?: Permit): Promise<void> {
    const timestamp = this.#cluster.clock.now();
    const entries = records.map(({ key, value }) => ({ key: Buffer.from(key), value: encodeState(value), timestamp }));
    let from = 0;
    while (from < entries.length) {
      let bytes = 0;
      let to = from;
      do {
        bytes += entries[to]!.key.length + (entries[to]!.value?.length ?? 0);
        to++;
      } while (to < entries.length && bytes < APPEND_BYTES_MAX);
      await this.#appendCertainly({
        topic: STATE_TOPIC,
        partition: PARTITION,
        records: entries.slice(from, to),
        ...(permit ? { permit } : {}),
      });
      from = to;
    }
  }

  /**
   * An append without an answer may land later, behind a newer record of the same key, which it would undo. So the log
   * must have stood still first, or nothing of ours can land any more; then the same records are appended again: twice the
   * same is the same.
   */
  async #appendCertainly(append: Parameters<typeof appendRecords>[1]): Promise<void> {
    let lost: KafkaError | null = null; // whatever comes after it, it may still land
    for (let attempt = 1; ; attempt++) {
      try {
        if (lost) await this.#standStill();
        await appendRecords(this.#cluster, append);
        return;
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        if (error.definite || attempt === APPEND_ATTEMPTS_MAX) throw lost ?? error;
        lost = error;
      }
    }
  }

  /** What grows for longer than a write of ours may take is others' doing: partitions save what they have all the time. */
  async #standStill(): Promise<void> {
    const { clock } = this.#cluster;
    const deadline = clock.monotonic() + TIMES.writeTimeoutMs;
    let before: number | null;
    do {
      await this.load();
      before = this.#nextOffset;
      await sleep(clock, STILL_MS);
      await this.load();
    } while (this.#nextOffset !== before && clock.monotonic() < deadline);
  }
}

/**
 * Mirrors never change, and claims stay with their mirror, whoever writes later, unless the later one names the topic that is
 * gone: of two that follow one claim, the first wins again.
 */
function mayReplace(current: StateRecord, next: StateRecord): boolean {
  if (current.kind === 'mirror' && next.kind === 'mirror') return isDeepStrictEqual(current.value, next.value);
  if (current.kind === 'claim' && next.kind === 'claim') {
    return current.value?.mirrorId === next.value?.mirrorId || current.value?.targetTopicId === next.value?.replaces;
  }
  if (current.kind === 'partition' && next.kind === 'partition' && current.value && next.value)
    return isLaterPartition(current.value, next.value);
  return true;
}

/** Of several workers of one mirror the first chooses the start, and none that lags behind takes a leader epoch back. */
function isLaterPartition(current: PartitionRecord, next: PartitionRecord): boolean {
  if (current.targetTopicId !== next.targetTopicId) return true;
  const [known, epoch] = [current, next].map(({ leaderEpochs }) => leaderEpochs.at(-1)?.[0]);
  if (epoch === undefined) return isDeepStrictEqual(current, next);
  return known === undefined || epoch >= known;
}

function checkChoices(recorded: MirrorRecord, choices: MirrorChoices): void {
  const keys = (['transactions', 'timestamps', 'start'] as const).filter(
    (key) => !isDeepStrictEqual(recorded[key], choices[key]),
  );
  if (keys.length === 0) return;
  const differences = keys.map(
    (key) => `${key} was ${JSON.stringify(recorded[key])} and is now ${JSON.stringify(choices[key])}`,
  );
  throw new AppError(
    'MIRROR_CHANGED',
    `Mirror "${choices.name}": ${differences.join('; ')}. They decide what stands at an offset, and were recorded at the first copy.`,
    {
      nextStep:
        'Put the recorded values back into the file; or give the mirror another name and copy into new target topics.',
      details: { keys, recorded: Object.fromEntries(keys.map((key) => [key, recorded[key]])) },
    },
  );
}

function sourceChanged(recorded: MirrorRecord, choices: MirrorChoices): AppError {
  const message = `Mirror "${choices.name}" copied from the cluster with id ${recorded.sourceClusterId} until now, and its source has id ${choices.sourceClusterId}: another cluster answers at the source's addresses.`;
  const nextStep =
    'Correct the bootstrap addresses of the source. If it was really replaced, this is a new mirror: give it a new name and new target topics.';
  return new AppError('CLUSTER_ID_MISMATCH', message, { nextStep });
}

function topicIdOf(cluster: Cluster): string {
  return must(cluster.topicOf(STATE_TOPIC), 'metadata of the state topic').topicId;
}

async function exists(cluster: Cluster): Promise<boolean> {
  const topic = (await cluster.refresh([STATE_TOPIC]))[0];
  return topic?.errorCode !== 3;
}

/** As it is created where it is missing. */
export function newStateTopic(cluster: Cluster): NewTopic & { readonly configs: ReadonlyMap<string, string> } {
  const replicationFactor = Math.min(REPLICAS, cluster.brokers().length);
  const configs = new Map([
    ['cleanup.policy', 'compact'],
    ['min.compaction.lag.ms', String(COMPACTION_LAG_MS)],
    ['min.insync.replicas', replicationFactor >= 3 ? '2' : '1'],
  ]);
  return { name: STATE_TOPIC, partitions: 1, replicationFactor, configs };
}

async function create(cluster: Cluster): Promise<void> {
  try {
    await createTopic(cluster, newStateTopic(cluster));
  } catch (error) {
    // Another process was first, or an attempt whose answer was lost.
    if (!(error instanceof BrokerError) || error.code !== TOPIC_ALREADY_EXISTS) throw error;
  }
}

async function check(cluster: Cluster): Promise<void> {
  const topic = await awaitPartitions(cluster, STATE_TOPIC, 1);
  const [described] = await describeTopicConfigs(cluster, [STATE_TOPIC]);
  if (described?.error) throw described.error;
  const policy = described?.configs.get('cleanup.policy')?.value;
  const nextStep = `Undo the change (kafka-configs.sh --alter --entity-type topics --entity-name ${STATE_TOPIC} --add-config cleanup.policy=compact). Never delete this topic: all copies on this cluster would have to be made anew.`;
  if (topic.partitions.length !== 1) {
    throw new AppError(
      'STATE_TOPIC_INVALID',
      `Topic ${STATE_TOPIC} on cluster "${cluster.name}" has ${topic.partitions.length} partitions, not 1.`,
      { nextStep },
    );
  }
  if (policy !== 'compact') {
    throw new AppError(
      'STATE_TOPIC_INVALID',
      `Topic ${STATE_TOPIC} on cluster "${cluster.name}" has cleanup.policy=${policy}, not compact: records that a mirror needs would be deleted.`,
      { nextStep },
    );
  }
}
