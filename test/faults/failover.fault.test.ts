/**
 * Failover and failback with live producers and consumers, there and back, each command killed wherever it can be killed: in the
 * end every record was read once, transactions over several partitions are whole or absent, and what only the old primary had
 * is where the decision says.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { failoverSteps, type DivergedRecord, type FailbackReport, type FailoverEvidence } from '#contract/failover.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { consumeToEnd, spawnConsumer, type LiveConsumer } from '#testing/live-consumer.ts';
import { plantBug, type PlantedBug } from '#testing/planted-bug.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics, describeTopics, runAdmin, type Acl } from '#testing/topic-admin.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { committedBy, runGroups, type Continued, type Places } from '#testing/group-client.ts';
import * as workloads from '#testing/workloads.ts';
import {
  spawnLiveTraffic,
  writeStreams,
  writeWorkloads,
  type LiveTraffic,
  type RecordStream,
} from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { Command, type Ended } from '../acceptance/command.ts';
import { linkText, writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair, type ClusterPair } from './mirror-under-test.ts';

const password = 'of-the-application';
const users = { app: password };
/** Both sides can keep producers out. */
const pair = clusterPair({ source: { secure: { users } }, target: { secure: { users } } });
const asApplication = {
  'security.protocol': 'SASL_PLAINTEXT',
  'sasl.mechanism': 'PLAIN',
  'sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required username="app" password="${password}";`,
};
const partitions = [0, 1];
/** Behind each step, before it stands in the state topic. */
const procedure = { file: 'src/mirror/failover/procedure.ts', find: 'const endedAt = port.now();' };
const failback = 'src/mirror/failover/failback.ts';
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);

async function letApplicationWrite({ bootstrap }: KafkaCluster): Promise<void> {
  const allow = (resource: Acl['resource'], operation: string): Acl => ({
    user: 'app',
    operation,
    resource,
    name: '*',
  });
  const acls = [allow('topic', 'write'), allow('topic', 'describe'), allow('transactional_id', 'all')];
  await runAdmin(bootstrap, [{ addAcls: acls }]);
}

async function write(cluster: KafkaCluster, name: string): Promise<LiveTraffic> {
  const both = { partitions, recordsPerSecond: 150 };
  const streams: RecordStream[] = [
    { name: `${name}-plain`, topic: 'there.plain', ...both },
    {
      name: `${name}-tx`,
      topic: 'there.tx',
      transactions: { producers: 3, abortRate: 0.2, records: [20, 60], timeoutMs: 10_000 },
      ...both,
    },
  ];
  const traffic = await spawnLiveTraffic(cluster.doors.saslPlaintext, streams, { seed, properties: asApplication });
  onTestFinished(() =>
    traffic.stop().then(
      () => {},
      () => {},
    ),
  );
  return traffic;
}

async function consume(cluster: KafkaCluster, group: string, topics: readonly string[]): Promise<LiveConsumer> {
  const consumer = await spawnConsumer(cluster.bootstrap, { group, topics });
  onTestFinished(() =>
    consumer.stop().then(
      () => {},
      () => {},
    ),
  );
  return consumer;
}

function run(file: string): LockstepProcess {
  const mirror = LockstepProcess.run(file);
  onTestFinished(() => mirror.kill());
  return mirror;
}

/** Dies there, as by kill -9. */
async function killedAt(argv: readonly string[], bug: Omit<PlantedBug, 'replace'>, condition = 'true'): Promise<void> {
  const kill = `if (${condition}) process.kill(process.pid, 'SIGKILL');`;
  const planted = plantBug({ ...bug, replace: `${kill} ${bug.find}` });
  const ended = await new Command(argv, planted.env).ended(120_000);
  expect([ended.code, planted.wasPlanted()], `killed at ${bug.find} ${condition}\n${ended.out}${ended.err}`).toEqual([
    -1,
    true,
  ]);
}

