/**
 * Mapped offsets under faults. Judged by the records themselves, by `lockstep verify` through the saved maps, and by what
 * the ledger says of each source offset.
 */
import { expect, onTestFinished } from 'vitest';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import { drop } from '#testing/fault-kinds.ts';
import type { ApiName } from '#testing/fault-rule.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { createRandom } from '#util/random.ts';
import { must } from '#util/assert.ts';
import { Command } from '../acceptance/command.ts';
import { fault } from './fault.ts';
import { leaderOf, waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair, startMirror, waitsForStart, type MirrorUnderTest } from './mirror-under-test.ts';
import { injectInto, startProxied } from './network.ts';
import { onSmallDisk } from './small-disk.ts';
import { TwoTopics } from './two-topics.ts';

const one = clusterPair({ source: { proxied: true }, target: { proxied: true } });
const three = clusterPair({
  source: {},
  target: { brokers: 3, properties: { 'broker.session.timeout.ms': '6000' } }, // as in brokers.fault.test.ts
});
/** Plain ones without a gap, and ones whose transactions make gaps. */
const kinds = ['plain', 'transactional'] as const;
const spec = { offsets: 'mapped' } as const;

/** Every source offset is in the ledger, and every record of the source in the map. */
async function expectLedger(mirror: MirrorUnderTest): Promise<string> {
  const topic = mirror.topic('transactional');
  const partitions = await readLedger(mirror.file, topic);
  expect(partitions.length).toBeGreaterThan(0);
  for (const { unexplained, counts } of partitions) {
    expect(unexplained).toBe(0);
    expect(counts['lost-at-source']).toBe(0);
  }
  const sum = (kind: 'delivered' | 'control' | 'aborted'): number =>
    partitions.reduce((total, { counts }) => total + counts[kind], 0);
  expect([sum('delivered') > 0, sum('control') > 0, sum('aborted') > 0]).toEqual([true, true, true]);
  return `in the ledger ${sum('delivered')} delivered, ${sum('control')} control, ${sum('aborted')} aborted, 0 unexplained`;
}

async function readLedger(file: string, topic: string): Promise<readonly ExportedLedger[]> {
  const ended = await new Command(['ledger', topic, '-f', file, '--json']).ended(60_000);
  expect(ended.code, ended.err).toBe(0);
  return (JSON.parse(ended.out) as { partitions: ExportedLedger[] }).partitions;
}

fault(
  { id: 'mapped-leaders-killed', title: 'leaders of the target killed, three in all, with mapped offsets' },
  async (run) => {
    const replicated = { ...spec, targetReplicationFactor: 3 };
    const mirror = await startMirror(run, await three(), { name: run.id, kinds, spec: replicated });
    const { target } = mirror.pair;
    const moves: string[] = [];
    for (const topic of [mirror.topic('transactional'), '__lockstep.state', mirror.topic('plain')]) {
      await waitForInSync(target, [topic]); // else nobody else may lead it
      const broker = await leaderOf(target, topic);
      await broker.kill();
      const after = await waitForOther(target, topic, { than: broker.id });
      await mirror.advances(`without broker ${broker.id}`);
      moves.push(`${topic} ${broker.id}→${after}`);
      await broker.start();
    }
    run.tookEffect(`another broker led after each of 3: ${moves.join(', ')}`);
    await mirror.expectIdenticalAfterwards();
    run.outcome(await expectLedger(mirror));
  },
);

