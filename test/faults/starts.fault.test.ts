/** Mirrors that copy only what comes from their start on: both ways at once, and in the middle of transactions. */
import { expect, onTestFinished } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { createTopics, describeTopics, runAdmin } from '#testing/topic-admin.ts';
import { partitionsUpTo, spawnLiveTraffic, writeStreams, type RecordStream } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { expectVerified } from '../acceptance/verified.ts';
import { fault } from './fault.ts';
import { clusterPair, type ClusterPair } from './mirror-under-test.ts';

const pair = clusterPair({ source: {}, target: {} });
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);

async function namesOf({ bootstrap }: KafkaCluster, ending: string): Promise<string[]> {
  const client = openCluster(bootstrap);
  try {
    await client.connect();
    return (await client.refresh('all')).flatMap(({ name }) => (name.endsWith(ending) ? [name] : [])).toSorted();
  } finally {
    client.close();
  }
}

async function logStarts({ bootstrap }: KafkaCluster, topic: string): Promise<number[]> {
  const described = must((await describeTopics(bootstrap, [topic]))[0], 'description');
  return described.partitions.map(({ earliest }) => earliest);
}

/** With the source cut off where the target begins, both are the same in everything. Returns the number of records. */
async function sameFromTheStart({ source, target }: ClusterPair, topic: string, copy: string): Promise<number> {
  const starts = await logStarts(target, copy);
  await runAdmin(source.bootstrap, [{ deleteRecords: { topic, before: Object.fromEntries(starts.entries()) } }]);
  const report = await expectIdentical({
    source: source.bootstrap,
    target: target.bootstrap,
    topics: [{ source: topic, target: copy }],
    policy: { transactions: 'preserve' },
  });
  return report.recordsEqual;
}

fault(
  {
    id: 'latest-both-ways',
    title:
      'mirrors of both ways with `start: latest` begin on topics that have records; then both are killed and go on',
    timeoutMs: 300_000,
  },
  async (run) => {
    process.stdout.write(`starts: seed ${seed}\n`);
    const there = await pair();
    const ways = [
      { name: 'there', prefix: 'east', pair: there },
      { name: 'back', prefix: 'west', pair: { source: there.target, target: there.source } },
    ];
    const write = (topic: string, records: number, part: string): Promise<unknown> =>
      Promise.all(
        ways.map(({ name, pair: { source } }) => {
          const stream = { name: `${name}-${part}`, topic, partitions: [0, 1], partitionRuns: 10, records };
          return writeStreams(source.bootstrap, [stream], { seed, run: `${name}-${part}` });
        }),
      );
    const make = (name: string): Promise<unknown> =>
      Promise.all(ways.map(({ pair: { source } }) => createTopics(source.bootstrap, [{ name, partitions: 2 }])));
    await make('only.new');
    await write('only.new', 400, 'history');
    const links = ways.map(({ name, prefix, pair: { source, target } }) => ({
      source: source.bootstrap,
      target: target.bootstrap,
      mirrors: {
        // Matches the copies of the other way too, which come from here.
        [name]: { topics: [{ match: '/(?:.+\\.)?only\\.\\w+/', to: `${prefix}.$0` }], start: 'latest', refreshMs: 500 },
      },
    }));
    const files = links.map((link) => writeLink(link));
    const start = (): LockstepProcess[] =>
      files.map((file) => {
        const mirror = LockstepProcess.run(file);
        onTestFinished(() => mirror.kill());
        return mirror;
      });
    const copied = (mirror: LockstepProcess, i: number): number =>
      mirror.status(ways[i]?.name ?? '')?.recordsCopied ?? 0;
    const have = async (mirrors: readonly LockstepProcess[], records: number): Promise<void> => {
      for (const [i, mirror] of mirrors.entries())
        await mirror.until(
          () => copied(mirror, i) >= records,
          `${ways[i]?.name} has copied ${records} records`,
          90_000,
        );
    };

    const first = start();
    for (const [i, mirror] of first.entries()) {
      const shards = () => mirror.status(ways[i]?.name ?? '')?.shards ?? [];
      await mirror.until(
        () => shards().length === 2 && shards().every(({ position }) => position === 200),
        'it begins behind the 400 records',
        90_000,
      );
    }
    await write('only.new', 90, 'new');
    await make('only.later');
    await write('only.later', 50, 'later');
    await have(first, 140);
    for (const [i, mirror] of first.entries()) {
      expect(copied(mirror, i), 'nothing of before, and nothing twice').toBe(140);
      expect(mirror.incidents, mirror.describe()).toEqual([]);
      await mirror.kill();
    }
    await write('only.new', 60, 'while none runs');
    const second = start();
    await have(second, 60);
    for (const [i, mirror] of second.entries()) {
      const ended = await mirror.interrupt();
      expect([ended.code, ended.incidents], told(ended)).toEqual([130, []]);
      expect(copied(mirror, i), 'it goes on where it stood, not at the end').toBe(60);
    }

    let records = 0;
    for (const [i, { prefix, pair: way }] of ways.entries()) {
      expect(await logStarts(way.target, `${prefix}.only.new`)).toEqual([200, 200]);
      expect(await logStarts(way.target, `${prefix}.only.later`)).toEqual([0, 0]);
      expect(await expectVerified(must(links[i], 'link'), { mayBeUnverified: true })).toBe(200);
      for (const topic of ['only.new', 'only.later'])
        records += await sameFromTheStart(way, topic, `${prefix}.${topic}`);
      const others = ways.filter((other) => other.prefix !== prefix).map((other) => other.prefix);
      const own = (ending: string): string[] => [ending, ...others.map((other) => `${other}.${ending}`)].toSorted();
      for (const ending of ['only.new', 'only.later'])
        expect(await namesOf(way.source, ending), 'no copy of a copy').toEqual(own(ending));
    }
    expect(records).toBe(400);
    run.tookEffect('each side had 400 records in a topic when the mirrors began; both were ended by kill -9');
    run.figure('records both ways', records);
    run.outcome(`identical from the start on, ${records} records, none of the 800 of before; nothing went round`);
  },
);

