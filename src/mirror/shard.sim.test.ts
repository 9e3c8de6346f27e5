/**
 * A shard between two clusters played in memory, on a clock that stands still: each row of 'Answer to a write' (exactness.md),
 * and what else may happen to one partition. Every test ends with nothing in flight and no frame kept.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { assert } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { createRandom } from '#util/random.ts';
import type { Incident } from '#contract/status.ts';
import type { Takeover } from '#jobs/assignment.ts';
import { DataPath } from '#jobs/data-path.ts';
import { ClusterIdChangedError, WithheldError } from '#kafka/errors.ts';
import { FramePool } from '#kafka/frame.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { baseOffsetOf, baseSequenceOf } from '#kafka/records/batch-header.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { markersAnswer, PlayedCluster, type ProduceFate } from '#testing/played-cluster.ts';
import { sourceBatch, TRANSACTIONAL, type SourceRecord } from '#testing/source-batches.ts';
import type { PartitionState } from './shard-context.ts';
import { EXPIRATION_DEFAULT_MS } from './producer-memory.ts';
import { Shard } from './shard.ts';

const SOURCE_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const TARGET_ID = 'AAAAAAAAAAAAAAAAAAAAAg';
const DATA_PID = 4711;
const MARKER_PID = 4712;

let world: World;

class PlayedTerm {
  readonly takeover: Takeover;
  readonly end = new AbortController();
  isPaused = false;

  constructor(takeover: Takeover = 'evicted') {
    this.takeover = takeover;
  }

  get lost(): AbortSignal {
    return this.end.signal;
  }

  mayWrite(): boolean {
    return !this.isPaused && !this.end.signal.aborted;
  }
}

class World {
  readonly clock = new ManualClock();
  readonly pool = new FramePool({ bytesMax: 64 * 1024 * 1024 });
  readonly source = this.#cluster('source', 'orders', SOURCE_ID);
  readonly target = this.#cluster('target', 'copy', TARGET_ID);
  readonly states = new Map<string, PartitionState>();
  readonly incidents: Incident[] = [];
  readonly ended: Incident[] = [];
  /** What the target topic says from now on. */
  batchBytesMax = 1_000_000;
  /** After which the target's brokers forget a producer. */
  expirationMs = EXPIRATION_DEFAULT_MS;
  readonly troubles: string[] = [];
  dataPath = this.#newDataPath();
  term = new PlayedTerm();
  shard = this.#newShard({});
  running: Promise<void> | null = null;
  hasEnded = false;
  /** Called before the target's state topic is written. */
  onState: () => Promise<void> = async () => {};
  /** Called when the state topic is read: what other workers have written appears in `states`. */
  onLoad: () => void = () => {};

  #cluster(name: string, topic: string, topicId: string): PlayedCluster {
    return new PlayedCluster({ name, topic, topicId, clock: this.clock, pool: this.pool, log: new ModelLog() });
  }

  #newDataPath(): DataPath {
    return new DataPath({
      source: this.source.cluster,
      target: this.target.cluster,
      clock: this.clock,
      pool: this.pool,
    });
  }

  #newShard(options: { batchBytesMax?: number; fillOffsetsMax?: number }): Shard {
    return new Shard({
      mirrorName: 'east-to-west',
      source: this.source.cluster,
      target: this.target.cluster,
      clock: this.clock,
      random: createRandom(7),
      pool: this.pool,
      term: this.term,
      state: {
        load: async () => this.onLoad(),
        partition: () => this.states.get('copy/0'),
        putPartition: async (_, __, state, permit) => {
          await this.onState();
          if (!permit.isGiven()) throw new WithheldError('target');
          this.target.onWrite('state');
          this.states.set('copy/0', state);
        },
      },
      dataPath: this.dataPath,
      logStartGate: { enter: async () => {}, leave: async () => {} },
      sourceTopic: 'orders',
      sourceTopicId: SOURCE_ID,
      targetTopic: 'copy',
      targetTopicId: TARGET_ID,
      partition: 0,
      policy: {
        transactions: 'committed-only',
        timestamps: 'append',
        producerId: DATA_PID,
        mergeBelowBytes: 0,
        mergedBytesMax: 4096,
      },
      writer: new BatchWriter({ codec: 0, baseOffset: 0 }),
      expirationMs: () => this.expirationMs,
      batchBytesMax: options.batchBytesMax ?? 1_000_000,
      dataProducerId: DATA_PID,
      markerProducerId: MARKER_PID,
      start: { at: 'earliest' },
      fillOffsetsMax: options.fillOffsetsMax ?? Infinity,
      countBytes: () => {},
      onTrouble: (_, error) => void this.troubles.push(error.message),
      readBatchBytesMax: async () => this.batchBytesMax,
      onIncident: (incident) => void this.incidents.push(incident),
      onIncidentEnded: (incident) => void this.ended.push(incident),
    });
  }

  /** A new process: the connections and the shard are new, the clusters are not. */
  renew(options: { batchBytesMax?: number; fillOffsetsMax?: number; takeover?: Takeover } = {}): this {
    this.term = new PlayedTerm(options.takeover);
    this.dataPath = this.#newDataPath();
    this.shard = this.#newShard(options);
    this.running = null;
    this.hasEnded = false;
    return this;
  }

  start(): this {
    this.running ??= this.shard.run().finally(() => {
      this.hasEnded = true;
    });
    return this;
  }

  /** Lets time pass until `condition` holds, or fails after so much of it. */
  async until(condition: () => boolean, limitMs = 20_000): Promise<void> {
    const deadline = this.clock.monotonic() + limitMs;
    while (!condition()) {
      if (this.clock.monotonic() >= deadline) throw new Error(`not within ${limitMs} ms; ${this.describe()}`);
      await this.clock.advance(5);
    }
  }

  /** Runs until the target ends where the source does; what then differs. */
  async copied(limitMs?: number): Promise<string[]> {
    this.start();
    await this.until(
      () => this.shard.position === this.source.log.end && this.target.log.end === this.source.log.end,
      limitMs,
    );
    return this.differences();
  }

  /**
   * Runs until the shard has stopped by itself; its incident. One that may end by itself stays a single one while its
   * cause lasts, however often the shard looks.
   */
  async incident(limitMs?: number): Promise<Incident> {
    this.start();
    await this.until(() => this.hasEnded || this.incidents.length > 0, limitMs);
    if (this.incidents[0]?.endsByItself) await this.clock.advance(90_000);
    else await this.until(() => this.hasEnded);
    assert(this.hasEnded === !this.incidents[0]?.endsByItself, 'it waits for the end of what can end');
    assert(this.ended.length === 0, 'the incident has not ended');
    assert(this.incidents.length === 1, `there are ${this.incidents.length} incidents`);
    assert(this.shard.incident === this.incidents[0], 'the incident told is that of the shard');
    return this.incidents[0]!;
  }

  /** As the job ends: with a graceful stop, and closed connections after a while. */
  async stop(graceMs = 500): Promise<void> {
    this.shard.stop();
    if (!this.running) return;
    await this.until(() => this.hasEnded, graceMs).catch(() => {});
    this.dataPath.close();
    await this.until(() => this.hasEnded, 11_000);
  }

  /** Records that differ between the sides, by offset. */
  differences(): string[] {
    const [source, target] = [this.source.log, this.target.log].map(
      (log) =>
        new Map(
          log
            .records()
            .filter(({ offset }) => offset >= this.source.log.logStart)
            .map((each) => [each.offset, `${each.timestamp} ${each.body.toString('hex')}`]),
        ),
    );
    const offsets = new Set([...source!.keys(), ...target!.keys()]);
    return [...offsets]
      .filter((offset) => source!.get(offset) !== target!.get(offset))
      .map((offset) => `${offset}: ${source!.get(offset)} and ${target!.get(offset)}`);
  }

  describe(): string {
    return `position ${this.shard.position}, source ${this.source.log.end}, target ${this.target.log.end}, ${this.shard.status(0).state}, incidents ${this.incidents.map(({ code, cause }) => `${code} ${cause}`).join()}, troubles ${this.troubles.slice(-3).join('; ')}, ${this.target.journal.slice(-8).join()}`;
  }
}