async function failOver(file: string, ...more: readonly string[]): Promise<FailoverEvidence> {
  const path = join(temporaryDirectory('evidence'), 'failover.json');
  const ended = await new Command(['failover', '-f', file, '--yes', '--evidence', path, ...more]).ended(120_000);
  expect(ended.code, `${ended.out}${ended.err}`).toBe(0);
  return JSON.parse(readFileSync(path, 'utf8')) as FailoverEvidence;
}

async function failBack(argv: readonly string[]): Promise<Ended & { report: FailbackReport | null }> {
  const ended = await new Command(['failback', '--json', ...argv]).ended();
  return { ...ended, report: ended.out === '' ? null : (JSON.parse(ended.out) as FailbackReport) };
}

/** The printed mirror, with the clusters. */
function writeBack({ source, target }: ClusterPair, { document }: FailbackReport): string {
  const path = join(temporaryDirectory('back'), 'back.yaml');
  const link = { source: source.bootstrap, target: target.bootstrap, mirrors: {} };
  const everySecond = document.replace('sync: {"groups":{', 'sync: {"groups":{"everyMs":500,');
  writeFileSync(path, `${linkText(link)}\n---\n${everySecond}`);
  return path;
}

/** By transaction of the source: the lines of its records on each partition, as a consumer names them. */
async function transactionsOf(cluster: KafkaCluster, topic: string): Promise<Map<string, Map<number, string[]>>> {
  const reader = new RawReader(cluster.bootstrap);
  const transactions = new Map<string, Map<number, string[]>>();
  try {
    for (const partition of partitions) {
      const { logStart, highWatermark } = await reader.bounds(topic, partition);
      for await (const batch of reader.batches(topic, partition, { from: logStart, to: highWatermark })) {
        if (batch.isControl || !batch.isTransactional) continue;
        // With transactions of version 2 each has an epoch of its own (KIP-890).
        const key = `${batch.producerId}/${batch.producerEpoch}`;
        const places = transactions.get(key) ?? new Map<number, string[]>();
        transactions.set(key, places);
        const lines = places.get(partition) ?? [];
        places.set(partition, lines);
        for (let offset = batch.baseOffset; offset <= batch.lastOffset; offset++)
          lines.push(`${topic}/${partition} ${offset}`);
      }
    }
  } finally {
    reader.close();
  }
  return transactions;
}

/** Those of several partitions, by what a reader at read_committed sees of them. Throws where it sees a part. */
function expectWholeOrAbsent(
  transactions: ReadonlyMap<string, ReadonlyMap<number, readonly string[]>>,
  seen: ReadonlySet<string>,
): { whole: number; absent: number } {
  const counts = { whole: 0, absent: 0 };
  for (const [id, places] of transactions) {
    if (places.size < 2) continue;
    const lines = [...places.values()].flat();
    const visible = lines.filter((line) => seen.has(line)).length;
    expect([0, lines.length], `transaction ${id}: ${visible} of ${lines.length} records are seen`).toContain(visible);
    if (visible > 0) counts.whole++;
    else counts.absent++;
  }
  return counts;
}

/** Consumers have read what producers write at the moment, on both topics. */
async function untilRead(mirror: LockstepProcess, consumer: LiveConsumer, records: number): Promise<void> {
  const has = (topic: string): boolean =>
    consumer.read.filter((line) => line.startsWith(`${topic}/`)).length > records / 2;
  await mirror.until(() => has('there.plain') && has('there.tx'), `${records} records are read`);
}

