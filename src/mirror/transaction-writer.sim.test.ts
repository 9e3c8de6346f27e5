/**
 * The transactions of one partition, written to a log and a coordinator played in memory. What runs is killed at every step,
 * before and after it took effect, and a new one goes on with nothing but what the target says: readers of either isolation
 * level then see the source. LOCKSTEP_SEED repeats one seed.
 */
import { describe, expect, test } from 'vitest';
import { assert } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import { BrokerError } from '#kafka/errors.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import type { DescribedTransaction, ProducerIdentity, TransactionProtocol } from '#kafka/transactions.ts';
import { ModelLog } from '#testing/model-log.ts';
import { ModelTransactions } from '#testing/model-transactions.ts';
import { parseBatches, type RawBatch, type RawRecord } from '#testing/raw-batch.ts';
import { sourceBatch, TRANSACTIONAL } from '#testing/source-batches.ts';
import { ShardStop } from './shard-stop.ts';
import { firstWrongControl } from './transaction-tail.ts';
import { TransactionWriter, type Doubts, type TransactionBatch, type TransactionPort } from './transaction-writer.ts';

const DATA_PID = 4711;
const MARKER_PID = 4712;
const COORDINATOR_LOAD_IN_PROGRESS = 14;
const INVALID_PRODUCER_ID_MAPPING = 49;
const CONCURRENT_TRANSACTIONS = 51;
const PRODUCER_FENCED = 90;
const TRANSACTION_ABORTABLE = 120;
const NOT_PRODUCED = {
  topic: 'copy',
  partition: 0,
  baseOffset: -1,
  logAppendTimeMs: -1,
  logStartOffset: 0,
  errorMessage: null,
};
const given = process.env['LOCKSTEP_SEED'];
const SCHEDULES = process.env['LOCKSTEP_FULL'] === '1' ? 400 : 24;
const SEEDS = given === undefined ? Array.from({ length: SCHEDULES }, (_, i) => i + 1) : [Number(given)];
const PROTOCOLS: readonly TransactionProtocol[] = ['implicit', 'explicit'];

class Killed extends Error {}

class World {
  readonly source = new ModelLog();
  readonly target = new ModelLog();
  readonly coordinator: ModelTransactions;
  readonly random: Random;
  /** Steps until the process is killed; Infinity for never. */
  stepsLeft = Infinity;
  steps = 0;
  /** Whether the step at which it is killed takes effect. */
  takesEffect = false;
  refusals = 0;
  fillsWithTransactions = false;
  mayMark = true;
  marks = 0;
  readonly recorded = new Map<number, number>();
  #now = 0;
  readonly #open = new Set<number>();
  readonly #sequences = new Map<number, number>();

  constructor(seed: number, protocol: TransactionProtocol) {
    this.random = createRandom(seed);
    this.coordinator = new ModelTransactions(this.target, { protocol });
  }

  below(count: number): number {
    return Math.floor(this.random.next() * count);
  }

  /** Everything that a process does outside itself is one step. */
  step<T>(effect: () => T): T {
    this.steps++;
    const isLast = --this.stepsLeft === 0;
    if (isLast && !this.takesEffect) throw new Killed('before');
    if (this.below(3) === 0) this.coordinator.settle();
    const result = effect();
    if (isLast) throw new Killed('after');
    return result;
  }

  readonly port: TransactionPort = {
    describe: async (slots) => this.step(() => slots.map((slot) => this.coordinator.describe(`slot-${slot}`))),
    producers: async () => this.step(() => [...this.target.producers.values()]),
    protocolOf: async () => this.coordinator.protocol,
    init: async (slot) => this.#answered('InitProducerId', () => this.coordinator.init(`slot-${slot}`)),
    add: async (slot, producer) => {
      this.#answered('AddPartitionsToTxn', () => ({ errorCode: this.coordinator.add(`slot-${slot}`, producer) }));
    },
    produce: async (slot, { buffer, start, end }) => {
      const bytes = Buffer.from(buffer.subarray(start, end));
      const [batch] = parseBatches(bytes);
      const producer = { producerId: batch!.producerId, producerEpoch: batch!.producerEpoch };
      const answer = this.step(() => this.coordinator.produce(`slot-${slot}`, producer, bytes));
      if (answer.errorCode !== 0) this.refusals++;
      return { topic: 'copy', partition: 0, logAppendTimeMs: -1, logStartOffset: 0, errorMessage: null, ...answer };
    },
    end: async (slot, producer, { isCommit, protocol }) => ({
      ...this.#answered('EndTxn', () => this.coordinator.end(`slot-${slot}`, producer, isCommit)),
      hasNewEpoch: protocol === 'implicit',
    }),
    mark: async (producer, { isCommit }) => {
      if (!this.mayMark) throw new BrokerError(errorOf(31), 'WriteTxnMarkers', 'the cluster');
      this.step(() => {
        this.marks++;
        this.target.appendEnd(producer, isCommit, false);
      });
    },
    watermark: async () => this.step(() => this.target.end),
    recordedProducerAt: (offset) => this.recorded.get(offset) ?? null,
    sourceProducerAt: async (offset) => this.step(() => batchAt(this.source, offset)?.producerId ?? null),
    offsetsOf: async (producerId, from) =>
      this.step(() =>
        this.target
          .parsed()
          .filter((batch) => batch.producerId === producerId && !batch.isControl && batch.baseOffset >= from)
          .map(({ baseOffset }) => baseOffset),
      ),
    pause: async (ms) => {
      this.#now += ms;
      this.coordinator.settle();
    },
    now: () => this.#now,
  };