function newWorld(): World {
  world = new World();
  return world;
}

afterEach(async () => {
  await world.stop();
  world.dataPath.close();
  await world.clock.advance(100);
  assert(world.pool.bytesInUse === 0, `${world.pool.bytesInUse} bytes of frames are kept`);
  assert(world.pool.reserve(64 * 1024 * 1024) && !world.pool.reserve(1), 'nothing is reserved');
});

function record(text: string): SourceRecord {
  return { timestamp: 1_700_000_000_000, key: null, value: Buffer.from(text) };
}

/** Appends batches of these many records to the source. */
function write(log: ModelLog, counts: readonly number[], options: { bytes?: number } = {}): void {
  for (const count of counts) {
    const base = log.end;
    const records = Array.from({ length: count }, (_, i) =>
      record(`record ${base + i}`.padEnd(options.bytes ?? 0, '.')),
    );
    expect(log.append(sourceBatch({ baseOffset: 0, records })).errorCode).toBe(0);
  }
}

/** Offsets that hold no record on the source. */
function remove(log: ModelLog, count: number): void {
  log.end += count;
}

/** The first `times` batches that are produced get this fate. */
function first(times: number, fate: ProduceFate): () => ProduceFate | null {
  let left = times;
  return () => (left-- > 0 ? fate : null);
}

const always = Infinity;

describe('a copy', () => {
  test('has the offsets of the source: log start, records, holes', async () => {
    const { source, target } = newWorld();
    source.log.end = source.log.logStart = 700;
    write(source.log, [3, 1, 5]);
    remove(source.log, 2500);
    write(source.log, [2]);
    remove(source.log, 1);
    write(source.log, [1, 1]);

    expect(await world.copied()).toEqual([]);

    expect([target.log.logStart, target.log.end]).toEqual([700, source.log.end]);
    expect(world.shard.status(0)).toMatchObject({
      state: 'copying',
      holesFilled: 2501,
      refusals: 0,
      incident: null,
      recordsCopied: 13,
    });
  });

  test('that would have to be filled too long is refused before anything is written, unless the file asks for it', async () => {
    const { source, target } = newWorld();
    source.log.end = source.log.logStart = 700;
    write(source.log, [3]);
    world.renew({ fillOffsetsMax: 699 });
    const incident = await world.incident();
    expect(incident).toMatchObject({ code: 'FEATURE_NOT_BUILT', offsets: { from: 0, to: 700 } });
    expect(incident.nextStep).toContain('offsets: identical');
    expect([target.log.end, world.states.size]).toEqual([0, 0]);
    world.incidents.length = 0;
    world.renew({ fillOffsetsMax: 700 });
    expect(await world.copied()).toEqual([]);
    expect(target.log.logStart).toBe(700);
  });

  test('goes on with what comes later, and after a restart', async () => {
    const { source } = newWorld();
    write(source.log, [3, 1]);
    expect(await world.copied()).toEqual([]);
    write(source.log, [5]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    write(source.log, [2]);
    world.renew();
    expect(await world.copied()).toEqual([]);
  });

  test('waits for a source without a leader, on either side', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    target.leader = -1;
    target.hangUp();
    write(source.log, [3]);
    world.clock.schedule(3_000, () => (target.leader = 1));
    expect(await world.copied()).toEqual([]);
    expect(world.incidents).toEqual([]);
  });
});

