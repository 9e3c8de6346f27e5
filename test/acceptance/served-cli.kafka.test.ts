/** The scripts of the command line against a real `lockstep serve` between two real clusters. */
import { expect, test } from 'vitest';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { runScript, scripts } from './remote-cli.ts';
import { startServed } from './served-cli.ts';

const cluster = sharedClusters({ source: {}, target: {} });

test.each(scripts)('%s', async (name) => {
  const [source, target] = [cluster('source').bootstrap[0], cluster('target').bootstrap[0]];
  if (name === 'jobs.sh') await createTopics(cluster('source').bootstrap, [{ name: 'script-orders', partitions: 1 }]);
  const { given } = await startServed();
  expect(await runScript(name, { ...given, brokers: `${source} ${target}` })).toBe('');
});
