/** Where the audit log of a server is anchored: topics on clusters of the store, and files. */
import { AppError } from '#contract/errors.ts';
import type { OptionValues } from '#contract/options.ts';
import type { Anchor } from '#prove/log/anchor.ts';
import { createFileAnchor } from '#prove/log/file-anchor.ts';
import { ANCHOR_TOPIC, createKafkaAnchor } from '#prove/log/kafka-anchor.ts';
import type { Store } from '#store/store.ts';
import { withClusters } from './connected-clusters.ts';
import type { Host } from './host.ts';
import { resourceOf } from './job-documents.ts';

export function createAnchors(
  values: Pick<OptionValues, 'audit.anchorClusters' | 'audit.anchorFiles'>,
  { store, host, origin }: { readonly store: Pick<Store, 'clusters'>; readonly host: Host; readonly origin: string },
): Anchor[] {
  return [
    ...values['audit.anchorClusters'].map((name) => clusterAnchor(name, { store, host, origin })),
    ...values['audit.anchorFiles'].map((path) => createFileAnchor(host.disk, path)),
  ];
}

/** Connected for each question, of which there is one a minute: what the store says of the cluster then holds. */
function clusterAnchor(
  name: string,
  { store, host, origin }: { readonly store: Pick<Store, 'clusters'>; readonly host: Host; readonly origin: string },
): Anchor {
  const connected = async <T>(ask: (anchor: Anchor) => Promise<T>): Promise<T> => {
    const stored = await store.clusters.get(name);
    if (stored === null)
      throw new AppError('RESOURCE_NOT_FOUND', `There is no cluster "${name}", which audit.anchorClusters names.`, {
        nextStep: 'Add it, or take its name away.',
      });
    return withClusters([resourceOf(stored)], host, async (clusterOf) =>
      ask(createKafkaAnchor(await clusterOf(name), { origin, clock: host.clock })),
    );
  };
  return {
    name: `topic ${ANCHOR_TOPIC} on ${name}`,
    latest: () => connected((anchor) => anchor.latest()),
    publish: (note) => connected((anchor) => anchor.publish(note)),
  };
}