describe('answer to a write', () => {
  test('0 with another offset: SHARD_DIVERGED, at once and with both offsets', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 3]);
    target.onProduce = first(1, { errorCode: 0, baseOffset: 5 });

    const incident = await world.incident();

    expect(incident).toMatchObject({
      code: 'SHARD_DIVERGED',
      offsets: { from: 0, to: 1 },
      topic: 'orders',
      partition: 0,
      mirror: 'east-to-west',
    });
    expect(incident.cause).toContain('offset 0 was answered with offset 5');
  });

  test('0 with a lower offset: SHARD_DIVERGED from where the batch lies', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    await world.copied();
    target.onProduce = first(1, { errorCode: 0, baseOffset: 1 });
    write(source.log, [3]);

    const incident = await world.incident();

    expect(incident).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 1, to: 2 } });
    expect(incident.cause).toContain('offset 3 was answered with offset 1');
  });

  test.each([1, 3])(
    'none, behind %i foreign records: the place of the batch is found out though its answer is lost',
    async (foreign) => {
      const { source, target } = newWorld();
      write(source.log, [3]);
      await world.copied();
      let isFirst = true;
      target.onProduce = () => {
        if (!isFirst) return null;
        isFirst = false;
        const records = Array.from({ length: foreign }, () => record('foreign'));
        target.log.append(sourceBatch({ baseOffset: 0, records, producerId: 99 }));
        return { lose: true, isAppended: true };
      };
      write(source.log, [4, ...Array.from({ length: 30 }, () => 5)]);

      expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
    },
  );

  test('0 with another offset, behind a batch whose answer was late: the first foreign record is named', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    await world.copied();
    let calls = 0;
    target.onProduce = () => {
      calls++;
      if (calls === 1) target.log.append(sourceBatch({ baseOffset: 0, records: [record('foreign')], producerId: 99 }));
      return calls === 1 ? { errorCode: 7, isAppended: true } : null;
    };
    write(source.log, [4, 5]);

    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
  });

  test('6 of a batch of old records, when the broker has forgotten who wrote them: none behind it takes its place', async () => {
    const { source, target } = newWorld();
    world.expirationMs = 0;
    write(source.log, [3, 2, 2, 2]);
    let writes = 0;
    target.onProduce = () => {
      if (++writes !== 2) return null;
      target.log.producers.delete(DATA_PID);
      return { errorCode: 6 };
    };
    expect(await world.copied()).toEqual([]);
    expect([writes, world.incidents]).toEqual([5, []]);
  });

  test('0 with another offset, in a topic that was created anew: TOPIC_RECREATED, not a foreign writer', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    await world.copied();
    target.onProduce = () => {
      target.topicId = 'AAAAAAAAAAAAAAAAAAAAAw';
      return { errorCode: 0, baseOffset: 0 };
    };
    write(source.log, [3]);

    expect(await world.incident()).toMatchObject({ code: 'TOPIC_RECREATED', offsets: { from: 3, to: 3 } });
  });

  test('0 with an append time: SHARD_DIVERGED from that batch on', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    target.onProduce = first(1, { errorCode: 0, isAppended: true, logAppendTimeMs: 77 });

    const incident = await world.incident();

    expect(incident).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 0, to: 1 } });
    expect(incident.cause).toContain('LogAppendTime');
  });

  test('45: reads the watermark again and goes on', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 3, 3]);
    target.onProduce = first(2, { errorCode: 45 });
    expect(await world.copied()).toEqual([]);
    expect(world.shard.status(0).refusals).toBeGreaterThanOrEqual(1);
    expectReadBeforeWrite(target);
  });

  test('45 without anybody advancing for 30 s: SHARD_NO_PROGRESS', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    target.onProduce = first(always, { errorCode: 45 });
    write(source.log, [3]);
    const since = world.clock.now();

    const incident = await world.incident(60_000);

    expect(incident).toMatchObject({ code: 'SHARD_NO_PROGRESS', offsets: { from: 3, to: 3 } });
    expect(incident.at - since).toBeGreaterThan(30_000);
    expect(incident.at - since).toBeLessThan(32_000);
    const writes = target.journal.filter((name) => name === 'Produce').length;
    expect(writes).toBeGreaterThan(30);
    expect(writes).toBeLessThan(6_000); // never without a pause
  });

  test('45 long after an earlier one is no standstill', async () => {
    const { source, target } = newWorld();
    for (let i = 0; i < 3; i++) {
      write(source.log, [3]);
      target.onProduce = first(1, { errorCode: 45 });
      expect(await world.copied()).toEqual([]);
      await world.clock.advance(120_000);
    }
    expect([world.shard.status(0).refusals, world.incidents]).toEqual([3, []]);
  });

  test('45 because another worker of the mirror was first: takes over where that one stands', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 3, 3]);
    let isFirst = true;
    target.onProduce = () => {
      if (!isFirst) return null;
      isFirst = false;
      target.log.append(ours(source.log, 0, 4)); // with other boundaries
      return null;
    };
    expect(await world.copied()).toEqual([]);
    expect(target.log.refusals).toBeGreaterThan(0);
  });

  test.each([47, 90])('%i: SHARD_FENCED', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    target.onProduce = first(1, { errorCode });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_FENCED', offsets: { from: 0, to: 0 } });
  });

  test.each([3, 5, 6, 9, 13])('%i: asks for new metadata and goes on', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3, 2]);
    expect(await world.copied()).toEqual([]);
    const before = target.refreshes;
    target.onProduce = first(2, { errorCode });
    write(source.log, [3, 2]);
    expect(await world.copied()).toEqual([]);
    expect(target.refreshes).toBeGreaterThan(before);
    expect(world.incidents).toEqual([]);
    expectReadBeforeWrite(target);
  });

  test.each([19, 56, 78])('%i: backs off, as long as it takes', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    let refused = 0;
    target.onProduce = () => (world.clock.monotonic() < 60_000 ? (refused++, { errorCode }) : null);
    expect(await world.copied(90_000)).toEqual([]);
    expect(refused).toBeGreaterThan(5);
    expect(refused).toBeLessThan(60); // up to 5 s between attempts
    expectReadBeforeWrite(target);
  });

  test.each([
    ['7 after an append', { errorCode: 7, isAppended: true }],
    ['7 without one', { errorCode: 7 }],
    ['20 after an append', { errorCode: 20, isAppended: true }],
    ['a lost connection after an append', { lose: true, isAppended: true }],
    ['a lost connection without one', { lose: true, isAppended: false }],
    ['no answer', { ignore: true }],
  ] as const)('%s: reads the watermark before anything else is written', async (_, fate) => {
    const { source, target } = newWorld();
    write(source.log, [3, 2, 4]);
    expect(await world.copied()).toEqual([]);
    target.onProduce = first(1, fate);
    write(source.log, [3, 2, 4, 1, 1, 1, 1]);
    expect(await world.copied(60_000)).toEqual([]);
    expect(world.incidents).toEqual([]);
    expectReadBeforeWrite(target);
  });

  test.each([2, 53])('%i once: fetched again; twice: SHARD_BATCH_CORRUPT', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3, 3]);
    target.onProduce = first(1, { errorCode });
    expect(await world.copied()).toEqual([]);
    expect(world.incidents).toEqual([]);
    write(source.log, [2]);
    target.onProduce = first(always, { errorCode });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_BATCH_CORRUPT', offsets: { from: 6, to: 7 } });
    expect(target.log.end).toBe(6);
  });

  test('10: splits, down to the record', async () => {
    const { source, target } = newWorld();
    write(source.log, [9, 1], { bytes: 300 });
    target.onProduce = (batch) => (batch.length > 700 ? { errorCode: 10 } : null);
    expect(await world.copied()).toEqual([]);
    expect(target.log.batches.length).toBeGreaterThan(4);
  });

  test('10 after an hour without records splits too', async () => {
    const { source, target } = newWorld();
    write(source.log, [1]);
    expect(await world.copied()).toEqual([]);
    await world.clock.advance(120_000);
    write(source.log, [9], { bytes: 300 });
    target.onProduce = (batch) => (batch.length > 700 ? { errorCode: 10 } : null);
    expect(await world.copied()).toEqual([]);
  });

  test('10 for one record: SHARD_RECORD_TOO_LARGE, with what to set', async () => {
    const { source, target } = newWorld();
    write(source.log, [2, 1], { bytes: 300 });
    write(source.log, [1], { bytes: 5_000 });
    target.onProduce = (batch) => (batch.length > 500 ? { errorCode: 10 } : null);
    const incident = await world.incident();
    expect(incident).toMatchObject({ code: 'SHARD_RECORD_TOO_LARGE', offsets: { from: 3, to: 4 } });
    expect(incident.nextStep).toMatch(/max\.message\.bytes of the target topic to at least 50\d\d/);
    expect(target.log.end).toBe(3);
  });

  test('a record above what the topic says is not tried, and everything before it arrives', async () => {
    const { source, target } = newWorld();
    world.renew({ batchBytesMax: 2_000 });
    world.batchBytesMax = 2_000;
    write(source.log, [2, 1], { bytes: 300 });
    write(source.log, [1], { bytes: 5_000 });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_RECORD_TOO_LARGE', offsets: { from: 3, to: 4 } });
    expect([target.log.end, target.log.refusals]).toEqual([3, 0]);
  });

  test.each([29, 31])('%i: PERMISSION_DENIED with the right that is missing', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    target.onProduce = first(always, { errorCode });
    const incident = await world.incident();
    expect(incident.code).toBe('PERMISSION_DENIED');
    expect(incident.cause).toContain('Produce for copy/0');
    expect(incident.nextStep).toMatch(/WRITE/);
  });

  test.each([32, 44, 87])('%i: SHARD_BATCH_REFUSED with the batch', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3, 4]);
    target.onProduce = (batch) => (batch.readInt32BE(57) === 4 ? { errorCode } : null);
    expect(await world.incident()).toMatchObject({ code: 'SHARD_BATCH_REFUSED', offsets: { from: 3, to: 7 } });
    expect(target.log.end).toBe(3);
  });

  test.each([999, -1])('%i once: reads again and goes on; again and again: an incident', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [3, 3]);
    target.onProduce = first(3, { errorCode, isAppended: true });
    expect(await world.copied()).toEqual([]);
    expectReadBeforeWrite(target);
    target.onProduce = first(always, { errorCode });
    write(source.log, [3]);
    const incident = await world.incident(60_000);
    expect(incident).toMatchObject({ code: 'SHARD_NO_PROGRESS', offsets: { from: 6, to: 6 } });
    expect(incident.cause).toContain(`(${errorCode})`);
  });

  test.each([10, 19, 32, 45, 999])('%i for the very first batch lets no other take its place', async (errorCode) => {
    const { source, target } = newWorld();
    write(source.log, [9, 1, 1, 1], { bytes: 100 });
    target.onProduce = first(1, { errorCode });
    world.start();
    await world.until(() => world.hasEnded || target.log.end === source.log.end);
    expect(world.differences().length).toBe(source.log.end - target.log.end);
    expect(world.incidents.map(({ code }) => code)).toEqual(errorCode === 32 ? ['SHARD_BATCH_REFUSED'] : []);
  });
});

test('errors that we do not know, with progress between them, never add up to an incident', async () => {
  const { source, target } = newWorld();
  for (let i = 0; i < 9; i++) {
    write(source.log, [1]);
    target.onProduce = first(1, { errorCode: 999 });
    expect(await world.copied()).toEqual([]);
  }
  expect(world.incidents).toEqual([]);
});

