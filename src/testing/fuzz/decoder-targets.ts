/** What turns bytes into values, synchronously: response decoders, record batches, the batch walk, state records. */
import { MalformedBatchError, MalformedFrameError } from '#kafka/errors.ts';
import { decodeFetch } from '#kafka/fetch.ts';
import { FramePool } from '#kafka/frame.ts';
import { decodeProduce } from '#kafka/produce.ts';
import { Reader } from '#kafka/protocol/reader.ts';
import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, CRC_AT, batchAt, type Codec } from '#kafka/records/batch-header.ts';
import { compress } from '#kafka/records/compression.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { crc32c } from '#kafka/records/crc32c.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { BatchWalk } from '#mirror/batch-walk.ts';
import { decodeState } from '#mirror/state-records.ts';
import { assert, must } from '#util/assert.ts';
import type { Random } from '#util/random.ts';
import { fetchBody, produceBody, type FetchAnswer } from '../broker-frames.ts';
import { goldenResponses } from '../golden-frames.ts';
import { CONSTANT_BYTES, isDecoded, ratioBound, type FuzzTarget } from './fuzz-target.ts';
import { inventFrame } from './inventing-reader.ts';
import { below, mutate, oneOf } from './mutations.ts';

/** The bound on unpacked bytes that the fuzzer asks for; the product's own is 256 MiB. */
const UNPACKED_BYTES_MAX = 256 * 1024;
const INVENTED_BYTES_MAX = 4096;
const DENSE_BYTES = 64 * 1024;
const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const codecs = [0, 1, 2, 3, 4] as const satisfies readonly Codec[];

const isMalformedFrame = (error: unknown): boolean => error instanceof MalformedFrameError;
const isMalformedBatch = (error: unknown): boolean => error instanceof MalformedBatchError;

export async function decoderTargets(): Promise<FuzzTarget[]> {
  return [
    ...(await responseTargets()),
    handwritten('Fetch 13', fetchResponse, decodeFetch),
    handwritten('Produce 11', produceResponse, decodeProduce),
    batches,
    walk,
    stateRecords,
  ];
}

async function responseTargets(): Promise<FuzzTarget[]> {
  const byVersion = Map.groupBy(await goldenResponses(), ({ api, version }) => `${api.name} ${version}`);
  return [...byVersion].map(([name, golden]) => {
    const { api, version } = must(golden[0], 'golden response');
    const decode = (reader: Reader): unknown => api.readResponse(reader, version);
    return {
      name,
      weight: 1,
      next: (random) => {
        const kind = random.next();
        if (kind < 0.6) return mutate(oneOf(random, golden).bytes, random);
        if (kind < 0.61) return mutate(inventFrame(decode, random, { shape: 'dense', bytesMax: DENSE_BYTES }), random);
        const invented = inventFrame(decode, random, { shape: 'random', bytesMax: INVENTED_BYTES_MAX });
        return kind < 0.7 ? invented : mutate(invented, random);
      },
      run: (frame) => isDecoded(() => decode(readerOf(frame)), isMalformedFrame),
      bufferBytesMax: ratioBound,
    };
  });
}

function handwritten(name: string, valid: (random: Random) => Buffer, decode: (reader: Reader) => unknown): FuzzTarget {
  return {
    name,
    weight: 5,
    next: (random) => mutate(valid(random), random),
    run: (frame) => isDecoded(() => decode(readerOf(frame)), isMalformedFrame),
    bufferBytesMax: ratioBound,
  };
}

function readerOf(frame: Buffer): Reader {
  return new Reader(frame, 0, frame.length);
}

export function fetchResponse(random: Random, records: () => Buffer | null = () => randomBatches(random)): Buffer {
  const partitions = Array.from({ length: below(random, 4) }, (_, partition): FetchAnswer => ({
    topicId: TOPIC_ID,
    partition,
    errorCode: random.next() < 0.8 ? 0 : below(random, 120),
    highWatermark: below(random, 1000),
    lastStableOffset: below(random, 1000),
    aborted: random.next() < 0.5 ? null : randomAborted(random),
    records: records(),
    ...(random.next() < 0.2 ? { diverging: { epoch: below(random, 9), endOffset: below(random, 99) } } : {}),
  }));
  return fetchBody({ sessionId: below(random, 3), partitions });
}

function randomAborted(random: Random): { producerId: number; firstOffset: number }[] {
  return Array.from({ length: below(random, 5) }, () => ({
    producerId: below(random, 5),
    firstOffset: below(random, 100),
  }));
}

function produceResponse(random: Random): Buffer {
  const answers = Array.from({ length: below(random, 5) }, (_, partition) => ({
    topic: oneOf(random, ['orders', 'x'.repeat(249)]),
    partition,
    errorCode: below(random, 90),
    baseOffset: below(random, 1000),
    errorMessage: oneOf(random, ['', 'no', '\u001B[2J']),
  }));
  return produceBody(answers, below(random, 3));
}

// ---- record batches

