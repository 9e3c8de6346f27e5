/**
 * Mapped offsets on real brokers, with the real command killed again and again: two topics merged into one, a target with
 * data of its own that others go on writing to, a compacted source, transactions. The records of the source lie on the
 * target once and in their order, and the map that the mirror has saved names the place of each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import type { OffsetMap } from '#contract/offset-map.ts';
import type { RebuildPlan } from '#contract/rebuild.ts';
import { MappedState, type MappedStore } from '#mirror/mapped-state.ts';
import type { MirrorVerification } from '#contract/verification.ts';
import { appendRecords } from '#kafka/simple-log.ts';
import { decodeState, pieceKey, type MappedPlace, type PlacedRecord } from '#mirror/state-records.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { consumeToEnd, spawnConsumer } from '#testing/live-consumer.ts';
import { readHistories } from '#testing/checker/read-history.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeStreams, writeWorkload, type RecordStream } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told, unguarded } from './lockstep-process.ts';
import { Command } from './command.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const kills = process.env['LOCKSTEP_FULL'] === '1' ? 50 : 8;
/** So slow that each kill meets a mirror at work. */
const targetBytesPerSecond = 1_000_000;
const cluster = sharedClusters({
  source: {},
  target: { properties: { 'quota.window.num': '2', 'quota.window.size.seconds': '1' } },
});

const stream = (topic: string, records: number, name = topic): RecordStream => ({
  name,
  topic,
  partitions: [0, 1],
  records,
  valueBytes: 200,
});

test(`after ${kills} kills -9 each record of the source is on the target once, where the map says`, async () => {
  process.stdout.write(`mapped: seed ${seed}\n`);
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const random = createRandom(seed);
  await createTopics(source, [
    { name: 'eu.orders', partitions: 2 },
    { name: 'us.orders', partitions: 2 },
    { name: 'audit', partitions: 2 },
  ]);
  await createTopics(target, [
    { name: 'shared.audit', partitions: 3 },
    { name: 'keyed', partitions: 2 }, // not compacted: what was copied stays
  ]);
  await writeStreams(target, [stream('shared.audit', 2_000, 'theirs')], { seed });
  await Promise.all([
    writeStreams(source, [stream('eu.orders', 60_000), stream('us.orders', 40_000), stream('audit', 40_000)], { seed }),
    writeWorkload(source, workloads.compacted('keyed'), { seed }),
    writeWorkload(source, workloads.transactional('paid', { records: 4_000 }), { seed }),
  ]);
  const file = writeLink({
    source,
    target,
    mirrors: {
      mapped: {
        topics: [
          { match: '/^(?:eu|us)\\.(orders)$/', to: 'all.$1' },
          { match: 'audit', to: 'shared.audit' },
          { match: 'keyed' },
          { match: 'paid' },
        ],
        offsets: 'mapped',
        transactions: 'committed-only',
        sync: { configs: false },
      },
    },
  });
  const planned = await new Command(['plan', '-f', file]).ended(60_000);
  expect(planned.out).toContain('mapped: several source topics go into this target topic');
  expect(planned.out).toContain('mapped: the file says so, and the target holds data of its own');

  await runAdmin(target, [{ setQuotas: { producer_byte_rate: targetBytesPerSecond } }]);
  const copied: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    // With ownership the start after a kill waits for the end of a session: the others show what keeps without it.
    const lockstep = LockstepProcess.run(file, [], kill % 4 === 3 ? {} : unguarded('ownership'));
    await lockstep.until(() => (lockstep.status('mapped')?.recordsCopied ?? 0) > 0, 'a record is copied');
    await sleep(random.next() * 600);
    copied.push(lockstep.status('mapped')?.recordsCopied ?? 0);
    await lockstep.kill();
    expect(lockstep.incidents, lockstep.describe()).toEqual([]);
    await writeStreams(target, [stream('shared.audit', 40, `theirs ${kill}`)], { seed });
    await writeStreams(source, [stream('eu.orders', 300, `more ${kill}`), stream('audit', 300, `more ${kill}`)], {
      seed,
    });
  }
  await runAdmin(target, [{ setQuotas: { producer_byte_rate: null } }]);
  const last = await runUntilCaughtUp(file);
  expect(last.code, told(last)).toBe(0);
  expect(last.incidents).toEqual([]);
  const left = last.events.findLast((event) => event.event === 'ended')?.status?.recordsCopied ?? 0;
  expect(left, 'records that were left when the last was killed').toBeGreaterThan(1_000);

  const saved = await readSaved(target);
  const pairs: [string, string][] = [
    ['eu.orders', 'all.orders'],
    ['us.orders', 'all.orders'],
    ['audit', 'shared.audit'],
    ['keyed', 'keyed'],
    ['paid', 'paid'],
  ];
  let records = 0;
  for (const [from, to] of pairs) {
    const [sources, targets] = [await readHistories(source, from), await readHistories(target, to)];
    for (const { partition, entries, highWatermark } of sources) {
      const state = saved({ targetTopic: to, partition, sourceTopic: from });
      const map = state.mapUpTo(state.ledger.ordinal);
      expect(state.ledger.end, `${from}/${partition} is accounted for`).toBe(highWatermark);
      expect(state.ledger.balance().unexplained).toBe(0);
      const copies = byOffset(must(targets[partition], 'target partition').entries);
      const missing: string[] = [];
      let delivered = 0;
      for (let at = 0; at < entries.length; at++) {
        const entry = entries.at(at);
        if (entry.fate !== 'delivered') continue;
        delivered++;
        const place = map.targetOf(entry.offset);
        const copy = place === null ? undefined : copies.get(place);
        if (copy?.id !== entry.id || copy.timestamp !== entry.timestamp)
          missing.push(`${from}/${partition} offset ${entry.offset}, mapped to ${place}`);
      }
      expect(missing.slice(0, 5)).toEqual([]);
      expect(map.records, `${from}/${partition}: as many records as the map places`).toBeGreaterThanOrEqual(delivered);
      records += delivered;
    }
  }
  for (const topic of ['all.orders', 'shared.audit', 'keyed', 'paid'])
    await expectNothingTwice(target, topic, pairs, saved);
  await expectVerified(file, target, { targetTopic: 'all.orders', partition: 0, sourceTopic: 'us.orders' });
  process.stdout.write(`mapped: ${records} records in place; copied before the kills: ${copied.join(', ')}\n`);
  expect(Math.min(...copied)).toBeGreaterThan(0);
}, 400_000);

