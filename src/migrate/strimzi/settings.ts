/**
 * What becomes of the parts of a `KafkaMirrorMaker2` that are not settings of MirrorMaker 2 itself, which
 * ../mirror-maker/settings.ts has. docs/migration/strimzi.md shows this table. Where a path ends with `.*`, everything below it is
 * meant, and `[]` stands for every place of a list.
 */
import type { Fate } from '#contract/migration.ts';

export interface ResourceRow {
  readonly path: string;
  /** Null: migrate-strimzi.ts or client-security decides. */
  readonly fate: Fate | null;
  readonly to: string | null;
  readonly how: string;
  /** What somebody has to do. */
  readonly step?: string;
}

const KUBERNETES = 'It is about the pods of Kafka Connect, which are not needed.';
const RESTARTS = 'What stops a partition is an incident, and ends by itself where its cause can.';

export const resourceRows: readonly ResourceRow[] = [
  { path: 'apiVersion', fate: 'exact', to: null, how: 'v1alpha1, v1beta2 and v1 are read.' },
  { path: 'kind', fate: 'exact', to: null, how: 'Others in the file are left alone.' },
  { path: 'metadata.name', fate: 'no-equal', to: null, how: 'A Mirror is called after its two clusters.' },
  { path: 'metadata.*', fate: 'no-equal', to: null, how: KUBERNETES },
  { path: 'status.*', fate: 'no-equal', to: null, how: 'It is what the operator has seen, not what was asked for.' },
  { path: 'spec.connectCluster', fate: 'exact', to: 'Mirror: spec.target', how: 'It is the target of every mirror.' },
  { path: 'spec.clusters[].alias', fate: null, to: 'Cluster', how: 'Each becomes a Cluster.' },
  { path: 'spec.target.alias', fate: null, to: 'Cluster', how: 'As `clusters[].alias`.' },
  { path: 'spec.mirrors[].source.alias', fate: null, to: 'Cluster', how: 'As `clusters[].alias`.' },
  { path: '…bootstrapServers', fate: null, to: 'Cluster: bootstrap', how: 'As `bootstrap.servers` of MirrorMaker 2.' },
  {
    path: '…tls.*',
    fate: null,
    to: 'Cluster: security.ca',
    how: 'The Secret becomes a file: it is mounted under `/etc/lockstep/secrets/`.',
  },
  {
    path: '…authentication.*',
    fate: null,
    to: 'Cluster: security',
    how: '`tls`, `plain`, `scram-sha-256`, `scram-sha-512`, `oauth` with a token endpoint, and `custom` by its `config`; Secrets become files.',
  },
  { path: 'spec.mirrors[].sourceCluster', fate: 'exact', to: 'Mirror: spec.source', how: 'As there.' },
  { path: 'spec.mirrors[].targetCluster', fate: 'exact', to: 'Mirror: spec.target', how: 'As there.' },
  { path: 'spec.mirrors[].topicsPattern', fate: null, to: 'Mirror: spec.topics', how: 'As `topics` of MirrorMaker 2.' },
  { path: 'spec.mirrors[].topicsExcludePattern', fate: null, to: 'Mirror: spec.topics', how: 'As `topics.exclude`.' },
  { path: 'spec.mirrors[].topicsBlacklistPattern', fate: null, to: 'Mirror: spec.topics', how: 'As `topics.exclude`.' },
  { path: 'spec.mirrors[].groupsPattern', fate: null, to: 'Mirror: spec.sync.groups', how: 'As `groups`.' },
  {
    path: 'spec.mirrors[].groupsExcludePattern',
    fate: null,
    to: 'Mirror: spec.sync.groups',
    how: 'As `groups.exclude`.',
  },
  {
    path: 'spec.mirrors[].groupsBlacklistPattern',
    fate: null,
    to: 'Mirror: spec.sync.groups',
    how: 'As `groups.exclude`.',
  },
  {
    path: '…Connector',
    fate: null,
    to: 'Mirror',
    how: 'A mirror without a `sourceConnector` copies nothing, there and here.',
  },
  { path: '…Connector.config.*', fate: null, to: 'Mirror', how: 'As the setting of MirrorMaker 2.' },
  { path: '….config.*', fate: null, to: 'Cluster', how: 'As the setting of a cluster of MirrorMaker 2.' },
  {
    path: '…Connector.tasksMax',
    fate: 'no-equal',
    to: null,
    how: 'The processes of a mirror share its partitions among themselves.',
  },
  { path: '…Connector.autoRestart.*', fate: 'no-equal', to: null, how: RESTARTS },
  {
    path: '…Connector.pause',
    fate: null,
    to: null,
    how: 'A connector that is paused or stopped becomes a Mirror like any other, and a step says so.',
  },
  { path: '…Connector.state', fate: null, to: null, how: 'As `pause`.' },
  { path: '…Connector.version', fate: 'no-equal', to: null, how: KUBERNETES },
  { path: '…Connector.listOffsets.*', fate: 'no-equal', to: null, how: 'Positions are read from the target itself.' },
  { path: '…Connector.alterOffsets.*', fate: 'no-equal', to: null, how: 'Positions are read from the target itself.' },
  {
    path: 'spec.externalConfiguration.*',
    fate: 'different',
    to: null,
    how: 'Secrets that are mounted by it are referred to by their own paths.',
  },
  {
    path: 'spec.replicas',
    fate: 'no-equal',
    to: null,
    how: 'As many `lockstep run` of one file as are started share its partitions.',
  },
  { path: 'spec.version', fate: 'no-equal', to: null, how: KUBERNETES },
  { path: 'spec.target.groupId', fate: 'no-equal', to: null, how: KUBERNETES },
  { path: 'spec.target.configStorageTopic', fate: 'no-equal', to: null, how: KUBERNETES },
  { path: 'spec.target.offsetStorageTopic', fate: 'no-equal', to: null, how: KUBERNETES },
  { path: 'spec.target.statusStorageTopic', fate: 'no-equal', to: null, how: KUBERNETES },
  ...[
    'image',
    'resources.*',
    'livenessProbe.*',
    'readinessProbe.*',
    'jvmOptions.*',
    'jmxOptions.*',
    'logging.*',
    'clientRackInitImage',
    'rack.*',
    'template.*',
    'plugins.*',
  ].map((path) => ({ path: `spec.${path}`, fate: 'no-equal' as const, to: null, how: KUBERNETES })),
  { path: 'spec.tracing.*', fate: 'no-equal', to: null, how: 'There are no traces yet.' },
  { path: 'spec.metricsConfig.*', fate: 'no-equal', to: null, how: 'Metrics have their own names and ways out.' },
];

/** The row of a path such as `spec.mirrors[0].sourceConnector.tasksMax`; of several the longest. */
export function resourceRowOf(name: string): ResourceRow | null {
  const path = name.replaceAll(/\[\d+\]/g, '[]');
  let best: ResourceRow | null = null;
  for (const row of resourceRows)
    if (isMeant(row.path, path) && (best === null || row.path.length > best.path.length)) best = row;
  return best;
}

function isMeant(row: string, path: string): boolean {
  const isOpen = row.startsWith('…');
  const stem = row.replace(/^…/, '').replace(/\.\*$/, '');
  const isBelow = row.endsWith('.*');
  if (isOpen) return isBelow ? path.includes(`${stem}.`) || path.endsWith(stem) : path.endsWith(stem);
  return path === stem || (isBelow && (path.startsWith(`${stem}.`) || path.startsWith(`${stem}[`)));
}