fault(
  {
    id: 'failover-there-and-back',
    title:
      'live producers and consumers move over and come back; the failover is killed in each of its steps, the failback at each of its writes',
    timeoutMs: 600_000,
  },
  async (at) => {
    process.stdout.write(`failover: seed ${seed}\n`);
    const clusters = await pair();
    const { source, target } = clusters;
    const topics = ['there.plain', 'there.tx'];
    const group = 'there-readers';
    await createTopics(
      source.bootstrap,
      topics.map((name) => ({ name, partitions: 2 })),
    );
    for (const cluster of [source, target]) await letApplicationWrite(cluster);
    const sync = { groups: { match: [group], everyMs: 500 } };
    const mirrors = { there: { topics: topics.map((match) => ({ match })), refreshMs: 500, sync } };
    const file = writeLink({ source: source.bootstrap, target: target.bootstrap, mirrors });
    const written = await write(source, 'first');
    const there = run(file);
    const before = await consume(source, group, topics);
    await untilRead(there, before, 600);

    const command = ['failover', '-f', file, '--yes'];
    for (const step of failoverSteps) await killedAt(command, procedure, `step === '${step}'`);
    const evidence = await failOver(file);
    expect(evidence.steps.map(({ step }) => step)).toEqual(failoverSteps);
    expect(evidence).toMatchObject({ rpo: { records: 0 }, verified: { different: 0 }, transactions: [] });
    await expect(written.failed, 'producers were kept out').rejects.toThrow(/TopicAuthorization/);
    expect((await there.ended(60_000)).stderr).toContain('MIRROR_FAILED_OVER');
    const readThere = await before.stop();
    const seen = new Set(await consumeToEnd(target.bootstrap, { group: 'there-seen', topics }));
    const { whole, absent } = expectWholeOrAbsent(await transactionsOf(source, 'there.tx'), seen);
    expect(whole, 'transactions over both partitions').toBeGreaterThan(5);
    expect(absent, 'some were aborted, or open when producers were kept out').toBeGreaterThan(0);

    const writtenOnTarget = await write(target, 'second');
    const onTarget = await consume(target, group, topics);
    const back = ['failback', '-f', file, '--yes'];
    const adopt = 'src/mirror/failover/adopt.ts';
    const places = [
      { file: failback, find: 'exporter?.finish();\n  for' },
      { file: failback, find: 'await adopt(' },
      { file: adopt, find: 'await state.putPartitions(records);' },
      { file: adopt, find: 'const replaces =' },
      { file: failback, find: 'await lowerFence(' },
      { file: failback, find: 'return {\n    mirror: mirror.name,' },
    ];
    for (const place of places) await killedAt(back, place);
    const ready = await failBack(['-f', file, '--yes']);
    expect([ready.code, ready.report?.records, ready.report?.kept], ready.err).toEqual([0, 0, topics]);
    const [id] = (await describeTopics(source.bootstrap, topics)).map((topic) => topic.id);

    const backFile = writeBack(clusters, must(ready.report, 'report'));
    const returning = run(backFile);
    await untilRead(returning, onTarget, 600);
    await returning.until(
      () => (returning.status('there-back')?.recordsCopied ?? 0) > 600,
      'what was written on the target is led back',
    );
    await killedAt(['failover', '-f', backFile, '--yes'], procedure, `step === 'groups'`);
    const backEvidence = await failOver(backFile);
    expect(backEvidence).toMatchObject({
      rpo: { records: 0 },
      fence: { topics, why: null },
      verified: { different: 0 },
    });
    await expect(writtenOnTarget.failed).rejects.toThrow(/TopicAuthorization/);
    await returning.ended(60_000);
    const readOnTarget = await onTarget.stop();

    const again = await write(source, 'third');
    const home = await consume(source, group, topics);
    await expect.poll(() => home.read.length, { timeout: 30_000 }).toBeGreaterThan(300);
    await again.stop();
    const readHome = [...(await home.stop()), ...(await consumeToEnd(source.bootstrap, { group, topics }))];
    const all = await consumeToEnd(source.bootstrap, { group: 'there-all', topics });
    const read = [...readThere, ...readOnTarget, ...readHome];
    expect(read.length, 'nothing is skipped, and nothing is read twice').toBe(all.length);
    expect(read.toSorted()).toEqual(all.toSorted());
    expect(Math.min(readThere.length, readOnTarget.length, readHome.length)).toBeGreaterThan(300);
    const [idNow] = (await describeTopics(source.bootstrap, topics)).map((topic) => topic.id);
    expect(idNow, 'nothing was copied twice').toBe(id);

    const kills = failoverSteps.length + places.length + 1;
    at.tookEffect(`${kills} kills -9 inside of failover and failback; producers refused on both sides`);
    at.figure('records', all.length);
    at.figure(
      'read at the source, at the target, back at the source',
      [readThere, readOnTarget, readHome].map((each) => each.length).join(', '),
    );
    at.figure('transactions over both partitions, whole and absent', `${whole}, ${absent}`);
    at.figure('RTO there in s, seven kills included', evidence.rtoMs / 1_000);
    at.figure('RTO back in s, one kill included', backEvidence.rtoMs / 1_000);
    at.outcome('each record was read once over both moves; no transaction is seen in part');
  },
);