  #answered<T extends { errorCode: number }>(api: string, ask: () => T): T & ProducerIdentity {
    const answer = this.step(ask);
    if (answer.errorCode !== 0) {
      this.refusals++;
      throw new BrokerError(errorOf(answer.errorCode), api, 'a slot');
    }
    return answer as T & ProducerIdentity;
  }

  /** What producers do at the source: up to `producers` transactions at a time, plain records, ends of nothing, and what compaction leaves. */
  write(batches: number, producers = 4): void {
    const open = this.#open;
    const sequences = this.#sequences;
    const append = (producerId: number, attributes: number): void => {
      const count = 1 + this.below(3);
      const records = Array.from({ length: count }, (_, i) => record(`${this.source.end + i}`));
      const sequence = sequences.get(producerId) ?? 0;
      const bytes = sourceBatch({ baseOffset: 0, records, attributes, producerId, baseSequence: sequence });
      const { errorCode } = this.source.append(bytes, { isTransactional: attributes !== 0 });
      assert(errorCode === 0, 'the source takes it');
      sequences.set(producerId, sequence + count);
    };
    for (let i = 0; i < batches; i++) {
      const producerId = 100 + this.below(producers);
      const chance = this.below(10);
      if (chance < 2) append(99, 0);
      else if (chance < 6) {
        open.add(producerId);
        append(producerId, TRANSACTIONAL);
      } else if (chance < 9) this.#end(producerId); // also one that wrote nothing
      else this.source.end += 1 + this.below(3);
    }
  }

  endAll(): void {
    for (const producerId of this.#open) this.#end(producerId);
  }

  #end(producerId: number): void {
    this.source.appendEnd({ producerId, producerEpoch: 0 }, this.below(3) > 0);
    this.#open.delete(producerId);
  }

  /** Copies until the target ends where the source does. Throws Killed, ShardStop. */
  async copy(): Promise<TransactionWriter> {
    const writer = await TransactionWriter.restore(this.port);
    this.checkTail(writer);
    for (let position = this.step(() => this.target.end); position < this.source.stableOffset;) {
      const batch = batchAfter(this.source, position);
      const next = Math.min(batch?.baseOffset ?? Infinity, this.source.stableOffset);
      if (!batch || next > position) position = await this.#fill(writer, position);
      else if (batch.isControl) {
        const { baseOffset, producerId } = batch;
        const isEnded = await writer.end({ baseOffset, producerId, isCommit: batch.marker === 'commit' });
        position = isEnded ? position + 1 : await this.#fill(writer, position);
      } else position = await this.#copyBatch(writer, batch);
    }
    return writer;
  }

  async #copyBatch(writer: TransactionWriter, batch: RawBatch): Promise<number> {
    const bytes = Buffer.from(bytesOf(this.source, batch));
    bytes.writeBigInt64BE(0n, 0);
    const end = batch.lastOffset + 1;
    if (batch.isTransactional) {
      const item = { buffer: bytes, start: 0, end: bytes.length, baseOffset: batch.baseOffset };
      const result = await writer.write({ ...item, count: batch.recordCount, producerId: batch.producerId });
      assert(result.errorCode === 0 && result.baseOffset === batch.baseOffset, 'a batch is appended in its place');
    } else {
      const known = this.target.producers.get(DATA_PID);
      const records = [...batch.records()].map(({ offset }) => record(`${offset}`));
      const sequence = (known?.lastSequence ?? -1) + 1;
      const plain = sourceBatch({ baseOffset: 0, records, producerId: DATA_PID, baseSequence: sequence });
      const { baseOffset } = this.step(() => this.target.append(plain));
      assert(baseOffset === batch.baseOffset, 'a plain batch is appended in its place');
    }
    return end;
  }

  async #fill(writer: TransactionWriter, position: number): Promise<number> {
    if (writer.hasBegun || this.fillsWithTransactions) await writer.endEmpty(position);
    else this.step(() => this.target.appendMarkers(MARKER_PID, 0, 1));
    return position + 1;
  }

  checkTail({ open }: TransactionWriter): void {
    const source = { batches: this.source.batches, stableOffset: this.source.stableOffset };
    const wrong = firstWrongControl(source, this.target.batches, {
      from: 0,
      markerProducerId: MARKER_PID,
      open,
    });
    if (wrong) throw new ShardStop({ ...STOP, offsets: { from: wrong.offset, to: wrong.offset + 1 } });
  }

  /** What a reader of either isolation level, and one that looks at transactions, would find different. */
  differences(): string[] {
    return [
      ...compare('uncommitted', this.source.records(), this.target.records()),
      ...compare('committed', this.source.committedRecords(), this.target.committedRecords()),
      ...(this.source.end === this.target.end ? [] : [`ends ${this.source.end} and ${this.target.end}`]),
      ...(this.target.stableOffset === this.target.end ? [] : [`open from ${this.target.stableOffset} on`]),
      ...(this.coordinator.unasked === 0 ? [] : [`${this.coordinator.unasked} ends that nobody asked for`]),
    ];
  }
}

