/** Consumer groups under faults, and in the states that users find them in. Their places are read as brokers tell them. */
import { expect, onTestFinished } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { hold, latency } from '#testing/fault-kinds.ts';
import type { Fault } from '#testing/fault-rule.ts';
import { runGroups } from '#testing/group-client.ts';
import { consumeToEnd } from '#testing/live-consumer.ts';
import { createTopics, describeTopics, runAdmin, type Acl } from '#testing/topic-admin.ts';
import { spawnLiveTraffic, writeStreams } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { writeLink, type MirrorSpec } from '../acceptance/link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { groupEvents, GroupScene, waited, whyLeft, type Offsets } from './group-scene.ts';
import { clusterPair, type Side } from './mirror-under-test.ts';

const pair = clusterPair({ source: {}, target: { proxied: true } });

const EVERY_MS = 500;
/** Not what is written to the state topic, which names the topics too. */
function holdData(): Fault {
  const held = hold();
  const isData = (bytes: Buffer): boolean => !bytes.includes('__lockstep.state');
  return { name: held.name, apply: (passage, scene) => isData(passage.bytes) && held.apply(passage, scene) };
}

const groups = (match: string, more: object = {}): object => ({
  groups: { match: [match], everyMs: EVERY_MS, ...more },
});

fault(
  {
    id: 'groups-moved-over',
    title: 'consumers have moved to the target, read on without leader epochs and stopped; the mirror starts again',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters);
    const topic = 'moved.orders';
    await createTopics(clusters.source.bootstrap, [{ name: topic, partitions: 2 }]);
    await writeStreams(clusters.source.bootstrap, [{ name: 'moved', topic, partitions: [0, 1], records: 400 }]);
    const at = (offset: number) => ({ [`${topic}/0`]: offset, [`${topic}/1`]: offset });
    const ids = ['moved.admin', 'moved.framework', 'moved.reader', 'moved.kept/1', 'moved.reset'];
    for (const id of ids) await scene.commit('source', id, at(50));
    const file = scene.file({ moved: { topics: [{ match: topic }], sync: groups('/^moved\\..*/') } });
    const first = scene.run(file);
    for (const id of ids) await scene.untilAt(first, id, at(50));
    await first.interrupt();

    const { bootstrap } = clusters.target;
    await scene.commit('target', 'moved.admin', at(90));
    await runGroups(bootstrap, [
      // A member that commits what it has counted: without a leader epoch.
      { consume: { group: 'moved.framework', topics: [topic], commit: { [topic]: { 0: 90, 1: 90 } } } },
    ]);
    await consumeToEnd(bootstrap, { group: 'moved.reader', topics: [topic] });
    await scene.commit('target', 'moved.reset', at(5));
    const reader = await scene.places('target', 'moved.reader');
    expect(reader[`${topic}/0`]).toBeGreaterThan(90);
    run.tookEffect('two groups stood beyond the source without leader epochs, one with them, one before it');
    await scene.commit('source', 'moved.admin', at(20));
    await scene.commit('source', 'moved.kept/1', at(20));
    const expectNobodyMoved = async (): Promise<void> => {
      expect(await scene.places('target', 'moved.admin')).toEqual(at(90));
      expect(await scene.places('target', 'moved.framework')).toEqual(at(90));
      expect(await scene.places('target', 'moved.reader')).toEqual(reader);
      expect(await scene.places('target', 'moved.reset')).toEqual(at(5));
    };
    for (const isKilled of [false, true]) {
      const again = scene.run(file);
      await scene.untilAt(again, 'moved.kept/1', at(isKilled ? 30 : 20)); // what the mirror wrote follows back, and on
      for (const id of ids) if (id !== 'moved.kept/1') await scene.untilLeft(again, id, 'somebody else');
      await expectNobodyMoved();
      await scene.commit('source', 'moved.kept/1', at(isKilled ? 10 : 30));
      await scene.untilAt(again, 'moved.kept/1', at(isKilled ? 10 : 30));
      if (!isKilled) await again.kill();
      else {
        await scene.commit('source', 'moved.admin', at(95)); // the source goes beyond: it leads again
        await scene.untilAt(again, 'moved.admin', at(95));
        await scene.commit('source', 'moved.admin', at(40));
        await scene.untilAt(again, 'moved.admin', at(40));
        const ended = await again.interrupt();
        expect(ended.incidents, told(ended)).toEqual([]);
      }
    }
    run.outcome('nobody was moved back, also after kill -9; what the mirror had written followed');
  },
);

