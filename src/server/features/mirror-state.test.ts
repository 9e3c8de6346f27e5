import { expect, test } from 'vitest';
import type { TopicView } from '#contract/views.ts';
import type { ShardStatus } from '#contract/status.ts';
import {
  playControlPlane,
  playedIncident,
  playedStatus,
  type Client,
  type ControlPlane,
} from '#testing/played-control-plane.ts';
import { must } from '#util/assert.ts';
import { rangeOf } from './mirror-state.ts';

const DAY_MS = 24 * 3_600_000;

/** Ends of its partitions: last stable offset and high watermark are the same. */
const topic = (name: string, ...ends: number[]): TopicView => ({
  name,
  topicId: null,
  isInternal: false,
  configs: null,
  partitions: ends.map((end, partition) => ({
    partition,
    leader: 1,
    leaderEpoch: 0,
    replicas: [1],
    inSyncReplicas: [1],
    logStart: 0,
    stableOffset: end,
    highWatermark: end,
  })),
});

async function estate(offsets = 'auto'): Promise<{ plane: ControlPlane; root: Client; id: string }> {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west']) await root('POST', '/api/v1/clusters', { name, bootstrap: ['b:1'] });
  const topics = [{ match: '/^(?:orders|bills)$/' }];
  const created = await root('POST', '/api/v1/jobs', { name: 'a', source: 'east', target: 'west', topics, offsets });
  plane.clusters.topicsByCluster = {
    east: [topic('orders', 100, 50), topic('bills', 7), topic('other', 3)],
    west: [topic('orders', 100, 40), topic('bills', 7)],
  };
  return { plane, root, id: created.json<{ id: string }>().id };
}

function run({ plane, id }: { plane: ControlPlane; id: string }, shards: readonly Partial<ShardStatus>[]): void {
  const status = playedStatus();
  plane.runner.play(id, {
    state: 'running',
    failedReason: null,
    status: { ...status, shards: shards.map((shard) => ({ ...must(status.shards[0], 'shard'), ...shard })) },
    since: plane.clock.now(),
  });
}

const copied = [
  { topic: 'orders', targetTopic: 'orders', partition: 0, position: 100 },
  { topic: 'orders', targetTopic: 'orders', partition: 1, position: 40 },
  { topic: 'bills', targetTopic: 'bills', partition: 0, position: 7 },
];

test('reg-M-014a reg-M-014b: the state of a mirror is what both clusters say of every partition now', async () => {
  const { plane, root, id } = await estate();
  run({ plane, id }, copied);
  const state = await root('GET', '/api/v1/jobs/a/mirror/state');
  expect(state.statusCode, state.body).toBe(200);
  expect(state.json()).toMatchObject({
    period: null,
    progress: [
      { sourceTopic: 'bills', partition: 0, lagRecords: 0, state: 'in-sync' },
      { sourceTopic: 'orders', partition: 0, position: 100, lagRecords: 0, state: 'in-sync' },
      {
        sourceTopic: 'orders',
        partition: 1,
        position: 40,
        source: { highWatermark: 50 },
        target: { highWatermark: 40 },
        lagRecords: 10,
        state: 'behind',
      },
    ],
    troubles: [],
    resumePoints: { id: null, points: [] },
  });
});

test('what is not known is said to be so: a job that does not run, a cluster that does not answer', async () => {
  const { plane, root } = await estate();
  const states = async () =>
    (await root('GET', '/api/v1/jobs/a/mirror/state'))
      .json<{ progress: { state: string }[] }>()
      .progress.map(({ state }) => state);
  expect(await states()).toEqual(['unknown', 'unknown', 'unknown']);
  const identical = await estate('identical'); // the target's end is the position
  const progress = (await identical.root('GET', '/api/v1/jobs/a/mirror/state')).json<{ progress: object[] }>();
  expect(progress.progress).toMatchObject([{ position: 7 }, { position: 100 }, { position: 40, state: 'behind' }]);
  plane.clusters.refuseTopicsOf('west');
  expect((await root('GET', '/api/v1/jobs/a/mirror/state')).json()).toMatchObject({
    troubles: [{ code: 'CLUSTER_UNREACHABLE' }],
  });
  expect((await root('POST', '/api/v1/jobs/a/mirror/resume-points')).json()).toMatchObject({
    code: 'CLUSTER_UNREACHABLE',
  });
});

