/** The generated codecs against frames of Kafka's own encoders (golden-frames.jsonl; src/testing/java/GoldenFrames.java). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { InvariantError, must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import type { Random } from '#util/random.ts';
import type { Api } from '../api.ts';
import { MalformedFrameError } from '../errors.ts';
import { addPartitionsToTxn } from './add-partitions-to-txn.ts';
import { alterClientQuotas } from './alter-client-quotas.ts';
import { alterShareGroupOffsets } from './alter-share-group-offsets.ts';
import { apiVersions } from './api-versions.ts';
import { createAcls } from './create-acls.ts';
import { createPartitions } from './create-partitions.ts';
import { createTopics } from './create-topics.ts';
import { deleteAcls } from './delete-acls.ts';
import { deleteGroups } from './delete-groups.ts';
import { deleteRecords } from './delete-records.ts';
import { deleteTopics } from './delete-topics.ts';
import { describeAcls } from './describe-acls.ts';
import { describeClientQuotas } from './describe-client-quotas.ts';
import { describeCluster } from './describe-cluster.ts';
import { describeConfigs } from './describe-configs.ts';
import { describeGroups } from './describe-groups.ts';
import { describeLogDirs } from './describe-log-dirs.ts';
import { describeProducers } from './describe-producers.ts';
import { describeShareGroupOffsets } from './describe-share-group-offsets.ts';
import { describeTransactions } from './describe-transactions.ts';
import { describeUserScramCredentials } from './describe-user-scram-credentials.ts';
import { endTxn } from './end-txn.ts';
import { errorCodes, errorOf } from './error-codes.ts';
import { findCoordinator } from './find-coordinator.ts';
import { heartbeat } from './heartbeat.ts';
import { incrementalAlterConfigs } from './incremental-alter-configs.ts';
import { initProducerId } from './init-producer-id.ts';
import { joinGroup } from './join-group.ts';
import { leaveGroup } from './leave-group.ts';
import { listGroups } from './list-groups.ts';
import { listOffsets } from './list-offsets.ts';
import { listTransactions } from './list-transactions.ts';
import { metadata } from './metadata.ts';
import { offsetCommit } from './offset-commit.ts';
import { offsetFetch } from './offset-fetch.ts';
import { offsetForLeaderEpoch } from './offset-for-leader-epoch.ts';
import { Reader } from './reader.ts';
import { saslAuthenticate } from './sasl-authenticate.ts';
import { saslHandshake } from './sasl-handshake.ts';
import { syncGroup } from './sync-group.ts';
import { writeTxnMarkers } from './write-txn-markers.ts';
import { Writer } from './writer.ts';

const MUTATIONS = 10_000;

const apis: readonly Api<never, unknown>[] = [
  addPartitionsToTxn,
  alterClientQuotas,
  alterShareGroupOffsets,
  apiVersions,
  createAcls,
  createPartitions,
  createTopics,
  deleteAcls,
  deleteGroups,
  deleteRecords,
  deleteTopics,
  describeAcls,
  describeClientQuotas,
  describeCluster,
  describeConfigs,
  describeGroups,
  describeLogDirs,
  describeProducers,
  describeShareGroupOffsets,
  describeTransactions,
  describeUserScramCredentials,
  endTxn,
  findCoordinator,
  heartbeat,
  incrementalAlterConfigs,
  initProducerId,
  joinGroup,
  leaveGroup,
  listGroups,
  listOffsets,
  listTransactions,
  metadata,
  offsetCommit,
  offsetFetch,
  offsetForLeaderEpoch,
  saslAuthenticate,
  saslHandshake,
  syncGroup,
  writeTxnMarkers,
];

interface GoldenFrame {
  readonly api: string;
  readonly version: number;
  readonly direction: 'request' | 'response';
  readonly variant: 'full' | 'null' | 'default';
  /** As Kafka decodes the bytes; bytes are in the form of Buffer.toJSON. */
  readonly value: unknown;
  readonly bytes: Buffer;
}