fault(
  {
    id: 'groups-between-look-and-commit',
    title:
      'a consumer joins the target between the look and the commit; and comes, reads and goes while a look is on its way',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters, { isProxied: true });
    const proxy = must(clusters.target.proxies[0], 'proxy');
    const topic = 'between.orders';
    await createTopics(clusters.source.bootstrap, [{ name: topic, partitions: 1 }]);
    await writeStreams(clusters.source.bootstrap, [{ name: 'between', topic, partitions: [0], records: 100 }]);
    const at = (offset: number) => ({ [`${topic}/0`]: offset });
    for (const id of ['between.joins', 'between.goes']) await scene.commit('source', id, at(10));
    const sync = groups('/^between\\..*/');
    const lockstep = scene.run(scene.file({ between: { topics: [{ match: topic }], sync } }));
    for (const id of ['between.joins', 'between.goes']) await scene.untilAt(lockstep, id, at(10));

    // The look has said that nobody is there; the commit is on its way when somebody joins.
    const held = proxy.inject({ match: { api: 'OffsetCommit', direction: 'request' }, fault: hold(), times: 1 });
    await scene.commit('source', 'between.joins', at(20));
    await held.fired();
    const member = await scene.join('target', 'between.joins');
    held.end();
    await scene.untilLeft(lockstep, 'between.joins', 'has members');
    expect(await scene.places('target', 'between.joins'), 'the broker refused').toEqual(at(10));
    await member.leave();
    await scene.untilAt(lockstep, 'between.joins', at(20));

    // What the look says is 12 s old when it arrives: consumers have been there meanwhile.
    await scene.commit('source', 'between.goes', at(60));
    const late = proxy.inject({ match: { api: 'OffsetFetch', direction: 'response' }, fault: hold(), times: 1 });
    await late.fired();
    await scene.commit('source', 'between.goes', at(70)); // whatever of it the round has seen
    await scene.commit('target', 'between.goes', at(90));
    await lockstep.until(waited(12_000), 'the look is old');
    late.end();
    await scene.untilLeft(lockstep, 'between.goes', 'somebody else');
    expect(await scene.places('target', 'between.goes')).toEqual(at(90));
    const whys = groupEvents(lockstep).flatMap(({ leftAlone }) => leftAlone.map(({ why }) => why));
    expect(
      whys.some((why) => why.includes('stood still')),
      whys.join('\n'),
    ).toBe(true);
    run.tookEffect('a commit was held until a member had joined, and the answer to a look for 12 s');
    const ended = await lockstep.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);
    run.outcome('both places are as the consumers left them');
  },
);