const STOP = {
  code: 'SHARD_TRANSACTION_BROKEN',
  cause: "a control record that is not the source's",
  consequence: '',
  nextStep: '',
  endsByItself: false,
} as const;

function record(text: string): { timestamp: number; key: null; value: Buffer } {
  return { timestamp: 1_700_000_000_000, key: null, value: Buffer.from(text) };
}

function batchAfter(log: ModelLog, offset: number): RawBatch | null {
  return log.parsed().find(({ lastOffset }) => lastOffset >= offset) ?? null;
}

function batchAt(log: ModelLog, offset: number): RawBatch | null {
  const batch = batchAfter(log, offset);
  return batch && batch.baseOffset <= offset && batch.isTransactional && !batch.isControl ? batch : null;
}

function bytesOf(log: ModelLog, { baseOffset }: RawBatch): Buffer {
  return log.batches.find((bytes) => Number(bytes.readBigInt64BE(0)) === baseOffset)!;
}

function compare(name: string, source: readonly RawRecord[], target: readonly RawRecord[]): string[] {
  const text = (list: readonly RawRecord[]): string[] =>
    list.map(({ offset, timestamp, body }) => `${offset} ${timestamp} ${body.toString('hex')}`);
  const [a, b] = [text(source), text(target)];
  const at = a.findIndex((each, i) => each !== b[i]);
  return at < 0 && a.length === b.length
    ? []
    : [`${name} at ${at}: ${a[at]} and ${b[at]}, ${a.length} and ${b.length} records`];
}

/** Whether it was killed, or gave up, before it came to the end. */
async function isKilled(world: World): Promise<boolean> {
  try {
    await world.copy();
    return false;
  } catch (error) {
    if (!(error instanceof Killed || error instanceof BrokerError)) throw error; // the latter begins anew, too
    return true;
  }
}

function written(seed: number, protocol: TransactionProtocol): World {
  const world = new World(seed, protocol);
  world.write(14);
  world.endAll();
  return world;
}

/** A transaction of two batches, of which the first is written. */
async function halfWritten(protocol: TransactionProtocol): Promise<{ world: World; writer: TransactionWriter }> {
  const world = new World(1, protocol);
  append(world.source, 100);
  append(world.source, 100);
  world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
  const writer = await TransactionWriter.restore(world.port);
  await writer.write(itemAt(world.source, 0));
  return { world, writer };
}

async function stopOf(running: Promise<unknown>): Promise<ShardStop> {
  const error = await running.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ShardStop);
  return error as ShardStop;
}

