import { expect, test } from 'vitest';
import type { ClusterResource } from '#contract/resources.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork } from '#testing/scripted-network.ts';
import { createRandom } from '#util/random.ts';
import type { Host } from './host.ts';
import { LiveClusters } from './live-clusters.ts';

const resource = {
  metadata: { name: 'east' },
  spec: {
    id: null,
    bootstrap: ['a:1'],
    advertised: { deny: [], allow: [] },
    security: { provider: 'plain', protocol: 'PLAINTEXT' },
  },
} as unknown as ClusterResource;

test('a cluster that was not reached leaves nothing behind that would keep the process from ending', async () => {
  const [network, clock] = [new ScriptedNetwork(), new ManualClock()];
  const host = { network, clock, random: createRandom(1) } as unknown as Host;
  const clusters = new LiveClusters(host, () => Promise.resolve());
  const asked = clusters.describe(resource);
  await settle();
  network.peer.close(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  expect(await asked).toMatchObject({ error: { code: 'CLUSTER_UNREACHABLE' } });
  clusters.close();
  expect(clock.pending).toBe(0);
});
