/** That the final comparison would catch a bug of our codec: the mirror runs with one, and must be found out. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { CheckReport } from '#testing/checker/verify-mirror.ts';
import { formatReport, verifyMirror } from '#testing/checker/verify-mirror.ts';
import { codecBugs, plantBug } from '#testing/planted-bug.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { writeWorkload } from '#testing/workload.ts';
import { oddHeaders } from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { leastRightsFiles, leastRightsUsers } from './least-rights.ts';
import { runUntilCaughtUp, told } from './lockstep-process.ts';

const topic = 'planted';

describe('a codec bug', () => {
  const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
  const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }));
  const files = Object.fromEntries(
    ['none', 'repeatedHeader', 'nullValue', 'timestamp'].map((name) => {
      const topics = [{ match: topic, to: `${topic}.${name}` }];
      return [name, declare({ [name.toLowerCase()]: { topics, transactions: 'committed-only' } })];
    }),
  );

  beforeAll(async () => {
    const configs = { 'message.timestamp.type': 'LogAppendTime' }; // every batch is encoded anew
    const workload = oddHeaders(topic, { records: 2000, partitions: 1 });
    await writeWorkload(cluster('source').bootstrap, {
      ...workload,
      topics: [{ name: topic, partitions: 1, configs }],
    });
  });

  /** Mirrors the topic under a name of its own and compares. */
  async function mirrorAndVerify(name: string, env: Readonly<Record<string, string>>): Promise<CheckReport> {
    const clusters = { source: cluster('source').bootstrap, target: cluster('target').bootstrap };
    const to = `${topic}.${name}`;
    const run = await runUntilCaughtUp(must(files[name], 'declared file')(), { env });
    if (run.code !== 0) throw new Error(told(run));
    const topics = [{ source: topic, target: to }];
    return verifyMirror({ ...clusters, topics, policy: { timestamps: 'append' } });
  }

  test('is not there: the same mirror without one is identical', async () => {
    const report = await mirrorAndVerify('none', {});
    expect(formatReport(report)).toBe('identical, 2000 records');
  });

  test.each([
    ['repeatedHeader', 'headers'],
    ['nullValue', 'value'],
    ['timestamp', 'timestamp'],
  ] as const)("is found by Kafka's consumer and named by the checker: %s", async (name, field) => {
    const planted = plantBug(codecBugs[name]);

    const report = await mirrorAndVerify(name, planted.env);

    expect(planted.wasPlanted()).toBe(true);
    expect(report.isIdentical).toBe(false);
    const [difference] = report.java;
    expect(difference).toMatchObject({ topic, partition: 0, kind: 'record' });
    const [source, target] = [difference?.source, difference?.target] as Record<string, unknown>[];
    expect(target?.[field]).not.toEqual(source?.[field]);
    const found = report.topics.flatMap(({ findings }) => findings.filter(({ count }) => count > 0));
    expect(found.map(({ check }) => check)).toEqual(['R6']);
    expect(found[0]?.instances[0]?.cause).toContain(field);
  });
});
