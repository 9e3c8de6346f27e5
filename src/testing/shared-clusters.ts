/** Clusters that the tests of one file (or of one describe block) share. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { must } from '#util/assert.ts';
import { startCluster } from './kafka-cluster.ts';
import type { ClusterOptions, KafkaCluster } from './kafka-cluster.ts';

const startTimeoutMs = 180_000;
const stopTimeoutMs = 30_000;

/**
 * Starts one cluster per entry before the first test and removes them after the last one. Returns a function that
 * gives a running cluster by name, to be called inside tests. When a test failed, the ends of the brokers' logs are
 * printed and data and logs are kept (the place is printed).
 *
 *     const cluster = sharedClusters({ source: { version: '3.9.1' }, target: { brokers: 3 } });
 *     test('…', async () => { connect(cluster('source').bootstrap) … });
 */
export function sharedClusters<Name extends string>(
  wanted: Readonly<Record<Name, ClusterOptions>>,
): (name: Name) => KafkaCluster {
  const running = new Map<Name, KafkaCluster>();
  let hasFailed = false;

  beforeAll(async () => {
    const entries = Object.entries(wanted) as [Name, ClusterOptions][];
    const start = async ([name, options]: [Name, ClusterOptions]): Promise<void> => {
      running.set(name, await startCluster({ name, ...options }));
    };
    await Promise.all(entries.map(start));
  }, startTimeoutMs);

  afterEach((context) => {
    hasFailed ||= context.task.result?.state === 'fail';
  });

  afterAll(async () => {
    for (const cluster of running.values()) {
      if (!hasFailed) continue;
      process.stderr.write(`${cluster.logs()}\n`);
      cluster.keep();
    }
    await Promise.all([...running.values()].map((cluster) => cluster.stop()));
  }, stopTimeoutMs);

  return (name) => must(running.get(name), `cluster ${name}, which runs only between beforeAll and afterAll,`);
}
