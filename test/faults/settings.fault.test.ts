/** Settings of the target topic that are changed while a mirror copies into it, and records that do not fit them. */
import { expect } from 'vitest';
import type { ErrorCode } from '#contract/errors.ts';
import type { RecordStream } from '#testing/workload.ts';
import { fault } from './fault.ts';
import type { FaultRun } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const pair = clusterPair({ source: {}, target: {} });
const megabyte = 1 << 20;
/** What a mirror that synchronises settings would put back within 30 s. */
const unsynced = { spec: { sync: { configs: false } } } as const;

async function setTarget(run: FaultRun, scene: TwoTopics, configs: Readonly<Record<string, string>>): Promise<void> {
  // Read at once: a mirror that synchronises settings puts it back within 30 s.
  const steps = [{ setConfigs: { topic: scene.hit, configs } }, { describe: [scene.hit] }];
  const [, described] = await scene.admin('target', steps);
  expect(described).toMatchObject([{ configs }]);
  run.tookEffect(
    `the target says ${Object.entries(configs)
      .map((entry) => entry.join('='))
      .join(', ')}`,
  );
}

interface Refusal {
  readonly id: string;
  readonly title: string;
  readonly share?: boolean;
  /** What the target is told, and what ends the incident. */
  readonly strict: Readonly<Record<string, string>>;
  readonly lax: Readonly<Record<string, string>>;
  /** The records that are refused: so many as `count` in one batch. */
  readonly refused: Partial<RecordStream> & { readonly records: number };
  readonly code: ErrorCode;
  readonly cause: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    id: 'record-too-large',
    title: 'a record is larger than max.message.bytes of the target, until that is raised',
    strict: { 'max.message.bytes': '50000' },
    lax: { 'max.message.bytes': '200000' },
    refused: { records: 1, valueBytes: 120_000 },
    code: 'SHARD_RECORD_TOO_LARGE',
    cause: /needs a batch of 12\d{4} bytes; that is more than the target topic accepts\./,
  },
  {
    id: 'timestamps-too-old',
    title: 'records are older than message.timestamp.before.max.ms of the target, until that is widened',
    strict: { 'message.timestamp.before.max.ms': '3600000' },
    lax: { 'message.timestamp.before.max.ms': '9223372036854775807' },
    refused: { records: 10, lingerMs: 50, timestamps: { mode: 'age', days: 2 } },
    code: 'SHARD_BATCH_REFUSED',
    cause: /INVALID_TIMESTAMP/,
  },
  {
    id: 'timestamps-too-new',
    title:
      'records are of a later time than message.timestamp.after.max.ms of the target allows, until that is widened',
    strict: { 'message.timestamp.after.max.ms': '3600000' },
    lax: { 'message.timestamp.after.max.ms': '9223372036854775807' },
    refused: { records: 10, lingerMs: 50, timestamps: { mode: 'age', days: -2 } },
    code: 'SHARD_BATCH_REFUSED',
    cause: /INVALID_TIMESTAMP/,
  },
  {
    id: 'null-keys-refused',
    title: 'the target becomes compacted and refuses records without a key, until it is not any more',
    strict: { 'cleanup.policy': 'compact' },
    lax: { 'cleanup.policy': 'delete' },
    refused: { records: 10, lingerMs: 50, keys: 'null' },
    code: 'SHARD_BATCH_REFUSED',
    cause: /INVALID_RECORD/,
  },
];

for (const { strict, lax, refused, code, cause, ...spec } of refusals) {
  fault(spec, async (run) => {
    const configs = { 'message.timestamp.after.max.ms': '9223372036854775807', 'retention.ms': '-1' };
    const scene = await TwoTopics.open(run, await pair(), { ...unsynced, configs });
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    await setTarget(run, scene, strict);
    await scene.write(100, [scene.hit]);
    await scene.caughtUp(lockstep);
    await scene.write(refused.records, [scene.hit], refused);
    const incident = await scene.incident(lockstep, code);
    expect(incident.offsets).toEqual({ from: 600, to: 600 + refused.records });
    expect(incident.cause).toMatch(cause);
    scene.stopped(incident);
    await scene.write(100, [scene.hit]);
    await scene.caughtUp(lockstep, [scene.other]);
    expect(await scene.end('target')).toBe(600);
    await scene.expectSameBelow(600);
    const startedAt = performance.now();
    await scene.admin('target', [{ setConfigs: { topic: scene.hit, configs: lax } }]); // the advice
    await scene.incidentEnded(lockstep, code);
    run.figure('ended by itself in s', (performance.now() - startedAt) / 1000);
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, [code]);
    await scene.expectSame();
  });
}

