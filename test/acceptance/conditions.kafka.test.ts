/**
 * Conditions on records, on real brokers and with the real command: those for which they hold are on the target, the
 * ledger names the rule that left the others out, and `lockstep verify` finds nothing else missing.
 */
import { expect, test } from 'vitest';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import type { MirrorVerification } from '#contract/verification.ts';
import { appendRecords, type SimpleRecord } from '#kafka/simple-log.ts';
import { readHistories } from '#testing/checker/read-history.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { Command } from './command.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { runUntilCaughtUp, told } from './lockstep-process.ts';

const cluster = sharedClusters({ source: {}, target: {} });
const SINCE = Date.UTC(2026, 0, 1);
const RECORDS = 3_000;
const PARTITIONS = [0, 1];

/** Regions in turn, some without a key, some deletions, some large ones. */
const recordOf = (i: number): SimpleRecord => ({
  key: i % 7 === 0 ? null : Buffer.from(`${i % 3 === 0 ? 'eu' : 'us'}-${i}`),
  value: i % 11 === 0 ? null : Buffer.alloc(i % 5 === 0 ? 400 : 40, String(i)),
  timestamp: SINCE + i,
});

const isWanted = ({ key, value }: SimpleRecord): boolean =>
  key?.toString().startsWith('eu-') === true && (value === null || value.length < 100);

async function append(topic: string, partition: number, records: readonly SimpleRecord[]): Promise<void> {
  const source = openCluster(cluster('source').bootstrap);
  try {
    for (let at = 0; at < records.length; at += 500)
      await appendRecords(source, { topic, partition, records: records.slice(at, at + 500) });
  } finally {
    source.close();
  }
}

function linked(spec: MirrorSpec): string {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  return writeLink({ source, target, mirrors: { some: spec } });
}

async function verified(file: string) {
  const ended = await new Command(['verify', '-f', file, '--json', '--full']).ended(60_000);
  const { mirrors } = JSON.parse(ended.out.trim().split('\n').at(-1) ?? '') as { mirrors: MirrorVerification[] };
  return { code: ended.code, partitions: mirrors.flatMap(({ partitions }) => partitions) };
}

async function ledgersOf(file: string, topic: string): Promise<ExportedLedger[]> {
  const ended = await new Command(['ledger', topic, '-f', file, '--json']).ended(60_000);
  return (JSON.parse(ended.out) as { partitions: ExportedLedger[] }).partitions;
}

test('only records for which a condition holds are copied, and the ledger names the rule that left the others out', async () => {
  await createTopics(cluster('source').bootstrap, [{ name: 'orders', partitions: PARTITIONS.length }]);
  const all = Array.from({ length: RECORDS }, (_, i) => recordOf(i));
  await Promise.all(PARTITIONS.map((partition) => append('orders', partition, all)));
  const condition = 'key != null && key.startsWith("eu-") && size < 100';
  const file = linked({ topics: [{ exclude: 'audit' }, { match: 'orders', condition }] });

  const planned = await new Command(['plan', '-f', file]).ended(60_000);
  expect(planned.out).toContain(`mapped: only records for which topics[1].condition holds: ${condition}`);
  const ran = await runUntilCaughtUp(file);
  expect(ran.code, told(ran)).toBe(0);

  const wanted = all.filter(isWanted).map(({ key }) => key?.toString());
  const histories = await readHistories(cluster('target').bootstrap, 'orders');
  expect(histories.map(({ entries }) => entries.length)).toEqual(PARTITIONS.map(() => wanted.length));
  const ledgers = await ledgersOf(file, 'orders');
  expect(ledgers.map(({ end, counts, unexplained }) => [end, counts.delivered, counts.filtered, unexplained])).toEqual(
    PARTITIONS.map(() => [RECORDS, wanted.length, RECORDS - wanted.length, 0]),
  );
  const delivered = ledgers[0]?.dispositions.flatMap(({ kind, from, to }) =>
    kind === 'delivered' ? Array.from({ length: to - from }, (_, i) => from + i) : [],
  );
  expect(delivered).toEqual(all.flatMap((record, offset) => (isWanted(record) ? [offset] : [])));
  expect(ledgers[0]?.dispositions.find(({ kind }) => kind === 'filtered')).toMatchObject({ rule: 1 });
  const { code, partitions } = await verified(file);
  expect(
    [code, partitions.map(({ records, unexplained }) => [records, unexplained])],
    JSON.stringify(partitions),
  ).toEqual([0, PARTITIONS.map(() => [wanted.length, 0])]);
}, 180_000);

test('a record of which a condition says neither yes nor no stops its partition there, or is copied where the file says so', async () => {
  await createTopics(cluster('source').bootstrap, [{ name: 'paid', partitions: 1 }]);
  const keyed = Array.from({ length: 100 }, (_, i) => ({ ...recordOf(i), key: Buffer.from(i < 50 ? 'eu' : 'us') }));
  await append('paid', 0, [...keyed.slice(0, 70), { ...recordOf(70), key: null }, ...keyed.slice(71)]);
  const rule = { match: 'paid', condition: 'key.startsWith("eu")' };
  const stopped = await runUntilCaughtUp(linked({ topics: [rule] }));
  expect(stopped.code, told(stopped)).toBe(5);
  expect(stopped.incidents).toMatchObject([
    { code: 'SHARD_CONDITION_FAILED', topic: 'paid', partition: 0, offsets: { from: 70, to: 71 } },
  ]);
  const file = linked({ topics: [{ ...rule, onError: 'deliver' }] });
  const before = await ledgersOf(file, 'paid');
  // What was left out behind the last record is saved with the next one: it is looked at again.
  expect(before.map(({ counts, unexplained }) => [counts.delivered, unexplained])).toEqual([[50, 0]]);
  const again = await runUntilCaughtUp(file);
  expect(again.code, told(again)).toBe(0);
  const after = await ledgersOf(file, 'paid');
  expect(after.map(({ end, counts }) => [end, counts.delivered, counts.filtered])).toEqual([[100, 51, 49]]);
  expect((await verified(file)).code).toBe(0);
}, 180_000);

test('a copy with identical offsets is not filtered from some day on', async () => {
  await createTopics(cluster('source').bootstrap, [{ name: 'plain', partitions: 1 }]);
  await append('plain', 0, [recordOf(1)]);
  expect((await runUntilCaughtUp(linked({ topics: [{ match: 'plain' }] }))).code).toBe(0);
  const ended = await runUntilCaughtUp(linked({ topics: [{ match: 'plain', condition: 'size > 10' }] }));
  expect(ended.incidents.map(({ code }) => code)).toEqual(['MIRROR_CHANGED']);
}, 120_000);
