/**
 * Configurations of other mirrors, as their documentation shows them, migrated by the real command and run: what they would copy
 * is on the target, under the names that they would give it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { beforeAll, expect, test } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { fixturePath } from '#testing/migration-fixtures.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { writeStreams } from '#testing/workload.ts';
import { Command } from './command.ts';
import { runUntilCaughtUp, told } from './lockstep-process.ts';

const cluster = sharedClusters({ source: {}, target: {} });
const RECORDS = 500;
const topics = ['orders', 'foo1', 'payments.in', 'clicks', 'ExamOne', 'results', 'n1k_16'];

interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  spec: Record<string, unknown>;
}

/** What a person fills in: where the clusters are. The logins of the examples are not those of these brokers. */
async function filledIn(system: string, files: readonly string[]): Promise<string> {
  const path = join(temporaryDirectory('migrated'), 'link.yaml');
  const { code, err } = await new Command(['migrate', system, ...files.map(fixturePath), '--out', path]).ended();
  expect([0, 5], err).toContain(code);
  const documents = [...parseAllDocuments(readFileSync(path, 'utf8'))].map((each) => each.toJS() as Document);
  const mirror = documents.find(({ kind }) => kind === 'Mirror');
  for (const document of documents) {
    if (document.kind === 'Cluster') {
      const side = document.metadata.name === mirror?.spec['source'] ? 'source' : 'target';
      document.spec = { bootstrap: cluster(side).bootstrap };
    } else document.spec = { ...document.spec, targetReplicationFactor: 1, refreshMs: 300 };
  }
  writeFileSync(path, documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  return path;
}

beforeAll(async () => {
  const { bootstrap } = cluster('source');
  await createTopics(
    bootstrap,
    topics.map((name) => ({ name, partitions: 2 })),
  );
  const streams = topics.map((topic) => ({ name: topic, topic, partitions: [0, 1], records: RECORDS }));
  await writeStreams(bootstrap, streams);
}, 120_000);

test.each([
  [
    'mm2',
    ['active-passive.properties'],
    { orders: 'primary.orders', foo1: 'primary.foo1', 'payments.in': 'primary.payments.in' },
  ],
  ['mm2', ['msk-source.json', 'msk-checkpoint.properties'], { ExamOne: 'ExamOne', results: 'results' }],
  ['strimzi', ['strimzi-v1beta2.yaml'], { orders: 'orders', 'payments.in': 'payments.in', clicks: 'clicks' }],
  ['kaf-mirror', ['kaf-mirror-1.2.0.db'], { n1k_16: 'n1k_16' }],
] as const)('%s %j runs and copies what it says', async (system, files, copies) => {
  const result = await runUntilCaughtUp(await filledIn(system, files));
  expect(result.code, told(result)).toBe(0);
  const report = await expectIdentical({
    source: cluster('source').bootstrap,
    target: cluster('target').bootstrap,
    topics: Object.entries(copies).map(([source, target]) => ({ source, target })),
    policy: { transactions: 'preserve' },
  });
  expect(report.recordsEqual).toBe(Object.keys(copies).length * RECORDS);
});