fault(
  {
    id: 'groups-ahead-of-the-copy',
    title: 'groups read ahead of a copy that is slow, held up, held back by an open transaction, or not begun',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters, { isProxied: true });
    const proxy = must(clusters.target.proxies[0], 'proxy');
    const { bootstrap } = clusters.source;
    const [live, open, mapped] = ['ahead.live', 'ahead.open', 'ahead.mapped'];
    await createTopics(
      bootstrap,
      [live, open, mapped].map((name) => ({ name, partitions: 1 })),
    );
    const sync = groups('/^ahead\\..*/', { everyMs: 100 });
    const mirrors = {
      ahead: { topics: [{ match: live }, { match: open }], sync },
      'ahead-mapped': { topics: [{ match: mapped, to: `dense.${mapped}` }], offsets: 'mapped' as const, sync },
    };
    const slow = proxy.inject({ match: { api: 'Produce', direction: 'request' }, fault: latency(150) });
    await writeStreams(bootstrap, [
      {
        name: 'open',
        topic: open,
        partitions: [0],
        records: 60,
        transactions: { producers: 1, abortRate: 0, records: [10, 10], leaveOpen: 1, timeoutMs: 40_000 },
      },
    ]);
    const openEnd = await scene.end('source', open);
    await scene.commit('source', 'ahead.open', { [`${open}/0`]: openEnd });
    await scene.commit('source', 'ahead.mapped', { [`${mapped}/0`]: 0 });
    const [described] = await describeTopics(bootstrap, [open]);
    const heldAt = must(described?.partitions[0], 'partition').lastStable;
    expect(heldAt).toBeLessThan(openEnd);
    const lockstep = scene.run(scene.file(mirrors));
    await scene.untilAt(lockstep, 'ahead.open', { [`${open}/0`]: heldAt });
    expect(await scene.end('target', open), 'it stands at the end').toBe(heldAt);
    run.tookEffect(`an open transaction held a place at ${heldAt} instead of ${openEnd}`);
    const traffic = await spawnLiveTraffic(bootstrap, [
      { name: 'live', topic: live, partitions: [0], recordsPerSecond: 200 },
    ]);
    onTestFinished(async () => void (await traffic.stop().catch(() => {})));

    // A group that is always at the end of the source: nowhere on the target is its place ahead of the log.
    let samples = 0;
    let behind = 0;
    let last = -1;
    const sample = async (): Promise<boolean> => {
      await scene.commit('source', 'ahead.live', { [`${live}/0`]: await scene.end('source', live) });
      const place = (await scene.places('target', 'ahead.live'))[`${live}/0`];
      if (place === undefined) return false;
      const end = await scene.end('target', live); // read later: it may only have grown
      expect(place).toBeLessThanOrEqual(end);
      expect(place, 'and only forwards').toBeGreaterThanOrEqual(last);
      last = place;
      samples++;
      if (place < (await scene.end('source', live))) behind++;
      return samples >= 150;
    };
    await lockstep.until(sample, '150 samples', 120_000);

    // The copy stands still; the group goes on at the source.
    const held = proxy.inject({ match: { api: 'Produce', direction: 'request', topic: live }, fault: holdData() });
    await held.fired();
    const stood = await scene.end('target', live);
    await lockstep.until(async () => (await scene.end('source', live)) > stood + 400, 'the source has gone on');
    await traffic.stop();
    const ahead = await scene.end('source', live);
    await scene.commit('source', 'ahead.live', { [`${live}/0`]: ahead });
    await scene.untilAt(lockstep, 'ahead.live', { [`${live}/0`]: await scene.end('target', live) });
    expect(await scene.end('target', live)).toBeLessThan(ahead);
    held.end();
    slow.end();
    await scene.untilAt(lockstep, 'ahead.live', { [`${live}/0`]: ahead });

    // Nothing is committed for what has no place yet.
    expect(whyLeft(lockstep, 'ahead.mapped', 'ahead-mapped')).toContain('not begun');
    expect(await scene.places('target', 'ahead.mapped')).toEqual({});
    await writeStreams(bootstrap, [{ name: 'mapped', topic: mapped, partitions: [0], records: 50 }]);
    await scene.commit('source', 'ahead.mapped', { [`${mapped}/0`]: 40 });
    await scene.untilAt(lockstep, 'ahead.mapped', { [`dense.${mapped}/0`]: 40 });

    await scene.untilAt(lockstep, 'ahead.open', { [`${open}/0`]: openEnd });
    run.tookEffect(`of ${samples} places ${behind} were held back behind the source; one was held at ${stood}`);
    expect(behind).toBeGreaterThan(0);
    const ended = await lockstep.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);
    run.outcome('no place was beyond the end of the target, and each arrived with the records');
  },
);

