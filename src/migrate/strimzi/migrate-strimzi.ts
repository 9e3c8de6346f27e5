/** `KafkaMirrorMaker2` resources of Strimzi as resources of ours. */
import { AppError } from '#contract/errors.ts';
import type { Migration } from '#contract/migration.ts';
import { tellLeftover } from '../mirror-maker/leftovers.ts';
import { migratePairs } from '../mirror-maker/migrate.ts';
import type { Connector, MirrorMakerCluster, MirrorMakerPair } from '../mirror-maker/model.ts';
import { Report, type Setting } from '../report.ts';
import { ResourceNames } from '../resource-names.ts';
import { providerKind, SecretValues } from '../secret-values.ts';
import { strimziSecurityOf } from './cluster-security.ts';
import { customResourcesOf, type CustomResource, type Leaf } from './custom-resource.ts';
import { resourceRowOf } from './settings.ts';

export interface FileText {
  readonly path: string;
  readonly text: string;
}

/** Throws AppError CONFIG_INVALID where a file holds no `KafkaMirrorMaker2`. */
export function migrateStrimzi(files: readonly FileText[]): Migration {
  const report = new Report();
  const resources = files.flatMap(({ path, text }) => {
    const found = customResourcesOf(path, text);
    if (found === null || found.length === 0)
      throw new AppError(
        'CONFIG_INVALID',
        `${path} holds no KafkaMirrorMaker2${found === null ? ' that can be read: it is malformed YAML' : ''}`,
        {
          nextStep: 'Name a file as "kubectl get kafkamirrormaker2 NAME -o yaml" prints it.',
        },
      );
    return found;
  });
  for (const leaf of resources.flatMap(({ leaves }) => leaves)) report.expect(leaf);
  const secrets = new SecretValues(report, (name) => providerKind(name, undefined));
  const clusters = new Clusters(report, secrets);
  const pairs = resources.flatMap((resource) => pairsOf(resource, clusters, report));
  const migrated = migratePairs(clusters.all, pairs, { report, secrets });
  for (const { leaves } of resources) for (const leaf of leaves) tellRest(report, leaf);
  return {
    ...migrated,
    settings: report.settings(),
    defaults: report.defaults,
    secrets: report.secrets,
    users: [],
    history: [],
    figures: [],
  };
}

/** Clusters by alias; of one alias those with the same addresses are one. */
class Clusters {
  readonly #names = new ResourceNames();
  readonly #known = new Map<string, MirrorMakerCluster>();
  readonly #report: Report;
  readonly #secrets: SecretValues;

  constructor(report: Report, secrets: SecretValues) {
    this.#report = report;
    this.#secrets = secrets;
  }