describe('an incident that ends by itself', () => {
  async function stopped(): Promise<void> {
    await world.until(() => world.incidents.length > 0, 60_000);
    expect(world.shard.status(0)).toMatchObject({ state: 'stopped', incident: world.incidents[0] });
  }

  /** What then differs. */
  async function over(): Promise<string[]> {
    await world.until(() => world.ended.length > 0, 120_000);
    expect(world.ended).toEqual(world.incidents);
    expect(world.shard.status(0)).toMatchObject({ state: 'copying', incident: null });
    const differences = await world.copied();
    expect(world.incidents.length).toBe(1);
    return differences;
  }

  test('a right that comes back', async () => {
    const { source, target } = newWorld().start();
    let isDenied = true;
    target.onProduce = () => (isDenied ? { errorCode: 29 } : null);
    write(source.log, [3, 4]);
    await stopped();
    await world.clock.advance(100_000);
    write(source.log, [5]);
    isDenied = false;
    expect(await over()).toEqual([]);
  });

  test('the right to read, with nothing left to copy', async () => {
    const { source } = newWorld().start();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    source.onFetch = (_, answer) => ({ ...answer, errorCode: 29 });
    await stopped();
    source.onFetch = () => null;
    expect(await over()).toEqual([]);
  });

  test('a limit of the target topic that is raised', async () => {
    const { source } = newWorld();
    world.renew({ batchBytesMax: 2_000 }).start();
    world.batchBytesMax = 2_000;
    write(source.log, [2, 1], { bytes: 300 });
    write(source.log, [1], { bytes: 5_000 });
    write(source.log, [2], { bytes: 300 });
    await stopped();
    await world.clock.advance(50_000);
    expect(world.ended).toEqual([]);
    world.batchBytesMax = 10_000;
    expect(await over()).toEqual([]);
  });

  test('a limit that was raised already is no incident at all', async () => {
    const { source } = newWorld();
    world.renew({ batchBytesMax: 2_000 }).start();
    world.batchBytesMax = 10_000;
    write(source.log, [2, 1], { bytes: 300 });
    write(source.log, [1], { bytes: 5_000 });
    write(source.log, [2], { bytes: 300 });
    expect(await world.copied()).toEqual([]);
    expect(world.incidents).toEqual([]);
  });

  test('a refused batch: what comes before it does not end it, whoever wrote it', async () => {
    const { source, target } = newWorld().start();
    let isRefused = true;
    target.onProduce = (batch) => (isRefused && batch.readInt32BE(57) === 4 ? { errorCode: 32 } : null);
    write(source.log, [3, 4, 2]);
    await stopped();
    await world.clock.advance(100_000);
    expect([world.incidents.length, world.ended.length, target.log.end]).toEqual([1, 0, 3]);
    isRefused = false;
    expect(await over()).toEqual([]);
  });

  test('a refused batch: an answer that has no room for it does not end it', async () => {
    const { source, target } = newWorld().start();
    let isRefused = true;
    target.onProduce = (batch) => (isRefused && batch.readInt32BE(57) === 4 ? { errorCode: 32 } : null);
    write(source.log, [3, 4]);
    await stopped();
    source.onFetch = (_, answer) => ({ ...answer, records: null });
    await world.clock.advance(100_000);
    source.onFetch = () => null;
    await world.clock.advance(100_000);
    expect([world.incidents.length, world.ended.length, target.log.end]).toEqual([1, 0, 3]);
    isRefused = false;
    expect(await over()).toEqual([]);
  });

  test('the right to fill holes: what interrupts later is not taken for its lack again', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    remove(source.log, 2);
    write(source.log, [1]);
    target.onCall = (name) => (name === 'WriteTxnMarkers' ? markersAnswer('copy', 31) : undefined);
    world.start();
    await stopped();
    target.onCall = () => undefined;
    expect(await over()).toEqual([]);
    target.onProduce = first(1, { errorCode: 6 });
    write(source.log, [2]);
    expect(await world.copied()).toEqual([]);
    await world.stop(10);
    expect(world.incidents.length).toBe(1);
  });

  test('another cause at the same place is another incident, and the first is over', async () => {
    const { source, target } = newWorld().start();
    let errorCode = 29;
    target.onProduce = () => (errorCode === 0 ? null : { errorCode });
    write(source.log, [3]);
    await stopped();
    errorCode = 32;
    await world.until(() => world.incidents.length === 2, 120_000);
    expect(world.incidents.map(({ code }) => code)).toEqual(['PERMISSION_DENIED', 'SHARD_BATCH_REFUSED']);
    expect(world.ended).toEqual([world.incidents[0]]);
    errorCode = 0;
    await world.until(() => world.ended.length === 2, 120_000);
    expect(await world.copied()).toEqual([]);
  });

  test('a stop ends the wait at once', async () => {
    const { source, target } = newWorld().start();
    target.onProduce = first(always, { errorCode: 29 });
    write(source.log, [3]);
    await stopped();
    await world.clock.advance(100_000);
    await world.stop(10);
    expect(world.hasEnded).toBe(true);
  });
});

test('a short loss while there is nothing to copy is not waited out for ever', async () => {
  const { source, target } = newWorld();
  write(source.log, [3]);
  expect(await world.copied()).toEqual([]);
  source.isTerse = true;
  target.hangUp();
  await world.until(() => world.troubles.length > 0);
  await world.until(() => world.shard.waiting === null);
  await world.clock.advance(5_000);
  expect(world.shard.waiting).toBe(null);
});

test('what the source has never said is not confirmed by answers that do not mention it', async () => {
  const { source } = newWorld();
  source.isTerse = true;
  world.start();
  await world.until(() => world.shard.status(0).state === 'copying');
  const fetcher = await world.dataPath.fetcherOf(source.leader);
  await world.until(() => fetcher.confirmedAt(world.shard) !== null);
  expect(world.shard.measuredAt).toBe(null);
  world.shard.measure({ stableOffset: 0, highWatermark: 0 });
  const measuredAt = world.clock.now();
  await world.until(
    () => world.clock.now() > measuredAt && world.shard.measuredAt === fetcher.confirmedAt(world.shard),
  );
  expect(world.shard.measuredAt).toBeGreaterThan(measuredAt);
});

describe('answer to markers', () => {
  test('31: SHARD_HOLES_NOT_ALLOWED with the right to grant', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    remove(source.log, 2);
    write(source.log, [1]);
    target.onCall = (name) => (name === 'WriteTxnMarkers' ? markersAnswer('copy', 31) : undefined);
    const incident = await world.incident();
    expect(incident).toMatchObject({ code: 'SHARD_HOLES_NOT_ALLOWED', offsets: { from: 3, to: 3 } });
    expect(incident.nextStep).toContain('ALTER (or CLUSTER_ACTION) on cluster "target"');
    expect(target.log.end).toBe(3);
  });

  test('52: a later term wrote; reads again, and takes the next one', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    remove(source.log, 2);
    write(source.log, [1]);
    let isFirst = true;
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers' || !isFirst) return undefined;
      isFirst = false;
      target.log.appendMarkers(MARKER_PID, 9, 1); // of another worker
      return undefined;
    };
    expect(await world.copied()).toEqual([]);
    expect(target.log.producers.get(MARKER_PID)?.coordinatorEpoch).toBe(10);
  });

  test('52 for ever: an incident', async () => {
    const { source, target } = newWorld();
    remove(source.log, 2);
    write(source.log, [1]);
    source.log.logStart = 0;
    target.onCall = (name) => (name === 'WriteTxnMarkers' ? markersAnswer('copy', 52) : undefined);
    expect(await world.incident(120_000)).toMatchObject({ code: 'SHARD_NO_PROGRESS' });
  });

  test('success that hid refusals: the rest is written after a re-read', async () => {
    const { source, target } = newWorld();
    write(source.log, [1]);
    remove(source.log, 700);
    write(source.log, [1]);
    let isFirst = true;
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers' || !isFirst) return undefined;
      isFirst = false;
      target.log.appendMarkers(MARKER_PID, 0, 99);
      return markersAnswer('copy', 0);
    };
    expect(await world.copied(60_000)).toEqual([]);
  });

  test('an unknown outcome: waits until nothing lands any more before it writes', async () => {
    const { source, target } = newWorld();
    write(source.log, [1]);
    remove(source.log, 5);
    write(source.log, [1]);
    let isFirst = true;
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers' || !isFirst) return undefined;
      isFirst = false;
      world.clock.schedule(1_500, () => void target.log.appendMarkers(MARKER_PID, 0, 5)); // lands late
      return markersAnswer('copy', 7);
    };
    expect(await world.copied(60_000)).toEqual([]);
    await world.clock.advance(5_000);
    expect([target.log.end, world.incidents]).toEqual([source.log.end, []]);
  });

  test('a target that lost records meanwhile: they are copied again, never replaced by markers', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2]);
    remove(source.log, 20);
    write(source.log, [2]);
    let isCut = false;
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers' || isCut) return undefined;
      isCut = true;
      target.log.batches.pop();
      target.log.end = 3;
      const state = target.log.producers.get(DATA_PID)!;
      state.lastSequence = 2;
      state.last.splice(1);
      return markersAnswer('copy', 0);
    };
    expect(await world.copied(60_000)).toEqual([]);
    expect(isCut).toBe(true);
  });

  test('more than were written, seen while settling: SHARD_DIVERGED all the same', async () => {
    const { source, target } = newWorld();
    remove(source.log, 20);
    write(source.log, [2]);
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers') return undefined;
      target.log.appendMarkers(MARKER_PID, 0, 21);
      source.hangUp();
      return sleep(world.clock, 50).then(() => markersAnswer('copy', 0));
    };
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 20, to: 21 } });
  });

  test('more than were written: SHARD_DIVERGED', async () => {
    const { source, target } = newWorld();
    write(source.log, [1]);
    remove(source.log, 5);
    write(source.log, [1]);
    target.onCall = (name) =>
      name === 'WriteTxnMarkers' ? (target.log.appendMarkers(MARKER_PID, 0, 1), undefined) : undefined;
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED' });
  });
});

