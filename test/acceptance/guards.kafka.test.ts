/**
 * What must stop a partition, and only that partition: each guard is shown at work, with its code, its exact offsets and
 * the others going on. With LOCKSTEP_FULL=1 each scenario runs a second time with its guard cut out of the source, and
 * must then fail: a test that cannot fail is a defect.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Incident } from '#contract/status.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { PlantedBug } from '#testing/planted-bug.ts';
import { plantBug } from '#testing/planted-bug.ts';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { describeTopics, runAdmin } from '#testing/topic-admin.ts';
import type { RecordStream } from '#testing/workload.ts';
import { writeStreams, writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { leastRightsFiles, leastRightsLink, leastRightsUsers, type SecurePair } from './least-rights.ts';
import { writeLink, type Link } from './link-file.ts';
import type { ProcessOptions, RunResult } from './lockstep-process.ts';
import { LockstepProcess, runUntilCaughtUp, told } from './lockstep-process.ts';
import { alterLastBatch, cutLastBatch } from './log-surgery.ts';

const isFull = process.env['LOCKSTEP_FULL'] === '1';

const cluster = sharedClusters({
  source: { secure: leastRightsUsers },
  // Quotas that are measured over 2 s, not 11: they then slow a short copy down as well.
  target: { secure: leastRightsUsers, properties: { 'quota.window.num': '2', 'quota.window.size.seconds': '1' } },
});
const pair = (): SecurePair => ({ source: cluster('source'), target: cluster('target') });
const declare = leastRightsFiles(pair);
const bootstrapOf = (side: 'source' | 'target'): readonly string[] => cluster(side).bootstrap;

interface Guard {
  readonly name: string;
  /** The source without it, in all places that would step in for each other. */
  readonly off: readonly PlantedBug[];
  readonly scenario: (scene: Scene) => Promise<void>;
}

/** One run of a scenario, with names of its own. */
interface Scene {
  readonly name: string;
  /** How the command is started. */
  readonly options: ProcessOptions;
  /** How long to wait for what the guard does. */
  readonly waitMs: number;
}

const always = (file: string, find: string): PlantedBug => ({ file: `src/mirror/${file}`, find, replace: 'true' });
const never = (file: string, find: string): PlantedBug => ({ file: `src/mirror/${file}`, find, replace: 'false' });

// ---- helpers

const records = (topic: string, count: number, more: Partial<RecordStream> = {}): RecordStream => ({
  name: `${topic}-${count}`,
  topic,
  partitions: [0],
  records: count,
  valueBytes: 200,
  ...more,
});

async function createAndWrite(topics: readonly string[], count = 500): Promise<void> {
  const created = topics.map((name) => ({ name, partitions: 1 }));
  await writeWorkload(bootstrapOf('source'), {
    topics: created,
    streams: topics.map((topic) => records(topic, count)),
  });
}

/** Of mirrors whose topics have been declared, whatever else they are told. */
function fileOf(mirrors: Link['mirrors']): string {
  return writeLink(leastRightsLink(pair(), mirrors));
}

function declareScene(name: string): void {
  const [hit, other] = [{ match: `${name}.hit` }, { match: `${name}.other` }];
  declare({ [name]: { topics: [hit, other] }, [`${name}-first`]: { topics: [hit] } });
}

async function expectStop(run: RunResult, incident: { code: string; topic: string }): Promise<Incident> {
  expect(run.code, told(run)).toBe(5);
  expect(
    run.incidents.map(({ code, topic }) => ({ code, topic })),
    told(run),
  ).toEqual([incident]);
  expect(run.stderr).not.toContain('    at ');
  return must(run.incidents[0], 'incident');
}

async function expectSame(topic: string): Promise<void> {
  await expectIdentical({
    source: bootstrapOf('source'),
    target: bootstrapOf('target'),
    topics: [{ source: topic, target: topic }],
  });
}

async function endOf(side: 'source' | 'target', topic: string): Promise<number> {
  const [description] = await describeTopics(bootstrapOf(side), [topic]);
  return must(description?.partitions[0], 'partition').latest;
}

async function withStopped(broker: KafkaBroker, surgery: () => void): Promise<void> {
  await broker.stop();
  try {
    surgery();
  } finally {
    await broker.start();
  }
}

const copying = (lockstep: LockstepProcess, mirror: string, shards: number): boolean => {
  const status = lockstep.status(mirror);
  return status?.shards.filter(({ state, lagRecords }) => state === 'copying' && lagRecords === 0).length === shards;
};

// ---- faults that no broker here can be made to have