describe.each(PROTOCOLS)('with the %s protocol', (protocol) => {
  test('readers of either isolation level see the source', async () => {
    for (const seed of SEEDS) {
      const world = new World(seed, protocol);
      world.write(40);
      await world.copy(); // up to the first that is open
      world.write(40);
      await world.copy();
      world.endAll();
      await world.copy();
      expect(world.differences(), `seed ${seed}`).toEqual([]);
    }
  });

  test('killed once at every step, before and after its effect, it goes on exactly', async () => {
    let kills = 0;
    for (const seed of SEEDS.slice(0, SEEDS.length / 2 + 1)) {
      for (const takesEffect of [false, true]) {
        for (let step = 1; ; step++) {
          const world = written(seed, protocol);
          world.takesEffect = takesEffect;
          world.stepsLeft = step;
          if (!(await isKilled(world))) break;
          kills++;
          world.stepsLeft = Infinity;
          await world.copy();
          expect(world.differences(), `seed ${seed}, killed at step ${step}, effect ${takesEffect}`).toEqual([]);
        }
      }
    }
    expect(kills).toBeGreaterThan(SEEDS.length === 1 ? 0 : 500);
  }, 300_000);

  test('killed again and again, it comes to the end exactly', async () => {
    for (const seed of SEEDS) {
      const world = new World(seed, protocol);
      world.write(60);
      world.endAll();
      let isRunning = true;
      for (let kills = 0; isRunning; kills++) {
        expect(kills, `seed ${seed}`).toBeLessThan(1_000);
        world.takesEffect = world.below(2) === 0;
        world.stepsLeft = 4 + world.below(40);
        isRunning = await isKilled(world);
      }
      expect(world.differences(), `seed ${seed}`).toEqual([]);
    }
  });

  test('an end that never came to the partition is written in its place, killed again and again too', async () => {
    let marks = 0;
    for (const seed of SEEDS) {
      const world = new World(seed, protocol);
      world.write(40);
      world.endAll();
      for (let isRunning = true, runs = 0; isRunning; runs++) {
        expect(runs, `seed ${seed}`).toBeLessThan(1_000);
        world.takesEffect = world.below(2) === 0;
        world.stepsLeft = 4 + world.below(300); // some 120 are needed until it is believed
        world.coordinator.losesEnds = world.below(2) === 0;
        isRunning = await isKilled(world);
      }
      marks += world.marks;
      expect(world.differences(), `seed ${seed}`).toEqual([]);
    }
    expect(marks).toBeGreaterThan(SEEDS.length === 1 ? -1 : 5);
  });

  test('without the right to write an end that never came it stops where the transaction begins, until it has the right', async () => {
    const world = new World(1, protocol);
    append(world.source, 100);
    world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    world.coordinator.losesEnds = true;
    world.mayMark = false;
    await expect(world.copy()).rejects.toThrow('the target still ends at 1');
    const stop = await stopOf(world.copy());
    expect(stop.reason).toMatchObject({
      code: 'SHARD_TRANSACTION_BROKEN',
      offsets: { from: 0, to: 1 },
      cause: expect.stringContaining('hangs on the target'),
      endsByItself: true,
    });
    world.mayMark = true;
    await world.copy();
    expect(world.differences()).toEqual([]);
  });

  test('an end that never came is believed after 30 s, and at once by who goes on, but for a question to its successor', async () => {
    const world = new World(1, protocol);
    append(world.source, 100);
    world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    world.coordinator.losesEnds = true;
    await expect(world.copy()).rejects.toThrow('the target still ends at 1');
    const took = async (believed: Doubts): Promise<{ ms: number; believed: Doubts; anew: boolean }> => {
      const began = world.port.now();
      let anew = false;
      const describeSlots: TransactionPort['describe'] = (slots, how) => {
        anew ||= how?.isAnew === true;
        return world.port.describe(slots, how);
      };
      const writer = await TransactionWriter.restore({ ...world.port, describe: describeSlots }, { believed });
      return { ms: world.port.now() - began, believed: writer.believed, anew };
    };
    const first = await took([]);
    expect(first.ms).toBeGreaterThan(30_000);
    const second = await took(first.believed);
    expect(second.ms).toBeLessThan(3_000);
    expect(second.anew).toBe(true);
    const other = first.believed.map(([producerId = 0, ...rest]) => [producerId + 1, ...rest]);
    expect((await took(other)).ms).toBeGreaterThan(30_000);
  });

  test('a transaction whose abort never came stops it where the source goes on with it', async () => {
    const { world } = await halfWritten(protocol);
    world.coordinator.losesEnds = true;
    world.coordinator.expire();
    const stop = await stopOf(world.copy());
    expect(stop.reason).toMatchObject({
      code: 'SHARD_TRANSACTION_BROKEN',
      offsets: { from: 0, to: 1 },
      endsByItself: false,
    });
  });

  test('a transaction that the coordinator ended meanwhile stops it, at the offset of that end', async () => {
    let stops = 0;
    for (const seed of SEEDS) {
      const world = written(seed, protocol);
      world.stepsLeft = 12 + world.below(40);
      if (!(await isKilled(world)) || world.target.stableOffset === world.target.end) continue;
      world.coordinator.settle();
      const { end } = world.target;
      world.coordinator.expire();
      world.stepsLeft = Infinity;
      if (world.target.end === end) continue;
      const batch = batchAfter(world.source, end);
      // Where the source has an abort at that offset, or nothing any more, no reader can tell.
      if (!batch || batch.baseOffset > end || batch.marker === 'abort') continue;
      const stop = await stopOf(world.copy());
      expect(stop.reason, `seed ${seed}`).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: end } });
      stops++;
    }
    expect(stops).toBeGreaterThan(SEEDS.length === 1 ? -1 : 2);
  });

  test('one that the coordinator ended where the source ended another stops it there', async () => {
    const world = new World(1, protocol);
    for (const producerId of [100, 101, 100]) append(world.source, producerId);
    world.source.appendEnd({ producerId: 101, producerEpoch: 0 }, false);
    append(world.source, 100);
    world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    const writer = await TransactionWriter.restore(world.port);
    for (const offset of [0, 1, 2]) await writer.write(itemAt(world.source, offset));
    world.coordinator.expire('slot-0');
    const stop = await stopOf(world.copy());
    expect(stop.reason).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 3 } });
  });

  test('a transaction that ends while it runs stops it at once', async () => {
    const { world, writer } = await halfWritten(protocol);
    world.coordinator.expire();
    const stop = await stopOf(writer.write(itemAt(world.source, 1)));
    expect(stop.reason).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 1, to: 2 } });
    expect(stop.reason.cause).toContain('900 s');
  });

  test('more open transactions than slots stop it before the first that has none', async () => {
    const world = new World(1, protocol);
    for (const producerId of [100, 101, 102]) append(world.source, producerId);
    const writer = await TransactionWriter.restore(world.port, { slotsMax: 2 });
    for (const offset of [0, 1]) expect((await writer.write(itemAt(world.source, offset))).baseOffset).toBe(offset);
    const stop = await stopOf(writer.write(itemAt(world.source, 2)));
    expect(stop.reason).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 2, to: 2 } });
    expect(world.target.end).toBe(2);
  });

  test('a slot is used again: as many ids as transactions that were open at once', async () => {
    const world = new World(1, protocol);
    const writer = await TransactionWriter.restore(world.port);
    for (let i = 0; i < 5; i++) {
      append(world.source, 100 + i);
      world.source.appendEnd({ producerId: 100 + i, producerEpoch: 0 }, true);
      await writer.write(itemAt(world.source, 2 * i));
      await writer.end({ baseOffset: 2 * i + 1, producerId: 100 + i, isCommit: true });
    }
    expect(world.coordinator.describe('slot-0')).toMatchObject({ status: 'CompleteCommit' });
    expect(world.coordinator.describe('slot-1')).toBeNull();
    expect(writer.producerIds.size).toBe(1);
  });

  test('holes are filled with the ends of empty transactions, also after a kill at every step of one', async () => {
    for (const takesEffect of [false, true])
      for (let step = 1; ; step++) {
        const world = new World(step, protocol);
        append(world.source, 100);
        world.source.end += 2; // compacted away
        append(world.source, 100);
        world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
        world.takesEffect = takesEffect;
        world.stepsLeft = step;
        world.fillsWithTransactions = true;
        const wasKilled = await isKilled(world);
        world.stepsLeft = Infinity;
        if (wasKilled) await world.copy();
        expect(world.differences(), `killed at step ${step}, effect ${takesEffect}`).toEqual([]);
        expect(world.target.producers.has(MARKER_PID)).toBe(false);
        if (!wasKilled) break;
      }
  });

  test('what a foreign program writes before the end of a transaction stops it', async () => {
    const world = new World(1, protocol);
    append(world.source, 100);
    const writer = await TransactionWriter.restore(world.port);
    await writer.write(itemAt(world.source, 0));
    world.target.appendMarkers(7, 0, 2); // one alone passes for ours until the next write is answered
    const stop = await stopOf(writer.end({ baseOffset: 1, producerId: 100, isCommit: true }));
    expect(stop.reason).toMatchObject({ code: 'SHARD_DIVERGED', offsets: { from: 1, to: 2 } });
  });

  test('an open transaction whose first batch the source has lost is known by a later one, and stops it without any', async () => {
    const world = new World(1, protocol);
    append(world.source, 100);
    append(world.source, 100);
    world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    const writer = await TransactionWriter.restore(world.port);
    for (const offset of [0, 1]) await writer.write(itemAt(world.source, offset));
    world.source.deleteBefore(1);
    const restored = await TransactionWriter.restore(world.port);
    expect(restored.open).toEqual([{ slot: 0, producerId: 100, firstOffset: 0 }]);
    world.source.deleteBefore(3);
    world.recorded.set(1, 101); // of another one
    const stop = await stopOf(TransactionWriter.restore(world.port));
    expect(stop.reason).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 0 } });
    world.recorded.set(0, 100);
    expect((await TransactionWriter.restore(world.port)).open).toEqual(restored.open);
  });
});