/** Transactions with a record below an offset that end at or above it. */
async function openAt({ bootstrap }: KafkaCluster, topic: string, starts: readonly number[]): Promise<number> {
  const reader = new RawReader(bootstrap);
  try {
    let count = 0;
    for (const [partition, start] of starts.entries()) {
      const { logStart } = await reader.bounds(topic, partition);
      const open = new Set<number>();
      for await (const batch of reader.batches(topic, partition, { from: logStart, to: start }))
        if (batch.isControl) open.delete(batch.producerId);
        else if (batch.isTransactional) open.add(batch.producerId);
      count += open.size;
    }
    return count;
  } finally {
    reader.close();
  }
}

fault(
  {
    id: 'latest-in-transactions',
    title:
      '`start: latest` in the middle of transactions that are open, twice stopped and started while they are written',
    timeoutMs: 300_000,
  },
  async (run) => {
    process.stdout.write(`starts: seed ${seed}\n`);
    const clusters = await pair();
    const topic = 'midway';
    const partitions = 3;
    await createTopics(clusters.source.bootstrap, [{ name: topic, partitions }]);
    const stream: RecordStream = {
      name: topic,
      topic,
      partitions: partitionsUpTo(partitions),
      recordsPerSecond: 300,
      transactions: { producers: 6, abortRate: 0.3, records: [40, 120], plainRate: 0.1 },
    };
    const traffic = await spawnLiveTraffic(clusters.source.bootstrap, [stream], { seed });
    await waitUntil(() => traffic.progress.records > 600, 'transactions have been written', { timeoutMs: 60_000 });
    const link = {
      source: clusters.source.bootstrap,
      target: clusters.target.bootstrap,
      mirrors: { [topic]: { topics: [{ match: topic }], start: 'latest' } },
    };
    const file = writeLink(link);
    for (const isLast of [false, true]) {
      const mirror = LockstepProcess.run(file);
      onTestFinished(() => mirror.kill());
      await mirror.until(() => (mirror.status(topic)?.recordsCopied ?? 0) > 600, 'it copies', 90_000);
      expect(mirror.incidents, mirror.describe()).toEqual([]);
      if (isLast) await mirror.interrupt();
      else await mirror.kill();
    }
    await traffic.stop();
    const ended = await runUntilCaughtUp(file);
    expect([ended.code, ended.incidents], told(ended)).toEqual([0, []]);

    const starts = await logStarts(clusters.target, topic);
    expect(Math.min(...starts), 'nothing of before').toBeGreaterThan(0);
    const open = await openAt(clusters.source, topic, starts);
    expect(open, 'transactions were open where the copy begins').toBeGreaterThan(0);
    const verified = await expectVerified(link, { mayBeUnverified: true });
    const records = await sameFromTheStart(clusters, topic, topic);
    run.tookEffect(`${open} transactions had records below the starts, ${starts.join(', ')}, and their ends above`);
    run.figure('transactions open at the starts', open);
    run.outcome(`identical from the starts on, ${records} records, ${verified} by lockstep verify, no incident`);
  },
);