/** By `lockstep verify`, through the saved maps; then a map entry is made wrong, and the record is named. */
async function expectVerified(file: string, target: readonly string[], place: MappedPlace): Promise<void> {
  const verified = await verify(file);
  expect(verified.code, verified.err).toBe(0);
  expect(verified.partitions.map(({ topic, partition, verdict }) => `${topic}/${partition} ${verdict}`)).toEqual(
    verified.partitions.map(({ topic, partition }) => `${topic}/${partition} identical`),
  );
  expect(verified.partitions).toHaveLength(10);
  expect(verified.partitions.map(({ unexplained, lag }) => [unexplained, lag])).toEqual(
    verified.partitions.map(() => [0, 0]),
  );
  const others = verified.partitions.reduce((sum, { mapping }) => sum + (mapping?.others ?? 0), 0);
  expect(others, 'records of others between ours').toBeGreaterThan(0);

  const cluster = openCluster(target);
  try {
    await cluster.connect();
    const key = pieceKey('placed', place, 0);
    const { runs, ...ids } = must((await readRecords(target)).get(key), 'piece') as PlacedRecord;
    // The first run is said to lie one offset further; the next begins where it did.
    const value = { version: 1, ...ids, runs: runs.map((n, at) => (at === 1 ? n + 1 : at === 4 ? n - 1 : n)) };
    const record = { key: Buffer.from(key), value: Buffer.from(JSON.stringify(value)), timestamp: Date.now() };
    await appendRecords(cluster, { topic: '__lockstep.state', partition: 0, records: [record] });
  } finally {
    cluster.close();
  }
  const found = await verify(file);
  expect(found.code).toBe(5);
  const different = found.partitions.filter(({ verdict }) => verdict === 'different');
  expect(different).toMatchObject([{ topic: place.sourceTopic, partition: place.partition }]);
  expect(different[0]?.shown.map(({ kind, offset }) => [kind, offset])).toContainEqual(['changed', 0]);
  expect(different[0]?.shown.map(({ message }) => message).join()).toContain('or the map entry is wrong');
}

async function verify(file: string) {
  const ended = await new Command(['verify', '-f', file, '--json', '--full']).ended(120_000);
  const last = ended.out.trim().split('\n').at(-1) ?? '';
  const { mirrors } = (last.startsWith('{') ? JSON.parse(last) : { mirrors: [] }) as { mirrors: MirrorVerification[] };
  return { code: ended.code, err: ended.err, partitions: mirrors.flatMap(({ partitions }) => partitions) };
}