function append(log: ModelLog, producerId: number): void {
  const sequence = (log.producers.get(producerId)?.lastSequence ?? -1) + 1;
  const records = [record(`${log.end}`)];
  const batch = sourceBatch({ baseOffset: 0, records, attributes: TRANSACTIONAL, producerId, baseSequence: sequence });
  expect(log.append(batch, { isTransactional: true }).errorCode).toBe(0);
}

describe('an end that its coordinator forgot with a lost broker', () => {
  async function forgotten(protocol: TransactionProtocol): Promise<{ world: World; writer: TransactionWriter }> {
    const world = new World(1, protocol);
    for (let i = 0; i < 2; i++) {
      append(world.source, 100);
      world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    }
    const writer = await TransactionWriter.restore(world.port);
    await writer.write(itemAt(world.source, 0));
    await writer.end({ baseOffset: 1, producerId: 100, isCommit: true });
    world.coordinator.forget();
    return { world, writer };
  }

  test.each(['begun anew', 'gone on with'])('stops the partition before it ends it once more, %s', async (how) => {
    const { world, writer } = await forgotten('implicit');
    const stop = await stopOf(how === 'begun anew' ? world.copy() : writer.write(itemAt(world.source, 2)));
    expect(stop.reason).toMatchObject({
      code: 'SHARD_TRANSACTION_BROKEN',
      offsets: { from: 2, to: 2 },
      cause: expect.stringContaining('has forgotten it'),
      endsByItself: false,
    });
    expect(world.target.end).toBe(2);
  });

  test('is not what a coordinator says that was replaced and has not heard of it: its successor is asked', async () => {
    const { world, writer } = await halfWritten('implicit');
    const outdated = world.coordinator.describe('slot-0');
    await writer.write(itemAt(world.source, 1));
    await writer.end({ baseOffset: 2, producerId: 100, isCommit: true });
    world.coordinator.settle();
    const asked = isReplaced(world, outdated);
    const restored = await TransactionWriter.restore(world.port);
    expect(asked()).toBeGreaterThan(1);
    expect(restored.openCount).toBe(0);
  });

  test('is not what one says that was replaced, of two of which each is named when the other was', async () => {
    const { world, writer } = await halfWritten('implicit');
    const outdated = world.coordinator.describe('slot-0');
    await writer.write(itemAt(world.source, 1));
    await writer.end({ baseOffset: 2, producerId: 100, isCommit: true });
    world.coordinator.settle();
    const port = { ...world.port };
    let isOutdated = true;
    const describeSlots: TransactionPort['describe'] = async (slots, how) => {
      if (how?.isAnew && slots[0] === 0) isOutdated = !isOutdated;
      const described = await port.describe(slots);
      return isOutdated ? described.map((each, i) => (slots[i] === 0 ? outdated : each)) : described;
    };
    const began = port.now();
    const restored = await TransactionWriter.restore({ ...port, describe: describeSlots });
    expect(restored.openCount).toBe(0);
    expect(port.now() - began).toBeLessThan(5_000);
  });

  test('is not believed before its successor was asked, however long the leader took to answer', async () => {
    const { world, writer } = await halfWritten('implicit');
    const outdated = world.coordinator.describe('slot-0');
    await writer.write(itemAt(world.source, 1));
    await writer.end({ baseOffset: 2, producerId: 100, isCommit: true });
    world.coordinator.settle();
    isReplaced(world, outdated);
    leaderIsElected(world);
    const restored = await TransactionWriter.restore(world.port);
    expect(restored.openCount).toBe(0);
  });

  test('that the coordinator then writes while it is looked into is told as what it is', async () => {
    const { world, writer } = await forgotten('implicit');
    const port = { ...world.port };
    let waitedMs = 0;
    Object.assign(world.port, {
      pause: async (ms: number) => {
        waitedMs += ms;
        if (waitedMs > 5_000) world.coordinator.expire();
        return port.pause(ms);
      },
    });
    const stop = await stopOf(writer.write(itemAt(world.source, 2)));
    expect(stop.reason).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 2, to: 3 } });
  });

  test('is told as such where the end of another transaction is refused', async () => {
    const world = new World(1, 'implicit');
    for (const producerId of [100, 101]) append(world.source, producerId);
    for (const producerId of [101, 100]) world.source.appendEnd({ producerId, producerEpoch: 0 }, true);
    const writer = await TransactionWriter.restore(world.port);
    for (const offset of [0, 1]) await writer.write(itemAt(world.source, offset));
    await writer.end({ baseOffset: 2, producerId: 101, isCommit: true });
    world.coordinator.forget();
    refusesOneEnd(world);
    const stop = await stopOf(writer.end({ baseOffset: 3, producerId: 100, isCommit: true }));
    expect(stop.reason.cause).toContain('has forgotten it');
  });

  test('is not what the coordinator ended between two answers', async () => {
    const { world, writer } = await halfWritten('implicit');
    const port = { ...world.port };
    let isAborted = false;
    Object.assign(world.port, {
      produce: async (...[slot, batch]: Parameters<TransactionPort['produce']>) =>
        isAborted ? port.produce(slot, batch) : { ...NOT_PRODUCED, errorCode: TRANSACTION_ABORTABLE },
      producers: async () => {
        isAborted = true;
        world.coordinator.expire();
        return port.producers();
      },
    });
    const stop = await stopOf(writer.write(itemAt(world.source, 1)));
    expect(stop.reason).toMatchObject({ code: 'SHARD_TRANSACTION_BROKEN', offsets: { from: 1, to: 2 } });
    expect(stop.reason.cause).not.toContain('forgotten');
  });

  test('is that of the next records where epochs do not tell (before KIP-890)', async () => {
    const { world } = await forgotten('explicit');
    await world.copy();
    expect(world.differences()).toEqual([]);
  });
});

