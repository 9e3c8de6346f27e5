/** What is measured of the load of a source that is played. */
import { expect, test } from 'vitest';
import { mirrorSchema } from '#contract/resources.ts';
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { createRandom } from '#util/random.ts';
import { sampleLoad } from './load.ts';

const EARLIEST = -2;

interface Log {
  start: number;
  end: number;
  /** Null: its leader has no log of it to tell of, as while leaders move. */
  bytes: number | null;
}

/** One broker; partitions grow while time passes. */
function play(logs: Readonly<Record<string, readonly Log[]>>, options: { isSizeDenied?: boolean } = {}) {
  const clock = new ManualClock();
  const topics = Object.entries(logs).map(([name, partitions]) => ({
    name,
    errorCode: 0,
    isInternal: false,
    partitions: partitions.map((_, partition) => ({ partition })),
  }));
  const answers: Record<string, (request: never) => unknown> = {
    ListOffsets: ({
      topics: asked,
    }: {
      topics: { name: string; partitions: { partitionIndex: number; timestamp: number }[] }[];
    }) => ({
      topics: asked.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => {
          const log = logs[name]?.[partitionIndex];
          const offset = timestamp === EARLIEST ? log?.start : log?.end;
          return { partitionIndex, errorCode: 0, timestamp: -1, leaderEpoch: 0, offset };
        }),
      })),
    }),
    DescribeLogDirs: () => ({
      errorCode: options.isSizeDenied ? 31 : 0,
      results: [
        {
          topics: Object.entries(logs).map(([name, partitions]) => ({
            name,
            partitions: partitions.flatMap(({ bytes }, partitionIndex) =>
              bytes === null ? [] : [{ partitionIndex, partitionSize: bytes, isFutureKey: false }],
            ),
          })),
        },
      ],
    }),
    ListGroups: () => ({
      errorCode: 0,
      groups: ['a', 'b'].map((groupId) => ({
        groupId,
        protocolType: 'consumer',
        groupState: 'Empty',
        groupType: 'classic',
      })),
    }),
    FindCoordinator: ({ coordinatorKeys }: { coordinatorKeys: string[] }) => ({
      coordinators: coordinatorKeys.map((key) => ({ key, nodeId: 1, errorCode: 0, errorMessage: null })),
    }),
    OffsetFetch: ({ groups }: { groups: { groupId: string }[] }) => ({
      groups: groups.map(({ groupId }) => ({
        groupId,
        errorCode: 0,
        topics: [
          {
            name: 'orders',
            partitions: [
              { partitionIndex: 0, committedOffset: 3, committedLeaderEpoch: -1, metadata: '', errorCode: 0 },
            ],
          },
        ],
      })),
    }),
  };
  const cluster = {
    name: 'east',
    clock,
    random: createRandom(1),
    requestTimeoutMs: 5_000,
    closed: new AbortController().signal,
    brokers: () => [{ id: 1 }],
    leaderOf: () => 1,
    topicOf: (name: string) => topics.find((topic) => topic.name === name),
    refresh: () => Promise.resolve(topics),
    call: (api: Api<unknown, unknown>, request: unknown) => Promise.resolve(answers[api.name]?.(request as never)),
  } as unknown as Cluster;
  return { clock, cluster };
}

const mirror = (sync: object = {}) =>
  mirrorSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name: 'east-to-west' },
    spec: { source: 'east', target: 'west', topics: [{ match: '/.*/' }], sync },
  });

test('rates are offsets over time, and bytes are those of an offset, whatever retention deletes', async () => {
  const orders = { start: 0, end: 1_000, bytes: 100_000 };
  const payments = { start: 500, end: 600, bytes: 100_000 };
  const { clock, cluster } = play({ orders: [orders], payments: [payments] });
  const sampling = sampleLoad(mirror({ groups: { match: ['/.*/'] } }), cluster, { sampleMs: 10_000 });
  for (let i = 0; i < 20; i++) await settle();
  Object.assign(orders, { start: 900, end: 4_000, bytes: 5 });
  payments.end = 700;
  await clock.advance(10_000);
  expect(await sampling).toEqual({
    topics: 2,
    partitions: 2,
    groups: 2,
    groupPlaces: 2,
    recordsPerSecond: 310,
    recordBytes: (3_000 * 100 + 100 * 1_000) / 3_100,
    sampledMs: 10_000,
    unanswered: 0,
  });
});

test('sizes that nobody tells, or of nothing that was written, are not known', async () => {
  for (const [grown, options] of [
    [10, { isSizeDenied: true }],
    [0, {}],
  ] as const) {
    const orders = { start: 0, end: 1_000, bytes: 100_000 };
    const { clock, cluster } = play({ orders: [orders] }, options);
    const sampling = sampleLoad(mirror(), cluster, { sampleMs: 1_000 });
    for (let i = 0; i < 20; i++) await settle();
    orders.end += grown;
    await clock.advance(1_000);
    expect(await sampling).toMatchObject({ recordsPerSecond: grown, recordBytes: null, groups: 0, groupPlaces: 0 });
  }
});

test('a partition whose size was not told has records like the others, not empty ones', async () => {
  const orders = { start: 0, end: 1_000, bytes: 100_000 };
  const payments = { start: 0, end: 1_000, bytes: null };
  const { clock, cluster } = play({ orders: [orders], payments: [payments] });
  const sampling = sampleLoad(mirror(), cluster, { sampleMs: 1_000 });
  for (let i = 0; i < 20; i++) await settle();
  orders.end += 10;
  payments.end += 90;
  await clock.advance(1_000);
  expect(await sampling).toMatchObject({ recordsPerSecond: 100, recordBytes: 100 });
});