const retryable = `Object.assign(Object.create(KafkaError.prototype), { message: 'planted', retryable: true })`;
const once = (call: string): string =>
  `globalThis.planted ? ${call} : () => { globalThis.planted = true; throw ${retryable}; }`;
const failingEnds = `readEnds(source, partitions).then((ends) => {
  const fails = !globalThis.planted;
  globalThis.planted = true;
  return fails ? ends.map(() => null) : ends;
})`;

/** A name for mirrors and topics. */
const idOf = (name: string): string => `guard-${guards.findIndex((guard) => guard.name === name)}`;

// ---- guards

async function foreignWriter(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  const lockstep = LockstepProcess.run(file, [], scene.options);
  await lockstep.until(() => copying(lockstep, scene.name, 2), 'both partitions are up to date');
  const foreignAt = await endOf('target', hit);
  await writeStreams(bootstrapOf('target'), [records(hit, 3, { name: 'foreign' })]);
  await writeStreams(bootstrapOf('source'), [
    records(hit, 100, { name: 'more' }),
    records(other, 100, { name: 'more' }),
  ]);
  await lockstep.until(() => lockstep.incidents.length > 0, 'an incident is told', scene.waitMs);
  const incident = must(lockstep.incidents[0], 'incident');
  expect(incident).toMatchObject({
    code: 'SHARD_DIVERGED',
    topic: hit,
    partition: 0,
    offsets: { from: foreignAt, to: foreignAt + 1 },
  });
  await lockstep.until(
    () => lockstep.status(scene.name)?.shards.find(({ topic }) => topic === other)?.position === 600,
    'the other goes on',
  );
  expect((await lockstep.interrupt()).incidents).toHaveLength(1);

  const ended = await endOf('target', hit);
  await expectStop(await runUntilCaughtUp(file, scene.options), { code: 'SHARD_DIVERGED', topic: hit });
  expect(await endOf('target', hit), 'nothing more is written').toBe(ended);
  await expectSame(other);
}

async function alikeRecords(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([other]);
  const alike: Partial<RecordStream> = { keys: 'null', valueBytes: 0, recordsPerSecond: 500 };
  const topics = [{ name: hit, partitions: 1 }];
  await writeWorkload(bootstrapOf('source'), { topics, streams: [records(hit, 500, alike)] });
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  const lockstep = LockstepProcess.run(file, [], scene.options);
  await lockstep.until(() => copying(lockstep, scene.name, 2), 'both partitions are up to date');
  await writeStreams(bootstrapOf('target'), [records(hit, 3, { ...alike, name: 'foreign' })]);
  await writeStreams(bootstrapOf('source'), [records(hit, 100, { ...alike, name: 'more' })]);
  await lockstep.until(() => lockstep.incidents.length > 0, 'an incident is told');
  await lockstep.interrupt();
  await writeStreams(bootstrapOf('source'), [records(hit, 100, { ...alike, name: 'later' })]);
  const ended = await endOf('target', hit);
  await expectStop(await runUntilCaughtUp(file, scene.options), { code: 'SHARD_DIVERGED', topic: hit });
  expect(await endOf('target', hit)).toBe(ended);
  await expectSame(other);
}

async function targetNotEmpty(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  await writeWorkload(bootstrapOf('target'), {
    topics: [{ name: hit, partitions: 1 }],
    streams: [records(hit, 7)],
  });
  const run = await runUntilCaughtUp(
    fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } }),
    scene.options,
  );
  await expectStop(run, { code: 'TOPIC_NOT_EMPTY', topic: hit });
  expect(await endOf('target', hit)).toBe(7);
  await expectSame(other);
}

async function targetClaimed(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  const first = await runUntilCaughtUp(
    fileOf({ [`${scene.name}-first`]: { topics: [{ match: hit }] } }),
    scene.options,
  );
  expect(first.code, told(first)).toBe(0);
  const second = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  const incident = await expectStop(await runUntilCaughtUp(second, scene.options), {
    code: 'TOPIC_CLAIMED',
    topic: hit,
  });
  expect(incident.cause).toContain(`${scene.name}-first`);
  await expectSame(other);
}

async function recreatedWhileDown(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  const first = await runUntilCaughtUp(file, scene.options);
  expect(first.code, told(first)).toBe(0);
  await runAdmin(bootstrapOf('source'), [{ delete: [hit] }]);
  // The same records at the same offsets, and more: only the topic id tells.
  await createAndWrite([hit]);
  await writeStreams(bootstrapOf('source'), [records(hit, 100, { name: 'new' })]);
  await expectStop(await runUntilCaughtUp(file, scene.options), { code: 'TOPIC_RECREATED', topic: hit });
  expect(await endOf('target', hit)).toBe(500);
  await expectSame(other);
}