  get all(): readonly MirrorMakerCluster[] {
    return [...this.#known.values()];
  }

  /** The cluster whose settings stand below `place`. */
  at(resource: CustomResource, place: string): MirrorMakerCluster {
    const leaves = new Map<string, Leaf>();
    for (const leaf of resource.leaves)
      if (leaf.name.startsWith(`${place}.`)) leaves.set(leaf.name.slice(place.length + 1), leaf);
    const alias = leaves.get('alias');
    const bootstrap = leaves.get('bootstrapServers');
    const key = `${alias?.value} ${bootstrap?.value}`;
    const known = this.#known.get(key);
    const isOther = [...this.#known.values()].some((each) => each.alias === alias?.value);
    const name = known?.name ?? this.#names.of(isOther ? `${alias?.value} ${key}` : (alias?.value ?? 'unnamed'));
    const to = `Cluster ${name}`;
    this.#report.tell(alias, alias?.value === name ? 'exact' : 'different', {
      to,
      ...(alias?.value === name
        ? {}
        : { note: 'A name has small letters, digits, "-" and "."; names of topics keep the alias.' }),
    });
    if (known) {
      this.#tellAgain(leaves, known);
      return known;
    }
    const cluster: MirrorMakerCluster = {
      alias: alias?.value ?? 'unnamed',
      name,
      get: (setting) => (setting === 'bootstrap.servers' ? bootstrap : leaves.get(`config.${setting}`)),
      security: () => strimziSecurityOf({ cluster: name, leaves, report: this.#report, secrets: this.#secrets }),
    };
    this.#known.set(key, cluster);
    return cluster;
  }

  #tellAgain(leaves: ReadonlyMap<string, Leaf>, { name }: MirrorMakerCluster): void {
    const note = `It was read for the Cluster ${name} where the alias stands first; see that both say the same.`;
    for (const leaf of leaves.values())
      if (!this.#report.isTold(leaf)) this.#report.tell(leaf, 'exact', { note, isSecret: true });
  }
}

/** The number of places in the list at `path`. */
function countAt({ leaves }: CustomResource, path: string): number {
  return leaves.reduce((count, { name }) => {
    const index = name.startsWith(`${path}[`) ? Number.parseInt(name.slice(path.length + 1), 10) : -1;
    return Math.max(count, index + 1);
  }, 0);
}

function pairsOf(resource: CustomResource, clusters: Clusters, report: Report): MirrorMakerPair[] {
  const byName = new Map(resource.leaves.map((leaf) => [leaf.name, leaf]));
  const listed = Array.from({ length: countAt(resource, 'spec.clusters') }, (_, index) =>
    clusters.at(resource, `spec.clusters[${index}]`),
  );
  const target = resource.leaves.some(({ name }) => name.startsWith('spec.target.'))
    ? clusters.at(resource, 'spec.target')
    : null;
  const named = (leaf: Leaf | undefined): MirrorMakerCluster | null =>
    listed.find(({ alias }) => alias === leaf?.value) ?? null;
  return Array.from({ length: countAt(resource, 'spec.mirrors') }, (_, index) => `spec.mirrors[${index}]`).flatMap(
    (place) => {
      const isNew = resource.leaves.some(({ name }) => name.startsWith(`${place}.source.`));
      const source = isNew ? clusters.at(resource, `${place}.source`) : named(byName.get(`${place}.sourceCluster`));
      const to = target ?? named(byName.get(`${place}.targetCluster`) ?? byName.get('spec.connectCluster'));
      const title = `${source?.alias ?? 'unnamed'} to ${to?.alias ?? 'unnamed'}`;
      if (source === null || to === null || source === to) {
        const leaf = byName.get(`${place}.sourceCluster`) ?? byName.get(`${place}.targetCluster`);
        report.tell(leaf, 'no-equal', {
          note: 'It names no cluster of the resource, or both sides are one.',
          step: 'Write a Mirror for it.',
        });
        report.tellDefault(`${place} has no two clusters, so there is no Mirror for it.`);
        return [];
      }
      if (!resource.leaves.some(({ name }) => name.startsWith(`${place}.sourceConnector`))) {
        report.tellDefault(`${title}: there is no sourceConnector, so nothing is copied and there is no Mirror.`);
        return [];
      }
      tellState(report, byName, { place, title });
      return [{ source, target: to, get: (connector, key) => ofMirror(byName, { place, connector, key }) }];
    },
  );
}

const PATTERNS: Readonly<Record<string, string>> = {
  topics: 'topicsPattern',
  'topics.exclude': 'topicsExcludePattern',
  'topics.blacklist': 'topicsBlacklistPattern',
  groups: 'groupsPattern',
  'groups.exclude': 'groupsExcludePattern',
  'groups.blacklist': 'groupsBlacklistPattern',
};

function ofMirror(
  byName: ReadonlyMap<string, Leaf>,
  { place, connector, key }: { readonly place: string; readonly connector: Connector; readonly key: string },
): Setting | undefined {
  const pattern = PATTERNS[key];
  // The operator writes its own patterns over what stands in a config.
  const stated = pattern === undefined ? undefined : byName.get(`${place}.${pattern}`);
  return stated ?? byName.get(`${place}.${connector}Connector.config.${key}`);
}

function tellState(
  report: Report,
  byName: ReadonlyMap<string, Leaf>,
  { place, title }: { readonly place: string; readonly title: string },
): void {
  for (const connector of ['source', 'checkpoint', 'heartbeat'])
    for (const key of ['pause', 'state']) {
      const leaf = byName.get(`${place}.${connector}Connector.${key}`);
      const runs = leaf === undefined || leaf.value === 'false' || leaf.value === 'running';
      const step = `Leave the Mirror of ${title} out as long as it shall stand still: "lockstep run" copies what is in its files.`;
      report.tell(
        leaf,
        runs ? 'exact' : 'no-equal',
        runs ? {} : { note: 'A Mirror has no state of its own in a file.', step },
      );
    }
}

function tellRest(report: Report, leaf: Leaf): void {
  if (report.isTold(leaf)) return;
  const config = leaf.path.lastIndexOf('config');
  const key = config >= 0 && config === leaf.path.length - 2 ? String(leaf.path[config + 1]) : null;
  if (key !== null && leaf.path[0] === 'spec') {
    const isConnector = String(leaf.path[config - 1]).endsWith('Connector');
    return tellLeftover(report, leaf, key, isConnector ? ['mirror', 'worker'] : ['cluster', 'worker']);
  }
  const row = resourceRowOf(leaf.name);
  if (row === null) {
    const step = `See what ${leaf.name} was to do.`;
    return report.tell(leaf, 'unknown', { step, isSecret: true });
  }
  report.tell(leaf, row.fate ?? 'exact', {
    note: row.fate === null ? 'No mirror and no cluster here uses it.' : row.how,
    ...(row.to === null || row.fate === null ? {} : { to: row.to }),
    ...(row.step === undefined ? {} : { step: row.step }),
    isSecret:
      row.fate === null || leaf.name.startsWith('spec.template') || leaf.name.startsWith('metadata.annotations'),
  });
}
