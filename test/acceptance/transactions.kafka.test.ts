/** Transactions preserved: interleaved ones of several producers, ended and aborted, killed in the middle, on both protocols. */
import { describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { describeProducers } from '#kafka/producers.ts';
import { initTransactionalId, listTransactions } from '#kafka/transactions.ts';
import { readWatermark } from '#mirror/offsets.ts';
import { waitForHoles } from '#testing/compaction.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { testedVersions } from '#testing/tested-versions.ts';
import { writeStreams, writeWorkload, type Workload } from '#testing/workload.ts';
import { transactional } from '#testing/workloads.ts';
import { createRandom } from '#util/random.ts';
import { Command } from './command.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told, unguarded } from './lockstep-process.ts';
import { hasGrown, LogEnds } from './log-ends.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const KILLS = process.env['LOCKSTEP_FULL'] === '1' ? 20 : 3;
const given = testedVersions();
/** A target that raises the epoch with each transaction (KIP-890), and one that does not. */
const pairs = given
  ? [given]
  : [{ source: '4.3.1', target: '4.3.1' } as const, { source: '4.3.1', target: '3.9.1' } as const];

describe.each(pairs)('from $source to $target', ({ source: sourceVersion, target: targetVersion }) => {
  const cluster = sharedClusters({ source: { version: sourceVersion }, target: { version: targetVersion } });

  test(`readers of either isolation level see the source, also after ${KILLS} kills -9 and a second run`, async () => {
    const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
    const random = createRandom(seed);
    process.stdout.write(`transactions: seed ${seed}\n`);
    await writeWorkload(source, transactional('ledger', { records: 12_000 }), { seed });
    const file = writeLink({ source, target, mirrors: { ledger: { topics: [{ match: 'ledger' }] } } });
    const ends = await LogEnds.open(target, ['ledger']);
    let grown = 0;
    for (let kills = 0, before = await ends.read(); kills < KILLS; kills++) {
      const lockstep = LockstepProcess.run(file, [], unguarded('ownership')); // which waits after a kill
      let last = before;
      await lockstep.until(async () => hasGrown(before, (last = await ends.read())), 'the target grows');
      const killAt = performance.now() + random.next() * 300;
      while (performance.now() < killAt) last = await ends.read();
      await lockstep.kill();
      expect(lockstep.incidents, lockstep.describe()).toEqual([]);
      if (hasGrown(before, last)) grown++;
      before = last;
    }
    ends.close();
    const first = await runUntilCaughtUp(file);
    expect(first.code, told(first)).toBe(0);
    expect(first.incidents).toEqual([]);
    const request = { source, target, topics: [{ source: 'ledger', target: 'ledger' }] };
    const report = await expectIdentical({ ...request, policy: { transactions: 'preserve' } });
    process.stdout.write(`transactions: identical after ${grown} kills, ${report.recordsEqual} records\n`);

    const more = transactional('ledger', { records: 3_000 }).streams.map((stream) => ({ ...stream, name: 'more' }));
    await writeStreams(source, more, { seed: seed + 1 });
    const second = await runUntilCaughtUp(file);
    expect(second.code, told(second)).toBe(0);
    await expectIdentical({ ...request, policy: { transactions: 'preserve' } });
  }, 280_000);

  test('what compaction and DeleteRecords left of transactions is the same, and lockstep verify says so', async () => {
    const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
    await writeWorkload(source, compacted, { seed });
    await writeWorkload(source, transactional('cut', { records: 3_000 }), { seed });
    await runAdmin(source, [{ deleteRecords: { topic: 'cut', before: { 0: 333, 1: 777 } } }]);
    const names = ['compacted', 'cut'];
    const mirrors = { left: { topics: names.map((match) => ({ match })) } };
    const file = writeLink({ source, target, mirrors });
    const run = await runUntilCaughtUp(file);
    expect(run.code, told(run)).toBe(0);
    const topics = names.map((name) => ({ source: name, target: name }));
    const report = await expectIdentical({ source, target, topics, policy: { transactions: 'preserve' } });
    process.stdout.write(`transactions: ${report.recordsEqual} records are left\n`);
    const verified = await new Command(['verify', '-f', file, '--json']).ended(60_000);
    expect(verified.code, JSON.stringify(verified)).toBe(0);
  }, 120_000);

  test('one that its coordinator ends while the mirror is down stops the partition, at the offset of that end', async () => {
    const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
    await writeWorkload(source, heldBack, { seed: 7 });
    const file = writeLink({ source, target, mirrors: { held: { topics: [{ match: 'held' }] } } });
    const first = await runUntilCaughtUp(file);
    expect(first.code, told(first)).toBe(0);

    const client = openCluster(target);
    await client.connect();
    const place = { topic: 'held', partition: 0 };
    const open = (await describeProducers(client, place)).filter(
      ({ currentTxnStartOffset }) => currentTxnStartOffset >= 0,
    );
    expect(open.length, 'transactions that are open on the target').toBeGreaterThan(0);
    const end = await readWatermark(client, 'held', 0);
    const producerIds = open.map(({ producerId }) => producerId);
    const [ours] = await listTransactions(client, { producerIds });
    await initTransactionalId(client, must(ours, 'open transaction').transactionalId, { timeoutMs: 60_000 });
    await waitUntil(async () => (await readWatermark(client, 'held', 0)) > end, 'the end is written', {
      timeoutMs: 10_000,
    });
    client.close();

    const second = await runUntilCaughtUp(file);
    expect(second.code, told(second)).toBe(5);
    expect(second.incidents).toMatchObject([
      { code: 'SHARD_TRANSACTION_BROKEN', topic: 'held', partition: 0, offsets: { from: end, to: end + 1 } },
    ]);
  }, 120_000);
});

/** One transaction stays open; those that began before it and ended behind it are open on the target as long. */
const heldBack: Workload = {
  topics: [{ name: 'held', partitions: 1 }],
  streams: [
    {
      name: 'held',
      topic: 'held',
      partitions: [0],
      records: 2_000,
      transactions: { producers: 8, abortRate: 0.2, records: [60, 200], leaveOpen: 1, timeoutMs: 600_000 },
    },
  ],
};

const shared = { topic: 'compacted', partitions: [0, 1], keys: { cycle: 97 }, valueBytes: 200 } as const;
const interleaved = { producers: 3, abortRate: 0.2, records: [1, 40], plainRate: 0.2 } as const;

const compacted: Workload = {
  topics: [
    {
      name: 'compacted',
      partitions: 2,
      configs: {
        'cleanup.policy': 'compact',
        'segment.ms': '500',
        'min.cleanable.dirty.ratio': '0.01',
        'min.compaction.lag.ms': '0',
      },
    },
  ],
  streams: [
    { ...shared, name: 'early', records: 4_000, transactions: interleaved },
    { ...shared, name: 'late', records: 2_000, transactions: interleaved },
  ],
  async after(bootstrap) {
    await waitForHoles(bootstrap, 'compacted', { partitions: 2 });
    await writeStreams(bootstrap, [{ ...shared, name: 'last', records: 1_000, transactions: interleaved }]);
  },
};