// ---- what only the old primary has

/** Its topics, what was copied, and what was written to the old primary after it had been left. */
interface Diverged {
  readonly file: string;
  readonly topics: readonly string[];
  /** Lines of records that only the old primary has. */
  readonly late: readonly string[];
  /** Of these, what a reader at read_committed sees. */
  readonly visible: readonly string[];
}

async function diverge({ source, target }: ClusterPair, name: string): Promise<Diverged> {
  const topics = ['a', 'b', 'clean'].map((topic) => `${name}.${topic}`);
  const [a = '', b = ''] = topics;
  await createTopics(
    source.bootstrap,
    topics.map((topic) => ({ name: topic, partitions: 2 })),
  );
  const stream = (topic: string, of: string, more: Partial<RecordStream> = {}): RecordStream => ({
    name: of + topic,
    topic,
    partitions,
    records: 300,
    ...more,
  });
  await writeStreams(
    source.bootstrap,
    topics.map((topic) => stream(topic, 'early')),
    { seed },
  );
  const mirrors = { [name]: { topics: topics.map((match) => ({ match })), refreshMs: 500 } };
  const file = writeLink({ source: source.bootstrap, target: target.bootstrap, mirrors });
  const copied = await LockstepProcess.run(file, ['--until', 'caught-up']).ended(60_000);
  expect(copied.code, told(copied)).toBe(0);
  const { cut } = await failOver(file, '--no-fence');
  const transactions = { producers: 2, abortRate: 0.4, records: [5, 20] as const };
  await writeStreams(source.bootstrap, [stream(a, 'late', { transactions }), stream(b, 'late')], { seed });
  const ends = new Map<string, number>(
    cut.flatMap((each) => each.partitions.map(([from], i) => [`${each.sourceTopic}/${i}`, from] as const)),
  );
  const isLate = (line: string): boolean => {
    const [place = '', offset] = line.split(' ');
    return Number(offset) >= must(ends.get(place), 'cut');
  };
  const read = async (isolation: 'read_committed' | 'read_uncommitted'): Promise<string[]> =>
    (await consumeToEnd(source.bootstrap, { group: `${name}-${isolation}`, topics, isolation })).filter(isLate);
  return { file, topics, late: await read('read_uncommitted'), visible: await read('read_committed') };
}

async function expectLedBack(
  clusters: ClusterPair,
  report: FailbackReport,
  topics: readonly string[],
): Promise<number> {
  const run = await LockstepProcess.run(writeBack(clusters, report), ['--until', 'caught-up']).ended(120_000);
  expect(run.code, told(run)).toBe(0);
  const { recordsEqual } = await expectIdentical({
    source: clusters.target.bootstrap,
    target: clusters.source.bootstrap,
    topics: topics.map((topic) => ({ source: topic, target: topic })),
    policy: { transactions: 'preserve' },
  });
  return recordsEqual;
}