describe('the position', () => {
  test('is read with the sequence of the same moment: a late append between the two reads is not written twice', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    write(source.log, [2, 2, 2]);
    world.renew();
    // What an earlier self had on its way lands after the watermark was read and before the tail is.
    let reads = 0;
    target.onCall = (name, request) => {
      if (name !== 'ListOffsets' || JSON.stringify(request).includes('"timestamp":-2') === false) return undefined;
      reads++;
      if (reads === 1) target.log.append(ours(source.log, 3, 2));
      return undefined;
    };
    expect(await world.copied()).toEqual([]);
    expect(reads).toBeGreaterThan(0);
    expect(world.incidents).toEqual([]);
  });

  test('follows the sequence of our last batch also when compaction has emptied it on the target', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 4]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    const last = target.log.batches.at(-1)!;
    const emptied = sourceBatch({
      baseOffset: 3,
      records: [null, null, null, null],
      producerId: DATA_PID,
      baseSequence: baseSequenceOf(last, 0),
    });
    target.log.batches[1] = emptied;
    source.log.batches[1] = sourceBatch({ baseOffset: 3, records: [null, null, null, null] });
    write(source.log, [2]);

    world.renew().start();
    await world.until(() => target.log.end === source.log.end);
    expect(world.incidents).toEqual([]);
    expect(world.differences()).toEqual([]);
  });

  test('of a target that another program wrote to: SHARD_DIVERGED before anything is written', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    target.log.append(sourceBatch({ baseOffset: 0, records: [record('foreign')], producerId: 99 }));
    world.renew();
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
  });

  test.each([2, 400])(
    'behind %i misplaced records of which the source has none any more: who wrote in front of them is named',
    async (count) => {
      const { source, target } = newWorld();
      write(source.log, [3, count, 1]);
      target.log.append(ours(source.log, 0, 3));
      target.log.append(sourceBatch({ baseOffset: 0, records: [record('foreign')], producerId: 99 }));
      for (let from = 3; from < 3 + count; from += 2) target.log.append(ours(source.log, from, 2));
      source.log.batches.splice(1, 2); // compacted
      write(source.log, [2]);
      world.states.set('copy/0', { logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] });
      expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
    },
  );

  test('behind a misplaced record that is like the one in whose place it lies: who wrote in front of it is named', async () => {
    const { source, target } = newWorld();
    for (let i = 0; i < 6; i++) source.log.append(sourceBatch({ baseOffset: 0, records: [record('tick')] }));
    for (const from of [0, 1, 2]) target.log.append(ours(source.log, from, 1));
    target.log.append(sourceBatch({ baseOffset: 0, records: [record('foreign')], producerId: 99 }));
    for (const from of [3, 4]) target.log.append(ours(source.log, from, 1)); // on their way when the process was killed
    world.states.set('copy/0', { logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
  });

  test('behind a batch of ours that came before the one in front of it: SHARD_DIVERGED, also where the source has none of it any more', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2, 2, 1]);
    target.log.append(ours(source.log, 0, 3));
    target.log.producers.clear(); // forgotten, while two were on their way and the first was refused
    target.log.append(ours(source.log, 5, 2));
    source.log.batches.splice(1, 2); // compacted
    write(source.log, [2]);
    world.states.set('copy/0', { logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
  });

  test('behind a control record too many at the end of a long hole: SHARD_DIVERGED, however much the source holds there', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    for (let i = 0; i < 20; i++) {
      const records = [record('x'.repeat(900_000))];
      const aborted = { baseOffset: 0, records, producerId: 7, baseSequence: i, attributes: TRANSACTIONAL };
      source.log.append(sourceBatch(aborted), { isTransactional: true });
    }
    expect(source.log.end).toBe(23);
    source.log.appendEnd({ producerId: 7, producerEpoch: 0 }, false);
    write(source.log, [1, 1]);
    target.log.append(ours(source.log, 0, 3));
    target.log.appendMarkers(MARKER_PID, 0, 22); // one of them late
    world.states.set('copy/0', { logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 24, to: 25 } });
  });

  test('of a target that another program writes to all the time: SHARD_DIVERGED, not a wait without end', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    const append = (): void => {
      target.log.append(sourceBatch({ baseOffset: 0, records: [record('foreign')], producerId: -1, baseSequence: -1 }));
      if (world.incidents.length === 0 && target.log.end < 200) world.clock.schedule(500, append);
    };
    append();
    world.renew();
    expect(await world.incident(30_000)).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
  });

  test('behind a control record that stands in the place of a record: SHARD_DIVERGED, not a hole, at every start', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    write(source.log, [2]);
    remove(source.log, 1);
    write(source.log, [1]);
    target.log.appendMarkers(MARKER_PID, 0, 1); // of an earlier term, and late
    for (let starts = 0; starts < 2; starts++) {
      world.renew();
      expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
      world.incidents.length = 0;
    }
  });

  test('of a target whose last record is another one: SHARD_DIVERGED with its offset', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    target.log.batches[0] = sourceBatch({
      baseOffset: 0,
      records: [record('record 0'), record('record 1'), record('other')],
      producerId: DATA_PID,
    });
    world.renew();
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 2, to: 3 } });
  });

  test('falls back with a target that lost what it had acknowledged', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2]);
    expect(await world.copied()).toEqual([]);
    target.log.batches.pop();
    target.log.end = 3;
    const state = target.log.producers.get(DATA_PID)!;
    state.lastSequence = 2;
    state.last.splice(1);
    write(source.log, [1]);
    target.onProduce = first(always, { errorCode: 19 });
    target.hangUp();
    await world.until(() => target.journal.includes('fault'));
    expect(world.shard.position).toBe(3); // never ahead of what the target holds
    target.onProduce = () => null;
    expect(await world.copied()).toEqual([]);
  });
});

describe('followers of the target that lag behind', () => {
  /** Answers with the watermark that they hold back, until `releaseAt`; the log's end is told to who asks for it. */
  function holdBack(target: PlayedCluster, watermark: number, releaseAt: number): void {
    target.onCall = (name, request) => {
      const { replicaId, topics } = request as {
        replicaId?: number;
        topics: { partitions: { timestamp: number }[] }[];
      };
      if (name !== 'ListOffsets' || replicaId !== -1 || world.clock.monotonic() >= releaseAt) return undefined;
      if (topics[0]!.partitions[0]!.timestamp !== -1) return undefined;
      return {
        throttleTimeMs: 0,
        topics: [
          {
            name: 'copy',
            partitions: [{ partitionIndex: 0, errorCode: 0, timestamp: -1, offset: watermark, leaderEpoch: 0 }],
          },
        ],
      };
    };
  }

  test('with the very first batch: it is not written twice', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2]);
    target.onProduce = first(1, { errorCode: 7, isAppended: true });
    holdBack(target, 0, 6_000);
    expect(await world.copied()).toEqual([]);
    expect(world.incidents).toEqual([]);
  });

  test('with the first batch, whose producer the broker has forgotten: it is not written twice', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2]);
    target.onProduce = (batch) => {
      target.onProduce = () => null;
      target.log.append(batch);
      target.log.producers.clear();
      return { errorCode: 7 };
    };
    holdBack(target, 0, 6_000);
    expect(await world.copied()).toEqual([]);
    expect(world.incidents).toEqual([]);
  });

  test('for minutes: it waits and says so', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2]);
    target.onProduce = first(1, { errorCode: 7, isAppended: true });
    holdBack(target, 0, 120_000);
    expect(await world.copied(150_000)).toEqual([]);
    expect(world.incidents).toEqual([]);
    expect(world.troubles.join()).toContain('NOT_ENOUGH_REPLICAS_AFTER_APPEND');
  });

  test('with markers: they are not written twice', async () => {
    const { source, target } = newWorld();
    remove(source.log, 20);
    write(source.log, [3]);
    expect(source.log.logStart).toBe(0);
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers') return undefined;
      target.log.appendMarkers(MARKER_PID, 0, 20);
      holdBack(target, 0, world.clock.monotonic() + 20_000);
      return markersAnswer('copy', 7);
    };
    expect(await world.copied(40_000)).toEqual([]);
    expect(world.incidents).toEqual([]);
  });
});