describe('a coordinator that was replaced and has not heard of it', () => {
  const itsEnd = { baseOffset: 2, producerId: 100, isCommit: true };

  /** The first transaction is on the target, and so is the first record of the second. */
  async function inSecond(protocol: TransactionProtocol): Promise<{
    world: World;
    writer: TransactionWriter;
    outdated: DescribedTransaction | null;
  }> {
    const world = new World(1, protocol);
    append(world.source, 100);
    world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    for (let i = 0; i < 2; i++) append(world.source, 100);
    world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    const writer = await TransactionWriter.restore(world.port);
    await writer.write(itemAt(world.source, 0));
    await writer.end({ baseOffset: 1, producerId: 100, isCommit: true });
    world.coordinator.settle();
    const outdated = world.coordinator.describe('slot-0');
    expect(outdated?.status).toBe('CompleteCommit');
    await writer.write(itemAt(world.source, 2));
    return { world, writer, outdated };
  }

  test('refuses what its successor takes', async () => {
    const { world, writer } = await halfWritten('implicit');
    await writer.write(itemAt(world.source, 1));
    const asked = refusesOneEnd(world);
    expect(await writer.end(itsEnd)).toBe(true);
    expect(asked()).toBe(2);
  });

  test('refuses it, and the leader takes long to answer', async () => {
    const { world, writer } = await halfWritten('implicit');
    await writer.write(itemAt(world.source, 1));
    refusesOneEnd(world);
    leaderIsElected(world);
    expect(await writer.end(itsEnd)).toBe(true);
  });

  test('loads for nearly as long as it is waited for, and then refuses it', async () => {
    const { world, writer } = await halfWritten('implicit');
    await writer.write(itemAt(world.source, 1));
    refusesOneEnd(world);
    const port = { ...world.port };
    Object.assign(world.port, {
      end: async (...how: Parameters<TransactionPort['end']>) => {
        if (port.now() < 29_800) throw new BrokerError(errorOf(COORDINATOR_LOAD_IN_PROGRESS), 'EndTxn', 'slot 0');
        return port.end(...how);
      },
      watermark: async () => {
        await port.pause(400);
        return port.watermark();
      },
    });
    expect(await writer.end(itsEnd)).toBe(true);
  });

  test('refuses it again and again: no other program is blamed for that', async () => {
    const { world, writer } = await halfWritten('implicit');
    await writer.write(itemAt(world.source, 1));
    const end = (): Promise<never> => Promise.reject(new BrokerError(errorOf(PRODUCER_FENCED), 'EndTxn', 'slot 0'));
    Object.assign(world.port, { end });
    const began = world.port.now();
    await expect(writer.end(itsEnd)).rejects.toMatchObject({ code: CONCURRENT_TRANSACTIONS, retryable: true });
    expect(world.port.now() - began).toBeLessThan(60_000);
  });

  test('has the transaction before as complete, and refuses', async () => {
    const { world, writer, outdated } = await inSecond('implicit');
    await writer.write(itemAt(world.source, 3));
    isReplaced(world, { ...outdated!, producerEpoch: outdated!.producerEpoch - 1 });
    refusesOneEnd(world);
    expect(await writer.end({ ...itsEnd, baseOffset: 4 })).toBe(true);
  });

  test.each(PROTOCOLS)('has the transaction before as complete, where the next goes on: %s', async (protocol) => {
    const { world, outdated } = await inSecond(protocol);
    isReplaced(world, outdated);
    const restored = await TransactionWriter.restore(world.port);
    await restored.write(itemAt(world.source, 3));
    await restored.end({ ...itsEnd, baseOffset: 4 });
    expect(world.marks).toBe(0);
    world.coordinator.expire();
    expect(world.differences()).toEqual([]);
  });

  test('does not know the id that was just begun with, and refuses to let the partition take part', async () => {
    const world = new World(1, 'explicit');
    append(world.source, 100);
    const writer = await TransactionWriter.restore(world.port);
    const port = { ...world.port };
    let refusals = 0;
    Object.assign(world.port, {
      add: (...how: Parameters<TransactionPort['add']>) => {
        if (refusals++ > 0) return port.add(...how);
        isReplaced(world, null);
        throw new BrokerError(errorOf(INVALID_PRODUCER_ID_MAPPING), 'AddPartitionsToTxn', 'slot 0');
      },
    });
    expect(await writer.write(itemAt(world.source, 0))).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(refusals).toBe(2);
  });

  test('is not what has forgotten an id that was not used for long: that is told at once', async () => {
    const world = new World(1, 'implicit');
    for (let i = 0; i < 2; i++) {
      append(world.source, 100);
      world.source.appendEnd({ producerId: 100, producerEpoch: 0 }, true);
    }
    const writer = await TransactionWriter.restore(world.port);
    await writer.write(itemAt(world.source, 0));
    await writer.end({ ...itsEnd, baseOffset: 1 });
    await world.port.pause(7 * 24 * 3_600_000);
    const port = { ...world.port };
    Object.assign(world.port, {
      describe: async (slots: readonly number[]) => slots.map(() => null),
      produce: async () => ({ ...NOT_PRODUCED, errorCode: INVALID_PRODUCER_ID_MAPPING }),
    });
    const began = port.now();
    await expect(writer.write(itemAt(world.source, 2))).rejects.toMatchObject({ code: INVALID_PRODUCER_ID_MAPPING });
    expect(port.now() - began).toBeLessThan(1_000);
  });

  test.each(PROTOCOLS)('does not know the id yet, where its transaction goes on: %s', async (protocol) => {
    const { world } = await inSecond(protocol);
    isReplaced(world, null);
    const restored = await TransactionWriter.restore(world.port);
    expect(restored.openCount).toBe(1);
  });
});

