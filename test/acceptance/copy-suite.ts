/** The copy of every kind of topic, held to identity: the same tests for each pair of Kafka versions. */
import { describe, expect, test } from 'vitest';
import { expectIdentical, formatReport } from '#testing/checker/verify-mirror.ts';
import type { KafkaVersion } from '#testing/kafka-home.ts';
import { readDigests } from '#testing/java-reader.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { testedVersions } from '#testing/tested-versions.ts';
import { describeTopics } from '#testing/topic-admin.ts';
import type { Workload } from '#testing/workload.ts';
import { writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { readSourceBytes } from './eligible-bytes.ts';
import { leastRightsFiles, leastRightsUsers } from './least-rights.ts';
import { runUntilCaughtUp, statusOf, told } from './lockstep-process.ts';

/** LOCKSTEP_FULL=1 copies ten times the data; on other Kafka versions a fifth says as much. */
const scale = testedVersions() ? 0.2 : process.env['LOCKSTEP_FULL'] === '1' ? 10 : 1;
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);

const kinds: Readonly<Record<string, Workload>> = {
  'copy.mixed': workloads.mixed('copy.mixed', { records: 200_000 * scale }),
  'copy.single': workloads.oneRecordBatches('copy.single', { records: 10_000 * scale }),
  'copy.start': workloads.logStart('copy.start', { records: 20_000 * scale }),
  'copy.append': workloads.logAppendTime('copy.append', { records: 20_000 * scale }),
  'copy.compacted': workloads.compacted('copy.compacted'),
  'copy.transactional': workloads.transactional('copy.transactional', { records: 10_000 * Math.max(1, scale) }),
  'copy.old': workloads.oldTimestamps('copy.old'),
  'copy.large': workloads.large('copy.large'),
  'copy.headers': workloads.oddHeaders('copy.headers'),
};
const names = Object.keys(kinds);
const appendTime = 'copy.append';

const pairsOf = (topics: readonly string[]) => topics.map((name) => ({ source: name, target: name }));

export function describeCopy(versions: { source: KafkaVersion; target: KafkaVersion }): void {
  describe(`from Kafka ${versions.source} to ${versions.target}`, () => {
    const cluster = sharedClusters({
      source: { version: versions.source, secure: leastRightsUsers },
      target: { version: versions.target, secure: leastRightsUsers },
    });
    const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }));
    const copy = declare({ copy: { topics: [{ match: '/^copy\\..+$/' }], transactions: 'committed-only' } });

    test('mirrors every kind of topic to the same offsets, bytes and times, and a second run has nothing to do', async () => {
      const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
      process.stdout.write(`copy ${versions.source} to ${versions.target}: seed ${seed}\n`);
      const { 'copy.compacted': compacted, ...others } = kinds;
      // The cleaner needs its time: meanwhile the others are written.
      await Promise.all([
        writeWorkload(source, must(compacted, 'workload'), { seed }),
        (async () => {
          for (const workload of Object.values(others)) await writeWorkload(source, workload, { seed });
        })(),
      ]);
      const file = copy();

      const first = await runUntilCaughtUp(file);

      expect(first.code, told(first)).toBe(0);
      expect(first.incidents).toEqual([]);
      const { bytes } = must(statusOf(first.events, 'copy'), 'status of the first run');
      const { eligible, total } = await readSourceBytes(source, names);
      const reencoded = Object.values(bytes.reencoded).reduce((sum, count) => sum + count, 0);
      expect(eligible / total, 'most of the bytes must be eligible, or the next line says nothing').toBeGreaterThan(
        0.5,
      );
      expect(bytes.passedThrough).toBeGreaterThanOrEqual(0.99 * eligible);
      expect(reencoded).toBeLessThanOrEqual(total - 0.99 * eligible);

      const before = {
        ends: await endsOf(target),
        digests: await readDigests(target, names, { isolation: 'read_uncommitted' }),
      };
      const second = await runUntilCaughtUp(file);
      expect(second.code, told(second)).toBe(0);
      const again = must(statusOf(second.events, 'copy'), 'status of the second run');
      expect([again.recordsCopied, again.bytesCopied]).toEqual([0, 0]);
      expect(again.shards.reduce((sum, shard) => sum + shard.holesFilled, 0)).toBe(0);
      expect(await endsOf(target)).toEqual(before.ends);
      expect(await readDigests(target, names, { isolation: 'read_uncommitted' })).toEqual(before.digests);

      const equal = { source, target, topics: pairsOf(names.filter((name) => name !== appendTime)) };
      const report = await expectIdentical(equal);
      const appended = await expectIdentical({
        source,
        target,
        topics: pairsOf([appendTime]),
        policy: { timestamps: 'append' },
      });
      const seen = new Map([...report.topics, ...appended.topics].map((topic) => [topic.source, topic.dispositions]));
      expect(seen.get('copy.compacted')?.compacted, 'the compacted topic has holes').toBeGreaterThan(1000);
      expect(seen.get('copy.transactional')?.aborted, 'the transactional topic has aborted records').toBeGreaterThan(
        100,
      );
      expect(report.recordsEqual).toBeGreaterThan(200_000 * scale);
      const passed = `${((100 * bytes.passedThrough) / total).toFixed(1)} % of ${(total / 1e6).toFixed(0)} MB passed through, ${((100 * eligible) / total).toFixed(1)} % eligible`;
      process.stdout.write(`copy ${versions.source} to ${versions.target}: ${formatReport(report)}; ${passed}\n`);
    }, 900_000);

    async function endsOf(bootstrap: readonly string[]): Promise<unknown> {
      return (await describeTopics(bootstrap, names)).map(({ name, partitions }) => ({ name, partitions }));
    }
  });
}