async function recreatedWhileUp(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }], refreshMs: 500 } });
  const lockstep = LockstepProcess.run(file, [], scene.options);
  await lockstep.until(() => copying(lockstep, scene.name, 2), 'both partitions are up to date');
  await runAdmin(bootstrapOf('source'), [{ delete: [hit] }]);
  await createAndWrite([hit], 700);
  await lockstep.until(() => lockstep.incidents.length > 0, 'an incident is told', scene.waitMs);
  expect(lockstep.incidents).toMatchObject([{ code: 'TOPIC_RECREATED', topic: hit }]);
  await writeStreams(bootstrapOf('source'), [records(other, 100, { name: 'more' })]);
  await lockstep.until(
    () => lockstep.status(scene.name)?.shards.find(({ topic }) => topic === other)?.position === 600,
    'the other goes on',
  );
  await lockstep.interrupt();
  expect(await endOf('target', hit)).toBe(500);
  await expectSame(other);
}

async function retentionPassed(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  expect((await runUntilCaughtUp(file, scene.options)).code).toBe(0);
  await writeStreams(bootstrapOf('source'), [
    records(hit, 1000, { name: 'more' }),
    records(other, 50, { name: 'more' }),
  ]);
  await runAdmin(bootstrapOf('source'), [{ deleteRecords: { topic: hit, before: { 0: 777 } } }]);
  const incident = await expectStop(await runUntilCaughtUp(file, scene.options), {
    code: 'SHARD_RETENTION_LOSS',
    topic: hit,
  });
  expect(incident.offsets).toEqual({ from: 500, to: 777 });
  expect(await endOf('target', hit)).toBe(500);
  await expectSame(other);
}

async function recordTooLarge(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  await writeStreams(bootstrapOf('source'), [
    records(hit, 60, { name: 'split', valueBytes: 5_000, batchBytes: 300_000, lingerMs: 200 }),
  ]);
  await writeStreams(bootstrapOf('source'), [records(hit, 1, { name: 'large', valueBytes: 120_000 })]);
  await writeStreams(bootstrapOf('source'), [records(hit, 10, { name: 'behind' })]);
  await runAdmin(bootstrapOf('source'), [{ setConfigs: { topic: hit, configs: { 'max.message.bytes': '50000' } } }]);
  const run = await runUntilCaughtUp(
    fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } }),
    scene.options,
  );
  const incident = await expectStop(run, { code: 'SHARD_RECORD_TOO_LARGE', topic: hit });
  expect(incident.offsets).toEqual({ from: 560, to: 561 });
  expect(incident.cause).toMatch(/12\d{4} bytes; the target topic accepts 50000/);
  expect(await endOf('target', hit)).toBe(560);
  await expectSame(other);
}

async function lastRecordDiffers(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  expect((await runUntilCaughtUp(file, scene.options)).code).toBe(0);
  const broker = must(cluster('target').brokers[0], 'broker');
  await withStopped(broker, () => alterLastBatch(broker, `${hit}-0`, '"seq":499'));
  await writeStreams(bootstrapOf('source'), [records(hit, 50, { name: 'more' }), records(other, 50, { name: 'more' })]);
  const incident = await expectStop(await runUntilCaughtUp(file, scene.options), {
    code: 'SHARD_DIVERGED',
    topic: hit,
  });
  expect(incident.offsets).toEqual({ from: 499, to: 500 });
  expect(incident.cause).toContain('value');
  expect(await endOf('target', hit)).toBe(500);
  await expectSame(other);
}

async function sourceTruncated(scene: Scene): Promise<void> {
  const [hit, other] = [`${scene.name}.hit`, `${scene.name}.other`];
  await createAndWrite([hit, other]);
  await writeStreams(bootstrapOf('source'), [records(hit, 20, { name: 'lost' })]);
  const file = fileOf({ [scene.name]: { topics: [{ match: hit }, { match: other }] } });
  expect((await runUntilCaughtUp(file, scene.options)).code).toBe(0);
  const broker = must(cluster('source').brokers[0], 'broker');
  await withStopped(broker, () => cutLastBatch(broker, `${hit}-0`));
  const lostFrom = await endOf('source', hit);
  expect(lostFrom).toBeLessThan(520);
  await writeStreams(bootstrapOf('source'), [
    records(hit, 100, { name: 'other' }),
    records(other, 50, { name: 'more' }),
  ]);
  const incident = await expectStop(await runUntilCaughtUp(file, scene.options), {
    code: 'SHARD_TRUNCATED',
    topic: hit,
  });
  expect(incident.offsets).toEqual({ from: lostFrom, to: 520 });
  expect(await endOf('target', hit)).toBe(520);
  await expectSame(other);
}

