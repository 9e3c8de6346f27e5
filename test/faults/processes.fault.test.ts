/** Several processes of one mirror: while topics come and grow, processes die, the file changes, and another version knocks. */
import { writeFileSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import { ASSIGNMENT_VERSION } from '#jobs/assignment.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { plantBug } from '#testing/planted-bug.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { createTopics, describeTopics, runAdmin } from '#testing/topic-admin.ts';
import { partitionsUpTo, spawnLiveTraffic, writeStreams, type RecordStream } from '#testing/workload.ts';
import { createRandom } from '#util/random.ts';
import { must } from '#util/assert.ts';
import { linkText, writeLink, type MirrorSpec } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';

/** Topics on the target want three replicas: with a broker down none can be made. */
const pair = clusterPair({ source: {}, target: { brokers: 3 } });
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const TAKEOVER_MS = 30_000;

const NAME = 'work';
const stream = (topic: string, partitions: number): RecordStream => ({
  name: topic,
  topic,
  partitions: partitionsUpTo(partitions),
  recordsPerSecond: 60,
});

/** `topic/partition` → position, of those that the process copies. */
function copying(mirror: LockstepProcess): Map<string, number> {
  const shards = mirror.status(NAME)?.shards ?? [];
  return new Map(
    shards.flatMap(({ topic, partition, state, position }) =>
      state === 'copying' ? [[`${topic}/${partition}`, position ?? 0] as const] : [],
    ),
  );
}

/** Each of `count` partitions is copied by one of them, and each of them copies some; returns after how many ms. */
async function shared(mirrors: readonly LockstepProcess[], count: number, timeoutMs = 90_000): Promise<number> {
  const begunMs = performance.now();
  const isShared = (): boolean => {
    const held = mirrors.map((mirror) => [...copying(mirror).keys()]);
    return held.every((each) => each.length > 0) && held.flat().length === count && new Set(held.flat()).size === count;
  };
  const describe = (): string =>
    `${count} partitions are shared\n${mirrors.map((mirror) => mirror.describe()).join('\n\n')}`;
  await waitUntil(isShared, describe, { timeoutMs, everyMs: 50 });
  return performance.now() - begunMs;
}

fault(
  {
    id: 'three-processes',
    title:
      'three processes: no topic can be made at first; then topics and partitions come, processes die, the file changes one by one',
    timeoutMs: 600_000,
  },
  async (at) => {
    process.stdout.write(`processes: seed ${seed}\n`);
    const { source, target } = await pair();
    const random = createRandom(seed);
    const spec: MirrorSpec = {
      topics: [{ match: '/work\\..+/' }, { exclude: 'work.late' }],
      refreshMs: 500,
      targetReplicationFactor: 3,
    };
    const link = { source: source.bootstrap, target: target.bootstrap };
    const file = writeLink({ ...link, mirrors: { [NAME]: spec } });
    const start = (env: Readonly<Record<string, string>> = {}): LockstepProcess => {
      const mirror = LockstepProcess.run(file, [], { env });
      onTestFinished(() => mirror.kill());
      return mirror;
    };

    await createTopics(source.bootstrap, [{ name: 'work.first', partitions: 1 }]);
    const mirrors = [start(), start(), start()];
    for (const mirror of mirrors)
      await mirror.until(() => mirror.status(NAME)?.shards.length === 1, 'the first topic is there');
    const broker = must(target.brokers[2], 'third broker');
    await broker.kill();
    // A controller puts replicas on brokers that are gone, too (StripedReplicaPlacer), but not where it knows of none.
    const unregister = async (): Promise<boolean> =>
      runAdmin(target.bootstrap.slice(0, 2), [{ unregisterBroker: broker.id }]).then(
        () => true,
        () => false, // it may still count as alive
      );
    await waitUntil(unregister, 'the third broker is forgotten', { timeoutMs: 60_000, everyMs: 500 });
    const configs = { 'retention.ms': '123456789', 'max.message.bytes': '777777' };
    await createTopics(source.bootstrap, [{ name: 'work.a', partitions: 3, configs }]);
    for (const mirror of mirrors)
      await mirror.until(() => mirror.incidents.length > 0, 'it says that the topic cannot be made');
    const codes = new Set(mirrors.flatMap(({ incidents }) => incidents.map(({ code, topic }) => `${code} ${topic}`)));
    await broker.start();
    const createdAfterMs = await shared(mirrors, 4);
    const [created] = await describeTopics(target.bootstrap, ['work.a']);
    expect([created?.replicationFactor, created?.configs]).toMatchObject([3, configs]);

    const early = await spawnLiveTraffic(source.bootstrap, [stream('work.a', 3)], { seed });
    await createTopics(source.bootstrap, [{ name: 'work.b', partitions: 4 }]);
    await runAdmin(source.bootstrap, [{ addPartitions: { topic: 'work.a', total: 6 } }]);
    await createTopics(source.bootstrap, [{ name: 'work.late', partitions: 2 }]);
    const grownAfterMs = await shared(mirrors, 11);
    const traffic = await spawnLiveTraffic(source.bootstrap, [stream('work.a', 6), stream('work.b', 4)], {
      seed,
      run: 'grown',
    });

    const takeovers: number[] = [];
    for (let kill = 0; kill < 3; kill++) {
      const dying = Math.floor(random.next() * 3);
      const before = new Map(mirrors.flatMap((mirror) => [...copying(mirror)]));
      await must(mirrors[dying], 'process').kill();
      const killedMs = performance.now();
      const others = mirrors.filter((_, i) => i !== dying);
      const hasAll = (): boolean => {
        const now = new Map(others.flatMap((mirror) => [...copying(mirror)]));
        return [...before].every(([place, position]) => (now.get(place) ?? -1) > position || place === 'work.first/0');
      };
      await waitUntil(hasAll, () => others.map((mirror) => mirror.describe()).join('\n\n'), { timeoutMs: 60_000 });
      takeovers.push(performance.now() - killedMs);
      mirrors[dying] = start();
      await shared(mirrors, 11);
    }
    expect(Math.max(...takeovers), 'every partition goes on').toBeLessThan(TAKEOVER_MS);

    const newer = plantBug({
      file: 'src/jobs/assignment.ts',
      find: `export const ASSIGNMENT_VERSION = ${ASSIGNMENT_VERSION};`,
      replace: `export const ASSIGNMENT_VERSION = ${ASSIGNMENT_VERSION + 1};`,
    });
    const stranger = start(newer.env);
    await stranger.until(() => stranger.incidents.length > 0, 'the other version is refused');
    expect(stranger.incidents.map(({ code }) => code)).toEqual(['MIRROR_PEERS_DIFFER']);
    expect([...copying(stranger).keys()]).toEqual([]);
    await shared(mirrors, 11);

    const changed: MirrorSpec = { ...spec, topics: [{ match: '/work\\..+/' }], refreshMs: 400 };
    writeFileSync(file, linkText({ ...link, mirrors: { [NAME]: changed } }));
    for (const [i, mirror] of mirrors.entries()) {
      const run = await mirror.interrupt();
      expect(run.code, told(run)).toBe(130);
      const next = (mirrors[i] = start());
      // Else the group may be empty for a moment, and the version that waits be let in. Beside the old file it gets nothing, and says so.
      const isIn = (): boolean => copying(next).size > 0 || next.incidents.length > 0;
      await next.until(isIn, 'it is in the group before the next one goes', 60_000);
    }
    const rolledAfterMs = await shared(mirrors, 13);
    await writeStreams(source.bootstrap, [{ ...stream('work.late', 2), records: 400 }], { seed });
    await Promise.all([early.stop(), traffic.stop()]);
    const caughtUp = await LockstepProcess.run(file, ['--until', 'caught-up']).ended(90_000);
    expect(caughtUp.code, told(caughtUp)).toBe(0);
    for (const mirror of mirrors) expect((await mirror.interrupt()).code).toBe(130);
    // The group is empty now: the version that was refused is the only one, and has the file of before.
    await stranger.until(() => copying(stranger).size === 11, 'the other version copies once it is alone', 60_000);
    await writeStreams(source.bootstrap, [{ ...stream('work.b', 4), name: 'after', records: 400 }], { seed });
    await stranger.until(
      () => (stranger.status(NAME)?.shards ?? []).every(({ lagRecords }) => lagRecords === 0),
      'it has copied what came since',
    );
    await stranger.interrupt();
    const { recordsEqual } = await expectIdentical({
      ...link,
      topics: ['work.first', 'work.a', 'work.b', 'work.late'].map((topic) => ({ source: topic, target: topic })),
    });
    at.tookEffect(`${[...codes].join(', ')} with a broker down; 3 kills -9; MIRROR_PEERS_DIFFER for another version`);
    at.figure('topic made after its broker was back, in s', createdAfterMs / 1_000);
    at.figure('7 new partitions shared after s', grownAfterMs / 1_000);
    at.figure('all partitions go on after a kill, in s', takeovers.map((ms) => (ms / 1_000).toFixed(1)).join(', '));
    at.figure('13 partitions shared after the last of three restarts, in s', rolledAfterMs / 1_000);
    at.outcome(`identical, ${recordsEqual} records in 13 partitions, none left out`);
  },
);

fault(
  {
    id: 'stopped-elsewhere',
    title: 'partitions have stopped in two processes; a run to the end of the source beside them ends',
    timeoutMs: 300_000,
  },
  async (at) => {
    const { source, target } = await pair();
    const spec: MirrorSpec = { topics: [{ match: 'halted' }], refreshMs: 500 };
    const link = { source: source.bootstrap, target: target.bootstrap };
    const file = writeLink({ ...link, mirrors: { halted: spec } });
    await createTopics(source.bootstrap, [{ name: 'halted', partitions: 2 }]);
    const write = (bootstrap: readonly string[], name: string): Promise<unknown> =>
      writeStreams(bootstrap, [{ name, topic: 'halted', partitions: [0, 1], partitionRuns: 10, records: 100 }], {
        seed,
      });
    await write(source.bootstrap, 'first');
    const owner = LockstepProcess.run(file);
    onTestFinished(() => owner.kill());
    await owner.until(() => owner.status('halted')?.recordsCopied === 100, 'all is copied');
    await write(target.bootstrap, 'foreign');
    await write(source.bootstrap, 'second');
    await owner.until(() => owner.incidents.length === 2, 'both partitions have stopped');
    const beside = await LockstepProcess.run(file, ['--until', 'caught-up']).ended(60_000);
    expect(beside.code, told(beside)).toBe(5);
    // Which of the two has a partition is the group's choice: it finds what is wrong itself, or says that the other one did.
    const whys = beside.incidents.map(({ cause }) => cause);
    expect(whys, told(beside)).toHaveLength(2);
    for (const why of whys) expect(why).toMatch(/has stopped in another process|that this mirror did not write/);
    at.tookEffect(owner.incidents.map(({ code, topic, partition }) => `${code} ${topic}/${partition}`).join(', '));
    at.outcome('the run beside it ends with exit code 5, and says of each partition why it has stopped');
  },
);

fault(
  {
    id: 'thousand-topics',
    title: '200 topics with records, then 1,000, while two processes run',
    timeoutMs: 300_000,
  },
  async (at) => {
    const { source, target } = await pair();
    const link = { source: source.bootstrap, target: target.bootstrap };
    const spec: MirrorSpec = { topics: [{ match: '/many\\..+/' }], refreshMs: 1_000 };
    const file = writeLink({ ...link, mirrors: { many: spec } });
    const names = Array.from({ length: 1_000 }, (_, i) => `many.${i}`);
    const make = async (some: readonly string[]): Promise<void> => {
      await createTopics(
        source.bootstrap,
        some.map((name) => ({ name, partitions: 1 })),
      );
      const streams = some.map((topic) => ({ name: topic, topic, partitions: [0], records: 5 }));
      await writeStreams(source.bootstrap, streams, { seed });
    };
    await make(names.slice(0, 200));
    const mirrors = [0, 1].map(() => LockstepProcess.run(file));
    onTestFinished(async () => {
      for (const mirror of mirrors) await mirror.kill();
    });
    const copied = (): number => mirrors.reduce((sum, mirror) => sum + (mirror.status('many')?.recordsCopied ?? 0), 0);
    const describe = (): string => mirrors.map((mirror) => mirror.describe()).join('\n');
    await waitUntil(() => copied() === 1_000, describe, { timeoutMs: 90_000 });
    const begunMs = performance.now();
    await make(names.slice(200));
    const madeMs = performance.now();
    await waitUntil(() => copied() === 5_000, describe, { timeoutMs: 120_000 });
    for (const mirror of mirrors) expect((await mirror.interrupt()).incidents, mirror.describe()).toEqual([]);
    const { recordsEqual } = await expectIdentical({
      ...link,
      topics: names.map((topic) => ({ source: topic, target: topic })),
    });
    expect(recordsEqual).toBe(5_000);
    at.tookEffect('800 topics appeared while both ran');
    at.figure('topics made and written in s', (madeMs - begunMs) / 1_000);
    at.figure('copied after the last record in s', (performance.now() - madeMs) / 1_000);
    at.outcome(`identical, ${recordsEqual} records in 1,000 topics`);
  },
);
