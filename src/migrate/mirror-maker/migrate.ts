/** Clusters and pairs of MirrorMaker 2, wherever they were read, as resources. */
import type { Migration } from '#contract/migration.ts';
import { bootstrapOf, providerOf } from '../addresses.ts';
import { securityOf } from '../client-security.ts';
import type { Report } from '../report.ts';
import { ResourceNames } from '../resource-names.ts';
import { resourceText, type ClusterText } from '../resource-text.ts';
import type { SecretValues } from '../secret-values.ts';
import { mirrorSpecOf } from './mirror-spec.ts';
import type { MirrorMakerCluster, MirrorMakerPair } from './model.ts';

export function migratePairs(
  clusters: readonly MirrorMakerCluster[],
  pairs: readonly MirrorMakerPair[],
  { report, secrets }: { readonly report: Report; readonly secrets: SecretValues },
): Pick<Migration, 'resources' | 'clusters' | 'mirrors'> {
  const names = new ResourceNames();
  const clusterTexts = clusters.map((cluster) => clusterOf(cluster, report, secrets));
  const mirrors = pairs.map((pair) => {
    const name = names.of(`${pair.source.name}-to-${pair.target.name}`);
    return { name, spec: mirrorSpecOf({ pair, name, report }) };
  });
  return {
    resources: resourceText(clusterTexts, mirrors),
    clusters: clusterTexts.map(({ name }) => name),
    mirrors: mirrors.map(({ name }) => name),
  };
}

function clusterOf(
  { name, get, security: ownSecurity }: MirrorMakerCluster,
  report: Report,
  secrets: SecretValues,
): ClusterText {
  const bootstrap = bootstrapOf(get('bootstrap.servers'), name, report);
  const security = ownSecurity?.() ?? securityOf({ cluster: name, get, report, secrets });
  const provider = providerOf(bootstrap, security.mechanism);
  return {
    name,
    spec: {
      bootstrap,
      ...(provider === null ? {} : { provider }),
      ...(Object.keys(security).length === 0 ? {} : { security }),
    },
  };
}