const guards: readonly Guard[] = [
  {
    name: 'when a foreign Java producer writes to the target during the copy',
    off: [never('shard.ts', 'result.baseOffset !== item.baseOffset')],
    scenario: foreignWriter,
  },
  {
    name: 'at a restart, though all records are alike and the source has gone on',
    off: [never('shard-position.ts', 'a.timestamp !== b.timestamp')],
    scenario: alikeRecords,
  },
  {
    name: 'when the target topic holds data of somebody else',
    off: [never('topic-decision.ts', '!holds && !target.isEmpty')],
    scenario: targetNotEmpty,
  },
  {
    name: 'when another mirror has claimed the target topic',
    off: [never('topic-decision.ts', 'holds.mirrorId !== options.mirrorId')],
    scenario: targetClaimed,
  },
  {
    name: 'when the source topic was deleted and created anew while the mirror was down',
    off: [never('topic-decision.ts', 'holds.sourceTopicId !== facts.source.topicId')],
    scenario: recreatedWhileDown,
  },
  {
    name: 'when the source topic is deleted and created anew while the mirror runs',
    off: [never('topic-identity.ts', 'topic.topicId !== expected')],
    scenario: recreatedWhileUp,
  },
  {
    name: 'when DeleteRecords has passed the position, with the exact range',
    off: [always('shard.ts', 'this.#sourceLogStart <= position.offset')],
    scenario: retentionPassed,
  },
  {
    name: 'when a record is larger than the target takes, and what the source took before is split',
    off: [
      never('batch-walk.ts', 'bytes > this.#recordBytesMax && next === first + 1'),
      never('shard.ts', 'item.count === 1'),
    ],
    scenario: recordTooLarge,
  },
  {
    name: 'when the last record on the target is not the one of the source',
    off: [{ file: 'src/mirror/shard.ts', find: 'if (lastBatch) await', replace: 'if (false) await' }],
    scenario: lastRecordDiffers,
  },
  {
    name: 'when the source has lost what was copied',
    off: [never('source-end.ts', 'end.endOffset < offset')],
    scenario: sourceTruncated,
  },
];

test('every guard stands in the source exactly once, so that it can be cut out', () => {
  const timesIn = ({ file, find }: PlantedBug): number =>
    readFileSync(join(import.meta.dirname, '..', '..', file), 'utf8').split(find).length - 1;
  expect(guards.flatMap(({ off }) => off).filter((bug) => timesIn(bug) !== 1)).toEqual([]);
});

const byName = guards.map((guard) => [guard.name, guard] as const);
for (const { name } of guards)
  for (const suffix of isFull ? ['', '-off'] : ['']) declareScene(`${idOf(name)}${suffix}`);

describe('a partition stops alone, with code and offsets', () => {
  test.each(byName)(
    '%s',
    async (name, { scenario }) => {
      const scene: Scene = { name: idOf(name), options: {}, waitMs: 40_000 };
      await expect(scenario(scene)).resolves.toBeUndefined();
    },
    120_000,
  );

  test.each(isFull ? byName : [])(
    '%s: not without its guard',
    async (name, { off, scenario }) => {
      const planted = off.map((bug) => plantBug(bug));
      const env = { NODE_OPTIONS: planted.map((each) => each.env['NODE_OPTIONS']).join(' ') };
      const scene: Scene = { name: `${idOf(name)}-off`, options: { env, timeoutMs: 15_000 }, waitMs: 10_000 };
      await expect(scenario(scene)).rejects.toThrow(/expected|exit code|waited|ended before/);
      expect(planted.every((each) => each.wasPlanted())).toBe(true);
    },
    120_000,
  );
});

