/**
 * A shard that preserves transactions, between two clusters played in memory: cut off and started anew at random moments, with
 * refusals, lost answers and a coordinator that decides first and writes later. LOCKSTEP_SEED repeats one seed.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { assert } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import type { Incident } from '#contract/status.ts';
import { DataPath } from '#jobs/data-path.ts';
import { FramePool } from '#kafka/frame.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { ConnectionError } from '#kafka/errors.ts';
import type { ProducerIdentity, TransactionProtocol } from '#kafka/transactions.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { ModelTransactions } from '#testing/model-transactions.ts';
import { markersAnswer, PlayedCluster } from '#testing/played-cluster.ts';
import { parseBatches, type RawRecord } from '#testing/raw-batch.ts';
import { sourceBatch, TRANSACTIONAL } from '#testing/source-batches.ts';
import type { PartitionState } from './shard-context.ts';
import { EXPIRATION_DEFAULT_MS } from './producer-memory.ts';
import { Shard } from './shard.ts';

const SOURCE_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const TARGET_ID = 'AAAAAAAAAAAAAAAAAAAAAg';
const given = process.env['LOCKSTEP_SEED'];
const SCHEDULES = process.env['LOCKSTEP_FULL'] === '1' ? 100 : 8;
const SEEDS = given === undefined ? Array.from({ length: SCHEDULES }, (_, i) => i + 1) : [Number(given)];
const PROTOCOLS: readonly TransactionProtocol[] = ['implicit', 'explicit'];

let world: World;

class World {
  readonly clock = new ManualClock();
  readonly pool = new FramePool({ bytesMax: 64 * 1024 * 1024 });
  readonly random: Random;
  readonly source: PlayedCluster;
  readonly target: PlayedCluster;
  readonly coordinator: ModelTransactions;
  readonly states = new Map<string, PartitionState>();
  openTransactions: ReadonlyMap<number, number> = new Map();
  readonly incidents: Incident[] = [];
  readonly #open = new Set<number>();
  dataPath: DataPath;
  shard: Shard;
  #running: Promise<void> | null = null;

  constructor(seed: number, protocol: TransactionProtocol) {
    this.random = createRandom(seed);
    const { clock, pool } = this;
    const cluster = { clock, pool };
    this.source = new PlayedCluster({
      ...cluster,
      name: 'source',
      topic: 'orders',
      topicId: SOURCE_ID,
      log: new ModelLog(),
    });
    const log = new ModelLog();
    this.coordinator = new ModelTransactions(log, { protocol });
    const transactions = this.coordinator;
    this.target = new PlayedCluster({
      ...cluster,
      name: 'target',
      topic: 'copy',
      topicId: TARGET_ID,
      log,
      transactions,
    });
    this.dataPath = this.#newDataPath();
    this.shard = this.#newShard();
  }

  #newDataPath(): DataPath {
    const { clock, pool } = this;
    return new DataPath({ source: this.source.cluster, target: this.target.cluster, clock, pool });
  }

  #newShard(): Shard {
    return new Shard({
      mirrorName: 'east-to-west',
      source: this.source.cluster,
      target: this.target.cluster,
      clock: this.clock,
      random: createRandom(7),
      pool: this.pool,
      term: { takeover: 'evicted', lost: new AbortController().signal, mayWrite: () => true },
      state: {
        load: async () => {},
        partition: () => this.states.get('copy/0'),
        putPartition: async (_, __, state) => void this.states.set('copy/0', state),
        openTransactions: () => this.openTransactions,
        putOpenTransactions: async (_, __, open) => void (this.openTransactions = open),
      },
      dataPath: this.dataPath,
      logStartGate: { enter: async () => {}, leave: async () => {} },
      sourceTopic: 'orders',
      sourceTopicId: SOURCE_ID,
      targetTopic: 'copy',
      targetTopicId: TARGET_ID,
      partition: 0,
      policy: {
        transactions: 'preserve',
        timestamps: 'append',
        producerId: 4711,
        mergeBelowBytes: 150,
        mergedBytesMax: 400,
      },
      writer: new BatchWriter({ codec: 0, baseOffset: 0 }),
      expirationMs: () => EXPIRATION_DEFAULT_MS,
      batchBytesMax: 1_000_000,
      dataProducerId: 4711,
      markerProducerId: 4712,
      transactionalIdPrefix: 'lockstep-m',
      start: { at: 'earliest' },
      fillOffsetsMax: Infinity,
      countBytes: () => {},
      onTrouble: () => {},
      readBatchBytesMax: async () => 1_000_000,
      onIncident: (incident) => void this.incidents.push(incident),
      onIncidentEnded: () => {},
    });
  }

  below(count: number): number {
    return Math.floor(this.random.next() * count);
  }

  /** What producers do at the source: transactions of several at once, plain records, ends of nothing, what compaction leaves. */
  write(batches: number): void {
    for (let i = 0; i < batches; i++) {
      const producerId = 100 + this.below(4);
      const chance = this.below(10);
      if (chance < 3) this.append(99, 0);
      else if (chance < 7) this.append(producerId, TRANSACTIONAL);
      else if (chance < 9) this.end(producerId, this.below(3) > 0);
      else this.source.log.end += 1 + this.below(3);
    }
    for (const producerId of this.#open) this.end(producerId, true);
  }

  append(producerId: number, attributes: number, count = 1 + this.below(3)): void {
    const { log } = this.source;
    const base = log.end;
    const value = (i: number): Buffer => Buffer.from(`record ${base + i}`.padEnd(this.below(120), '.'));
    const records = Array.from({ length: count }, (_, i) => ({
      timestamp: 1_700_000_000_000,
      key: null,
      value: value(i),
    }));
    const baseSequence = (log.producers.get(producerId)?.lastSequence ?? -1) + 1;
    const batch = sourceBatch({ baseOffset: 0, records, attributes, producerId, baseSequence });
    const isTransactional = attributes !== 0;
    assert(log.append(batch, { isTransactional }).errorCode === 0, 'the source takes it');
    if (isTransactional) this.#open.add(producerId);
  }

  end(producerId: number, isCommit: boolean): void {
    this.source.log.appendEnd({ producerId, producerEpoch: 0 }, isCommit);
    this.#open.delete(producerId);
  }

  start(): this {
    this.#running ??= this.shard.run();
    return this;
  }

  async until(condition: () => boolean, limitMs = 60_000): Promise<void> {
    const deadline = this.clock.monotonic() + limitMs;
    while (!condition()) {
      const { position } = this.shard;
      const { journal, log } = this.target;
      const told = this.incidents.map(({ code, cause }) => `${code} ${cause}`).join();
      if (this.clock.monotonic() >= deadline)
        throw new Error(
          `position ${position}, ends ${this.source.log.end} and ${log.end}, ${told}, ${journal.slice(-8).join()}`,
        );
      await this.clock.advance(5);
    }
  }

  async copied(): Promise<string[]> {
    this.start();
    await this.until(() => this.incidents.length > 0 || this.shard.position === this.source.log.end);
    return this.differences();
  }

  /** As a process that dies: its connections go at once, and what the brokers have of it takes effect or not. */
  async restart(): Promise<void> {
    await this.stop();
    this.dataPath = this.#newDataPath();
    this.shard = this.#newShard();
  }

  async stop(): Promise<void> {
    this.dataPath.close();
    this.shard.stop();
    let hasEnded = this.#running === null;
    void this.#running?.then(() => (hasEnded = true));
    await this.until(() => hasEnded, 60_000);
    this.#running = null;
  }

  differences(): string[] {
    const [source, target] = [this.source.log, this.target.log];
    return [
      ...compare('uncommitted', source.records(), target.records()),
      ...compare('committed', source.committedRecords(), target.committedRecords()),
      ...differentMarkers(source, target),
      ...(source.end === target.end ? [] : [`ends ${source.end} and ${target.end}`]),
      ...(target.stableOffset === target.end ? [] : [`open from ${target.stableOffset} on`]),
      ...(this.coordinator.unasked === 0 ? [] : [`${this.coordinator.unasked} ends that nobody asked for`]),
      ...this.incidents.map(({ code, cause }) => `${code} ${cause}`),
    ];
  }
}

