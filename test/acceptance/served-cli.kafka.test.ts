/** The scripts of the command line against a real `lockstep serve` between two real clusters. */
import { expect, onTestFinished, test } from 'vitest';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { ControlServer } from './control-server.ts';
import { runScript, scripts } from './remote-cli.ts';
import { setUpByCommands } from './served-cli.ts';

const cluster = sharedClusters({ source: {}, target: {} });

test.each(scripts)('%s', async (name) => {
  const [source, target] = [cluster('source').bootstrap[0], cluster('target').bootstrap[0]];
  if (name === 'jobs.sh') await createTopics(cluster('source').bootstrap, [{ name: 'script-orders', partitions: 1 }]);
  const server = await ControlServer.create();
  onTestFinished(async () => {
    if (server.isRunning) await server.kill();
  });
  await server.start();
  await server.until(() => server.saw('setup-token'), 'it offers the set-up');
  const { given } = setUpByCommands(server);
  expect(await runScript(name, { ...given, brokers: `${source} ${target}` })).toBe('');
});