/** Answers of slot 0 until somebody asks who coordinates it now, and so knows it. Returns how often it was asked. */
function isReplaced(world: World, outdated: DescribedTransaction | null): () => number {
  let asked = 0;
  let isKnown = false;
  const port = { ...world.port };
  Object.assign(world.port, {
    describe: async (...[slots, how]: Parameters<TransactionPort['describe']>) => {
      const described = await port.describe(slots);
      isKnown ||= how?.isAnew === true;
      if (isKnown) return described;
      asked++;
      return described.map((each, i) => (slots[i] === 0 ? outdated : each));
    },
  });
  return () => asked;
}

/** Returns how many ends were asked for. */
function refusesOneEnd(world: World): () => number {
  let asked = 0;
  const port = { ...world.port };
  Object.assign(world.port, {
    end: (...how: Parameters<TransactionPort['end']>) => {
      if (asked++ === 0) throw new BrokerError(errorOf(PRODUCER_FENCED), 'EndTxn', 'slot 0');
      return port.end(...how);
    },
  });
  return () => asked;
}

/** The next question to it takes longer than anything that passes. */
function leaderIsElected(world: World): void {
  let isElecting = true;
  const port = { ...world.port };
  Object.assign(world.port, {
    producers: async () => {
      if (isElecting) await port.pause(31_000);
      isElecting = false;
      return port.producers();
    },
  });
}

function itemAt(log: ModelLog, offset: number): TransactionBatch {
  const batch = batchAfter(log, offset)!;
  const buffer = Buffer.from(bytesOf(log, batch));
  const { baseOffset, recordCount: count, producerId } = batch;
  return { buffer, start: 0, end: buffer.length, baseOffset, count, producerId };
}