fault(
  {
    id: 'limit-lowered-synced',
    title: 'max.message.bytes of the target is lowered below a record, and the mirror raises it again',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    await setTarget(run, scene, { 'max.message.bytes': '50000' });
    await scene.write(1, [scene.hit], { valueBytes: 120_000 });
    await lockstep.until(async () => (await scene.end('target')) > 500, 'the record is copied', 90_000);
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    const stops = lockstep.incidents.map(({ code }) => code);
    expect(stops.every((code) => code === 'SHARD_RECORD_TOO_LARGE') && stops.length <= 1, lockstep.describe()).toBe(
      true,
    );
    await scene.finish(lockstep, stops);
    await scene.expectSame();
  },
);

fault(
  { id: 'batches-split', title: 'batches of up to 1 MB meet a target that has begun to take 20 KB' },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), unsynced);
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    await setTarget(run, scene, { 'max.message.bytes': '20000' });
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)
      await scene.write(1_000, [scene.hit], { codec, valueBytes: 1_500, batchBytes: 900_000, lingerMs: 300 });
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    run.figure('bytes split', lockstep.status(scene.mirror)?.bytes.reencoded.split ?? 0);
    await scene.finish(lockstep, []);
    await scene.expectSame();
  },
);

for (const direction of ['there', 'back'] as const) {
  fault(
    {
      id: `records-of-5-mb-${direction}`,
      title: `records of 5 MB, batches of up to 8 MB, from one cluster ${direction === 'there' ? 'to the other' : 'back to the first'}`,
    },
    async (run) => {
      const { source, target } = await pair();
      const ends = direction === 'there' ? { source, target } : { source: target, target: source };
      const configs = { 'max.message.bytes': String(8 * megabyte) };
      const scene = await TwoTopics.open(run, ends, { configs });
      const lockstep = await scene.start();
      await scene.load([scene.other]);
      for (const codec of ['none', 'zstd'] as const)
        await scene.write(8, [scene.hit], { codec, valueBytes: [[1, 4 * megabyte, 5 * megabyte]] });
      run.tookEffect('16 records of 4 to 5 MB were acknowledged by the source');
      await scene.stopLoad();
      await scene.caughtUp(lockstep);
      await scene.finish(lockstep, []);
      await scene.expectSame();
    },
  );
}

fault(
  { id: 'compression-changed', title: 'compression.type of the target is changed while it is copied into' },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), unsynced);
    const lockstep = await scene.start();
    await scene.load();
    for (const codec of ['gzip', 'zstd', 'uncompressed', 'producer']) {
      await setTarget(run, scene, { 'compression.type': codec });
      await scene.write(200, [scene.hit], { codec: 'lz4', lingerMs: 50 });
      await scene.caughtUp(lockstep);
    }
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    await scene.expectSame();
  },
);

fault(
  {
    id: 'timestamp-type-changed',
    title: 'message.timestamp.type of the target becomes LogAppendTime while it is copied into',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    const changedAt = await scene.end('target');
    await setTarget(run, scene, { 'message.timestamp.type': 'LogAppendTime' });
    await scene.load();
    const incident = await scene.incident(lockstep, 'SHARD_DIVERGED');
    expect(incident.offsets?.from).toBe(changedAt);
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_DIVERGED']);
    const again = await scene.start(scene.file, [scene.other]);
    const later = await scene.incident(again, 'SHARD_DIVERGED');
    expect(later.offsets?.from, 'the same after a restart').toBe(changedAt);
    await scene.finish(again, ['SHARD_DIVERGED']);
    await scene.expectSameBelow(changedAt);
    await scene.expectSame([scene.other]);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);
