/**
 * Mirrors of both ways at once, over mutual TLS, each as a certificate that holds exactly the documented rights: records, settings,
 * groups and later topics go both ways, nothing goes round, and nothing is made that nobody asked for.
 */
import { expect, onTestFinished } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { committedBy, runGroups, type Continued } from '#testing/group-client.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { createTopics, describeTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeStreams, type RecordStream } from '#testing/workload.ts';
import { grant, leastRights } from '../acceptance/least-rights.ts';
import { writeLink, type MirrorSpec } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair, type ClusterPair } from './mirror-under-test.ts';

const pair = clusterPair({ source: { secure: { users: {} } }, target: { secure: { users: {} } } });
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);

/** Groups stand at 0 of it. */
const EMPTY = 'both.empty';

const specOf = (prefix: string, group: string): MirrorSpec => ({
  topics: [{ match: '/^both\\..+$/', to: `${prefix}.$0` }],
  refreshMs: 500,
  sync: { groups: { match: [group], everyMs: 500 } },
});

/** A file of a mirror from one side to the other, both reached with a client certificate. */
function fileOf({ source, target }: ClusterPair, mirrors: Readonly<Record<string, MirrorSpec>>): string {
  const security = ({ pki }: KafkaCluster): object => {
    const { certificateFile, keyFile } = pki.issue({ commonName: 'mirror' });
    return {
      protocol: 'SSL',
      ca: { file: pki.caFile },
      certificate: { file: certificateFile },
      key: { file: keyFile },
    };
  };
  return writeLink({
    source: source.doors.mtls,
    target: target.doors.mtls,
    sourceSecurity: security(source),
    targetSecurity: security(target),
    mirrors,
  });
}

async function namesOf({ bootstrap }: KafkaCluster): Promise<string[]> {
  const client = openCluster(bootstrap);
  try {
    await client.connect();
    return (await client.refresh('all')).map(({ name }) => name).toSorted();
  } finally {
    client.close();
  }
}

const stream = (name: string, topic: string, more: Partial<RecordStream> = {}): RecordStream => ({
  name,
  topic,
  partitions: [0, 1],
  records: 400,
  ...more,
});
const transactions = { producers: 2, abortRate: 0.3, records: [2, 10] as const };

