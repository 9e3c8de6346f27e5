/**
 * The model of a broker that the simulations rely on, against a real one: the same random requests go to both, and after each
 * of them error codes, offsets, what is fetched and what is known of producers have to be the same. LOCKSTEP_SEED repeats one
 * sequence, LOCKSTEP_SEQUENCES=N plays more.
 *
 * Not compared: one request while another is under way, so no 51 and no batch between the decision of an end and its marker;
 * timeouts of transactions; other leader epochs and truncation; markers of a producer that has data, which the mirror never
 * writes; epochs and ids of producers that are used up.
 */
import { expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { coordinatorOf } from '#kafka/coordinator.ts';
import { decodeFetch, encodeFetch, fetchApi, type FetchPosition } from '#kafka/fetch.ts';
import type { FramePool } from '#kafka/frame.ts';
import { decodeProduce, encodeProduce, produceApi, transactionalProduceApi } from '#kafka/produce.ts';
import { addPartitionsToTxn } from '#kafka/protocol/add-partitions-to-txn.ts';
import { deleteRecords } from '#kafka/protocol/delete-records.ts';
import { describeProducers } from '#kafka/protocol/describe-producers.ts';
import { describeTransactions } from '#kafka/protocol/describe-transactions.ts';
import { endTxn } from '#kafka/protocol/end-txn.ts';
import { initProducerId } from '#kafka/protocol/init-producer-id.ts';
import { listOffsets } from '#kafka/protocol/list-offsets.ts';
import { offsetForLeaderEpoch } from '#kafka/protocol/offset-for-leader-epoch.ts';
import { writeTxnMarkers } from '#kafka/protocol/write-txn-markers.ts';
import { callRaw } from '#kafka/raw-call.ts';
import { leaderOf, retrying } from '#kafka/retry.ts';
import type { ProducerIdentity, TransactionProtocol } from '#kafka/transactions.ts';
import { assert, must } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import { ManualClock } from './manual-clock.ts';
import { ModelLog } from './model-log.ts';
import { ModelTransactions } from './model-transactions.ts';
import { openCluster } from './open-cluster.ts';
import { PlayedCluster } from './played-cluster.ts';
import { RawReader } from './raw-reader.ts';
import { parseBatches, type RawBatch } from './raw-batch.ts';
import { sharedClusters } from './shared-clusters.ts';
import { sourceBatch, TRANSACTIONAL } from './source-batches.ts';
import { createTopics } from './topic-admin.ts';

const given = process.env['LOCKSTEP_SEED'];
const sequences = given === undefined ? Number(process.env['LOCKSTEP_SEQUENCES'] ?? 40) : 1;
const firstSeed = given === undefined ? Date.now() % 1_000_000 : Number(given);
const STEPS = 40;
const SEQUENCES = 2 ** 31;
/** COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS. */
const NOT_YET = new Set([14, 15, 16, 51]);
const EXPLICIT_END_TXN = 4;
const DATA_PIDS = [70_001, 70_002] as const;
const MARKER_PID = 70_009;
const STATE_POLL_MS = 5;
const FETCH_BYTES_MAX = 2 ** 20;

/** Requests and answers of which each run has to have some. */
const EXPECTED_KINDS =
  'Produce ProduceAgain ProduceIn InitProducerId AddPartitionsToTxn EndTxn WriteTxnMarkers DeleteRecords Fetch OffsetForLeaderEpoch';
const EXPECTED_ERRORS = [0, 1, 2, 45, 47, 48, 49, 52, 87, 90, 120];

const cluster = sharedClusters({ real: {} });

interface Answer {
  readonly errorCode: number;
  readonly baseOffset?: number;
  readonly producer?: ProducerIdentity;
  readonly seen?: readonly unknown[];
}

interface ProduceSpec {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly count: number;
  readonly text: string;
  readonly damage: 'none' | 'crc' | 'gap' | 'base offset';
}

/** What a fetch brought; `records` as they came, the last batch may be cut. */
interface Found {
  readonly errorCode: number;
  readonly ends: readonly (number | undefined)[];
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[];
  readonly diverging: { readonly epoch: number; readonly endOffset: number } | null;
  readonly records: Buffer;
}

/** One broker with one partition, whichever it is. */
interface Side {
  call(api: Api<never, never>, request: unknown, id?: string): Promise<never>;
  produce(spec: ProduceSpec, transactionalId: string | null): Promise<Answer>;
  fetch(position: FetchPosition, isCommitted: boolean): Promise<Found>;
  /** Ends that were decided stand in the log. */
  settle(ids: readonly string[]): Promise<void>;
}

function batchOf(spec: ProduceSpec, isTransactional: boolean): Buffer {
  const records = Array.from({ length: spec.count }, (_, i) => ({
    timestamp: Date.now(),
    key: null,
    value: Buffer.from(`${spec.text} ${i}`),
  }));
  const holed = spec.damage === 'gap' ? [...records.slice(0, 1), null, ...records.slice(1)] : records;
  const batch = sourceBatch({
    baseOffset: spec.damage === 'base offset' ? 7 : 0,
    records: holed,
    attributes: isTransactional ? TRANSACTIONAL : 0,
    producerId: spec.producerId,
    producerEpoch: spec.producerEpoch,
    baseSequence: spec.baseSequence,
    leaderEpoch: -1,
  });
  if (spec.damage === 'crc') batch.writeUInt8(batch.readUInt8(batch.length - 1) ^ 1, batch.length - 1);
  return batch;
}

function modelSide(topic: string, protocol: TransactionProtocol): Side & { readonly log: ModelLog } {
  const log = new ModelLog();
  const transactions = new ModelTransactions(log, { protocol });
  const clock = new ManualClock();
  const pool = null as unknown as FramePool;
  const played = new PlayedCluster({
    name: 'model',
    topic,
    topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
    clock,
    pool,
    log,
    transactions,
  });
  return {
    log,
    call: async (api, request) => (await played.handle(api.name, request)) as never,
    produce: async (spec, transactionalId) => {
      const bytes = batchOf(spec, transactionalId !== null);
      if (transactionalId === null) return log.append(bytes);
      return transactions.produce(transactionalId, spec, bytes);
    },
    fetch: async (position, isCommitted) => {
      const answer = played.fetched(position, isCommitted ? 1 : 0);
      const { errorCode = 0, highWatermark, lastStableOffset, logStartOffset, aborted, diverging, records } = answer;
      return {
        errorCode,
        ends: [logStartOffset, lastStableOffset, highWatermark],
        aborted: aborted ?? [],
        diverging: diverging ?? null,
        records: records ?? Buffer.alloc(0),
      };
    },
    settle: async () => transactions.settle(),
  };
}

function realSide(client: Cluster, topic: string, protocol: TransactionProtocol): Side {
  const brokerOf = (id: string | undefined): Promise<number> =>
    id === undefined
      ? leaderOf(client, topic, 0)
      : retrying(client, () => coordinatorOf(client, { kind: 'transactional id', key: id }), { repeatable: true });
  const side: Side = {
    call: async (api, request, id) => client.call(api, request as never, { broker: await brokerOf(id) }),
    produce: async (spec, transactionalId) => {
      const batch = batchOf(spec, transactionalId !== null);
      const topics = [{ name: topic, partitions: [{ partition: 0, buffer: batch, start: 0, end: batch.length }] }];
      const api = transactionalId !== null && protocol === 'implicit' ? transactionalProduceApi : produceApi;
      const options = transactionalId === null ? {} : { transactionalId };
      const connection = await client.connection(await leaderOf(client, topic, 0));
      const request = { api, chunks: encodeProduce(topics, 10_000, options), timeoutMs: 10_000 };
      const { results } = await callRaw(connection, request, decodeProduce);
      const { errorCode, baseOffset } = must(results[0], 'answer');
      return { errorCode, baseOffset };
    },
    fetch: async (position, isCommitted) => {
      const { topicId } = must(client.topicOf(topic), 'topic');
      const connection = await client.connection(await leaderOf(client, topic, 0));
      const body = encodeFetch({
        maxWaitMs: 0,
        minBytes: 0,
        maxBytes: FETCH_BYTES_MAX,
        isUncommitted: !isCommitted,
        sessionId: 0,
        sessionEpoch: -1,
        positions: [{ ...position, topicId }],
        forgotten: [],
      });
      const request = { api: fetchApi, chunks: [body], timeoutMs: 10_000 };
      return callRaw(connection, request, (reader, buffer) => {
        const partition = must(decodeFetch(reader).partitions[0], 'answer');
        const { errorCode, highWatermark, lastStableOffset, logStartOffset, aborted, diverging, start, end } =
          partition;
        const ends = [logStartOffset, lastStableOffset, highWatermark];
        return { errorCode, ends, aborted, diverging, records: Buffer.from(buffer.subarray(start, end)) };
      });
    },
    settle: async (ids) => {
      for (const id of ids)
        for (;;) {
          const { transactionStates } = await client.call(
            describeTransactions,
            { transactionalIds: [id] },
            { broker: await brokerOf(id) },
          );
          if (!transactionStates[0]?.transactionState.startsWith('Prepare')) break;
          await sleep(STATE_POLL_MS);
        }
    },
  };
  return side;
}

/** A transactional id, and who it is on each side: producer ids differ, all else is the same. */
interface Slot {
  readonly id: string;
  identities: readonly [ProducerIdentity, ProducerIdentity];
  sequence: number;
}

class Sequence {
  readonly #topic: string;
  readonly #protocol: TransactionProtocol;
  readonly #sides: readonly [Side, Side];
  readonly #random: Random;
  readonly #slots: Slot[] = [];
  readonly #next = new Map<number, { epoch: number; sequence: number }>();
  readonly #sent: { readonly spec: ProduceSpec; readonly slot: Slot | null }[] = [];
  readonly #done: string[] = [];
  readonly counts: Record<string, number>;

  constructor(options: {
    topic: string;
    protocol: TransactionProtocol;
    sides: readonly [Side, Side];
    random: Random;
    counts: Record<string, number>;
  }) {
    this.#topic = options.topic;
    this.#protocol = options.protocol;
    this.#sides = options.sides;
    this.#random = options.random;
    this.counts = options.counts;
  }

  async play(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      const answers = await this.#step();
      const [model, real] = answers.map(({ errorCode, baseOffset, producer, seen }) => ({
        errorCode,
        seen,
        baseOffset: errorCode === 0 ? baseOffset : undefined,
        epoch: errorCode === 0 ? producer?.producerEpoch : undefined,
      }));
      this.counts[`error ${real?.errorCode}`] = (this.counts[`error ${real?.errorCode}`] ?? 0) + 1;
      this.#compare(model, real);
      const [ofModel, ofReal] = await Promise.all(this.#sides.map((side, i) => this.#stateOf(side, i)));
      this.#compare(ofModel, ofReal);
    }
  }

  #compare(model: object | undefined, real: object | undefined): void {
    const story = `${this.#protocol}: ${this.#done.slice(-STEPS).join('; ')}`;
    const both = `the model ${JSON.stringify(model)}, the broker ${JSON.stringify(real)}`;
    assert(isDeepStrictEqual(model, real), `${both}, after ${story}`);
  }

  #below(count: number): number {
    return Math.floor(this.#random.next() * count);
  }

  #both(what: string, ask: (side: Side, i: 0 | 1) => Promise<Answer>): Promise<[Answer, Answer]> {
    this.#done.push(what);
    const kind = must(what.split(' ')[0], 'kind');
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    return Promise.all([ask(this.#sides[0], 0), ask(this.#sides[1], 1)]);
  }

  #step(): Promise<[Answer, Answer]> {
    const draw = this.#random.next();
    if (draw < 0.35) return this.#produce();
    if (draw < 0.45) return this.#produceAgain();
    if (draw < 0.53) return this.#mark();
    if (draw < 0.57) return this.#delete();
    if (draw < 0.63) return this.#fetch();
    if (draw < 0.65) return this.#ask();
    return this.#transact();
  }

  // ---- without transactions

  #produce(): Promise<[Answer, Answer]> {
    const producerId = this.#random.next() < 0.15 ? -1 : must(DATA_PIDS[this.#below(2)], 'producer');
    const known = this.#next.get(producerId) ?? { epoch: 0, sequence: this.#below(4) === 0 ? SEQUENCES - 3 : 0 };
    const draw = this.#random.next();
    let { epoch, sequence } = known;
    if (draw < 0.1) sequence = (sequence + 1 + this.#below(3)) % SEQUENCES;
    else if (draw < 0.2) sequence = Math.max(0, sequence - 1 - this.#below(3));
    else if (draw < 0.25) epoch = Math.max(0, epoch - 1);
    else if (draw < 0.3) [epoch, sequence] = [epoch + 1, this.#below(2)];
    const damage = (['crc', 'gap', 'base offset'] as const)[this.#below(30)] ?? 'none';
    const isIdempotent = producerId >= 0;
    const spec: ProduceSpec = {
      producerId,
      producerEpoch: isIdempotent ? epoch : -1,
      baseSequence: isIdempotent ? sequence : -1,
      count: 1 + this.#below(3),
      text: `${this.#done.length}`,
      damage,
    };
    return this.#send(spec);
  }

  async #send(spec: ProduceSpec): Promise<[Answer, Answer]> {
    const { producerId, producerEpoch, baseSequence, count, damage } = spec;
    const what = `Produce pid ${producerId} epoch ${producerEpoch} sequence ${baseSequence} count ${count} ${damage}`;
    const answers = await this.#both(what, (side) => side.produce(spec, null));
    if (answers[1].errorCode !== 0) return answers;
    this.#next.set(producerId, { epoch: producerEpoch, sequence: (baseSequence + count) % SEQUENCES });
    this.#sent.push({ spec, slot: null });
    return answers;
  }

  /** One of the last batches once more: the broker remembers five. */
  #produceAgain(): Promise<[Answer, Answer]> {
    const again = this.#sent.at(-1 - this.#below(8));
    if (!again) return this.#produce();
    const { spec, slot } = again;
    if (slot) return this.#sendIn(slot, spec);
    return this.#both(`ProduceAgain pid ${spec.producerId} sequence ${spec.baseSequence}`, (side) =>
      side.produce(spec, null),
    );
  }

  #mark(): Promise<[Answer, Answer]> {
    const coordinatorEpoch = this.#below(4);
    const isCommit = this.#below(2) === 0;
    const marker = { producerId: MARKER_PID, producerEpoch: 0, coordinatorEpoch, transactionVersion: 0 };
    const topics = [{ name: this.#topic, partitionIndexes: [0] }];
    const request = { markers: [{ ...marker, topics, transactionResult: isCommit }] };
    return this.#both(`WriteTxnMarkers coordinator epoch ${coordinatorEpoch} ${isCommit}`, async (side) => {
      const answer = (await side.call(writeTxnMarkers as never, request)) as {
        markers: { topics: { partitions: { errorCode: number }[] }[] }[];
      };
      return { errorCode: must(answer.markers[0]?.topics[0]?.partitions[0], 'answer').errorCode };
    });
  }

  async #delete(): Promise<[Answer, Answer]> {
    const { end } = await this.#endsOf(this.#sides[0]);
    const offset = this.#below(end + 2);
    const request = { topics: [{ name: this.#topic, partitions: [{ partitionIndex: 0, offset }] }], timeoutMs: 5_000 };
    return this.#both(`DeleteRecords ${offset} of ${end}`, async (side) => {
      const answer = (await side.call(deleteRecords as never, request)) as {
        topics: { partitions: { errorCode: number; lowWatermark: number }[] }[];
      };
      const { errorCode, lowWatermark } = must(answer.topics[0]?.partitions[0], 'answer');
      return { errorCode, baseOffset: lowWatermark };
    });
  }

  async #fetch(): Promise<[Answer, Answer]> {
    const { start, end } = await this.#endsOf(this.#sides[0]);
    const offset = Math.max(0, start - 1 + this.#below(end - start + 3));
    const maxBytes = must([1, 200, FETCH_BYTES_MAX][this.#below(3)], 'bytes');
    const lastFetchedEpoch = this.#below(4) === 0 ? this.#below(2) : -1;
    const isCommitted = this.#below(3) > 0;
    const position = { topicId: '', partition: 0, leaderEpoch: -1, offset, lastFetchedEpoch, maxBytes };
    const what = `Fetch ${offset} of ${start} to ${end} bytes ${maxBytes} epoch ${lastFetchedEpoch} ${isCommitted}`;
    return this.#both(what, async (side, i) => {
      const { errorCode, ends, aborted, diverging, records } = await side.fetch(position, isCommitted);
      if (errorCode !== 0) return { errorCode };
      const seen = [
        ...ends,
        ...aborted.map(({ producerId, firstOffset }) => `aborted ${this.#nameOf(producerId, i)} ${firstOffset}`),
        ...(diverging ? [`epoch ${diverging.epoch} ends ${diverging.endOffset}`] : []),
        ...wholeBatches(records).map((batch) => {
          const { baseOffset, lastOffset, leaderEpoch, producerEpoch, baseSequence, marker, isTransactional } = batch;
          const producer = `${this.#nameOf(batch.producerId, i)} ${producerEpoch} ${baseSequence}`;
          return `${baseOffset} ${lastOffset} leader ${leaderEpoch} producer ${producer} ${marker} ${isTransactional}`;
        }),
      ];
      return { errorCode, seen };
    });
  }

  /** Whether leader epochs end where they end, also one that never was. */
  #ask(): Promise<[Answer, Answer]> {
    const leaderEpoch = this.#below(3);
    const partitions = [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch }];
    return this.#both(`OffsetForLeaderEpoch ${leaderEpoch}`, async (side) => {
      const answer = (await side.call(offsetForLeaderEpoch as never, {
        replicaId: -1,
        topics: [{ topic: this.#topic, partitions }],
      })) as { topics: { partitions: { errorCode: number; leaderEpoch: number; endOffset: number }[] }[] };
      const found = must(answer.topics[0]?.partitions[0], 'answer');
      return { errorCode: found.errorCode, seen: [found.leaderEpoch, found.endOffset] };
    });
  }

  // ---- in transactions

  #transact(): Promise<[Answer, Answer]> {
    const slot = this.#slots[this.#below(3)];
    if (!slot) return this.#init(`${this.#topic}-${this.#slots.length}`);
    const draw = this.#random.next();
    if (draw < 0.1) return this.#init(slot.id);
    if (draw < 0.3 && this.#protocol === 'explicit') return this.#add(slot);
    if (draw < 0.65) return this.#produceIn(slot);
    return this.#end(slot);
  }

  async #init(id: string): Promise<[Answer, Answer]> {
    const request = { transactionalId: id, transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 };
    const answers = await this.#both(`InitProducerId ${id}`, async (side) => {
      for (;;) {
        const answer = (await side.call(initProducerId as never, request, id)) as ProducerIdentity & Answer;
        const { errorCode, producerId, producerEpoch } = answer;
        if (!NOT_YET.has(errorCode)) return { errorCode, producer: { producerId, producerEpoch } };
        await sleep(STATE_POLL_MS);
        await side.settle([id]);
      }
    });
    const slot = this.#slots.find((each) => each.id === id);
    const identities = [must(answers[0].producer, 'producer'), must(answers[1].producer, 'producer')] as const;
    if (slot) Object.assign(slot, { identities, sequence: 0 });
    else this.#slots.push({ id, identities, sequence: 0 });
    return answers;
  }

  /** As it is, or, now and then, as it was an epoch ago, or somebody else's. */
  #identities(slot: Slot): readonly [ProducerIdentity, ProducerIdentity] {
    const draw = this.#random.next();
    const { identities } = draw < 0.1 ? must(this.#slots[this.#below(this.#slots.length)], 'slot') : slot;
    const of = ({ producerId, producerEpoch }: ProducerIdentity): ProducerIdentity => ({
      producerId,
      producerEpoch: draw > 0.75 ? Math.max(0, producerEpoch - 1) : producerEpoch,
    });
    return [of(identities[0]), of(identities[1])];
  }

  #add(slot: Slot): Promise<[Answer, Answer]> {
    const identities = this.#identities(slot);
    return this.#both(`AddPartitionsToTxn ${slot.id} epoch ${identities[1].producerEpoch}`, async (side, i) => {
      const { producerId, producerEpoch } = identities[i];
      const answer = (await side.call(
        addPartitionsToTxn as never,
        {
          v3AndBelowTransactionalId: slot.id,
          v3AndBelowProducerId: producerId,
          v3AndBelowProducerEpoch: producerEpoch,
          v3AndBelowTopics: [{ name: this.#topic, partitions: [0] }],
        },
        slot.id,
      )) as { resultsByTopicV3AndBelow: { resultsByPartition: { partitionErrorCode: number }[] }[] };
      const result = must(answer.resultsByTopicV3AndBelow[0]?.resultsByPartition[0], 'answer');
      return { errorCode: result.partitionErrorCode };
    });
  }

  #produceIn(slot: Slot): Promise<[Answer, Answer]> {
    const isWrong = this.#random.next() < 0.08;
    const baseSequence = slot.sequence + (isWrong ? 1 + this.#below(2) : 0);
    const isOld = this.#random.next() < 0.12;
    const producerEpoch = Math.max(0, slot.identities[1].producerEpoch - (isOld ? 1 : 0));
    const spec = { producerId: -1, producerEpoch, baseSequence, count: 1 + this.#below(3) };
    return this.#sendIn(slot, { ...spec, text: `${this.#done.length}`, damage: 'none' });
  }

  async #sendIn(slot: Slot, spec: ProduceSpec): Promise<[Answer, Answer]> {
    const { producerEpoch, baseSequence, count } = spec;
    const what = `ProduceIn ${slot.id} epoch ${producerEpoch} sequence ${baseSequence} count ${count}`;
    const answers = await this.#both(what, (side, i) =>
      side.produce({ ...spec, producerId: slot.identities[i].producerId }, slot.id),
    );
    if (answers[1].errorCode !== 0) return answers;
    if (baseSequence === slot.sequence) slot.sequence += count;
    this.#sent.push({ spec, slot });
    return answers;
  }

  async #end(slot: Slot): Promise<[Answer, Answer]> {
    const committed = this.#below(3) > 0;
    const identities = this.#identities(slot);
    const isImplicit = this.#protocol === 'implicit';
    const api = isImplicit ? endTxn : { ...endTxn, maxVersion: EXPLICIT_END_TXN };
    const what = `EndTxn ${slot.id} epoch ${identities[1].producerEpoch} ${committed}`;
    const answers = await this.#both(what, async (side, i) => {
      const request = { transactionalId: slot.id, ...identities[i], committed };
      const answer = (await side.call(api as never, request, slot.id)) as ProducerIdentity & Answer;
      await side.settle([slot.id]);
      const { errorCode, producerId, producerEpoch } = answer;
      return { errorCode, ...(isImplicit ? { producer: { producerId, producerEpoch } } : {}) };
    });
    const [model, real] = answers;
    if (real.errorCode === 0 && model.producer && real.producer) {
      const isNew = real.producer.producerEpoch !== slot.identities[1].producerEpoch;
      Object.assign(slot, { identities: [model.producer, real.producer], ...(isNew ? { sequence: 0 } : {}) });
    }
    return answers;
  }

  // ---- what can be seen

  async #endsOf(side: Side): Promise<{ start: number; stable: number; end: number }> {
    const ask = async (timestamp: number, isolationLevel: number): Promise<number> => {
      const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }];
      const request = { replicaId: -1, isolationLevel, topics: [{ name: this.#topic, partitions }], timeoutMs: 5_000 };
      const answer = (await side.call(listOffsets as never, request)) as {
        topics: { partitions: { offset: number }[] }[];
      };
      return must(answer.topics[0]?.partitions[0], 'answer').offset;
    };
    const [start, stable, end] = await Promise.all([ask(-2, 0), ask(-1, 1), ask(-1, 0)]);
    return { start, stable, end };
  }

  #nameOf(producerId: number, i: number): string {
    return (
      this.#slots.find(({ identities }) => identities[i as 0 | 1].producerId === producerId)?.id ?? `${producerId}`
    );
  }

  async #stateOf(side: Side, i: number): Promise<object> {
    const request = { topics: [{ name: this.#topic, partitionIndexes: [0] }] };
    const answer = (await side.call(describeProducers as never, request)) as {
      topics: {
        partitions: {
          activeProducers: (ProducerIdentity & {
            lastSequence: number;
            coordinatorEpoch: number;
            currentTxnStartOffset: number;
          })[];
        }[];
      }[];
    };
    const producers = must(answer.topics[0]?.partitions[0], 'answer').activeProducers.map(
      ({ producerId, producerEpoch, lastSequence, coordinatorEpoch, currentTxnStartOffset }) =>
        `${this.#nameOf(producerId, i)} epoch ${producerEpoch} sequence ${lastSequence} coordinator ${coordinatorEpoch} open ${currentTxnStartOffset}`,
    );
    return { ...(await this.#endsOf(side)), producers: producers.toSorted() };
  }
}

function wholeBatches(records: Buffer): RawBatch[] {
  let end = 0;
  while (end + 12 <= records.length && end + 12 + records.readInt32BE(end + 8) <= records.length)
    end += 12 + records.readInt32BE(end + 8);
  return parseBatches(records.subarray(0, end));
}

test(`the model answers as a broker does, in ${sequences} sequences of ${STEPS} requests`, async () => {
  const { bootstrap } = cluster('real');
  const seeds = Array.from({ length: sequences }, (_, i) => firstSeed + i);
  const topicOf = (seed: number): string => `model-${seed}`;
  await createTopics(
    bootstrap,
    // without entries in the offset index, which decide how far aborted transactions are listed
    seeds.map((seed) => ({ name: topicOf(seed), partitions: 1, configs: { 'index.interval.bytes': '1000000' } })),
  );
  const client = openCluster(bootstrap);
  await client.connect();
  const reader = new RawReader(bootstrap);
  const counts: Record<string, number> = {};
  process.stdout.write(`model: seeds from ${firstSeed} on\n`);
  try {
    for (const seed of seeds) {
      const topic = topicOf(seed);
      const protocol = seed % 2 === 0 ? 'implicit' : 'explicit';
      await reader.bounds(topic, 0); // its broker leads it
      await client.refresh([topic]);
      const model = modelSide(topic, protocol);
      const sides = [model, realSide(client, topic, protocol)] as const;
      const sequence = new Sequence({ topic, protocol, sides, random: createRandom(seed), counts });
      await sequence.play().catch((error: unknown) => {
        throw new Error(`LOCKSTEP_SEED=${seed}: ${error instanceof Error ? error.message : ''}`, { cause: error });
      });
      const { logStart, highWatermark } = await reader.bounds(topic, 0);
      const found: string[] = [];
      for await (const batch of reader.batches(topic, 0, { from: logStart, to: highWatermark }))
        found.push(`${batch.baseOffset} ${batch.recordCount} ${batch.marker}`);
      const held = model.log.parsed().map((batch) => `${batch.baseOffset} ${batch.recordCount} ${batch.marker}`);
      expect(held.slice(-found.length), `seed ${seed}`).toEqual(found);
    }
  } finally {
    reader.close();
    client.close();
  }
  process.stdout.write(`model: ${JSON.stringify(counts)}\n`);
  const kinds = [...EXPECTED_KINDS.split(' '), ...EXPECTED_ERRORS.map((code) => `error ${code}`)];
  const missing = given === undefined ? kinds.filter((kind) => !counts[kind]) : []; // one sequence alone has not all
  expect(missing, 'requests and answers of which there were none').toEqual([]);
}, 600_000);