const frames = readFileSync(new URL('golden-frames.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map(parseFrame);
const requests = frames.filter(({ direction }) => direction === 'request');
const responses = frames.filter(({ direction }) => direction === 'response');

test('there are golden frames of both directions for every API and every version that we speak', () => {
  const variants = ['full', 'null', 'default'];
  const expected = apis.flatMap((api) =>
    versionsOf(api).flatMap((version) => variants.map((variant) => `${api.name} ${version} ${variant}`)),
  );

  expect(new Set(requests.map(frameName))).toEqual(new Set(expected));
  expect(new Set(responses.map(frameName))).toEqual(new Set(expected));
});

test.each(apis)('$name: requests are written as Kafka writes them', (api) => {
  const golden = requests.filter((frame) => frame.api === api.name);

  const written = golden.map((frame) => [frameName(frame), write(frame, frame.value).toString('hex')]);

  expect(written).toEqual(golden.map((frame) => [frameName(frame), frame.bytes.toString('hex')]));
});

test.each(apis)('$name: responses are read as Kafka reads them, to the last byte', (api) => {
  const golden = responses.filter((frame) => frame.api === api.name);

  const read = golden.map((frame) => {
    const reader = readerOf(frame.bytes);
    const value = plain(api.readResponse(reader, frame.version));
    return { frame: frameName(frame), value, unread: reader.end - reader.position };
  });

  expect(read).toEqual(golden.map((frame) => ({ frame: frameName(frame), value: frame.value, unread: 0 })));
});

test('what a request leaves out is what Kafka puts into it', () => {
  const omissions = requests
    .filter(({ variant }) => variant === 'default')
    .flatMap((frame) => withoutEachField(frame.value).map((copy) => ({ frame, ...copy })))
    .map(({ frame, name, value }) => ({ frame, name, bytes: writeIfComplete(frame, value) }))
    .filter(({ bytes }) => bytes !== null);

  const different = omissions.filter(({ frame, bytes }) => !frame.bytes.equals(must(bytes, 'what was written')));

  expect(different.map(({ frame, name }) => `${frameName(frame)} without ${name}`)).toEqual([]);
  expect(omissions.length).toBeGreaterThan(200);
});

test('a field that a version cannot carry is refused when it is set, unless Kafka lets it be dropped', () => {
  const request = { includeClusterAuthorizedOperations: false, includeFencedBrokers: true };
  const committed = { replicaId: -1, isolationLevel: 0, topics: [], timeoutMs: 5 };

  expect(() => describeCluster.writeRequest(new Writer(), request, 1)).toThrow(InvariantError);
  expect(() => describeCluster.writeRequest(new Writer(), request, 2)).not.toThrow();
  expect(() => listOffsets.writeRequest(new Writer(), committed, 9)).not.toThrow();
});

test('a response that ends early is malformed, wherever it ends', () => {
  const outcomes = responses.flatMap((frame) =>
    Array.from({ length: frame.bytes.length }, (_, length) => outcomeOf(frame, frame.bytes.subarray(0, length))),
  );

  expect(new Set(outcomes)).toEqual(new Set(['malformed']));
});

test('damaged responses are read or malformed, never anything else', () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  process.stdout.write(`damaged responses: SEED=${seed}\n`);
  const random = createRandom(seed);
  const outcomes = Array.from({ length: MUTATIONS }, () => {
    const frame = must(responses[below(random, responses.length)], 'a response');
    return outcomeOf(frame, damage(frame.bytes, random));
  });

  expect(outcomes.filter((outcome) => outcome !== 'read' && outcome !== 'malformed')).toEqual([]);
  expect(outcomes.filter((outcome) => outcome === 'malformed').length).toBeGreaterThan(MUTATIONS / 10);
});

test('an error code has its name, and whether to try again, from Kafka', () => {
  expect(errorOf(0)).toEqual({ code: 0, name: 'NONE', retryable: false });
  expect(errorOf(errorCodes.UNKNOWN_SERVER_ERROR)).toEqual({
    code: -1,
    name: 'UNKNOWN_SERVER_ERROR',
    retryable: false,
  });
  expect(errorOf(6)).toEqual({ code: 6, name: 'NOT_LEADER_OR_FOLLOWER', retryable: true });
  expect(errorOf(45)).toEqual({ code: 45, name: 'OUT_OF_ORDER_SEQUENCE_NUMBER', retryable: false });
});

test('an error code of a later Kafka keeps its number and is not tried again', () => {
  expect(errorOf(9999)).toEqual({ code: 9999, name: 'UNKNOWN_ERROR_CODE_9999', retryable: false });
});

function parseFrame(line: string): GoldenFrame {
  const [api, version, direction, variant, value, hex] = JSON.parse(line) as [
    string,
    number,
    GoldenFrame['direction'],
    GoldenFrame['variant'],
    unknown,
    string,
  ];
  return { api, version, direction, variant, value, bytes: Buffer.from(hex, 'hex') };
}

function frameName({ api, version, variant }: GoldenFrame): string {
  return `${api} ${version} ${variant}`;
}

function apiOf(frame: GoldenFrame): Api<never, unknown> {
  return must(
    apis.find((api) => api.name === frame.api),
    frame.api,
  );
}

function versionsOf({ minVersion, maxVersion }: Api<never, unknown>): number[] {
  return Array.from({ length: maxVersion - minVersion + 1 }, (_, i) => minVersion + i);
}

/** In the middle of a larger buffer, so that reading beyond an end finds bytes. */
function readerOf(bytes: Buffer): Reader {
  const padding = Buffer.alloc(16, 1);
  return new Reader(Buffer.concat([padding, bytes, padding]), padding.length, padding.length + bytes.length);
}

function write(frame: GoldenFrame, value: unknown): Buffer {
  const writer = new Writer(16);
  apiOf(frame).writeRequest(writer, revived(value) as never, frame.version);
  return writer.finish();
}

/** null when a field was needed. */
function writeIfComplete(frame: GoldenFrame, value: unknown): Buffer | null {
  try {
    return write(frame, value);
  } catch (error) {
    if (error instanceof TypeError || error instanceof InvariantError) return null;
    throw error;
  }
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function revived(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, part: unknown) => (isBufferJson(part) ? Buffer.from(part.data) : part));
}