/** The n-th time that the process comes there. */
const time = (n: number): string => `(globalThis.times = (globalThis.times ?? 0) + 1) === ${n}`;
const secondDelete = { file: failback, find: 'await deleteTopic(source' };

fault(
  {
    id: 'failback-decisions',
    title:
      'records that only the old primary has are exported, replayed or discarded; each failback is killed between its writes and given again',
    timeoutMs: 600_000,
  },
  async (at) => {
    const clusters = await pair();
    const { target } = clusters;
    const exported = await diverge(clusters, 'exported');
    const path = join(temporaryDirectory('diverged'), 'only-east.jsonl');
    const exporting = ['failback', '-f', exported.file, '--diverged', 'export', '--export', path, '--yes'];
    const linesOf = (): string[] =>
      readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as DivergedRecord)
        .map(({ topic, partition, offset }) => `${topic}/${partition} ${offset}`);
    const places: (readonly [Omit<PlantedBug, 'replace'>, string])[] = [
      [{ file: failback, find: 'exporter?.add(found);' }, time(2)],
      [{ file: failback, find: 'await keep(stale.length > 0);' }, 'true'],
      [{ file: failback, find: 'exporter?.finish();\n  for' }, 'true'],
      [secondDelete, time(2)],
      [{ file: failback, find: 'await adopt(' }, 'true'],
    ];
    for (const [place, condition] of places) await killedAt(exporting, place, condition);
    const done = await failBack(exporting.slice(1));
    expect([done.code, done.report?.decision], done.err).toEqual([0, 'export']);
    expect(linesOf().toSorted(), 'each once, also of topics that an earlier call deleted').toEqual(
      exported.late.toSorted(),
    );
    expect(done.report?.kept).toEqual(['exported.clean']);
    const shown = await failBack(['-f', exported.file, '--export', path]);
    expect([shown.report?.records, shown.report?.decision]).toEqual([0, 'export']);
    expect(linesOf().length, 'what is deleted is not written over').toBe(exported.late.length);

    const replayed = await diverge(clusters, 'replayed');
    await consumeToEnd(target.bootstrap, { group: 'replayed-new', topics: replayed.topics });
    const replaying = ['failback', '-f', replayed.file, '--diverged', 'replay', '--yes'];
    const append = { file: 'src/mirror/failover/replay.ts', find: 'await appendBatch(target' };
    await killedAt(replaying, append, time(2));
    await killedAt(replaying, append, time(1));
    await killedAt(replaying, { file: failback, find: 'await keep(stale.length > 0);' });
    await killedAt(replaying, secondDelete, time(2));
    const replay = await failBack(['-f', replayed.file, '--yes']);
    expect([replay.code, replay.report?.decision], replay.err).toEqual([0, 'replay']);
    const arrived = await consumeToEnd(target.bootstrap, { group: 'replayed-new', topics: replayed.topics });
    const perPlace = (lines: readonly string[]): Record<string, number> =>
      Object.fromEntries(
        [...Map.groupBy(lines, (line) => line.split(' ')[0] ?? '')]
          .map(([place, all]) => [place, all.length])
          .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
      );
    expect(perPlace(arrived), 'each once').toEqual(perPlace(replayed.visible));
    expect(replayed.visible.length).toBeLessThan(replayed.late.length);

    const discarded = await diverge(clusters, 'discarded');
    const undecided = await failBack(['-f', discarded.file, '--yes']);
    expect([undecided.code, undecided.err]).toEqual([5, expect.stringContaining('Decide')]);
    await killedAt(['failback', '-f', discarded.file, '--diverged', 'discard', '--yes'], secondDelete, time(2));
    const discard = await failBack(['-f', discarded.file, '--yes']);
    expect([discard.code, discard.report?.decision], discard.err).toEqual([0, 'discard']);

    let records = 0;
    for (const [{ report }, { topics }] of [
      [done, exported],
      [replay, replayed],
      [discard, discarded],
    ] as const)
      records += await expectLedBack(clusters, must(report, 'report'), topics);
    const kept = 'const isKept = isExportKept(run, record, ends);';
    const careless = plantBug({ file: failback, find: kept, replace: 'const isKept = false;' });
    await new Command(['failback', '-f', exported.file, '--export', path], careless.env).ended();
    expect(readFileSync(path, 'utf8'), 'without the rule the only copy of these records is lost').toBe('');
    at.tookEffect(`${places.length + 5} kills -9 inside of failback`);
    at.figure('records only on the old primary, for each decision', exported.late.length);
    at.outcome(`exported once, replayed once, discarded; identical after the way back, ${records} records`);
  },
);