describe('what is no reason to stop', () => {
  const outage = declare({ outage: { topics: [{ match: 'outage.mixed' }, { match: 'outage.single' }] } });

  test('brokers killed with -9 and started again during the copy: identical, no incident', async () => {
    const [mixed, single] = ['outage.mixed', 'outage.single'];
    await writeWorkload(bootstrapOf('source'), workloads.mixed(mixed, { records: 60_000 }));
    await writeWorkload(bootstrapOf('source'), workloads.oneRecordBatches(single, { records: 10_000 }));
    await runAdmin(bootstrapOf('target'), [{ setQuotas: { producer_byte_rate: 1_500_000 } }]);
    const lockstep = LockstepProcess.run(outage(), ['--until', 'caught-up']);
    const copiedAtKills: number[] = [];
    for (const side of ['target', 'source', 'target'] as const) {
      const before = lockstep.status('outage')?.recordsCopied ?? 0;
      await lockstep.until(() => (lockstep.status('outage')?.recordsCopied ?? 0) > before, 'it copies');
      copiedAtKills.push(lockstep.status('outage')?.recordsCopied ?? 0);
      const broker = must(cluster(side).brokers[0], 'broker');
      await broker.kill();
      await broker.start();
    }
    await runAdmin(bootstrapOf('target'), [{ setQuotas: { producer_byte_rate: null } }]);
    const run = await lockstep.ended();
    process.stdout.write(`outage: brokers killed when ${copiedAtKills.join(', ')} of 70000 records were copied\n`);
    expect(run.code, told(run)).toBe(0);
    expect(run.incidents).toEqual([]);
    expect(
      copiedAtKills.every((count) => count < 70_000),
      'each kill met a copy under way',
    ).toBe(true);
    expect(new Set(copiedAtKills).size, 'it went on after each').toBe(copiedAtKills.length);
    await expectSame(mixed);
    await expectSame(single);
  }, 180_000);

  const idOfLate = (name: string): string => `late.${name.replaceAll(' ', '-')}`;
  for (const name of [idOfLate('prepared'), idOfLate('asked for its end')])
    declare({ [name]: { topics: [{ match: name }] } });

  test.each([
    ['prepared', { find: 'await prepareTopic(', replace: `await (${once('prepareTopic')})(` }],
    ['asked for its end', { find: 'readEnds(source, partitions)', replace: failingEnds }],
  ])(
    'a topic that cannot be %s at first is waited for, and not left out of --until',
    async (name, bug) => {
      const topic = idOfLate(name);
      await createAndWrite([topic]);
      const planted = plantBug({ file: 'src/mirror/mirror.ts', ...bug });
      const file = fileOf({ [topic]: { topics: [{ match: topic }], refreshMs: 500 } });
      const run = await runUntilCaughtUp(file, { env: planted.env, timeoutMs: 20_000 });
      expect(planted.wasPlanted()).toBe(true);
      expect(run.code, told(run)).toBe(0);
      await expectSame(topic);
    },
    60_000,
  );

  const all = { match: '/lost\\..*/' };
  declare({ lost: { topics: [all] } });

  test('a topic of a regular expression that was deleted while the mirror was down is one warning at each start', async () => {
    const [gone, stays] = ['lost.gone', 'lost.stays'];
    await createAndWrite([gone, stays]);
    const start = (...topics: object[]): Promise<RunResult> => runUntilCaughtUp(fileOf({ lost: { topics } }));
    const lossesIn = (run: RunResult): string[] => {
      expect(run.code, told(run)).toBe(0);
      return run.events.flatMap((each) =>
        each.event === 'warning' && each.code === 'TOPIC_NOT_FOUND' ? [each.message] : [],
      );
    };
    expect(lossesIn(await start(all))).toEqual([]);
    await runAdmin(bootstrapOf('source'), [{ delete: [gone] }]);
    const said = /^Topic "lost.gone" of .* does not exist any more\. The copy "lost.gone" on "west" stays as it is/;
    expect(lossesIn(await start(all))).toEqual([expect.stringMatching(said)]);
    expect(lossesIn(await start(all, { exclude: gone }))).toEqual([]);
    expect(await endOf('target', gone)).toBe(500);
    await expectSame(stays);
  }, 120_000);

  const rule = declare({
    rule: { topics: [{ match: 'rule.there' }, { match: 'rule.later' }], refreshMs: 300 },
  });

  test('a rule that matches nothing ends --until with code 1 and its place; without --until it waits for the topic', async () => {
    await createAndWrite(['rule.there']);
    const file = rule();
    const run = await runUntilCaughtUp(file);
    expect(run.code, told(run)).toBe(1);
    expect(run.stderr).toContain('TOPIC_RULE_EMPTY');
    expect(run.stderr).toMatch(/topics\[1\] of mirror .*rule.later.* matches no topic of/);
    expect(run.stderr).not.toContain('    at ');

    const lockstep = LockstepProcess.run(file);
    await lockstep.until(
      () => lockstep.events.some((event) => event.event === 'warning' && event.code === 'TOPIC_RULE_EMPTY'),
      'a warning',
    );
    await createAndWrite(['rule.later']);
    await lockstep.until(
      () =>
        lockstep.status('rule')?.shards.some(({ topic, position }) => topic === 'rule.later' && position === 500) ??
        false,
      'the topic is copied',
    );
    expect((await lockstep.interrupt()).code).toBe(130);
    await expectSame('rule.later');
  }, 120_000);
});