describe('other workers of the mirror', () => {
  test.each([1, 2])(
    'have copied beyond a new leader epoch: that is no truncation (learnt at read %i)',
    async (learntAt) => {
      const { source, target } = newWorld();
      write(source.log, [3]);
      expect(await world.copied()).toEqual([]);
      await world.stop();
      source.log.leaderEpoch = 1;
      write(source.log, [3]);
      source.onCall = (name, request) =>
        name === 'OffsetForLeaderEpoch' && JSON.stringify(request).includes('"leaderEpoch":0')
          ? {
              topics: [{ topic: 'orders', partitions: [{ partition: 0, errorCode: 0, leaderEpoch: 0, endOffset: 3 }] }],
            }
          : undefined;
      target.log.append(ours(source.log, 3, 3));
      let reads = 0;
      world.onLoad = () => {
        if (++reads < learntAt) return;
        world.states.set('copy/0', {
          logStart: 0,
          sequenceOffset: 0,
          leaderEpochs: [
            [0, 0],
            [1, 3],
          ],
        });
      };
      world.renew().start();
      await world.until(() => world.shard.position === 6);
      expect(world.incidents).toEqual([]);
    },
  );

  test.each([1, 2])(
    'have copied what the source lost since: it is never deleted (learnt at read %i)',
    async (learntAt) => {
      const { source, target } = newWorld();
      write(source.log, [3, 2]);
      target.log.append(ours(source.log, 0, 5));
      source.log.deleteBefore(5);
      let reads = 0;
      world.onLoad = () => {
        if (++reads >= learntAt) world.states.set('copy/0', { logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] });
      };
      world.start();
      await world.until(() => world.shard.position === 5);
      expect(target.log.logStart).toBe(0);
      expect(world.incidents).toEqual([]);
    },
  );

  test('have written behind another program, and are gone: what they misplaced is not taken for theirs', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    target.onProduce = () => {
      target.onProduce = () => null;
      target.log.append(sourceBatch({ baseOffset: 0, records: [record('foreign')], producerId: 99 }));
      target.log.append(ours(source.log, 3, 2));
      return null;
    };
    write(source.log, [3]);
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 3, to: 4 } });
  });

  test('have recorded the leader epoch: it is not recorded again', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    let writes = 0;
    world.onState = async () => void writes++;
    let reads = 0;
    world.onLoad = () => {
      if (++reads === 2) world.states.set('copy/0', { logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] });
    };
    expect(await world.copied()).toEqual([]);
    expect(writes).toBe(0);
  });
});

describe('the source', () => {
  test('whose filler is damaged on its way has it written again: 53 names no missing right there', async () => {
    const { source, target } = newWorld();
    source.log.end = source.log.logStart = 1_200;
    write(source.log, [1]);
    target.onProduce = first(2, { errorCode: 53 });
    expect(await world.copied()).toEqual([]);
    expect([target.log.logStart, world.incidents]).toEqual([1_200, []]);
  });

  test('whose log start moves on before anything is copied: is followed', async () => {
    const { source, target } = newWorld();
    source.log.end = source.log.logStart = 700;
    write(source.log, [3, 3]);
    target.onCall = (name) => {
      if (name === 'DeleteRecords' && source.log.logStart === 700) source.log.deleteBefore(703);
      return undefined;
    };
    expect(await world.copied()).toEqual([]);
    expect([target.log.logStart, world.incidents]).toEqual([703, []]);
  });

  test('whose log start is damaged on its way: is asked for again before anything below is given up', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 3]);
    let damaged = 0;
    source.onCall = (name, request) => {
      const { topics } = request as { topics?: { partitions: { timestamp: number }[] }[] };
      if (name !== 'ListOffsets' || topics?.[0]?.partitions[0]?.timestamp !== -2 || damaged > 0) return undefined;
      damaged++;
      const partition = { partitionIndex: 0, errorCode: 0, timestamp: -1, offset: 2, leaderEpoch: 0 };
      return { throttleTimeMs: 0, topics: [{ name: 'orders', partitions: [partition] }] };
    };
    expect(await world.copied()).toEqual([]);
    expect([damaged, target.log.logStart, world.incidents]).toEqual([1, 0, []]);
  });

  test('whose log start has passed the position: SHARD_RETENTION_LOSS with the exact range', async () => {
    const { source } = newWorld();
    write(source.log, [3, 3, 3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    write(source.log, [3, 3]);
    source.log.deleteBefore(12);
    world.renew();
    expect(await world.incident()).toMatchObject({ code: 'SHARD_RETENTION_LOSS', offsets: { from: 9, to: 12 } });
  });

  test('that was truncated: SHARD_TRUNCATED with the exact range, also while copying', async () => {
    const { source } = newWorld();
    write(source.log, [3, 3]);
    expect(await world.copied()).toEqual([]);
    source.log.batches.pop();
    source.log.end = 3;
    source.log.leaderEpoch = 1; // by an unclean election
    source.onFetch = (_, answer) => ({ ...answer, errorCode: 0, records: null, diverging: { epoch: 0, endOffset: 3 } });
    expect(await world.incident()).toMatchObject({ code: 'SHARD_TRUNCATED', offsets: { from: 3, to: 6 } });
  });

  test('that is truncated and written anew while its end is compared: SHARD_TRUNCATED from where it was cut', async () => {
    const { source } = newWorld();
    write(source.log, [3, 3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    source.onCall = (name) => {
      if (name !== 'ListOffsets' || !source.journal.includes('OffsetForLeaderEpoch')) return undefined;
      source.onCall = () => undefined;
      source.log.truncate(3);
      write(source.log, [4], { bytes: 30 });
      return undefined;
    };
    world.renew();
    expect(await world.incident()).toMatchObject({ code: 'SHARD_TRUNCATED', offsets: { from: 3, to: 6 } });
  });

  test('that lost a leader epoch of which nothing was copied: no truncation', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    source.log.leaderEpoch = 1;
    world.onState = async () => {
      world.onState = async () => {};
      source.log.batches.pop();
      source.log.end = 3;
      source.log.leaderEpoch = 2;
      write(source.log, [2]);
      source.hangUp();
    };
    const lost = (): { epoch: number; endOffset: number } | null =>
      source.log.leaderEpoch === 2 && world.shard.lastFetchedEpoch === 1 ? { epoch: 0, endOffset: 3 } : null;
    source.onFetch = (_, answer) => {
      const diverging = lost();
      return diverging && { ...answer, errorCode: 0, records: null, diverging };
    };
    source.onCall = (name, request) =>
      name === 'OffsetForLeaderEpoch' && JSON.stringify(request).includes('"leaderEpoch":1')
        ? { topics: [{ topic: 'orders', partitions: [{ partition: 0, errorCode: 0, leaderEpoch: 0, endOffset: 3 }] }] }
        : undefined;
    write(source.log, [3]);
    await world.until(() => source.log.leaderEpoch === 2);
    expect(await world.copied()).toEqual([]);
    expect(world.incidents).toEqual([]);
  });

  test('that was created anew under its name: TOPIC_RECREATED', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    source.topicId = 'AAAAAAAAAAAAAAAAAAAAAw';
    source.onFetch = (_, answer) => ({ ...answer, errorCode: 100, records: null });
    expect(await world.incident()).toMatchObject({ code: 'TOPIC_RECREATED', offsets: { from: 3, to: 3 } });
  });

  test('with a damaged batch, once: fetched again', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    let isFirst = true;
    source.onFetch = (_, answer) => {
      if (!isFirst || !answer.records?.length) return null;
      isFirst = false;
      return { ...answer, records: damaged(answer.records, 16) };
    };
    expect(await world.copied()).toEqual([]);
  });

  test('with a leader epoch that its leader does not have: fetched again, and nothing of it is recorded', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    let isFirst = true;
    source.onFetch = (_, answer) => {
      if (!isFirst || !answer.records?.length) return null;
      isFirst = false;
      const records = Buffer.from(answer.records);
      records.writeInt32BE(1_000_000, 12);
      return { ...answer, records };
    };
    expect(await world.copied()).toEqual([]);
    expect(isFirst).toBe(false);
    expect(world.states.get('copy/0')?.leaderEpochs).toEqual([[0, 0]]);
  });

  test('with a batch that stays damaged: SHARD_BATCH_CORRUPT, and everything below is on the target', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 2, 4]);
    source.log.batches[2] = damaged(source.log.batches[2]!, 16);
    const incident = await world.incident();
    expect(incident).toMatchObject({ code: 'SHARD_BATCH_CORRUPT', offsets: { from: 5, to: 6 } });
    expect(target.log.end).toBe(5);
  });

  test('with an error that we do not know: asked a few times, then an incident', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    source.onFetch = (_, answer) => ({ ...answer, errorCode: 999, records: null });
    expect(await world.incident(60_000)).toMatchObject({ code: 'SHARD_NO_PROGRESS' });
  });

  test('that may not be read: PERMISSION_DENIED with the right', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    source.onFetch = (_, answer) => ({ ...answer, errorCode: 29, records: null });
    const incident = await world.incident();
    expect(incident.code).toBe('PERMISSION_DENIED');
    expect(incident.nextStep).toMatch(/READ/);
  });

  test('with a new leader epoch: recorded before anything of it is written', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    source.log.leaderEpoch = 4;
    write(source.log, [2]);
    const written: number[] = [];
    world.onState = async () => void written.push(target.log.end);
    expect(await world.copied()).toEqual([]);
    expect(world.states.get('copy/0')?.leaderEpochs).toEqual([
      [0, 0],
      [4, 3],
    ]);
    expect(written[0]).toBe(0);
  });
});