function byOffset(entries: Awaited<ReturnType<typeof readHistories>>[number]['entries']) {
  return new Map(Array.from({ length: entries.length }, (_, at) => [entries.offset(at), entries.at(at)]));
}

/** Records on the target that came from nowhere are those of the other writers, whose number is known. */
async function expectNothingTwice(
  target: readonly string[],
  topic: string,
  pairs: readonly [string, string][],
  saved: (place: MappedPlace) => MappedState,
): Promise<void> {
  let others = 0;
  for (const { partition, entries } of await readHistories(target, topic)) {
    const maps: OffsetMap[] = pairs
      .filter(([, to]) => to === topic && partition < 2)
      .map(([sourceTopic]) => saved({ targetTopic: topic, partition, sourceTopic }))
      .map((state) => state.mapUpTo(state.ledger.ordinal));
    for (let at = 0; at < entries.length; at++) {
      const offset = entries.offset(at);
      const from = maps.filter((map) => map.sourceOf(offset) !== null).length;
      expect(from, `${topic}/${partition} offset ${offset}`).toBeLessThan(2);
      if (from === 0) others++;
    }
  }
  expect(others, `${topic}: records of others`).toBe(topic === 'shared.audit' ? 2_000 + 40 * kills : 0);
}

/** The last value of each key of the state topic. */
async function readRecords(target: readonly string[]): Promise<ReadonlyMap<string, unknown>> {
  const records = new Map<string, unknown>();
  const reader = new RawReader(target);
  try {
    const { highWatermark } = await reader.bounds('__lockstep.state', 0);
    for await (const batch of reader.batches('__lockstep.state', 0, { from: 0, to: highWatermark }))
      for (const { key, value, offset } of batch.records()) {
        const decoded = decodeState({ key, value, offset });
        if (decoded && decoded.kind !== 'unreadable') records.set(decoded.key, decoded.value);
      }
  } finally {
    reader.close();
  }
  return records;
}

async function deleteState(target: readonly string[], key: string): Promise<void> {
  const cluster = openCluster(target);
  try {
    await cluster.connect();
    const record = { key: Buffer.from(key), value: null, timestamp: Date.now() };
    await appendRecords(cluster, { topic: '__lockstep.state', partition: 0, records: [record] });
  } finally {
    cluster.close();
  }
}

/** What it says of each mapped partition. */
async function readSaved(target: readonly string[]): Promise<(place: MappedPlace) => MappedState> {
  const records = await readRecords(target);
  const valueOf = (key: string): unknown => records.get(key) ?? null;
  const store = {
    mapped: ({ targetTopic, partition, sourceTopic }: MappedPlace) =>
      valueOf(`mapped/${targetTopic}/${partition}/${sourceTopic}`),
    piece: (kind: string, { targetTopic, partition, sourceTopic }: MappedPlace, index: number) =>
      valueOf(`${kind}/${targetTopic}/${partition}/${sourceTopic}/${index}`),
  } as unknown as MappedStore;
  return (place) => {
    const id = must(store.mapped(place), `saved state of ${JSON.stringify(place)}`).targetTopicId;
    return must(MappedState.load(store, place, id), 'saved state');
  };
}