fault(
  {
    id: 'both-ways-certificates',
    title:
      'mirrors of both ways over mutual TLS with exactly the documented rights; settings change, topics come, both are restarted',
    timeoutMs: 300_000,
  },
  async (at) => {
    process.stdout.write(`directions: seed ${seed}\n`);
    const there = await pair();
    const back: ClusterPair = { source: there.target, target: there.source };
    const ways = [
      { name: 'there', pair: there, spec: specOf('east', 'of-east'), group: 'of-east', prefix: 'east' },
      { name: 'back', pair: back, spec: specOf('west', 'of-west'), group: 'of-west', prefix: 'west' },
    ];
    const topics = ['both.plain', 'both.tx'];
    const started = await Promise.all([there, back].map(({ source }) => namesOf(source)));
    for (const way of ways) {
      const { bootstrap } = way.pair.source;
      await createTopics(bootstrap, [
        { name: 'both.plain', partitions: 2, configs: { 'retention.ms': '777777777' } },
        { name: 'both.tx', partitions: 2 },
        { name: EMPTY, partitions: 1 },
      ]);
      await writeStreams(
        bootstrap,
        [stream(way.name, 'both.plain'), stream(`${way.name}-tx`, 'both.tx', { transactions })],
        { seed, run: way.name },
      );
      await grant(way.pair, leastRights(way.name, way.spec));
    }
    /** Where the group stands next, and what it reads from there, is the same on both sides. */
    const expectSame = async (way: (typeof ways)[number], all: readonly string[]): Promise<void> => {
      const ask = async ({ bootstrap }: KafkaCluster, prefix: string): Promise<unknown> => {
        const read = { group: way.group, topics: all.map((topic) => prefix + topic) };
        const [answer] = (await runGroups(bootstrap, [{ consume: read }])) as Continued[];
        return Object.entries(answer ?? {}).map(([place, next]) => [place.slice(prefix.length), ...next]);
      };
      expect(await ask(way.pair.target, `${way.prefix}.`), way.name).toEqual(await ask(way.pair.source, ''));
    };
    const commit = async (offset: number, all: readonly string[]): Promise<void> => {
      for (const { pair: each, group } of ways) {
        const places = Object.fromEntries(all.map((topic) => [topic, { 0: offset, 1: offset + 1 }]));
        await runGroups(each.source.bootstrap, [{ commit: { [group]: { ...places, [EMPTY]: { 0: 0 } } } }]);
      }
    };
    const untilMoved = async (
      mirrors: readonly LockstepProcess[],
      offset: number,
      all: readonly string[],
    ): Promise<void> => {
      for (const [i, mirror] of mirrors.entries()) {
        const way = ways[i]!;
        await mirror.until(async () => {
          const places = (await committedBy(way.pair.target.bootstrap, [way.group]))[way.group] ?? {};
          const at = (topic: string): number | undefined => places[`${way.prefix}.${topic}/0`]?.[0];
          return at(EMPTY) === 0 && all.every((topic) => at(topic) === offset);
        }, `group ${way.group} is at ${offset}, and at 0 where nothing is`);
        // A group is moved however far the copy is, and a reader waits for nothing.
        const isCopied = (): boolean => {
          const shards = mirror.status(way.name)?.shards ?? [];
          return shards.length === 2 * all.length + 1 && shards.every(({ lagRecords }) => lagRecords === 0);
        };
        await mirror.until(isCopied, 'everything is copied');
      }
    };
    const files = ways.map(({ name, pair: each, spec }) => fileOf(each, { [name]: spec }));
    const start = (): LockstepProcess[] =>
      files.map((file) => {
        const mirror = LockstepProcess.run(file);
        onTestFinished(() => mirror.kill());
        return mirror;
      });

    await commit(20, topics);
    const first = start();
    await untilMoved(first, 20, topics);
    for (const way of ways) await expectSame(way, topics);
    await commit(150, topics);
    await untilMoved(first, 150, topics);
    await commit(5, topics);
    await untilMoved(first, 5, topics);
    for (const way of ways) await expectSame(way, topics);

    const all = [...topics, 'both.later'];
    for (const { name, pair: each } of ways) {
      await createTopics(each.source.bootstrap, [{ name: 'both.later', partitions: 2 }]);
      await writeStreams(each.source.bootstrap, [stream(`${name}-later`, 'both.later')], {
        seed,
        run: `${name}-later`,
      });
      await runAdmin(each.source.bootstrap, [
        { setConfigs: { topic: 'both.plain', configs: { 'retention.ms': '888888888' } } },
      ]);
    }
    await commit(7, all);
    await untilMoved(first, 7, all);
    for (const [i, mirror] of first.entries()) {
      const { pair: each, prefix } = ways[i]!;
      const follows = async (): Promise<boolean> =>
        (await describeTopics(each.target.bootstrap, [`${prefix}.both.plain`]))[0]?.configs['retention.ms'] ===
        '888888888';
      await mirror.until(follows, 'the setting follows', 60_000);
      const ended = await mirror.interrupt();
      expect([ended.code, ended.incidents], told(ended)).toEqual([130, []]);
    }
    for (const { name, pair: each } of ways)
      await writeStreams(each.source.bootstrap, [stream(`${name}-more`, 'both.tx', { transactions })], {
        seed,
        run: `${name}-more`,
      });
    await commit(120, all);
    const second = start();
    await untilMoved(second, 120, all);
    for (const way of ways) await expectSame(way, all);
    for (const mirror of second) expect((await mirror.interrupt()).incidents, mirror.describe()).toEqual([]);

    let records = 0;
    for (const [i, file] of files.entries()) {
      const { pair: each, prefix } = ways[i]!;
      const run = await LockstepProcess.run(file, ['--until', 'caught-up']).ended(60_000);
      expect(run.code, told(run)).toBe(0);
      const report = await expectIdentical({
        source: each.source.bootstrap,
        target: each.target.bootstrap,
        topics: all.map((topic) => ({ source: topic, target: `${prefix}.${topic}` })),
        policy: { transactions: 'preserve' },
      });
      records += report.recordsEqual;
      const mine = new Set([
        ...(started[1 - i] ?? []),
        '__lockstep.state',
        '__consumer_offsets',
        '__transaction_state',
      ]);
      const made = (await namesOf(each.target)).filter((name) => !mine.has(name));
      expect(made, 'nothing is made but copies').toEqual(
        [...all, EMPTY].flatMap((topic) => [topic, `${prefix}.${topic}`]).toSorted(),
      );
    }

    // A start behind every record: no history, then what comes.
    const later: MirrorSpec = {
      topics: [{ match: 'both.plain', to: 'later.plain' }],
      start: { timestamp: Date.now() + 3_600_000 },
      refreshMs: 500,
    };
    await grant(there, leastRights('later', later));
    const beyond = LockstepProcess.run(fileOf(there, { later }));
    onTestFinished(() => beyond.kill());
    await beyond.until(
      () => beyond.status('later')?.shards.every(({ position }) => position !== null) === true,
      'it has begun',
    );
    await writeStreams(there.source.bootstrap, [stream('behind', 'both.plain', { records: 90 })], { seed });
    await beyond.until(() => beyond.status('later')?.recordsCopied === 90, 'what comes is copied, and nothing else');
    expect((await beyond.interrupt()).incidents, beyond.describe()).toEqual([]);
    const [copy] = await describeTopics(there.target.bootstrap, ['later.plain']);
    expect(copy?.partitions.reduce((sum, { earliest, latest }) => sum + latest - earliest, 0)).toBe(90);

    at.tookEffect('both brokers refuse whoever has no right: StandardAuthorizer, no ACL but the documented ones');
    at.figure('records both ways', records);
    at.outcome('identical both ways, groups exact after moves forwards and back and a restart, nothing else was made');
  },
);