/** A batch as a broker keeps it: of any codec, transactional, control or plain, of compressible or random records. */
function randomBatch(random: Random, baseOffset: number): Buffer {
  const writer = new BatchWriter({ codec: oneOf(random, codecs), baseOffset });
  const count = below(random, 12);
  for (let i = 0; i <= count; i++) {
    const value = random.next() < 0.1 ? null : Buffer.alloc(below(random, random.next() < 0.05 ? 20_000 : 200), 'ab');
    writer.appendRecord({
      timestamp: below(random, 2 ** 40),
      key: random.next() < 0.3 ? null : Buffer.from(`key ${i}`),
      value,
      headers: random.next() < 0.7 ? [] : [{ key: Buffer.from('h'), value: null }],
    });
  }
  const producer = { producerId: below(random, 4) - 1, producerEpoch: 0, baseSequence: baseOffset };
  const batch = Buffer.from(writer.finish(producer));
  batch.writeBigInt64BE(BigInt(baseOffset));
  batch.writeInt32BE(below(random, 2), 12);
  if (random.next() < 0.3) batch[22]! |= oneOf(random, [8, 16, 32, 48, 64]); // append time, transactional, control, horizon
  return resealed(batch);
}

function randomBatches(random: Random): Buffer {
  const parts: Buffer[] = [];
  let offset = below(random, 50);
  for (let left = below(random, 5); left > 0; left--) {
    const batch = randomBatch(random, offset);
    parts.push(batch);
    offset += batch.readInt32BE(23) + 1 + (random.next() < 0.2 ? below(random, 9) : 0);
  }
  return Buffer.concat(parts);
}

/** The CRC made right again, so that damage gets past it. */
export function resealed(batch: Buffer): Buffer {
  if (batch.length >= BATCH_HEADER_BYTES) batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
  return batch;
}

/** The length field made right too. */
function resized(batch: Buffer): Buffer {
  if (batch.length >= BATCH_HEADER_BYTES) batch.writeInt32BE(batch.length - 12, 8);
  return resealed(batch);
}

/** Damaged records behind a whole compression: what the codec hands on. */
function damagedInside(random: Random): Buffer {
  const plain = openable(random);
  const body = mutate(plain.subarray(BATCH_HEADER_BYTES), random);
  return compressed(plain, oneOf(random, codecs), body);
}

/** More than the bound in a few bytes, or in many blocks of a few bytes each. */
function bomb(random: Random): Buffer {
  const plain = openable(random);
  const codec = oneOf(random, codecs);
  if (random.next() < 0.5)
    return compressed(plain, codec, Buffer.alloc(UNPACKED_BYTES_MAX * (1 + below(random, 4)), below(random, 2)));
  const blocks = Array.from({ length: below(random, 1000) }, () => oneOf(random, TINY_BLOCKS[codec]));
  return withBody(
    plain,
    codec,
    Buffer.concat([compress(codec, Buffer.alloc(0)).subarray(0, HEADER_BYTES[codec]), ...blocks]),
  );
}

/** One byte each, none, and none at the length of one; LZ4 stored and not. */
const TINY_BLOCKS: Readonly<Record<Codec, readonly Buffer[]>> = {
  0: [Buffer.alloc(7)],
  1: [compress(1, Buffer.alloc(1)), compress(1, Buffer.alloc(0))],
  2: ['0000000301' + '0061', '000000010' + '0', '00000005ffffffff0f'].map((hex) => Buffer.from(hex, 'hex')),
  3: ['0200000010' + '61', '0100008061', '0100000000'].map((hex) => Buffer.from(hex, 'hex')),
  4: [compress(4, Buffer.alloc(1)), compress(4, Buffer.alloc(0))],
};
/** Of what stands in front of the blocks. */
const HEADER_BYTES: Readonly<Record<Codec, number>> = { 0: 0, 1: 0, 2: 16, 3: 7, 4: 0 };

function openable(random: Random): Buffer {
  for (;;) {
    const batch = randomBatch(random, below(random, 100));
    if ((batch[22]! & 7) === 0) return batch;
  }
}

function compressed(batch: Buffer, codec: Codec, body: Buffer): Buffer {
  return withBody(batch, codec, compress(codec, body));
}

function withBody(batch: Buffer, codec: Codec, body: Buffer): Buffer {
  const result = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), body]);
  result[22] = (result[22]! & ~7) | codec;
  return resized(result);
}

const batches: FuzzTarget = {
  name: 'record batch',
  weight: 40,
  next: (random) => {
    const shape = random.next();
    if (shape < 0.01) return bomb(random);
    if (shape < 0.3) return damagedInside(random);
    const batch = mutate(randomBatch(random, below(random, 100)), random);
    const kind = random.next();
    return kind < 0.2 ? batch : kind < 0.3 ? resealed(batch) : resized(batch);
  },
  run: (frame) =>
    isDecoded(() => {
      const batch = openBatch(frame, 0, { bodyBytesMax: UNPACKED_BYTES_MAX });
      for (let i = 0; i < batch.count; i++) batch.recordAt(i);
    }, isMalformedBatch),
  bufferBytesMax: unpackedBound,
};