test('a copy that is rebuilt is deleted only when told to, and copied anew; what others share is refused', async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  await createTopics(source, [{ name: 'plain', partitions: 2 }]);
  await writeStreams(source, [stream('plain', 500)], { seed });
  const mirrors = { plain: { topics: [{ match: 'plain', to: 'rebuilt' }], offsets: 'mapped' as const } };
  const file = writeLink({ source, target, mirrors });
  expect((await runUntilCaughtUp(file)).code).toBe(0);
  const rebuild = async (...argv: string[]) =>
    new Command(['rebuild', 'plain', '-f', file, '--json', ...argv]).ended(60_000);
  const ledger = async (place: string) => {
    const { code, out, err } = await new Command(['ledger', place, '-f', file, '--json']).ended(60_000);
    return {
      code,
      err,
      partitions: code === 1 ? [] : (JSON.parse(out) as { partitions: ExportedLedger[] }).partitions,
    };
  };

  expect((await ledger('plain/2')).err).toContain('TOPIC_NOT_FOUND');
  const whole = await ledger('plain');
  expect([whole.code, whole.partitions.map(({ unexplained }) => unexplained)]).toEqual([0, [0, 0]]);
  expect(whole.partitions.map(({ recounted }) => recounted)).toEqual(
    whole.partitions.map(({ end }) => ({ from: 0, to: end })),
  );
  // Somebody takes a piece of a ledger out of the state topic: it is counted, stops the partition, and is no reason to keep the copy.
  await deleteState(target, pieceKey('ledger', { targetTopic: 'rebuilt', partition: 1, sourceTopic: 'plain' }, 0));
  const { end } = must(whole.partitions[1], 'ledger of partition 1');
  const damaged = await ledger('plain');
  expect([damaged.code, damaged.partitions.map(({ unexplained }) => unexplained)]).toEqual([5, [0, end]]);
  const lockstep = LockstepProcess.run(file);
  await lockstep.until(() => lockstep.incidents.length > 0, 'the partition stops');
  expect(lockstep.incidents).toMatchObject([{ code: 'STATE_TOPIC_INVALID', topic: 'plain', partition: 1 }]);
  const shown = () => lockstep.status('plain')?.shards.map(({ unexplained }) => unexplained);
  await lockstep.until(() => shown()?.[1] === end && shown()?.[0] === 0, 'the status shows it');
  const refused = (await rebuild('--yes')).err;
  expect(refused).toContain('REBUILD_REFUSED');
  expect(refused).toContain('is in state Stable');
  await lockstep.interrupt();
  // Consumers that read the copy would be left with places in a log that is gone.
  const reading = { group: 'readers', topics: ['rebuilt'] };
  await consumeToEnd(target, reading);
  const consumer = await spawnConsumer(target, reading);
  await expect
    .poll(async () => (await rebuild()).err, { timeout: 30_000, interval: 500 })
    .toMatch(/read .*rebuilt.* in group .*readers/);
  await consumer.stop();

  const planned = await rebuild();
  expect(planned.code, planned.err).toBe(3);
  const plan = JSON.parse(planned.out) as RebuildPlan;
  expect(plan).toMatchObject({ targetTopic: 'rebuilt', mode: 'mapped', isDone: false });
  expect(plan.partitions.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(500);
  const done = await rebuild('--yes');
  expect(done.code, done.err).toBe(0);
  const again = await runUntilCaughtUp(file);
  expect(again.code, told(again)).toBe(0);
  expect(again.events.find((event) => event.event === 'topic')).toMatchObject({ action: 'created' });
  const { code, err, partitions } = await verify(file);
  expect([code, err]).toEqual([0, '']);
  expect(partitions.reduce((sum, { records }) => sum + records, 0)).toBe(500);
  expect((await new Command(['rebuild', 'plain/1', '-f', file]).ended(60_000)).err).toContain('REBUILD_REFUSED');
}, 120_000);

test('a copy with identical offsets goes on mapped behind another writer, where the file says so', async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  await createTopics(source, [{ name: 'met', partitions: 2 }]);
  await writeStreams(source, [stream('met', 1_000)], { seed });
  const met = { topics: [{ match: 'met' }], transactions: 'committed-only', onMisalignment: 'map' } as const;
  const file = writeLink({ source, target, mirrors: { met } });
  const lockstep = LockstepProcess.run(file);
  const positions = () => lockstep.status('met')?.shards.reduce((sum, { position }) => sum + (position ?? 0), 0) ?? 0;
  await lockstep.until(() => positions() === 1_000, 'the first records are copied');
  await writeStreams(target, [stream('met', 60, 'theirs')], { seed });
  await writeStreams(source, [stream('met', 1_000, 'more')], { seed });
  await lockstep.until(() => positions() === 2_000, 'the others are copied');
  const ended = await lockstep.interrupt();
  expect(ended.code, told(ended)).toBe(130);
  const ends = ended.events.filter(({ event }) => event === 'incident-ended').length;
  expect([ended.incidents.map(({ code }) => code), ends]).toEqual([['SHARD_DIVERGED', 'SHARD_DIVERGED'], 2]);
  const { code, err, partitions } = await verify(file);
  expect([code, err]).toEqual([0, '']);
  const mapping = partitions.map((each) => [each.verdict, each.lag, each.mapping?.others, each.unexplained]);
  expect(mapping).toEqual(partitions.map(() => ['unverified', 0, expect.any(Number), 0]));
  expect(partitions.reduce((sum, { records }) => sum + records, 0)).toBe(1_000);
  const listed = await new Command(['ledger', 'met', '-f', file, '--json']).ended(60_000);
  const ledgers = (JSON.parse(listed.out) as { partitions: ExportedLedger[] }).partitions;
  expect(
    ledgers.map(({ identicalFrom, counts, unexplained }) => [identicalFrom, counts.delivered, unexplained]),
  ).toEqual(ledgers.map(({ start, end }) => [0, end - start, 0]));
  expect(ledgers.reduce((sum, { end }) => sum + end, 0)).toBe(2_000);
}, 120_000);