fault(
  {
    id: 'mapped-lost-answers',
    title: 'five answers of each request lost with their connections, with mapped offsets',
  },
  async (run) => {
    const clusters = await one();
    const lose = (side: 'source' | 'target', api: ApiName, topic?: string) =>
      injectInto(clusters, side, {
        match: { api, direction: 'response', nth: [1, 2, 3, 4, 5], ...(topic ? { topic } : {}) },
        fault: drop(),
        name: `lost ${api}${topic ? ` of ${topic}` : ''}`,
      });
    const lost = [
      lose('target', 'InitProducerId'),
      lose('target', 'Produce', `${run.id}.transactional`),
      lose('target', 'Produce', `${run.id}.plain`),
      lose('source', 'Fetch'),
    ];
    const mirror = await startProxied(run, clusters, { kinds, spec });
    // Not before: a state topic that cannot be read at the start ends the command.
    lost.push(lose('target', 'Produce', '__lockstep.state'), lose('target', 'ListOffsets'));
    lost.push(lose('target', 'Produce', `${run.id}.transactional`)); // after which the position is asked for
    for (const each of lost) await each.fired(mirror, 5, 240_000);
    for (const each of lost) run.tookEffect(each.evidence());
    run.figure('all partitions went on within s', (await mirror.advances('all answers arrive')) / 1000);
    await mirror.expectIdenticalAfterwards();
    run.outcome(await expectLedger(mirror));
  },
);

fault(
  { id: 'mapped-disk-full', title: 'the disk of the broker on the target full, then freed, with mapped offsets' },
  async (run) => {
    const broker = must((await one()).target.brokers[0], 'broker');
    const disk = await onSmallDisk(broker, 96_000_000);
    onTestFinished(() => disk.remove());
    const mirror = await startProxied(run, await one(), { kinds, spec });
    const said = disk.fill();
    await mirror.until(() => !broker.isRunning(), 'the broker has found its disk full and ended');
    disk.free();
    await broker.start();
    const startedAt = performance.now();
    await mirror.advances('the disk has room again');
    run.tookEffect(`${disk.kind}: ${said}; the broker ended`);
    run.figure('all partitions went on s after the restart', (performance.now() - startedAt) / 1000);
    await mirror.expectIdenticalAfterwards({ mayWait: waitsForStart('target') });
    run.outcome(await expectLedger(mirror));
  },
);

fault(
  {
    id: 'mapped-killed',
    title: 'the mirror killed five times at random under load, with mapped offsets',
    timeoutMs: 900_000,
  },
  async (run) => {
    const seed = Date.now() % 1_000_000;
    const random = createRandom(seed);
    const mirror = await startProxied(run, await one(), { kinds, spec, seed });
    const copied: number[] = [];
    for (let kills = 0; kills < 5; kills++) {
      await mirror.lasts(random.next() * 3_000);
      copied.push(mirror.offsetsCopied());
      await mirror.kill();
      mirror.startAgain();
      await mirror.until(() => mirror.offsetsCopied() > must(copied.at(-1), 'offsets'), 'it goes on', 120_000);
    }
    run.tookEffect(`killed at ${copied.join(', ')} offsets copied`);
    await mirror.expectIdenticalAfterwards();
    run.outcome(await expectLedger(mirror));
  },
);

fault(
  {
    id: 'mapped-retention-passed',
    title: 'DeleteRecords passes the position of a mapped partition: it stops, and names what was lost at the source',
  },
  async (run) => {
    const clusters = await one();
    const scene = await TwoTopics.open(run, clusters, { spec: { offsets: 'mapped' } });
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    lockstep.signal('SIGSTOP');
    await scene.write(20_000, [scene.hit], { valueBytes: 400 });
    const before = await scene.history('source', { below: 20_000 });
    await runAdmin(clusters.source.bootstrap, [{ deleteRecords: { topic: scene.hit, before: { 0: 20_000 } } }]);
    run.tookEffect(
      `the source begins at ${(await scene.bounds('source')).logStart}, the target ends at ${await scene.end('target')}`,
    );
    lockstep.signal('SIGCONT');
    const incident = await scene.incident(lockstep, 'SHARD_RETENTION_LOSS');
    const end = await scene.end('target');
    expect(incident.offsets).toEqual({ from: end, to: 20_000 });
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_RETENTION_LOSS']);
    await scene.expectSameBelow(end, before);
    await scene.expectSame([scene.other]);
    const [ledger] = await readLedger(scene.file, scene.hit);
    expect(ledger?.unexplained).toBe(0);
    expect(ledger?.dispositions).toEqual([
      { kind: 'delivered', from: 0, to: end },
      { kind: 'lost-at-source', from: end, to: 20_000 },
    ]);
    run.outcome(`the ledger has offsets ${end} to 19999 as lost at the source`);
  },
);