/** A control record of the source is one of the same kind on the target. */
function differentMarkers(source: ModelLog, target: ModelLog): string[] {
  const onTarget = new Map(target.parsed().map(({ baseOffset, marker }) => [baseOffset, marker]));
  return source
    .parsed()
    .filter(({ marker, baseOffset }) => marker !== null && onTarget.get(baseOffset) !== marker)
    .map(({ marker, baseOffset }) => `${marker} at ${baseOffset}, and ${onTarget.get(baseOffset)}`);
}

function compare(name: string, source: readonly RawRecord[], target: readonly RawRecord[]): string[] {
  const text = (list: readonly RawRecord[]): string[] => list.map(({ offset, body }) => `${offset} ${body.toString()}`);
  const [a, b] = [text(source), text(target)];
  const at = a.findIndex((each, i) => each !== b[i]);
  return at < 0 && a.length === b.length ? [] : [`${name} at ${at}: ${a[at]} and ${b[at]}`];
}

afterEach(async () => {
  await world.stop();
  await world.clock.advance(100);
  assert(world.pool.bytesInUse === 0, `${world.pool.bytesInUse} bytes of frames are kept`);
});

/** Two transactions at a time; the answer to the second AddPartitionsToTxn is lost, which takes effect `lateAt` requests later. */
function beginLate(lateAt: number): void {
  for (let i = 0; i < 3; i++) {
    world.append(100, TRANSACTIONAL, 1);
    world.append(101, TRANSACTIONAL, 1);
    world.end(101, true);
    world.end(100, i !== 1);
  }
  let asked = 0;
  let calls = 0;
  let takeEffect: (() => void) | null = null;
  world.target.onCall = (name, request) => {
    if (name === 'AddPartitionsToTxn' && ++asked === 2) {
      const { v3AndBelowTransactionalId, v3AndBelowProducerId, v3AndBelowProducerEpoch } = request as {
        v3AndBelowTransactionalId: string;
        v3AndBelowProducerId: number;
        v3AndBelowProducerEpoch: number;
      };
      const producer = { producerId: v3AndBelowProducerId, producerEpoch: v3AndBelowProducerEpoch };
      takeEffect = () => void world.coordinator.add(v3AndBelowTransactionalId, producer);
      throw new ConnectionError('closed', 'target', 'lost', { definite: false });
    }
    if (takeEffect && ++calls === lateAt) takeEffect();
  };
}