function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
}

/** Copies of a value, each without one of its fields, at any depth. */
function withoutEachField(value: unknown): { name: string; value: unknown }[] {
  if (Array.isArray(value)) {
    return value.flatMap((element, i) =>
      withoutEachField(element).map((copy) => ({ name: copy.name, value: value.with(i, copy.value) })),
    );
  }
  if (typeof value !== 'object' || value === null || isBufferJson(value)) return [];
  return Object.entries(value).flatMap(([name, part]) => {
    const { [name]: _, ...rest } = value as Record<string, unknown>;
    const deeper = withoutEachField(part).map((copy) => ({
      name: `${name}.${copy.name}`,
      value: { ...value, [name]: copy.value },
    }));
    return [{ name, value: rest }, ...deeper];
  });
}

function outcomeOf(frame: GoldenFrame, bytes: Buffer): string {
  try {
    apiOf(frame).readResponse(readerOf(bytes), frame.version);
    return 'read';
  } catch (error) {
    return error instanceof MalformedFrameError
      ? 'malformed'
      : `${frameName(frame)} ${bytes.toString('hex')}: ${String(error)}`;
  }
}

function damage(bytes: Buffer, random: Random): Buffer {
  let damaged = bytes;
  for (let i = 1 + below(random, 3); i > 0; i--) damaged = damageOnce(damaged, random);
  return damaged;
}

function damageOnce(bytes: Buffer, random: Random): Buffer {
  const at = below(random, bytes.length + 1);
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at);
  switch (below(random, 5)) {
    case 0:
      return Buffer.concat([before, Buffer.from([below(random, 256)]), after.subarray(1)]);
    case 1: // lengths and counts at their limits
      return Buffer.concat([before, Buffer.from([0x7f, 0xff, 0xff, 0xff]), after.subarray(4)]);
    case 2:
      return Buffer.concat([before, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), after.subarray(1)]);
    case 3:
      return Buffer.concat([before, after.subarray(1 + below(random, 8))]);
    default:
      return Buffer.concat([before, Buffer.from([below(random, 256)]), after]);
  }
}

function below(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}