test('reg-M-014c: a period is told from what was measured and recorded in it, not from what is now', async () => {
  const { plane, root, id } = await estate();
  const since = plane.clock.now();
  for (const recordsCopied of [0, 500]) {
    plane.runner.play(id, {
      state: 'running',
      failedReason: null,
      status: playedStatus({ recordsCopied, bytesCopied: recordsCopied, incident: playedIncident() }),
      since,
    });
    await plane.clock.advance(10_000);
  }
  await root('POST', '/api/v1/jobs/a/mirror/validate-mirror');
  plane.runner.running.clear();
  await plane.clock.advance(DAY_MS);
  const late = await plane.as('late', 'operator');
  const state = async (period: string) => (await late('GET', `/api/v1/jobs/a/mirror/state?period=${period}`)).json();
  expect(await state('yesterday')).toMatchObject({
    progress: null,
    figures: [{ sourceTopic: 'orders', recordsCopied: 500, lagRecordsMax: 10 }],
    gaps: [{ gapStartOffset: 90, gapEndOffset: 95, gapSize: 5, resolutionStatus: 'unresolved' }],
    validations: [{ migrationSafe: false }],
  });
  expect(await state('last-week')).toMatchObject({ validations: [], gaps: [] });
});

test('periods of the state are whole ones, in UTC, from Monday', () => {
  const now = Date.UTC(2026, 2, 4, 15, 30); // a Wednesday
  const shown = (['today', 'yesterday', 'this-week', 'last-week'] as const).map((period) => {
    const { from, to } = rangeOf(period, now);
    return `${new Date(from).toISOString().slice(5, 16)} ${new Date(to).toISOString().slice(5, 16)}`;
  });
  expect(shown).toEqual([
    '03-04T00:00 03-04T15:30',
    '03-03T00:00 03-04T00:00',
    '03-02T00:00 03-04T15:30',
    '02-23T00:00 03-02T00:00',
  ]);
});

test('reg-M-106: resume points are where the clusters and the job say that everything is copied', async () => {
  const { plane, root, id } = await estate();
  run({ plane, id }, [
    ...copied.slice(0, 1),
    { ...copied[1], incident: playedIncident({ partition: 1, offsets: { from: 40, to: 45 } }) },
    { ...copied[2], position: null },
  ]);
  const made = await root('POST', '/api/v1/jobs/a/mirror/resume-points');
  expect(made.statusCode, made.body).toBe(201);
  expect(made.json()).toMatchObject({
    calculatedBy: 'root',
    points: [
      { sourceTopic: 'bills', safeResumeOffset: null, targetOffset: 7, validationStatus: 'pending' },
      { sourceTopic: 'orders', partition: 0, safeResumeOffset: 100, validationStatus: 'validated', gapDetected: false },
      {
        partition: 1,
        safeResumeOffset: 40,
        validationStatus: 'invalid',
        gapDetected: true,
        gapStartOffset: 40,
        gapEndOffset: 45,
      },
    ],
  });
  expect((await root('GET', '/api/v1/jobs/a/mirror/resume-points')).json()).toEqual(made.json());
});

test('reg-M-108: a mirror is safe only while nothing is behind, missing, unknown or stopped', async () => {
  const { plane, root, id } = await estate();
  const validate = async () => {
    const answer = await root('POST', '/api/v1/jobs/a/mirror/validate-mirror');
    expect(answer.statusCode, answer.body).toBe(201);
    return answer.json<{ migrationSafe: boolean; riskLevel: string; criticalIssues: string[] }>();
  };
  expect(await validate()).toMatchObject({
    migrationSafe: false,
    riskLevel: 'high',
    mirrorAnalysis: { partitions: 3, unknown: 3 },
  });
  run({ plane, id }, copied);
  expect(await validate()).toMatchObject({
    migrationSafe: false,
    riskLevel: 'medium',
    criticalIssues: [],
    warnings: ['1 partitions are behind the source: orders/1.'],
  });
  plane.clusters.topicsByCluster = { ...plane.clusters.topicsByCluster, west: [topic('orders', 100, 50)] };
  run({ plane, id }, [...copied.slice(0, 1), { ...copied[1], position: 50 }, ...copied.slice(2)]);
  expect(await validate()).toMatchObject({
    migrationSafe: false,
    riskLevel: 'high',
    criticalIssues: ['1 partitions are not on the target: bills/0.'],
  });
  plane.clusters.topicsByCluster = {
    ...plane.clusters.topicsByCluster,
    west: [topic('orders', 100, 50), topic('bills', 7)],
  };
  expect(await validate()).toMatchObject({
    migrationSafe: true,
    riskLevel: 'low',
    mirrorAnalysis: { partitions: 3, inSync: 3 },
  });
  const settled = plane.clusters.topicsByCluster;
  const [bills] = topic('bills', 7).partitions;
  const held = { ...topic('bills', 7), partitions: [{ ...must(bills, 'partition'), highWatermark: 9 }] };
  plane.clusters.topicsByCluster = { ...settled, east: [topic('orders', 100, 50), held] };
  expect(await validate()).toMatchObject({
    migrationSafe: false,
    riskLevel: 'medium',
    warnings: ['1 partitions are held back by open transactions of the source: bills/0.'],
  });
  plane.clusters.topicsByCluster = settled;
  run({ plane, id }, [
    { ...copied[0], incident: playedIncident() },
    { ...copied[1], position: 50 },
    ...copied.slice(2),
  ]);
  expect(await validate()).toMatchObject({ migrationSafe: false, riskLevel: 'high', gapsDetected: 1 });
  plane.clusters.topicsByCluster = {};
  plane.runner.running.clear();
  expect(await validate()).toMatchObject({
    migrationSafe: false,
    criticalIssues: ['No topic of the source comes under the rules.'],
  });
});

