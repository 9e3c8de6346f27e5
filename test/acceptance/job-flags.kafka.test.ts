/** What `lockstep jobs status metrics` says of a job whose clusters are quiet, and stop to answer, on real brokers. */
import { expect, test } from 'vitest';
import { waitUntil } from '#testing/process-stat.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { writeWorkloads } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { startServed } from './served-cli.ts';

const cluster = sharedClusters({ source: {}, target: {} });
const WAIT_MS = 180_000;

interface Metrics {
  readonly messagesReplicated: number;
  readonly currentLag: number | null;
  readonly sourceStalled: boolean | null;
  readonly targetStalled: boolean | null;
  readonly since: number;
}

test(
  'M-336: a cluster that stops to answer stands still, one that is quiet does not, and what goes on again is no standstill',
  { timeout: 4 * WAIT_MS },
  async () => {
    const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
    await createTopics(source, [{ name: 'orders', partitions: 1 }]);
    let streams = 0;
    const write = (records: number) =>
      writeWorkloads(source, [
        { topics: [], streams: [{ name: `s${++streams}`, topic: 'orders', partitions: [0], records, lingerMs: 50 }] },
      ]);
    await write(200);
    const { server, shell } = await startServed();
    shell.json(['config', 'set', 'monitoring.flags.stallAfter', '30s']);
    shell.json(['clusters', 'add', '--name', 'east', '--brokers', source.join(',')]);
    shell.json(['clusters', 'add', '--name', 'west', '--brokers', target.join(',')]);
    shell.json([
      'jobs',
      'add',
      '--name',
      'orders',
      '--source',
      'east',
      '--target',
      'west',
      '--topic',
      'orders',
      '--started',
    ]);
    const read = () => (shell.json(['jobs', 'status', 'metrics', 'orders']) as { metrics: Metrics }).metrics;
    const until = async (what: string, holds: (metrics: Metrics) => boolean): Promise<Metrics> => {
      let metrics = read();
      await waitUntil(
        () => holds((metrics = read())),
        () => `${what}: ${shell.run(['jobs', 'status', 'full', 'orders', '--json']).out}\n${server.describe()}`,
        { timeoutMs: WAIT_MS, everyMs: 2_000 },
      );
      return metrics;
    };
    const broker = (side: 'source' | 'target') => must(cluster(side).brokers[0], 'broker');

    const quiet = await until(
      'it is copied, and then nothing comes',
      ({ messagesReplicated, since }) => messagesReplicated === 200 && Date.now() - since > 40_000,
    );
    expect(quiet).toMatchObject({ currentLag: 0, sourceStalled: false, targetStalled: false });

    await broker('target').pause();
    try {
      await write(50);
      const held = await until('the target stands still', ({ targetStalled }) => targetStalled === true);
      expect(held).toMatchObject({ messagesReplicated: 200, currentLag: 50, sourceStalled: false });
    } finally {
      await broker('target').resume();
    }
    // Whose answer was lost is on the target and not counted: the lag says that all 50 are there.
    await until('it goes on', ({ currentLag, targetStalled }) => currentLag === 0 && targetStalled === false);

    await broker('source').pause();
    try {
      const silent = await until('the source stands still', ({ sourceStalled }) => sourceStalled === true);
      expect(silent.targetStalled).not.toBe(true);
    } finally {
      await broker('source').resume();
    }
    await until('it answers', ({ sourceStalled }) => sourceStalled === false);
    expect(await server.stop()).toBe(0);
  },
);