describe('connections', () => {
  test.each(['source', 'target'] as const)(
    'closed by an idle %s are opened again when there is something to copy',
    async (side) => {
      const { source } = newWorld();
      write(source.log, [3]);
      expect(await world.copied()).toEqual([]);
      await world.clock.advance(60_000);
      world[side].hangUp();
      await world.clock.advance(60_000);
      write(source.log, [3]);
      expect(await world.copied()).toEqual([]);
    },
  );

  test('lost while a shard is between two of them are noticed', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    source.hangUp();
    world.target.hangUp();
    await world.clock.advance(1);
    source.hangUp();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
  });

  test('an answer from before an interruption is never taken for a hole', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    write(source.log, [2]); // is fetched; then the next fetch waits for more
    target.onProduce = first(1, { errorCode: 45 });
    await world.until(() => world.shard.status(0).refusals === 1);
    write(source.log, [2]); // answers the waiting fetch
    expect(await world.copied()).toEqual([]);
    expect(world.shard.status(0).holesFilled).toBe(0);
  });
});

describe('stop', () => {
  test.each([
    ['while the watermark is watched', 5],
    ['while it settles down', 1_100],
  ])('%s', async (_, afterMs) => {
    const { source } = newWorld();
    write(source.log, [3]);
    world.start();
    await world.clock.advance(afterMs);
    await world.stop();
    expect([world.hasEnded, world.incidents, world.shard.status(0).state]).toEqual([true, [], 'ended']);
  });

  test('with nothing to do, at once', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    world.shard.stop();
    await world.clock.advance(0);
    expect(world.hasEnded).toBe(true);
  });

  test('waits for what is in flight, and takes nothing new', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    write(source.log, [1, 1, 1, 1, 1, 1, 1, 1]);
    await world.until(() => target.journal.filter((name) => name === 'Produce').length > 1);
    world.shard.stop();
    await world.until(() => world.hasEnded, 500);
    expect(world.differences().length).toBe(source.log.end - target.log.end);
  });

  test('with answers that never come ends with the connections', async () => {
    const { source, target } = newWorld();
    write(source.log, [3, 3]);
    target.onProduce = first(always, { ignore: true });
    world.start();
    await world.until(() => target.journal.includes('Produce'));
    world.shard.stop();
    await world.clock.advance(1_000);
    expect(world.hasEnded).toBe(false);
    world.dataPath.close();
    await world.clock.advance(10);
    expect(world.hasEnded).toBe(true);
  });

  test('while a hole is filled', async () => {
    const { source, target } = newWorld();
    write(source.log, [1]);
    remove(source.log, 5_000);
    write(source.log, [1]);
    world.start();
    await world.until(() => target.log.end > 1);
    await world.stop();
    expect([world.hasEnded, world.incidents]).toEqual([true, []]);
    world.renew();
    expect(await world.copied()).toEqual([]);
  });

  test('while the log start is aligned', async () => {
    const { source, target } = newWorld();
    source.log.end = source.log.logStart = 1_200;
    write(source.log, [1]);
    target.onProduce = first(1, { ignore: true });
    world.start();
    await world.until(() => target.journal.includes('Produce'));
    expect(world.shard.status(0).state).toBe('aligning');
    await world.stop();
    expect([world.hasEnded, world.incidents]).toEqual([true, []]);
    world.renew();
    expect(await world.copied()).toEqual([]);
    expect(target.log.logStart).toBe(1_200);
  });

  test('while it waits for a broker in trouble', async () => {
    const { source, target } = newWorld();
    write(source.log, [1]);
    target.onProduce = first(always, { errorCode: 19 });
    world.start();
    await world.clock.advance(20_000);
    world.shard.stop();
    await world.clock.advance(50);
    expect([world.hasEnded, world.incidents]).toEqual([true, []]);
  });

  test('while the followers of the target lag behind is no incident', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    target.log.producers.get(DATA_PID)!.lastSequence = 9; // a tail that is not yet below the watermark
    world.renew().start();
    await world.clock.advance(5_000);
    await world.stop();
    expect([world.hasEnded, world.incidents]).toEqual([true, []]);
  });

  test('while a new leader epoch is being recorded', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    world.onState = () => new Promise(() => {});
    world.start();
    await world.clock.advance(2_000);
    await world.stop();
    expect(world.hasEnded).toBe(true);
  });
});