fault(
  {
    id: 'groups-odd-places',
    title:
      'places at 0, at an emptied log, beyond the end, before the start, of -1, of static members, and on a topic that is deleted on the target',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters);
    const { bootstrap } = clusters.source;
    const name = (topic: string): string => `odd.${topic}`;
    const topics = ['emptied', 'few', 'times', 'good', 'gone'].map(name);
    const [emptied = '', few = '', times = '', good = '', gone = ''] = topics;
    await createTopics(
      bootstrap,
      topics.map((each) => ({ name: each, partitions: each === good ? 2 : 1 })),
    );
    const stream = (topic: string, records: number, more: object = {}) => ({
      name: topic,
      topic,
      partitions: topic === good ? [0, 1] : [0],
      records,
      ...more,
    });
    await writeStreams(bootstrap, [
      stream(emptied, 100),
      stream(few, 5),
      stream(times, 100, { timestamps: { mode: 'disorder' } }),
      { ...stream(times, 100, { timestamps: { mode: 'fixed', baseMs: Date.now() } }), name: 'equal' },
      stream(good, 200),
      stream(gone, 100),
    ]);
    await runAdmin(bootstrap, [
      { deleteRecords: { topic: emptied, before: { 0: 100 } } },
      { deleteRecords: { topic: good, before: { 0: 30 } } },
    ]);
    const wanted: Record<string, Record<string, number>> = {
      'odd.all-read': { [`${emptied}/0`]: 100 },
      'odd.zero': { [`${few}/0`]: 0, [`${good}/1`]: 0 },
      'odd.few': { [`${few}/0`]: 3 },
      'odd.null': { [`${good}/0`]: -1, [`${good}/1`]: 7 },
      'odd.beyond': { [`${good}/1`]: 10_000 },
      'odd.before': { [`${good}/0`]: 2 },
      'odd.times': { [`${times}/0`]: 77 },
      'odd.two-topics': { [`${good}/1`]: 5, [`${gone}/0`]: 5 },
    };
    for (const [id, offsets] of Object.entries(wanted)) await scene.commit('source', id, offsets);
    const { bootstrap: onTarget } = clusters.target;
    await consumeToEnd(bootstrap, { group: 'odd.static', topics: [good], instance: 'odd-1' });
    const isStill = await scene.stateOf('source', 'odd.static');
    const sync = groups('/^odd\\..*/');
    const file = scene.file({ odd: { topics: [{ match: '/odd\\..*/' }], sync, refreshMs: 1_000 } });
    const lockstep = scene.run(file);
    const end = await scene.end('source', good, 1);
    const expected: typeof wanted = {
      ...wanted,
      'odd.null': { [`${good}/1`]: 7 },
      'odd.beyond': { [`${good}/1`]: end },
      'odd.before': { [`${good}/0`]: 30 },
      'odd.static': { [`${good}/0`]: await scene.end('source', good, 0), [`${good}/1`]: end },
    };
    for (const [id, offsets] of Object.entries(expected)) await scene.untilAt(lockstep, id, offsets);
    for (const [id, offsets] of Object.entries(expected)) expect(await scene.places('target', id), id).toEqual(offsets);
    expect(await scene.end('target', emptied), 'no lag').toBe(100);
    run.tookEffect(`a static member of the source was gone and still counted: ${isStill}`);

    // What was beyond the end follows the copy, and stays where it is meant to be when the log reaches it.
    await writeStreams(bootstrap, [{ name: 'more', topic: good, partitions: [1], records: 50 }]);
    await scene.untilAt(lockstep, 'odd.beyond', { [`${good}/1`]: await scene.end('source', good, 1) });

    // A few records, then silence: the place is there within an interval and a round.
    await lockstep.until(waited(2 * EVERY_MS), 'a quiet moment');
    const startedAt = performance.now();
    await scene.commit('source', 'odd.few', { [`${few}/0`]: 4 });
    await scene.untilAt(lockstep, 'odd.few', { [`${few}/0`]: 4 });
    run.figure(`from a commit to its place in ms, with a round each ${EVERY_MS} ms`, performance.now() - startedAt);

    // -1 on the target is a place that was taken away; it is set again, and the others are not harmed.
    await scene.commit('target', 'odd.null', { [`${good}/1`]: -1 });
    run.tookEffect(`a client set -1: ${JSON.stringify(await scene.places('target', 'odd.null'))}`);
    await scene.untilAt(lockstep, 'odd.null', { [`${good}/1`]: 7 });

    // A static member of the target holds its group until its session ends, though it has left.
    await consumeToEnd(onTarget, { group: 'odd.static', topics: [good], instance: 'odd-2' });
    await scene.untilLeft(lockstep, 'odd.static', 'has members');
    await lockstep.until(() => whyLeft(lockstep, 'odd.static') !== 'it has members on the target', 'the session ends');

    // One topic of the group is gone from the target.
    await runAdmin(onTarget, [{ delete: [gone] }]);
    await writeStreams(bootstrap, [{ ...stream(gone, 10), name: 'on' }]);
    await lockstep.until(() => lockstep.incidents.length > 0, 'the incident of the topic', 90_000);
    await scene.commit('source', 'odd.two-topics', { [`${good}/1`]: 9, [`${gone}/0`]: 9 });
    await scene.untilAt(lockstep, 'odd.two-topics', { [`${good}/1`]: 9 });
    expect(await scene.places('target', 'odd.two-topics')).toEqual({ [`${good}/1`]: 9 });
    await scene.untilLeft(lockstep, 'odd.two-topics', '');
    const ended = await lockstep.interrupt();
    expect(
      ended.incidents.map(({ code, topic }) => [code, topic]),
      told(ended),
    ).toEqual([['TOPIC_NOT_FOUND', gone]]);
    run.outcome('each place is the one from which the next record is the same; one incident, of the deleted topic');
  },
);

