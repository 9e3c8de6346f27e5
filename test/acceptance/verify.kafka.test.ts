/**
 * `lockstep verify` on real brokers: a mirror of every kind of batch is identical, also while both are written, for a
 * reader that may only read; and a record that was altered on the target's disk is named.
 */
import { expect, test } from 'vitest';
import type { PartitionVerification } from '#contract/verification.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { runAdmin, type Acl } from '#testing/topic-admin.ts';
import { writeStreams, writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { Command } from './command.ts';
import { leastRightsLink, leastRightsUsers, mirrorUser } from './least-rights.ts';
import { writeLink, type Link } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from './lockstep-process.ts';
import { alterLastBatch } from './log-surgery.ts';
import { expectVerified, runVerify } from './verified.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const mirrors: Link['mirrors'] = {
  seen: { topics: [{ match: '/^seen\\.(.+)$/', to: 'copy.$1' }], transactions: 'committed-only' },
};

/** Kafka lets a READ see the topic; only cleanup.policy needs more. */
const readerAcls = (prefix: string): Acl[] =>
  ['read', 'describe_configs'].map((operation) => ({
    user: mirrorUser,
    operation,
    resource: 'topic',
    name: prefix,
    pattern: 'prefixed',
  }));

const verdicts = (partitions: readonly PartitionVerification[]) =>
  partitions.map(({ topic, partition, verdict }) => `${topic}/${partition} ${verdict}`);

test('a mirror is identical for a reader that may only read, also while it runs; an altered record is named', async () => {
  process.stdout.write(`verify: seed ${seed}\n`);
  const [source, target] = [cluster('source'), cluster('target')];
  const pair = { source: source.bootstrap, target: target.bootstrap };
  await Promise.all([
    runAdmin(pair.source, [{ addAcls: readerAcls('seen.') }]),
    runAdmin(pair.target, [{ addAcls: readerAcls('copy.') }]),
  ]);
  const reader = writeLink(leastRightsLink({ source, target }, mirrors));
  const writer = writeLink({ ...pair, mirrors });
  const plain = { name: 'plain', topic: 'seen.plain', partitions: [0], records: 500, keys: 'unique' as const };
  await writeWorkload(pair.source, { topics: [{ name: 'seen.plain', partitions: 1 }], streams: [plain] }, { seed });
  const compacted = writeWorkload(pair.source, workloads.compacted('seen.compacted'), { seed });

  const mirror = LockstepProcess.run(writer);
  await mirror.until(() => (mirror.status('seen')?.recordsCopied ?? 0) > 0, 'the first record is copied');
  const writing = writeWorkload(pair.source, workloads.mixed('seen.mixed', { records: 40_000, partitions: 2 }), {
    seed,
  });
  const live = await runVerify(reader);
  await writing;
  expect([live.ended.code, live.ended.err], live.ended.out).toEqual([0, '']);
  expect(live.partitions.flatMap(({ shown }) => shown)).toEqual([]);
  await writeWorkload(pair.source, workloads.transactional('seen.transactional', { records: 4_000 }), { seed });
  await writeWorkload(pair.source, workloads.logAppendTime('seen.append', { records: 2_000 }), { seed });
  await compacted;
  await mirror.interrupt();
  const caughtUp = await runUntilCaughtUp(writer);
  expect(caughtUp.code, told(caughtUp)).toBe(0);

  expect(await expectVerified(reader)).toBeGreaterThan(46_000);
  const { partitions } = await runVerify(reader);
  expect(partitions).toHaveLength(9);
  const sum = (of: (each: PartitionVerification) => number): number => partitions.reduce((n, each) => n + of(each), 0);
  const aborted = sum((each) => each.source?.aborted ?? 0);
  expect(sum(({ records }) => records)).toBeGreaterThan(46_000);
  expect(aborted, 'the transactional topic has aborted records').toBeGreaterThan(100);
  expect(
    sum((each) => each.source?.absent ?? 0),
    'the compacted topic has holes',
  ).toBeGreaterThan(1_000);
  const bytes = { whole: sum((each) => each.bytes.whole), byRecord: sum((each) => each.bytes.byRecord) };
  expect(bytes.whole).toBeGreaterThan(0);
  expect(bytes.byRecord).toBeGreaterThan(0);
  process.stdout.write(
    `verify: ${sum(({ records }) => records)} records, ${aborted} aborted, ${JSON.stringify(bytes)}\n`,
  );

  const broker = must(target.brokers[0], 'broker');
  await broker.stop();
  try {
    alterLastBatch(broker, 'copy.plain-0', '"seq":499');
  } finally {
    await broker.start();
  }
  const altered = await runVerify(reader);
  expect(altered.ended.code, altered.ended.err).toBe(5);
  const found = altered.partitions.filter(({ verdict }) => verdict !== 'identical');
  expect(verdicts(found)).toEqual(['seen.plain/0 different']);
  expect(found[0]).toMatchObject({ provenThrough: 499, targetTopic: 'copy.plain' });
  expect(found[0]?.shown).toMatchObject([{ kind: 'changed', offset: 499, fields: ['value'] }]);
  expect(found[0]?.shown[0]?.source?.value?.text).toContain('"seq":499');
  expect(found[0]?.shown[0]?.target?.value?.text).toContain('"seq":498');
  const text = await new Command(['verify', '-f', reader]).ended(120_000);
  expect(text.out).toContain('different seen.plain/0 (copy.plain on the target) offset 499, changed: value differs');
  expect((await runVerify(reader, ['--class', 'structure'])).ended.code, 'a digit of a value is no structure').toBe(0);

  // Created anew on the source: less is there, and other records; and a topic that nobody copies.
  await runAdmin(pair.source, [
    { delete: ['seen.plain'] },
    { create: ['seen.plain', 'seen.new'].map((name) => ({ name, partitions: 1 })) },
  ]);
  await writeStreams(pair.source, [{ ...plain, name: 'anew', records: 20 }]);
  const anew = await runVerify(reader);
  expect(anew.ended.code).toBe(5);
  const differences = anew.partitions.flatMap(({ topic, shown }) =>
    shown.map(({ kind, offset }) => [topic, kind, offset]),
  );
  expect(differences).toEqual([
    ['seen.new', 'absent', 0],
    ['seen.plain', 'changed', 0],
    ['seen.plain', 'beyond', 20],
  ]);
}, 480_000);