/** What is unpacked, the pieces that it comes in, and an index of 12 bytes for each record of at least 7. */
function unpackedBound(frameBytes: number): number {
  return RATIO_UNPACKED * (UNPACKED_BYTES_MAX + BLOCK_BYTES_MAX) + ratioBound(frameBytes);
}
const RATIO_UNPACKED = 4;
const BLOCK_BYTES_MAX = 4 * 1024 * 1024; // one LZ4 block

// ---- the walk

const writer = new BatchWriter({ codec: 0, baseOffset: 0 });

const walk: FuzzTarget = {
  name: 'batch walk',
  weight: 20,
  next: (random) => {
    const bytes = mutate(randomBatches(random), random);
    return random.next() < 0.3 ? bytes : withCrcs(bytes);
  },
  run: (frame) => {
    const pool = new FramePool({ bytesMax: CONSTANT_BYTES });
    for (const transactions of ['preserve', 'committed-only'] as const) {
      const taken = pool.take(frame.length);
      frame.copy(taken.buffer);
      const policy = {
        transactions,
        timestamps: 'append',
        producerId: 7,
        mergeBelowBytes: 200,
        mergedBytesMax: 1000,
      } as const;
      const batchWalk = new BatchWalk(policy, { writer, batchBytesMax: 1500, leaderEpoch: 0 });
      const cursor = { offset: 10, sequence: 2 ** 31 - 3 };
      const { items, stop } = batchWalk.walk(taken, fetched(frame.length), cursor);
      let next = 10;
      for (const item of items) {
        assert(item.baseOffset === next && item.count > 0, 'items of a walk follow each other without gap or overlap');
        next += item.count;
        if (item.kind === 'data' && item.frame) item.frame.release();
      }
      assert(next === cursor.offset, 'the cursor stands behind the last item');
      assert(next <= STABLE_OFFSET, 'a walk never passes the last stable offset');
      taken.release();
      assert(pool.bytesInUse === 0, 'a walk retains a frame once for each item');
      if (stop?.kind === 'damaged') assert(isMalformedBatch(stop.error), 'damage is a MalformedBatchError');
    }
    return true;
  },
  bufferBytesMax: (frameBytes) => 2 * unpackedBound(frameBytes),
};

const STABLE_OFFSET = 100_000;

function fetched(end: number) {
  return {
    topicId: TOPIC_ID,
    partition: 0,
    errorCode: 0,
    highWatermark: STABLE_OFFSET,
    lastStableOffset: STABLE_OFFSET,
    logStartOffset: 0,
    aborted: [
      { producerId: 1, firstOffset: 12 },
      { producerId: 2, firstOffset: 30 },
    ],
    diverging: null,
    start: 0,
    end,
  };
}

/** Each batch that is recognisable gets the CRC of its bytes. */
function withCrcs(bytes: Buffer): Buffer {
  try {
    for (let at = 0; at < bytes.length;) {
      const size = batchAt(bytes, at, bytes.length);
      if (size === 0) break;
      resealed(bytes.subarray(at, at + size));
      at += size;
    }
  } catch (error) {
    if (!isMalformedBatch(error)) throw error;
  }
  return bytes;
}

// ---- state records

const STATE_VALUES = [
  [
    'mirror/x',
    {
      version: 1,
      name: 'm',
      sourceClusterId: 's',
      targetClusterId: 't',
      dataProducerId: 1,
      markerProducerId: 2,
      transactions: 'preserve',
      timestamps: 'append',
      start: { at: 'earliest' },
      createdAt: 1,
    },
  ],
  [
    'claim/orders',
    {
      version: 1,
      mirrorId: 'x',
      mirrorName: 'm',
      sourceTopic: 'orders',
      sourceTopicId: 'a',
      targetTopicId: 'b',
      partitions: 3,
      replaces: null,
    },
  ],
  [
    'partition/orders/0',
    { version: 1, mirrorId: 'x', targetTopicId: 'b', logStart: 0, sequenceOffset: 0, leaderEpochs: [[0, 0]] },
  ],
] as const;

const stateRecords: FuzzTarget = {
  name: 'state record',
  weight: 5,
  /** Key, a zero byte, value. */
  next: (random) => {
    const [key, value] = oneOf(random, STATE_VALUES);
    return mutate(Buffer.concat([Buffer.from(key), Buffer.alloc(1), Buffer.from(JSON.stringify(value))]), random);
  },
  run: (frame) => {
    const cut = frame.indexOf(0);
    const [key, value] = cut < 0 ? [frame, null] : [frame.subarray(0, cut), frame.subarray(cut + 1)];
    const decoded = decodeState({ key, value, offset: 1 }); // it never throws
    return decoded !== null && decoded.kind !== 'unreadable';
  },
  bufferBytesMax: ratioBound,
};