fault(
  {
    id: 'groups-while-brokers-are-away',
    title: 'groups commit forwards, backwards and ahead while the target is away, and around an outage of the source',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters);
    const topic = 'away.orders';
    await createTopics(clusters.source.bootstrap, [{ name: topic, partitions: 2 }]);
    const records = (name: string) => ({ name, topic, partitions: [0, 1], records: 2_000 });
    await writeStreams(clusters.source.bootstrap, [records('before')]);
    const at = (offset: number) => ({ [`${topic}/0`]: offset, [`${topic}/1`]: offset });
    const ids = ['away.forwards', 'away.backwards', 'away.ahead', 'away.still'];
    for (const id of ids) await scene.commit('source', id, at(500));
    const lockstep = scene.run(scene.file({ away: { topics: [{ match: topic }], sync: groups('/^away\\..*/') } }));
    for (const id of ids) await scene.untilAt(lockstep, id, at(500));
    const moves = async (step: number): Promise<void> => {
      await scene.commit('source', 'away.forwards', at(500 + step));
      await scene.commit('source', 'away.backwards', at(500 - step));
      await scene.commit('source', 'away.ahead', at(5_000 + step)); // of a log of about 1,000, or 2,000 later
    };
    const end = async (partition: number): Promise<number> => scene.end('source', topic, partition);
    const expectFollowed = async (step: number): Promise<void> => {
      await scene.untilAt(lockstep, 'away.forwards', at(500 + step));
      await scene.untilAt(lockstep, 'away.backwards', at(500 - step));
      await scene.untilAt(lockstep, 'away.ahead', { [`${topic}/0`]: await end(0), [`${topic}/1`]: await end(1) });
      expect(await scene.places('target', 'away.still')).toEqual(at(500));
    };

    const target = must(clusters.target.brokers[0], 'broker');
    await target.kill();
    let step = 0;
    const isOver = waited(15_000);
    const commitOn = async (): Promise<boolean> => {
      step = Math.min(step + 1, 400);
      await moves(step);
      return isOver();
    };
    await lockstep.until(commitOn, 'groups have moved for 15 s without a target');
    await writeStreams(clusters.source.bootstrap, [records('meanwhile')]);
    run.tookEffect(`the target was killed, and three groups committed ${step} times until it was back`);
    await target.start();
    await expectFollowed(step);

    const source = must(clusters.source.brokers[0], 'broker');
    await moves(100);
    await source.stop();
    const stoppedAt = performance.now();
    await lockstep.until(() => performance.now() - stoppedAt > 20_000, 'the source is away');
    await source.start();
    run.tookEffect(`the source was away for ${Math.round((performance.now() - stoppedAt) / 1_000)} s`);
    await expectFollowed(100);
    await moves(200);
    await expectFollowed(200);
    const ended = await lockstep.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);
    run.outcome('all places are those of the source');
  },
);

fault(
  {
    id: 'groups-of-late-topics',
    title:
      'groups on topics that appear while the mirror runs, and on ends of transactions, across a restart, transactions preserved',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters);
    const { source, target } = clusters;
    const [first, plain, transactional, ends] = ['late.first', 'late.plain', 'late.transactional', 'late.ends'];
    const written = (topic: string, name: string, isTransactional: boolean) => ({
      name: `${topic}-${name}`,
      topic,
      partitions: [0, 1], // of three: one stays empty
      records: 400,
      ...(isTransactional ? { transactions: { producers: 2, abortRate: 0.2, records: [1, 20] as const } } : {}),
    });
    const ready = (names: readonly string[]) =>
      createTopics(
        source.bootstrap,
        names.map((name) => ({ name, partitions: 3 })),
      );
    await ready([first, ends]);
    await writeStreams(source.bootstrap, [written(first, 'a', true), written(ends, 'a', true)]);
    // Only the end of a transaction is left, of which no record is.
    const endOfLog = await scene.end('source', ends);
    await runAdmin(source.bootstrap, [{ deleteRecords: { topic: ends, before: { 0: endOfLog - 1 } } }]);
    await scene.commit('source', 'late.at-end', { [`${ends}/0`]: endOfLog, [`${ends}/2`]: 0 });
    await scene.commit('source', 'late.before-end', { [`${ends}/0`]: endOfLog - 1 });
    const partsOf = async (topic: string, share: number): Promise<Offsets> =>
      Object.fromEntries(
        await Promise.all(
          [0, 1, 2].map(async (partition) => [
            `${topic}/${partition}`,
            Math.floor(((await scene.end('source', topic, partition)) * share) / 100),
          ]),
        ),
      ) as Offsets;
    /** Both groups at so many percent of these topics, on both sides. */
    const go = async (lockstep: LockstepProcess, topics: readonly string[], share: number): Promise<void> => {
      for (const topic of topics) {
        const places = await partsOf(topic, share);
        await scene.commit('source', 'late.group', places);
        await scene.untilAt(lockstep, 'late.group', places);
      }
    };
    const sync = groups('/^late\\..*/');
    const file = scene.file({ late: { topics: [{ match: '/late\\..*/' }], sync, refreshMs: 500 } });
    const before = await scene.topics('source');
    const lockstep = scene.run(file);
    await go(lockstep, [first], 30);
    await scene.untilAt(lockstep, 'late.at-end', { [`${ends}/0`]: endOfLog, [`${ends}/2`]: 0 });
    await scene.untilAt(lockstep, 'late.before-end', { [`${ends}/0`]: endOfLog - 1 });

    await ready([plain, transactional]);
    await writeStreams(source.bootstrap, [written(plain, 'a', false), written(transactional, 'a', true)]);
    run.tookEffect('two topics and the places of a group on them came while the mirror ran');
    const topics = [first, plain, transactional];
    await go(lockstep, topics, 60);
    expect(await scene.topics('source'), 'nothing is made on the source').toEqual(
      [...before, plain, transactional].sort(),
    );
    const ended = await lockstep.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);

    // Twice as much, and a restart: places go only forwards, then back when the source does.
    await writeStreams(source.bootstrap, [
      written(first, 'b', true),
      written(plain, 'b', false),
      written(transactional, 'b', true),
    ]);
    const stood = await scene.places('target', 'late.group');
    for (const topic of topics) await scene.commit('source', 'late.group', await partsOf(topic, 90));
    const again = scene.run(file);
    let last = stood;
    const isAtEnd = async (): Promise<boolean> => {
      const now = await scene.places('target', 'late.group');
      for (const [key, offset] of Object.entries(last)) expect(now[key] ?? 0, key).toBeGreaterThanOrEqual(offset);
      last = now;
      return JSON.stringify(now) === JSON.stringify(await scene.places('source', 'late.group'));
    };
    await again.until(isAtEnd, 'the group is where it is at the source', 90_000);
    await go(again, topics, 10);
    const read = (bootstrap: readonly string[]) =>
      runGroups(
        bootstrap,
        (['read_committed', 'read_uncommitted'] as const).map((isolation) => ({
          consume: { group: 'late.group', topics, isolation },
        })),
      );
    const [onSource, onTarget] = [await read(source.bootstrap), await read(target.bootstrap)];
    expect(onTarget, 'the next record, and each after it, once').toEqual(onSource);
    const rest = await again.interrupt();
    expect(rest.incidents, told(rest)).toEqual([]);
    run.figure('places that were compared by reading on', 2 * Object.keys(onSource[0] as object).length);
    run.outcome('Kafka’s consumer reads on with the same records on both sides');
  },
);