// ---- mapped, and drills on copies

const shares = [1, 50, 100];

fault(
  {
    id: 'failover-mapped',
    title:
      'drills on copies beside a mapped mirror at work, one of them killed; then its failover: groups go on by the exact map',
    timeoutMs: 600_000,
  },
  async (at) => {
    const { source, target } = await pair();
    await letApplicationWrite(source);
    const names = ['plain', 'tx', 'start'];
    const plain = { name: 'plain', topic: 'mapped.plain', partitions, records: 3_000, codec: 'lz4' as const };
    await writeWorkloads(
      source.bootstrap,
      [
        {
          topics: [
            { name: 'mapped.plain', partitions: 2 },
            { name: 'mapped.live', partitions: 2 },
          ],
          streams: [plain],
        },
        workloads.transactional('mapped.tx', { records: 3_000 }),
        workloads.logStart('mapped.start', { records: 4_000 }),
      ],
      { seed },
    );
    const topics = names.map((name) => `mapped.${name}`);
    const described = await describeTopics(source.bootstrap, topics);
    const special = ' !"#$%&\'()*+,/:;<=>?@[\\]^_`{|}~äŁ😀';
    const groups = shares.map((share) => `mapped-${share}${share === 50 ? special : ''}`);
    const placesAt = (share: number): Places =>
      Object.fromEntries(
        described.map((topic) => [
          topic.name,
          Object.fromEntries(
            topic.partitions.map(({ partition, earliest, lastStable }) => [
              partition,
              earliest + Math.floor(((lastStable - earliest) * share) / 100),
            ]),
          ),
        ]),
      );
    await runGroups(
      source.bootstrap,
      shares.map((share, i) => ({ commit: { [groups[i] ?? '']: placesAt(share) } })),
    );
    const live = { name: 'live', topic: 'mapped.live', partitions, recordsPerSecond: 100 };
    const traffic = await spawnLiveTraffic(source.doors.saslPlaintext, [live], { seed, properties: asApplication });
    onTestFinished(() =>
      traffic.stop().then(
        () => {},
        () => {},
      ),
    );
    const mirrors = {
      mapped: {
        topics: [{ match: '/^mapped\\.(.+)$/', to: 'west.$1' }],
        offsets: 'mapped' as const,
        transactions: 'committed-only' as const,
        refreshMs: 500,
        sync: { groups: { match: ['/mapped-[0-9].*/'], everyMs: 500 } },
      },
    };
    const file = writeLink({ source: source.bootstrap, target: target.bootstrap, mirrors });
    const mirror = run(file);
    const placesOf = (): Promise<unknown> => committedBy(target.bootstrap, groups);
    await mirror.until(
      async () => Object.keys((await committedBy(target.bootstrap, groups))['mapped-100'] ?? {}).length === 6,
      'the groups have their places',
    );
    const continued = async (bootstrap: readonly string[], prefix: string, target: string): Promise<unknown[]> => {
      const steps = groups.map((group) => ({
        consume: { group: prefix + group, topics: names.map((name) => target + name), mapped: true },
      }));
      const answers = (await runGroups(bootstrap, steps)) as Continued[];
      return answers.map((answer) =>
        Object.entries(answer).map(([place, [, , records, digest]]) => [place.slice(target.length), records, digest]),
      );
    };
    const onSource = await continued(source.bootstrap, '', 'mapped.');

    const before = await placesOf();
    const idsOf = async (): Promise<string[]> =>
      (
        await describeTopics(
          target.bootstrap,
          names.map((name) => `west.${name}`),
        )
      ).map(({ id }) => id);
    const ids = await idsOf();
    const path = join(temporaryDirectory('evidence'), 'drill.json');
    const drilling = ['drill', '-f', file, '--copies', 'drill.', '--evidence', path];
    const same = await new Command(['drill', '-f', file, '--copies', 'west.']).ended();
    expect([same.code, same.err]).toEqual([5, expect.stringContaining('west.')]);
    await killedAt([...drilling, '--keep'], procedure, `step === 'cut'`);
    const drilled = await new Command([...drilling, '--keep']).ended(120_000);
    expect(drilled.code, `${drilled.out}${drilled.err}`).toBe(0);
    const drill = JSON.parse(readFileSync(path, 'utf8')) as FailoverEvidence;
    expect(drill).toMatchObject({ outcome: 'drill', verified: { different: 0, failed: 0 }, fence: { topics: [] } });
    expect(drill.steps.map(({ step }) => step)).toEqual(failoverSteps);
    expect(await continued(target.bootstrap, 'drill.', 'drill.west.'), 'groups on copies').toEqual(onSource);
    const again = await new Command(drilling).ended(120_000);
    expect(again.code, `${again.out}${again.err}`).toBe(0);
    expect([await placesOf(), await idsOf()], 'what is live was not touched').toEqual([before, ids]);
    expect(await topicsWith(target, 'drill.'), 'copies are deleted').toEqual([]);
    expect(
      Object.values(
        await committedBy(
          target.bootstrap,
          groups.map((group) => `drill.${group}`),
        ),
      ),
    ).toEqual(groups.map(() => ({})));
    expect([mirror.isRunning, mirror.incidents], mirror.describe()).toEqual([true, []]);

    const evidence = await failOver(file);
    expect(evidence).toMatchObject({
      rpo: { records: 0 },
      verified: { different: 0, failed: 0 },
      fence: { why: null },
    });
    expect(evidence.cut.map(({ mode }) => mode)).toEqual(['mapped', 'mapped', 'mapped', 'mapped']);
    // Without transactions its producer hears of what was denied when it is asked.
    await expect(traffic.stop()).rejects.toThrow(/TopicAuthorization/);
    await mirror.ended(60_000);
    expect(await continued(target.bootstrap, '', 'west.')).toEqual(onSource);
    const lines = async ({ bootstrap }: KafkaCluster, topic: string): Promise<number> =>
      (await consumeToEnd(bootstrap, { group: 'mapped-live-all', topics: [topic] })).length;
    const written = await lines(source, 'mapped.live');
    expect(await lines(target, 'west.live'), 'all that was written is there').toBe(written);
    const places = Object.values(await committedBy(target.bootstrap, groups)).flatMap((group) => Object.values(group));
    expect(places.length).toBe(groups.length * 6);
    at.tookEffect('producers were denied WRITE; a drill died in its cut');
    at.figure('drill on copies: made in s', (drill.copies?.copiedMs ?? 0) / 1_000);
    at.figure('drill on copies: RTO in s', drill.rtoMs / 1_000);
    at.figure('failover: RTO in s', evidence.rtoMs / 1_000);
    at.outcome(
      `${groups.length} groups on 6 partitions each go on with exactly the next record, on copies and after the failover`,
    );
  },
);

async function topicsWith(cluster: KafkaCluster, prefix: string): Promise<string[]> {
  const client = openCluster(cluster.bootstrap);
  try {
    await client.connect();
    return (await client.refresh('all')).map(({ name }) => name).filter((name) => name.startsWith(prefix));
  } finally {
    client.close();
  }
}
