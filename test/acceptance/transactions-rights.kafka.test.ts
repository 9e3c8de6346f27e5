/** Transactions preserved with exactly the documented rights: none on the cluster, although some markers end nothing that is left. */
import { expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { readHistories } from '#testing/checker/read-history.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { writeWorkload } from '#testing/workload.ts';
import { transactional } from '#testing/workloads.ts';
import { leastRightsFiles, leastRightsUsers } from './least-rights.ts';
import { runUntilCaughtUp, statusOf, told } from './lockstep-process.ts';

const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }));
const cut = declare({ cut: { topics: [{ match: 'cut' }], transactions: 'preserve' } });

test('is identical from a log start on that is the end of a transaction, and after a restart', async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  await writeWorkload(source, transactional('cut', { records: 3_000 }));
  const before: Record<number, number> = {};
  for (const { partition, entries } of await readHistories(source, 'cut')) {
    const at = Array.from({ length: entries.length }, (_, i) => i).find((i) => i > 300 && entries.fate(i) === 'commit');
    before[partition] = entries.offset(must(at, 'control record'));
  }
  await runAdmin(source, [{ deleteRecords: { topic: 'cut', before } }]);
  const file = cut();
  const first = await runUntilCaughtUp(file);
  expect(first.code, told(first)).toBe(0);
  expect(must(statusOf(first.events, 'cut'), 'status').shards.some(({ holesFilled }) => holesFilled > 0)).toBe(true);
  const second = await runUntilCaughtUp(file);
  expect(second.code, told(second)).toBe(0);
  const topics = [{ source: 'cut', target: 'cut' }];
  await expectIdentical({ source, target, topics, policy: { transactions: 'preserve' } });
}, 120_000);