fault(
  {
    id: 'groups-both-ways',
    title: 'mirrors of both ways at once, with prefixes, groups, settings and heartbeats; a restart in between',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const scene = await GroupScene.open(clusters);
    const [orders, compact, later] = ['both.orders', 'both.compact', 'both.later'];
    const sides = ['source', 'target'] as const;
    const other = { source: 'target', target: 'source' } as const;
    const alias = { source: 'east', target: 'west' } as const;
    const start = async (side: Side, records: number, name: string, topics: readonly string[]): Promise<void> => {
      const streams = topics.map((topic) => ({ name: `${topic}-${name}`, topic, partitions: [0, 1], records }));
      await writeStreams(clusters[side].bootstrap, streams);
    };
    for (const side of sides) {
      await createTopics(clusters[side].bootstrap, [
        { name: orders, partitions: 3, configs: { 'retention.ms': '1000000000' } },
        { name: compact, partitions: 2, configs: { 'cleanup.policy': 'compact' } },
      ]);
      await start(side, side === 'source' ? 600 : 400, 'a', [orders, compact]);
    }
    /** Of the group that has its home on a side; the third partition is empty. */
    const at = (side: Side, share: number, topic = orders): Offsets => ({
      [`${topic}/0`]: share * (side === 'source' ? 2 : 1),
      [`${topic}/1`]: share,
      [`${topic}/2`]: 0,
    });
    const copied = (side: Side, offsets: Offsets): Offsets =>
      Object.fromEntries(Object.entries(offsets).map(([key, offset]) => [`${alias[side]}.${key}`, offset]));
    const mirrors = { source: 'eastwest', target: 'westeast' } as const;
    const homeOf = { source: 'both.east', target: 'both.west' } as const;
    const mirrorOf = (side: Side, match: string): MirrorSpec =>
      ({
        source: alias[side],
        target: alias[other[side]],
        topics: [{ match, to: `${alias[side]}.$0` }],
        refreshMs: 500,
        sync: {
          ...groups(homeOf[side], { checkpoints: true }),
          configs: { exclude: ['segment.ms'], allowWeaker: true },
        },
      }) as MirrorSpec;
    const fileOf = (match: string): string =>
      scene.file({ eastwest: mirrorOf('source', match), westeast: mirrorOf('target', match) });
    const file = fileOf('/both\\..*/');
    for (const side of sides) {
      await scene.commit(side, homeOf[side], at(side, 50));
      expect(await scene.places(other[side], homeOf[side]), 'nothing before anything is copied').toEqual({});
    }
    /** Whatever is asked for at the source of each way is there on its other side. */
    const move = async (lockstep: LockstepProcess, share: number, topic = orders): Promise<void> => {
      for (const side of sides) await scene.commit(side, homeOf[side], at(side, share, topic));
      for (const side of sides) await reach(lockstep, side, at(side, share, topic));
    };
    const reach = async (lockstep: LockstepProcess, side: Side, offsets: Offsets): Promise<void> => {
      const isThere = async (): Promise<boolean> => {
        const places = await scene.places(other[side], homeOf[side]);
        return Object.entries(copied(side, offsets)).every(([key, offset]) => places[key] === offset);
      };
      await lockstep.until(isThere, `${homeOf[side]} is at ${JSON.stringify(offsets)}`, 90_000);
    };
    const first = scene.run(file);
    for (const side of sides) await reach(first, side, at(side, 50));
    await move(first, 90);
    await move(first, 10);
    run.tookEffect('groups of both sides were moved forwards and back, each on the other side');

    // MirrorMaker 2's client on each side finds the other one: one hop, exact places.
    for (const side of sides) {
      const step = { translate: { source: alias[side], group: homeOf[side] } };
      const [answer] = await runGroups(clusters[other[side]].bootstrap, [step]);
      const places = Object.entries(copied(side, at(side, 10))).map(([key, offset]) => [key, [offset, '']]);
      expect(answer).toEqual({ places: Object.fromEntries(places), upstream: [alias[side]], hops: 1 });
    }

    // Settings of both ways follow, and do not chase each other; one that is left out stays.
    const retention = { source: '2000000000', target: '3000000000' } as const;
    for (const side of sides)
      await runAdmin(clusters[side].bootstrap, [
        { setConfigs: { topic: orders, configs: { 'retention.ms': retention[side], 'segment.ms': '12345678' } } },
        { setConfigs: { topic: `${alias[other[side]]}.${orders}`, configs: { 'segment.ms': '87654321' } } },
      ]);
    const configsOf = async (side: Side): Promise<string[]> => {
      const names = [orders, `${alias[other[side]]}.${orders}`];
      const found = await describeTopics(clusters[side].bootstrap, names);
      return found.map(({ configs }) => `${configs['retention.ms']} ${configs['segment.ms']}`);
    };
    const settled = (side: Side): string[] => [`${retention[side]} 12345678`, `${retention[other[side]]} 87654321`];
    const isSettled = async (): Promise<boolean> =>
      (await Promise.all(sides.map(async (side) => String(await configsOf(side)) === String(settled(side))))).every(
        Boolean,
      );
    await first.until(isSettled, 'settings have gone both ways', 90_000);
    const changes = first.events.filter(({ event }) => event === 'synced').length;
    const [policy] = await describeTopics(clusters.target.bootstrap, [`east.${compact}`]);
    expect(policy?.configs['cleanup.policy']).toBe('compact');

    // A topic that comes later; its group is ahead of nothing.
    for (const side of sides) await createTopics(clusters[side].bootstrap, [{ name: later, partitions: 3 }]);
    for (const side of sides) await start(side, 300, 'later', [later]);
    await move(first, 20, later);

    // Consumers go over and read what they have not read, once; they come back to where they were.
    for (const side of sides) {
      const total = (await scene.end(side, orders, 0)) + (await scene.end(side, orders, 1));
      const { [`${orders}/0`]: zero = 0, [`${orders}/1`]: one = 0 } = await scene.places(side, homeOf[side]);
      const group = homeOf[side];
      const read = await consumeToEnd(clusters[other[side]].bootstrap, {
        group,
        topics: [`${alias[side]}.${orders}`],
      });
      expect([read.length, new Set(read).size]).toEqual([total - zero - one, total - zero - one]);
      expect(await scene.places(side, group)).toMatchObject(at(side, 10));
    }
    const ended = await first.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);

    // More is written, and the mirrors start again: nobody who has read on is moved back, and the source leads where it goes beyond.
    for (const side of sides) await start(side, 600, 'b', [orders]);
    const second = scene.run(file);
    for (const side of sides) await scene.untilLeft(second, homeOf[side], 'somebody else', mirrors[side]);
    for (const side of sides) {
      const ends = {
        [`${orders}/0`]: await scene.end(side, orders, 0),
        [`${orders}/1`]: await scene.end(side, orders, 1),
      };
      await scene.commit(side, homeOf[side], ends);
      await reach(second, side, ends);
    }

    // When nobody writes nothing grows but the heartbeats, and no name has grown a second prefix.
    const named = async (side: Side): Promise<string[]> =>
      (await scene.topics(side)).filter((name) => name.includes('both.') || name.startsWith(`${alias[other[side]]}.`));
    const expected = (side: Side): string[] =>
      [
        ...[orders, compact, later].flatMap((name) => [name, `${alias[other[side]]}.${name}`]),
        `${alias[other[side]]}.checkpoints.internal`,
        `${alias[other[side]]}.heartbeats`,
      ].sort();
    for (const side of sides) expect(await named(side)).toEqual(expected(side));
    const quiet = async (): Promise<number[]> =>
      Promise.all(sides.map((side) => scene.end(side, `${alias[other[side]]}.${orders}`)));
    const [beats, stood] = [await scene.end('target', 'east.heartbeats'), await quiet()];
    await second.until(async () => (await scene.end('target', 'east.heartbeats')) > beats + 10, 'ten heartbeats');
    expect(await quiet()).toEqual(stood);
    for (const side of sides) expect(await named(side)).toEqual(expected(side));
    const synced = second.events.filter(({ event }) => event === 'synced').length;
    expect(synced, 'settings do not go round').toBe(0);
    run.figure('changes of settings that were made', changes);
    const rest = await second.interrupt();
    expect(rest.incidents, told(rest)).toEqual([]);

    // A rule that takes in whatever the other way has written: heartbeats go one step, and nothing further.
    const wide = scene.run(fileOf('/(both|east|west)\\..*/'));
    const nested = (side: Side): string[] =>
      ['checkpoints.internal', 'heartbeats'].map((name) => `${alias[other[side]]}.${alias[side]}.${name}`);
    const all = (side: Side): string[] => [...expected(side), ...nested(side)].sort();
    const hasAll = async (): Promise<boolean> =>
      (await Promise.all(sides.map(async (side) => (await named(side)).length >= all(side).length))).every(Boolean);
    await wide.until(hasAll, 'heartbeats are copied', 90_000);
    const beatsEnd = (await scene.end('target', 'east.west.heartbeats')) + 10;
    await wide.until(async () => (await scene.end('target', 'east.west.heartbeats')) >= beatsEnd, 'ten heartbeats');
    for (const side of sides) expect(await named(side)).toEqual(all(side));
    const last = await wide.interrupt();
    expect(last.incidents, told(last)).toEqual([]);
    for (const side of sides) {
      const report = await expectIdentical({
        source: clusters[side].bootstrap,
        target: clusters[other[side]].bootstrap,
        topics: [orders, later].map((name) => ({ source: name, target: `${alias[side]}.${name}` })),
      });
      run.figure(`records of the ${alias[side]}`, report.recordsEqual);
    }
    run.outcome('each side has its own and the other side’s records, places and settings; nothing goes round');
  },
);

