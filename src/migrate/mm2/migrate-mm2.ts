/**
 * MirrorMaker 2's own file (`connect-mirror-maker.sh mm2.properties`) and its connectors one by one. Precedence is that of
 * MirrorMakerConfig (Kafka 4.3): of a pair `A->B.key` hides `key`, of a cluster `A.key` hides `key`; what the connectors do
 * not define is not read from the top level, however much it looks as if it were.
 */
import { AppError } from '#contract/errors.ts';
import type { Migration } from '#contract/migration.ts';
import { javaTrim, latin1Of, listOf, parseProperties } from '../java/properties.ts';
import { tellLeftover } from '../mirror-maker/leftovers.ts';
import { migratePairs } from '../mirror-maker/migrate.ts';
import type { Connector, MirrorMakerCluster, MirrorMakerPair } from '../mirror-maker/model.ts';
import { rowOf } from '../mirror-maker/settings.ts';
import { Report, type Setting } from '../report.ts';
import { ResourceNames } from '../resource-names.ts';
import { providerKind, SecretValues } from '../secret-values.ts';
import { connectorOf, settingsOfJson, type ConnectorFile } from './connector-file.ts';

export interface FileBytes {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Throws AppError CONFIG_INVALID where a file is not one of MirrorMaker 2. */
export function migrateMm2(files: readonly FileBytes[]): Migration {
  const report = new Report();
  const read = files.map((file) => ({ path: file.path, settings: settingsOf(file, report) }));
  const all = read.flatMap(({ settings }) => settings);
  for (const setting of all) report.expect(setting);
  const secrets = new SecretValues(report, (name) =>
    providerKind(name, all.find((each) => each.name === `config.providers.${name}.class`)?.value),
  );
  const connectors: ConnectorFile[] = [];
  const dedicated: Setting[] = [];
  for (const { path, settings } of read) {
    const connector = connectorOf(path, settings);
    if (connector) connectors.push(connector);
    else if (settings.some(({ name }) => name === 'clusters')) dedicated.push(...settings);
    else throw notMm2(path);
  }
  const names = new ResourceNames();
  const own = ownFile(dedicated, names);
  const connected = ofConnectors(connectors, names);
  const clusters = [
    ...own.clusters,
    ...connected.clusters.filter(({ alias }) => !own.clusters.some((each) => each.alias === alias)),
  ];
  const migrated = migratePairs(clusters, [...own.pairs, ...connected.pairs], { report, secrets });
  tellOwnFile(report, dedicated, own);
  for (const file of connectors) tellConnector(report, file, connectors, connected.clusters);
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

function notMm2(path: string): AppError {
  return new AppError(
    'CONFIG_INVALID',
    `${path} is no file of MirrorMaker 2: it has neither "clusters" nor the "connector.class" of one of its connectors`,
    {
      nextStep:
        'Name the properties file that connect-mirror-maker.sh is given, or the configuration of its connectors.',
    },
  );
}

/** The last of a name counts, as in Java. */
function settingsOf({ path, bytes }: FileBytes, report: Report): Setting[] {
  const text = latin1Of(bytes);
  if (/^\s*\{/.test(text)) {
    const settings = settingsOfJson(path, Buffer.from(bytes).toString('utf8'));
    if (settings === null) throw notMm2(path);
    return settings;
  }
  const parsed = parseProperties(text);
  if ('problem' in parsed)
    throw new AppError('CONFIG_INVALID', `${path}: ${parsed.problem}`, {
      nextStep: 'Correct it: Java does not read it either.',
    });
  const settings = parsed.value.map(({ key, value, line }): Setting => ({ file: path, line, name: key, value }));
  const last = new Map(settings.map((setting) => [setting.name, setting]));
  for (const setting of settings) {
    if (last.get(setting.name) === setting) continue;
    const note = `It is written again in line ${last.get(setting.name)?.line ?? 0}, which counts.`;
    report.tell(setting, 'exact', { note, isSecret: true });
  }
  return [...last.values()];
}

interface OwnFile {
  readonly clusters: readonly MirrorMakerCluster[];
  readonly pairs: readonly MirrorMakerPair[];
  /** `A->B` of every two clusters. */
  readonly possible: readonly string[];
}

function ownFile(settings: readonly Setting[], names: ResourceNames): OwnFile {
  const byName = new Map(settings.map((setting) => [setting.name, setting]));
  const aliases = [...new Set(listOf(byName.get('clusters')?.value ?? ''))].filter((alias) => alias !== '');
  const clusters = aliases.map((alias): MirrorMakerCluster => ({
    alias,
    name: names.of(alias),
    get: (key) => byName.get(`${alias}.${key}`) ?? byName.get(key),
  }));
  const couples = clusters.flatMap((source) =>
    clusters.filter((each) => each !== source).map((target) => ({ source, target })),
  );
  const pairs = couples.flatMap(({ source, target }): MirrorMakerPair[] => {
    const pair = `${source.alias}->${target.alias}`;
    if (javaTrim(byName.get(`${pair}.enabled`)?.value ?? '').toLowerCase() !== 'true') return [];
    const get = (_: Connector, key: string): Setting | undefined =>
      byName.get(`${pair}.${key}`) ??
      // Of the clients of the source: `A.consumer.…` becomes `source.consumer.…`.
      (key.startsWith('source.consumer.') ? byName.get(`${source.alias}.${key.slice('source.'.length)}`) : undefined) ??
      (/^(?:source\.)?consumer\./.test(key) ? undefined : byName.get(key));
    return [{ source, target, get }];
  });
  return { clusters, pairs, possible: couples.map(({ source, target }) => `${source.alias}->${target.alias}`) };
}

function tellOwnFile(report: Report, settings: readonly Setting[], { clusters, pairs, possible }: OwnFile): void {
  const enabled = new Set(pairs.map(({ source, target }) => `${source.alias}->${target.alias}`));
  for (const setting of settings) {
    const { name } = setting;
    const pair = longest(possible, name);
    const cluster = longest(
      clusters.map(({ alias }) => alias),
      name,
    );
    if (name === 'clusters') tellClusters(report, setting, clusters);
    else if (pair !== null) tellOfPair(report, setting, name.slice(pair.length + 1), enabled.has(pair));
    else if (cluster !== null) tellLeftover(report, setting, name.slice(cluster.length + 1), ['cluster']);
    else if (/^(?:source\.|target\.)?(?:consumer|producer|admin)\./.test(name) && rowOf('mirror', name)?.isDecided)
      report.tell(setting, 'no-equal', {
        note: 'MirrorMaker 2 does not read it at the top level, but behind an alias or a pair.',
        step: `See whether ${name} was meant to have an effect.`,
      });
    else tellLeftover(report, setting, name, ['mirror', 'worker', 'cluster']);
  }
}

/** The longest of `scopes` that `name` begins with, followed by a dot. */
function longest(scopes: readonly string[], name: string): string | null {
  const fitting = scopes.filter((scope) => name.startsWith(`${scope}.`)).toSorted((a, b) => b.length - a.length);
  return fitting[0] ?? null;
}

function tellClusters(report: Report, setting: Setting, clusters: readonly MirrorMakerCluster[]): void {
  const renamed = clusters.filter(({ alias, name }) => alias !== name);
  report.tell(setting, renamed.length === 0 ? 'exact' : 'different', {
    to: clusters.map(({ name }) => `Cluster ${name}`).join(', '),
    note:
      renamed.length === 0
        ? undefined
        : `${renamed.map(({ alias, name }) => `"${alias}" is the Cluster ${name}`).join(', ')}; names of topics keep the alias.`,
  });
}

function tellOfPair(report: Report, setting: Setting, key: string, isEnabled: boolean): void {
  if (key === 'enabled') {
    const note = isEnabled ? undefined : 'It is not enabled, so there is no Mirror.';
    report.tell(setting, 'exact', { note, ...(isEnabled ? { to: 'Mirror' } : {}) });
  } else if (!isEnabled && rowOf('mirror', key)) report.tell(setting, 'exact', { note: 'The pair is not enabled.' });
  else if (/^(?:source|target)\.cluster\.(?!alias$)/.test(key))
    report.tell(setting, 'no-equal', {
      note: 'A cluster is one for all pairs.',
      step: `Write a Cluster of its own for what ${setting.name} changes.`,
      isSecret: true,
    });
  else tellLeftover(report, setting, key, ['mirror']);
}

// ── Connectors one by one

function ofConnectors(files: readonly ConnectorFile[], names: ResourceNames): Pick<OwnFile, 'clusters' | 'pairs'> {
  const clusters = new Map<string, MirrorMakerCluster>();
  const byPair = Map.groupBy(files, (file) => `${aliasOf(file, 'source')}->${aliasOf(file, 'target')}`);
  const sideOf = (side: 'source' | 'target', group: readonly ConnectorFile[]): MirrorMakerCluster => {
    const [first] = group;
    const alias = first === undefined ? side : aliasOf(first, side);
    const known = clusters.get(alias);
    const get = (key: string): Setting | undefined =>
      group.flatMap(({ settings }) => settings.get(`${side}.cluster.${key}`) ?? [])[0] ?? known?.get(key);
    const cluster = { alias, name: names.of(alias), get };
    clusters.set(alias, cluster);
    return cluster;
  };
  const pairs = [...byPair.values()].flatMap((group): MirrorMakerPair[] => {
    const [source, target] = [sideOf('source', group), sideOf('target', group)];
    const get = (connector: Connector, key: string): Setting | undefined =>
      group.find((file) => file.connector === connector)?.settings.get(key);
    const isPair = source.alias !== target.alias && group.some(({ connector }) => connector === 'source');
    return isPair ? [{ source, target, get }] : [];
  });
  return { clusters: [...clusters.values()], pairs };
}

/** With MirrorConnectorConfig's defaults. */
function aliasOf({ settings }: ConnectorFile, side: 'source' | 'target'): string {
  return javaTrim(settings.get(`${side}.cluster.alias`)?.value ?? side);
}

function tellConnector(
  report: Report,
  file: ConnectorFile,
  files: readonly ConnectorFile[],
  clusters: readonly MirrorMakerCluster[],
): void {
  const partner = files.find((each) => each.connector === 'source' && isSamePair(each, file));
  for (const setting of file.settings.values()) {
    const { name } = setting;
    const [, side, key] = /^(source|target)\.cluster\.(.+)$/.exec(name) ?? [];
    const cluster = clusters.find(({ alias }) => alias === aliasOf(file, side === 'target' ? 'target' : 'source'));
    if (key !== undefined && key !== 'alias') tellOfCluster(report, { setting, key, taken: cluster?.get(key) });
    else if (file.connector === 'checkpoint' && name.startsWith('topics'))
      tellSecond(report, setting, partner?.settings.get(name));
    else if (name === 'enabled') report.tell(setting, 'exact', { to: 'Mirror' });
    else if (MSK_CONNECT.has(name))
      report.tell(setting, 'no-equal', { note: 'It is about Amazon MSK Connect, which is not needed.' });
    else tellLeftover(report, setting, name, ['mirror', 'worker']);
  }
}

function isSamePair(a: ConnectorFile, b: ConnectorFile): boolean {
  return aliasOf(a, 'source') === aliasOf(b, 'source') && aliasOf(a, 'target') === aliasOf(b, 'target');
}

function tellOfCluster(
  report: Report,
  { setting, key, taken }: { readonly setting: Setting; readonly key: string; readonly taken: Setting | undefined },
): void {
  if (!report.isTold(setting) && rowOf('cluster', key)?.isDecided && taken !== setting)
    tellSecond(report, setting, taken);
  else tellLeftover(report, setting, key, ['cluster']);
}

/** What `taken`, of another connector of the pair, says already. */
function tellSecond(report: Report, setting: Setting, taken: Setting | undefined): void {
  if (taken?.value === setting.value) {
    report.tell(setting, 'exact', { note: 'Another connector of the pair says the same.', isSecret: true });
    return;
  }
  const note = 'The connectors of the pair do not say the same; one Mirror does the work of all.';
  const step = `See whether what ${setting.name} of ${setting.file} says is meant.`;
  report.tell(setting, 'no-equal', { note, step, isSecret: true });
}

/** What stands around `connectorConfiguration` in the request that creates a connector there. */
const MSK_CONNECT = new Set([
  'capacity',
  'connectorName',
  'connectorDescription',
  'kafkaCluster',
  'kafkaClusterClientAuthentication',
  'kafkaClusterEncryptionInTransit',
  'kafkaConnectVersion',
  'logDelivery',
  'plugins',
  'serviceExecutionRoleArn',
  'workerConfiguration',
]);
