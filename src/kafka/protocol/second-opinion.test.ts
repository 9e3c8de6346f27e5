/** Some APIs against the codecs of another client, which were written by hand from the protocol guide. */
import { readFileSync } from 'node:fs';
import { createTopicsV7, describeConfigsV4, joinGroupV9, listOffsetsV9, metadataV12 } from '@platformatic/kafka';
import { Reader as OtherReader, ResponseError } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import type { Api } from '../api.ts';
import { createTopics } from './create-topics.ts';
import { describeConfigs } from './describe-configs.ts';
import { joinGroup } from './join-group.ts';
import { listOffsets } from './list-offsets.ts';
import { metadata } from './metadata.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

test('another client writes the same ListOffsets', () => {
  const partition = { partitionIndex: 3, currentLeaderEpoch: 7 };
  const request = {
    replicaId: -1,
    isolationLevel: 1,
    topics: [{ name: 'orders', partitions: [{ ...partition, timestamp: 1_700_000_000_123 }] }],
  };

  const theirs = listOffsetsV9.createRequest(-1, 1, [
    { name: 'orders', partitions: [{ ...partition, timestamp: 1_700_000_000_123n }] },
  ]);

  expect(written(listOffsets, request, 9)).toBe(hexOf(theirs));
});

test('another client writes the same JoinGroup', () => {
  const protocols = [{ name: 'shards', metadata: Buffer.from([1, 2, 255]) }];
  const request = {
    groupId: 'mirror',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 30_000,
    memberId: '',
    protocolType: 'lockstep',
    protocols,
    reason: 'start',
  };

  const theirs = joinGroupV9.createRequest('mirror', 10_000, 30_000, '', null, 'lockstep', protocols, 'start');

  expect(written(joinGroup, request, 9)).toBe(hexOf(theirs));
});

test('another client writes the same CreateTopics', () => {
  const topics = [
    {
      name: 'orders',
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
      configs: [
        { name: 'cleanup.policy', value: 'compact' },
        { name: 'retention.ms', value: null },
      ],
    },
  ];

  const theirs = createTopicsV7.createRequest(topics, 5000, true);

  expect(written(createTopics, { topics, timeoutMs: 5000, validateOnly: true }, 7)).toBe(hexOf(theirs));
});

test.each([
  { api: metadata, version: 12, theirs: metadataV12 },
  { api: listOffsets, version: 9, theirs: listOffsetsV9 },
  { api: joinGroup, version: 9, theirs: joinGroupV9 },
  { api: describeConfigs, version: 4, theirs: describeConfigsV4 },
])('another client reads the same $api.name responses', ({ api, version, theirs }) => {
  for (const bytes of goldenResponses(api.name, version)) {
    const ours = api.readResponse(new Reader(bytes, 0, bytes.length), version);

    // Ours has the fields of later versions too.
    expect(comparable(ours)).toMatchObject(comparable(readByOther(theirs.parseResponse, api.key, { version, bytes })));
  }
});

function written<Request>(api: Api<Request, unknown>, request: Request, version: number): string {
  const writer = new Writer();
  api.writeRequest(writer, request, version);
  return writer.finish().toString('hex');
}

function hexOf(writer: unknown): string {
  return (writer as { readonly buffer: Buffer }).buffer.toString('hex');
}

function goldenResponses(api: string, version: number): Buffer[] {
  const lines = readFileSync(new URL('golden-frames.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  const rows = lines.map((line) => JSON.parse(line) as [string, number, string, string, unknown, string]);
  const found = rows.filter((row) => row[0] === api && row[1] === version && row[2] === 'response');
  expect(found.length).toBe(3);
  return found.map((row) => Buffer.from(row[5], 'hex'));
}

/** It throws where a response carries an error code, with the response inside. */
function readByOther(
  parse: (correlationId: number, apiKey: number, apiVersion: number, reader: OtherReader) => unknown,
  key: number,
  frame: { version: number; bytes: Buffer },
): unknown {
  try {
    return parse(0, key, frame.version, OtherReader.from(frame.bytes));
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    return must(error['response'], 'the response that was refused');
  }
}

/** Its int64 are BigInts, its uuids hexadecimal with dashes, and it has no fields for what it does not know. */
function comparable(value: unknown): object {
  const json = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'bigint') return Number(part);
    if (typeof part === 'string' && /^[\w-]{22}$/.test(part)) return Buffer.from(part, 'base64url').toString('hex');
    if (typeof part === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(part))
      return part.replaceAll('-', '');
    return part;
  });
  return JSON.parse(json) as object;
}