const securePair = clusterPair({ source: { secure: {} }, target: { secure: {} } });

fault(
  {
    id: 'acls-of-a-topic-that-waits',
    title: 'after a restart a topic cannot be prepared, whose readers have rights on the target',
  },
  async (run) => {
    const clusters = await securePair();
    const { source, target } = clusters;
    const [fine, stuck] = ['acl.fine', 'acl.stuck'];
    const allow = (name: string): Acl => ({ user: 'alice', operation: 'read', resource: 'topic', name });
    await createTopics(
      source.bootstrap,
      [fine, stuck].map((name) => ({ name, partitions: 1 })),
    );
    await runAdmin(source.bootstrap, [{ addAcls: [allow(fine), allow(stuck)] }]);
    const sync = { acls: { self: 'super-user' } };
    const link = { source: source.bootstrap, target: target.bootstrap };
    const file = writeLink({
      ...link,
      mirrors: { acl: { topics: [{ match: '/acl\\..*/' }], sync, refreshMs: 1_000 } },
    });
    const named = async (): Promise<string[]> => {
      const [acls] = (await runAdmin(target.bootstrap, [{ describeAcls: 'all' }])) as Acl[][];
      return (acls ?? []).filter(({ user }) => user === 'alice').map(({ name }) => name);
    };
    const first = await runUntilCaughtUp(file);
    expect(first.code, told(first)).toBe(0);
    expect(await named()).toEqual([fine, stuck]);

    await runAdmin(target.bootstrap, [{ addPartitions: { topic: stuck, total: 2 } }]);
    const lockstep = LockstepProcess.run(file);
    onTestFinished(() => lockstep.kill());
    await lockstep.until(() => lockstep.incidents.length > 0, 'the topic cannot be prepared', 90_000);
    run.tookEffect(`after the restart: ${lockstep.incidents.map(({ code, topic }) => `${code} of ${topic}`).join()}`);
    await runAdmin(source.bootstrap, [{ removeAcls: [allow(fine)] }]);
    await lockstep.until(async () => !(await named()).includes(fine), 'ACLs have been compared', 90_000);
    expect(await named(), 'the readers of the topic that waits keep their right').toEqual([stuck]);
    await runAdmin(source.bootstrap, [{ removeAcls: [allow(stuck)] }]);
    await lockstep.until(async () => (await named()).length === 0, 'what goes at the source goes here', 90_000);
    const ended = await lockstep.interrupt();
    expect(
      ended.incidents.map(({ code, topic }) => [code, topic]),
      told(ended),
    ).toEqual([['TOPIC_PARTITIONS_DIFFER', stuck]]);
    run.outcome('its ACLs stayed, and followed the source');
  },
);