test('reg-M-109: a checkpoint holds the offsets of both clusters and the places of groups, with reason and author', async () => {
  const { plane, root, id } = await estate();
  run({ plane, id }, copied);
  const place = { groupId: 'billing', partition: 0, offset: 5, highWatermark: 7, lagRecords: 2 };
  plane.clusters.offsetsByCluster = {
    east: [
      { ...place, topic: 'bills' },
      { ...place, topic: 'other' },
    ],
  };
  const operator = await plane.as('ann', 'operator');
  const path = '/api/v1/jobs/a/mirror/checkpoint';
  expect((await operator('POST', path, { checkpoint_type: 'pre_migration' })).statusCode).toBe(403);
  const made = await operator('POST', path, {});
  expect(made.json()).toMatchObject({ type: 'recovery', reason: 'Manual checkpoint', createdBy: 'ann', groups: 1 });
  const before = await root('POST', path, { checkpoint_type: 'pre_migration', migration_reason: 'to west' });
  expect(before.json()).toMatchObject({
    reason: 'to west',
    partitions: 3,
    partitionOffsets: [{ sourceTopic: 'bills', target: { highWatermark: 7 } }, {}, {}],
    groupOffsets: { source: [{ groupId: 'billing', topic: 'bills', offset: 5 }], target: [] },
  });
  const { id: checkpoint } = before.json<{ id: string }>();
  expect((await root('GET', `${path}s/${checkpoint}`)).json()).toEqual(before.json());
  const listed = (await root('GET', `${path}s?sort=-createdAt&total=true`)).json<{ total: number; items: object[] }>();
  expect(listed).toMatchObject({ total: 2 });
  await root('POST', '/api/v1/jobs', { name: 'b', source: 'east', target: 'west', topics: [{ match: 'x' }] });
  expect((await root('GET', `/api/v1/jobs/b/mirror/checkpoints/${checkpoint}`)).statusCode).toBe(404);
  expect((await root('POST', '/api/v1/jobs/a/mirror/resume-points')).json()).toMatchObject({
    migrationCheckpointId: expect.any(String),
  });
});

test('reg-M-013: a forced restart asks both clusters first, and restarts nothing where one of them does not answer', async () => {
  const { plane, root, id } = await estate();
  const restarts = async () => (await plane.store.jobs.get(id))?.restarts;
  plane.clusters.troubles.set('west', { code: 'CLUSTER_TLS_FAILED', message: 'no', nextStep: null });
  const refused = await root('POST', '/api/v1/jobs/a/force-restart');
  expect(refused.json()).toMatchObject({ status: 503, code: 'CLUSTER_TLS_FAILED' });
  expect((await root('GET', '/api/v1/jobs/a/health')).json()).toMatchObject({
    healthy: false,
    source: { isReachable: true },
    target: { error: { code: 'CLUSTER_TLS_FAILED' } },
  });
  expect(await restarts()).toBe(0);
  plane.clusters.troubles.clear();
  const forced = await root('POST', '/api/v1/jobs/a/force-restart');
  expect(forced.json()).toMatchObject({
    job: { desired: 'started' },
    health: { healthy: true },
    validation: { migrationSafe: false, mirrorAnalysis: { unknown: 3 } },
  });
  expect(await restarts()).toBe(1);
});