describe('the term in which the shard is ours', () => {
  /** Everything that is written: filler, DeleteRecords, state records, batches, markers. */
  function newScene(): void {
    const { source } = newWorld();
    source.log.end = source.log.logStart = 700;
    write(source.log, [3, 1]);
    remove(source.log, 3);
    write(source.log, [2, 2]);
    remove(source.log, 1);
    write(source.log, [1]);
    world.renew({ takeover: 'handed-over' });
  }

  const isCopied = (): boolean => world.shard.position === world.source.log.end;

  test('is lost at any moment: nothing is written from then on, and who takes over finishes exactly', async () => {
    const met = { written: new Set<string>(), unsettled: 0 };
    for (let ms = 0, isOver = false; !isOver; ms++) {
      newScene();
      const { target, term } = world;
      const late: string[] = [];
      const before: string[] = [];
      target.onWrite = (name) => (term.lost.aborted ? late : before).push(name);
      world.clock.schedule(ms, () => term.end.abort());
      world.start();
      await world.until(() => world.hasEnded || isCopied());
      isOver = !world.hasEnded;
      for (const name of before) met.written.add(name);
      expect(late, `lost after ${ms} ms`).toEqual([]);
      term.end.abort();
      await world.until(() => world.hasEnded);
      expect(late, `lost after ${ms} ms`).toEqual([]);
      const { isSettled } = world.shard;
      await world.stop();
      if (!isSettled) met.unsettled++;
      expect(await world.renew({ takeover: isSettled ? 'handed-over' : 'evicted' }).copied()).toEqual([]);
      expect(world.incidents).toEqual([]);
      await world.stop();
    }
    expect([...met.written].toSorted()).toEqual(['DeleteRecords', 'Produce', 'WriteTxnMarkers', 'state']);
    expect(met.unsettled, 'nothing was left unknown').toBe(0);
  }, 60_000);

  test('pauses at any moment: nothing is written meanwhile, and it goes on by itself', async () => {
    for (let ms = 0, isOver = false; !isOver; ms++) {
      newScene();
      const { target, term } = world;
      const late: string[] = [];
      target.onWrite = (name) => void (term.isPaused && late.push(name));
      world.clock.schedule(ms, () => (term.isPaused = true));
      world.start();
      await world.until(() => term.isPaused || isCopied());
      isOver = isCopied();
      await world.clock.advance(400);
      expect(late, `paused after ${ms} ms`).toEqual([]);
      term.isPaused = false;
      expect(await world.copied()).toEqual([]);
      expect([world.incidents, world.troubles]).toEqual([[], []]);
      await world.stop();
    }
  }, 60_000);

  test('gives no leave any more because another cluster took the place of the target: that is told, and ends with it', async () => {
    const { source, target, term } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    term.isPaused = true; // its group answers nobody
    write(source.log, [3]);
    await world.clock.advance(15_000);
    expect(world.incidents).toEqual([]);
    target.replaced = new ClusterIdChangedError('target', 'target:9092', { expected: 'former', found: 'other' });
    await world.clock.advance(120_000);
    expect(world.incidents).toMatchObject([{ code: 'CLUSTER_ID_MISMATCH', partition: 0 }]);
    target.replaced = null;
    term.isPaused = false;
    await world.until(() => world.shard.position === source.log.end, 60_000);
    expect(world.ended).toMatchObject([{ code: 'CLUSTER_ID_MISMATCH' }]);
    await world.stop();
  });

  test('is handed over: the position is read at once, and the last record is compared all the same', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    await world.stop();
    write(source.log, [3]);
    const beganMs = world.clock.monotonic();
    expect(await world.renew({ takeover: 'handed-over' }).copied()).toEqual([]);
    expect(world.clock.monotonic() - beganMs).toBeLessThan(200);
    await world.stop();

    const twin = new ModelLog();
    for (let i = 0; i < 6; i++) twin.append(sourceBatch({ baseOffset: 0, records: [record(`another ${i}`)] }));
    Object.assign(source, { log: twin });
    expect(await world.renew({ takeover: 'handed-over' }).incident()).toMatchObject({ code: 'SHARD_DIVERGED' });
  });

  test('after an eviction: the watermark stands still for a second first, and until then nothing is settled', async () => {
    const { source } = newWorld();
    write(source.log, [3]);
    const beganMs = world.clock.monotonic();
    world.start();
    await world.clock.advance(900);
    world.term.end.abort();
    await world.until(() => world.hasEnded);
    expect(world.shard.isSettled).toBe(false);
    await world.stop();
    expect(await world.renew({ takeover: 'evicted' }).copied()).toEqual([]);
    expect(world.clock.monotonic() - beganMs).toBeGreaterThan(1_900);
    expect(world.shard.isSettled).toBe(true);
  });

  test('says when the last write can have landed: an answer that is missing makes it ten seconds', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    expect([world.shard.isSettled, world.shard.quietAtMs]).toEqual([true, -Infinity]);
    target.onProduce = first(1, { lose: true, isAppended: false });
    write(source.log, [3]);
    await world.until(() => target.journal.includes('fault'));
    const sentMs = world.clock.monotonic();
    world.term.end.abort();
    await world.until(() => world.hasEnded);
    expect(world.shard.isSettled).toBe(false);
    expect(world.shard.quietAtMs - sentMs).toBeGreaterThan(9_900);
    expect(world.shard.quietAtMs - sentMs).toBeLessThanOrEqual(10_000);
  });

  test('is looked at before refusals become an incident', async () => {
    const { source, target } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    const sinceMs = world.clock.monotonic();
    target.onProduce = () => {
      // Another owner writes: the group does not answer, and the first refusal after 30 s comes when we may not write.
      if (world.clock.monotonic() - sinceMs >= 30_000) world.term.isPaused = true;
      return { errorCode: 45 };
    };
    write(source.log, [3]);
    await world.clock.advance(40_000);
    expect([world.term.isPaused, world.incidents]).toEqual([true, []]);
    target.onProduce = first(always, { errorCode: 45 });
    world.term.isPaused = false;
    await world.clock.advance(25_000);
    expect(world.incidents).toEqual([]);
    world.term.end.abort();
    await world.until(() => world.hasEnded);
    await world.clock.advance(30_000);
    expect(world.incidents).toEqual([]);
  });

  test('is over while markers are on their way: what stands behind them is no incident of ours', async () => {
    const { source, target, term } = newWorld();
    write(source.log, [1]);
    remove(source.log, 3);
    write(source.log, [2]);
    let isMet = false;
    target.onCall = (name) => {
      if (name !== 'WriteTxnMarkers' || isMet) return undefined;
      isMet = true;
      term.isPaused = true; // the process stood still, and has not heard yet that it was evicted
      target.log.appendMarkers(MARKER_PID, 0, 3 + 2); // the next owner has gone on
      return markersAnswer('copy', 0);
    };
    world.start();
    await world.until(() => isMet);
    await world.clock.advance(5_000);
    expect(world.incidents).toEqual([]);
    term.end.abort();
    await world.until(() => world.hasEnded);
    expect(world.incidents).toEqual([]);
  });

  test('is over while the log is looked at: what is found counts only when it is found again', async () => {
    const { source, target, term } = newWorld();
    write(source.log, [3]);
    target.log.append(sourceBatch({ baseOffset: 0, records: [record('another')] }));
    target.onCall = (name) => {
      if (name === 'ListOffsets') term.isPaused = true;
      return undefined;
    };
    world.start();
    await world.until(() => term.isPaused);
    await world.clock.advance(5_000);
    expect(world.incidents).toEqual([]);
    target.onCall = () => undefined;
    term.isPaused = false;
    expect(await world.incident()).toMatchObject({ code: 'SHARD_DIVERGED' });
  });

  test('is over: what another owner writes meanwhile is no incident of ours', async () => {
    const { source, target, term } = newWorld();
    write(source.log, [3]);
    expect(await world.copied()).toEqual([]);
    target.onProduce = () => {
      term.end.abort();
      return { errorCode: 45 };
    };
    write(source.log, [3]);
    await world.until(() => world.hasEnded);
    expect(world.incidents).toEqual([]);
  });
});

/** Records [from, from + count) of the source as a batch of this mirror, as another worker would write it. */
function ours(log: ModelLog, from: number, count: number): Buffer {
  const records = log.records().filter(({ offset }) => offset >= from && offset < from + count);
  const batch = sourceBatch({
    baseOffset: 0,
    records: records.map(({ timestamp, key, value }) => ({ timestamp, key, value })),
    producerId: DATA_PID,
  });
  patchBatchHeader(batch, 0, { producerId: DATA_PID, producerEpoch: 0, baseSequence: from }, 0);
  expect(baseOffsetOf(batch, 0)).toBe(0);
  return batch;
}

function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = 1; // magic
  return copy;
}

/** Behind the first fault, the watermark of the target was read before anything was written but what was in flight. */
function expectReadBeforeWrite(target: PlayedCluster): void {
  const fault = target.journal.indexOf('fault');
  const read = target.journal.indexOf('ListOffsets -1', fault);
  expect(fault).toBeGreaterThan(0);
  expect(read).toBeGreaterThan(fault);
  expect(target.journal.slice(fault, read).filter((name) => name === 'Produce').length).toBeLessThanOrEqual(4);
}