/** Two transactions, of which the first has ended, behind the first record of the other, which stays open on the target. Returns up to where. */
async function copyUpToOpen(of: World): Promise<number> {
  of.append(100, TRANSACTIONAL);
  of.append(101, TRANSACTIONAL);
  of.end(100, true);
  const open = of.source.log.stableOffset;
  of.start();
  await of.until(() => of.target.log.end === open && of.shard.position === open);
  return open;
}

describe.each(PROTOCOLS)('with the %s protocol', (protocol) => {
  test.each(SEEDS)('readers of either isolation level see the source, seed %i', async (seed) => {
    world = new World(seed, protocol);
    world.write(40);
    expect(await world.copied()).toEqual([]);
    expect(world.target.journal.filter((name) => name === 'InitProducerId').length).toBeLessThanOrEqual(4);
  });

  test.each(SEEDS)('cut off and started anew at random moments, seed %i', async (seed) => {
    world = new World(seed, protocol);
    world.write(60);
    for (let i = 0; i < 6; i++) {
      world.start();
      const from = world.target.log.end;
      await world.until(() => world.target.log.end > from || world.target.log.end === world.source.log.end);
      await world.clock.advance(1 + world.below(40));
      await world.restart();
    }
    expect(await world.copied()).toEqual([]);
  });

  test.each(SEEDS)('with answers that are lost and requests that are refused, seed %i', async (seed) => {
    world = new World(seed, protocol);
    world.write(40);
    let batches = 0;
    world.target.onProduce = () => {
      const chance = batches++ === 5 ? 0 : world.below(12);
      if (chance === 0) return { lose: true, isAppended: world.below(2) === 0 };
      return chance === 1 ? { errorCode: 6 } : null;
    };
    expect(await world.copied()).toEqual([]);
    expect(world.target.journal).toContain('fault');
  });

  /** Requests to the target after which a write that was believed lost takes effect all the same. */
  const LATE_AT = Array.from({ length: 24 }, (_, i) => i + 1);

  test.each(LATE_AT)('a batch whose answer was lost lands %i requests later', async (lateAt) => {
    world = new World(1, protocol);
    for (let i = 0; i < 3; i++) {
      world.append(100, TRANSACTIONAL, 1);
      world.end(100, i !== 1);
    }
    const id = 'lockstep-m-copy-0-0';
    let late: Buffer | null = null;
    world.target.onProduce = (batch) => {
      world.target.onProduce = () => null;
      late = Buffer.from(batch);
      return { lose: true, isAppended: false };
    };
    let calls = 0;
    world.target.onCall = () => {
      if (late && ++calls === lateAt) world.coordinator.produce(id, parseBatches(late)[0]!, late);
    };
    expect(await world.copied()).toEqual([]);
  });

  test.each(LATE_AT)('an end whose answer was lost is written %i requests later', async (lateAt) => {
    world = new World(1, protocol);
    for (let i = 0; i < 3; i++) {
      world.append(100, TRANSACTIONAL, 1);
      world.end(100, i !== 1);
    }
    let late: (ProducerIdentity & { transactionalId: string; committed: boolean }) | null = null;
    let calls = 0;
    world.target.onCall = (name, request) => {
      if (name === 'EndTxn' && !late) {
        late = request as typeof late;
        throw new ConnectionError('closed', 'target', 'lost', { definite: false });
      }
      if (!late || ++calls !== lateAt) return;
      world.coordinator.end(late.transactionalId, late, late.committed);
      world.clock.schedule(lateAt % 3, () => world.coordinator.settle());
    };
    expect(await world.copied()).toEqual([]);
  });

  /** Between the last look at the slots and the requests that raise their epochs it cannot be told from one that is open. */
  const IN_BETWEEN = [16, 17];

  test.each(LATE_AT.filter((at) => protocol === 'implicit' || !IN_BETWEEN.includes(at)))(
    'a beginning whose answer was lost takes effect %i requests later',
    async (lateAt) => {
      world = new World(1, protocol);
      beginLate(lateAt);
      await world.copied();
      world.coordinator.expire(); // what is left open would be aborted within 15 minutes, at the end of the log
      expect(world.differences()).toEqual([]);
    },
  );

  test.each(protocol === 'implicit' ? [] : IN_BETWEEN)(
    'a beginning that takes effect while epochs are raised, %i requests later, stops it at the offset of its end',
    async (lateAt) => {
      world = new World(1, protocol);
      beginLate(lateAt);
      await world.copied();
      expect(world.incidents).toMatchObject([{ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 1, to: 2 } }]);
      expect(world.target.log.end).toBe(2);
    },
  );

  test('it stops at once while the end of a transaction is waited for', async () => {
    world = new World(1, protocol);
    world.append(100, TRANSACTIONAL);
    world.end(100, true);
    world.coordinator.isStuck = true;
    world.start();
    await world.until(() => world.target.journal.includes('EndTxn'));
    await world.clock.advance(50);
    const before = world.clock.monotonic();
    world.shard.stop();
    await world.stop();
    expect(world.clock.monotonic() - before).toBeLessThan(200);
    // The end was answered, so nothing is on its way: who comes next waits for the coordinator.
    expect([world.shard.isSettled, world.shard.quietAtMs]).toEqual([true, -Infinity]);
    world.coordinator.isStuck = false;
    await world.restart();
    expect(await world.copied()).toEqual([]);
  });

  test('a stop goes on until what is open on the target has ended at the source, and no further', async () => {
    world = new World(1, protocol);
    const open = await copyUpToOpen(world);
    expect(world.shard.openTransactions).toEqual({ count: 1, from: 0 });
    let openUntil: number | null = null;
    void world.shard.openUntil().then((until) => (openUntil = until));
    await world.until(() => openUntil !== null);
    expect(openUntil).toBe(899_999); // the model's transactions begin at −1
    world.shard.drain();
    await world.clock.advance(1_000);
    expect(world.shard.position).toBe(open);
    const end = world.source.log.end + 1;
    world.end(101, true);
    world.append(99, 0);
    await world.until(() => world.shard.status(0).state === 'ended');
    expect([world.shard.position, world.target.log.end, world.target.log.stableOffset]).toEqual([end, end, end]);
    expect(world.shard.openTransactions).toEqual({ count: 0, from: null });
  });

  test('a stop while it is looked at what is open does not take that for nothing', async () => {
    world = new World(1, protocol);
    await copyUpToOpen(world);
    let [isAway, asked] = [true, 0];
    world.target.onCall = (name) => {
      if (!isAway || name !== 'DescribeTransactions') return;
      asked++;
      throw new ConnectionError('closed', 'target', 'away', { definite: true });
    };
    world.target.onProduce = () => (isAway ? { errorCode: 6 } : null);
    world.append(101, TRANSACTIONAL);
    world.end(101, true);
    await world.until(() => asked > 3);
    expect(world.shard.openTransactions.from).toBe(0);
    world.shard.drain();
    await world.clock.advance(2_000);
    expect(world.shard.status(0).state).not.toBe('ended');
    isAway = false;
    await world.until(() => world.shard.status(0).state === 'ended');
    expect([world.target.log.end, world.shard.openTransactions.count]).toEqual([world.source.log.end, 0]);
  });

  test('a stop with nothing open on the target is one at once', async () => {
    world = new World(1, protocol);
    world.append(100, TRANSACTIONAL);
    world.end(100, true);
    world.start();
    await world.until(() => world.shard.position === world.source.log.end);
    world.append(99, 0);
    world.shard.drain();
    await world.until(() => world.shard.status(0).state === 'ended', 100);
    expect(world.target.log.end).toBeLessThan(world.source.log.end);
  });

  test('a transaction that its coordinator has ended stops it, with the offset and the limit', async () => {
    world = new World(1, protocol);
    const open = await copyUpToOpen(world);
    await world.restart();
    world.coordinator.expire();
    world.end(101, true);
    world.start();
    await world.until(() => world.incidents.length > 0);
    expect(world.incidents).toMatchObject([
      { code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: open, to: open + 1 } },
    ]);
    expect(world.target.log.end).toBe(open + 1);
  });

  test('an end that the next coordinator writes once more stops it, whatever the write behind it was refused for', async () => {
    world = new World(1, protocol);
    world.append(100, TRANSACTIONAL);
    world.end(100, true);
    world.start();
    await world.until(() => world.shard.position === world.source.log.end);
    const end = world.target.log.end;
    world.target.onProduce = () => {
      world.target.onProduce = () => null;
      // A coordinator that did not get to write that an end is complete has another do it all again.
      for (const [producerId, { producerEpoch }] of world.target.log.producers)
        world.target.log.appendEnd({ producerId, producerEpoch }, true);
      return { errorCode: 6 }; // NOT_LEADER_OR_FOLLOWER
    };
    world.append(99, 0, 2);
    await world.until(() => world.incidents.length > 0 || world.shard.position === world.source.log.end);
    expect(world.incidents).toMatchObject([{ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: end, to: end + 1 } }]);
  });

  test.each([true, false])(
    'such an end is found by the next start too, in front of records that are alike: %j',
    async (isAlike) => {
      world = new World(1, protocol);
      world.append(100, TRANSACTIONAL);
      world.end(100, true);
      world.start();
      await world.until(() => world.shard.position === world.source.log.end);
      const end = world.target.log.end;
      world.target.onProduce = () => ({ lose: true, isAppended: false });
      const recordsOf = (i: number) => [
        { timestamp: 1, key: null, value: Buffer.from(isAlike ? 'tick' : `tick ${i}`) },
      ];
      for (let i = 0; i < 4; i++) world.source.log.append(sourceBatch({ baseOffset: 0, records: recordsOf(i) }));
      await world.restart();
      world.target.onProduce = () => null;
      for (const [producerId, { producerEpoch }] of world.target.log.producers)
        world.target.log.appendEnd({ producerId, producerEpoch }, true);
      for (let i = 0; i < 2; i++) {
        const batch = { baseOffset: 0, records: recordsOf(i), producerId: 4711, baseSequence: end + i };
        expect(world.target.log.append(sourceBatch(batch)).errorCode).toBe(0); // on their way when it was killed
      }
      world.start();
      await world.until(() => world.incidents.length > 0 || world.shard.position === world.source.log.end);
      expect(world.incidents).toMatchObject([
        { code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: end, to: end + 1 } },
      ]);
    },
  );

  test('in the middle of a transaction that the source has lost, what the source lost is named', async () => {
    world = new World(1, protocol);
    world.append(99, 0);
    const open = await copyUpToOpen(world);
    await world.restart();
    world.end(101, true);
    world.append(99, 0);
    world.source.log.deleteBefore(world.source.log.end);
    world.start();
    await world.until(() => world.incidents.length > 0);
    expect(world.incidents).toMatchObject([
      { code: 'SHARD_RETENTION_LOSS', offsets: { from: open, to: world.source.log.end } },
    ]);
  });

  test('one that was open for long is ended in its place although the source has compacted all of it away', async () => {
    world = new World(1, protocol);
    await copyUpToOpen(world);
    expect(world.openTransactions.size).toBe(0);
    await world.until(() => world.openTransactions.size > 0, 7_000);
    expect([...world.openTransactions]).toEqual([[0, 100]]);
    await world.restart();
    world.source.log.batches.shift(); // all of the first transaction but its end
    world.end(101, true);
    world.append(99, 0);
    world.start();
    await world.until(() => world.incidents.length > 0 || world.shard.position === world.source.log.end);
    const different = differentMarkers(world.source.log, world.target.log);
    expect([world.incidents, different, world.target.log.stableOffset]).toEqual([[], [], world.source.log.end]);
  });

  test('one whose source is not recorded stops it where the source has compacted all of it away', async () => {
    world = new World(1, protocol);
    const open = await copyUpToOpen(world);
    await world.restart();
    world.source.log.batches.shift();
    world.end(101, true);
    world.start();
    await world.until(() => world.incidents.length > 0);
    expect(world.incidents).toMatchObject([{ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 0, to: 1 } }]);
    expect(world.target.log.end).toBe(open);
  });

  test('what another program wrote before the end of a transaction is named, not the end behind it', async () => {
    world = new World(1, protocol);
    world.append(100, TRANSACTIONAL, 1);
    world.append(101, TRANSACTIONAL, 1);
    world.end(100, true); // behind the first record of another one: it stays open on the target
    world.start();
    await world.until(() => world.target.log.end === 1 && world.shard.position === 1);
    const records = [{ timestamp: 1, key: null, value: Buffer.from('foreign') }];
    world.target.log.append(sourceBatch({ baseOffset: 0, records, producerId: 99 }));
    world.end(101, true);
    await world.until(() => world.incidents.length > 0);
    expect(world.incidents).toMatchObject([{ code: 'SHARD_DIVERGED', offsets: { from: 1, to: 2 } }]);
  });

  test('what another program wrote behind the end of a transaction is named, not the end in its place', async () => {
    world = new World(1, protocol);
    world.append(100, TRANSACTIONAL, 1);
    world.append(101, TRANSACTIONAL, 1);
    world.end(100, true); // at offset 2
    world.start();
    await world.until(() => world.target.log.end === 1 && world.shard.position === 1);
    world.end(101, true);
    world.append(99, 0);
    const records = [{ timestamp: 1, key: null, value: Buffer.from('foreign') }];
    world.target.onCall = (name) => {
      if (name === 'ListOffsets' && world.target.log.end === 3 && world.target.log.batches.length === 3)
        world.target.log.append(sourceBatch({ baseOffset: 0, records, producerId: 99 }));
    };
    await world.until(() => world.incidents.length > 0);
    expect(world.incidents).toMatchObject([{ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } }]);
  });

  test('a transaction of another program is named from its first batch, after a restart too', async () => {
    world = new World(1, protocol);
    world.append(100, TRANSACTIONAL, 1);
    world.end(100, true);
    expect(await world.copied()).toEqual([]);
    await world.restart();
    const at = world.target.log.end;
    const records = [1, 2, 3].map(() => ({ timestamp: 1, key: null, value: Buffer.from('foreign') }));
    const batch = sourceBatch({ baseOffset: 0, records, attributes: TRANSACTIONAL, producerId: 55, baseSequence: 0 });
    world.target.log.append(batch, { isTransactional: true });
    world.target.log.appendEnd({ producerId: 55, producerEpoch: 0 }, false);
    for (let i = 0; i < 6; i++) world.append(99, 0, 1);
    world.start();
    await world.until(() => world.incidents.length > 0);
    expect(world.incidents).toMatchObject([{ code: 'SHARD_DIVERGED', offsets: { from: at, to: at + 1 } }]);
  });

  test('neighbouring holes and ends of nothing are one request, each of its kind', async () => {
    world = new World(1, protocol);
    world.append(99, 0);
    world.source.log.end += 2;
    for (const [producerId, isCommit] of [
      [100, true],
      [101, false],
      [102, true],
    ] as const)
      world.end(producerId, isCommit);
    world.append(99, 0);
    expect(await world.copied()).toEqual([]);
    expect(world.target.journal.filter((name) => name === 'WriteTxnMarkers')).toHaveLength(1);
  });

  test('without the right to write markers a short hole is the end of an empty transaction', async () => {
    world = new World(1, protocol);
    world.append(99, 0);
    world.source.log.end += 3;
    world.append(99, 0);
    world.target.onCall = (name) => (name === 'WriteTxnMarkers' ? markersAnswer('copy', 31) : undefined);
    expect(await world.copied()).toEqual([]);
    expect(world.target.journal.filter((name) => name === 'EndTxn')).toHaveLength(3);
  });
});
