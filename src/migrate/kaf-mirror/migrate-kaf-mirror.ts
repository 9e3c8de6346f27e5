/** kaf-mirror 1.1 and 1.2: its SQLite database and its YAML as resources, with users and history beside them. */
import { AppError } from '#contract/errors.ts';
import type { MigratedHistory, MigratedUser, Migration } from '#contract/migration.ts';
import type { TableFile } from '#util/tables.ts';
import { Report, type Setting } from '../report.ts';
import { ResourceNames } from '../resource-names.ts';
import { resourceText, type ClusterText, type NamedMirror } from '../resource-text.ts';
import { SecretValues } from '../secret-values.ts';
import { clusterOfKafMirror, fieldName } from './cluster-fields.ts';
import { settingsOfTree } from './config-tree.ts';
import { parseJson, readDatabase, type JobRow } from './database.ts';
import { databaseRows, fileRows, kafMirrorRowOf } from './settings.ts';
import { figuresOf } from './figures.ts';
import { ruleOfMapping } from './topic-mapping.ts';

export type KafMirrorFile =
  | { readonly path: string; readonly tables: TableFile }
  | { readonly path: string; readonly text: string };

/** Throws AppError CONFIG_INVALID where a file is not kaf-mirror's. */
export function migrateKafMirror(files: readonly KafMirrorFile[]): Migration {
  const migration = new KafMirrorMigration();
  for (const file of files) {
    if ('tables' in file) migration.addDatabase(file.path, file.tables);
    else migration.addFile(file.path, file.text);
  }
  return migration.result();
}

function notKafMirror(path: string, why: string): AppError {
  return new AppError('CONFIG_INVALID', `${path} is not kaf-mirror's: ${why}`, {
    nextStep:
      'Name its database (data/kaf-mirror.db) or its YAML (configs/default.yml); a YAML ends with .yml or .yaml.',
  });
}

class KafMirrorMigration {
  readonly #report = new Report();
  // It has no config providers.
  readonly #secrets = new SecretValues(this.#report, () => 'other');
  readonly #clusterNames = new ResourceNames();
  readonly #mirrorNames = new ResourceNames();
  readonly #clusters = new Map<string, ClusterText>();
  readonly #mirrors: NamedMirror[] = [];
  readonly #users: MigratedUser[] = [];
  readonly #history: MigratedHistory[] = [];
  /** Names of mirrors by the ids of their jobs. */
  readonly #mirrorOfJob = new Map<string, string>();

  result(): Migration {
    return {
      resources: resourceText([...this.#clusters.values()], this.#mirrors),
      clusters: [...this.#clusters.keys()],
      mirrors: this.#mirrors.map(({ name }) => name),
      settings: this.#report.settings(),
      defaults: this.#report.defaults,
      secrets: this.#report.secrets,
      users: this.#users,
      history: this.#history,
      figures: figuresOf(this.#history, this.#mirrorOfJob),
    };
  }

  addDatabase(path: string, tables: TableFile): void {
    const database = readDatabase(path, tables, this.#report);
    if (database === null) throw notKafMirror(path, 'it has no tables kafka_clusters and replication_jobs');
    this.#users.push(...database.users);
    this.#history.push(...database.history);
    const used = new Set(
      database.jobs.flatMap(({ settings }) =>
        ['source_cluster_name', 'target_cluster_name'].map((column) => settings.get(column)?.value ?? ''),
      ),
    );
    for (const columns of database.clusters) this.#addClusterRow(columns, used);
    for (const job of database.jobs) this.#addJob(job);
    if (database.fullConfig !== null) this.#addTree(path, database.fullConfig, 'configuration[full_config].');
    this.#tellRest(databaseRows);
    this.#report.tellDefault(
      'kaf-mirror dropped timestamps, moved records between partitions and may have lost or doubled some: a target that it has filled is not a copy. Give the Mirror empty topics.',
    );
  }

  addFile(path: string, text: string): void {
    if (!this.#addTree(path, text, '')) throw notKafMirror(path, 'it is no YAML mapping');
  }

  // ── Database

  #addClusterRow(columns: ReadonlyMap<string, Setting>, used: ReadonlySet<string>): void {
    const original = columns.get('name');
    const status = columns.get('status');
    const isGone = status?.value === 'inactive' || status?.value === 'archived';
    if (isGone && !used.has(original?.value ?? '')) {
      for (const setting of columns.values())
        this.#report.tell(setting, 'exact', { note: 'It is not in use, so there is no Cluster.', isSecret: true });
      return;
    }
    this.#report.tell(status, 'exact', { note: isGone ? 'A job uses it.' : undefined });
    const fields = new Map([...columns].map(([column, setting]) => [fieldName(column), setting]));
    const config = columns.get('security_config');
    for (const setting of this.#securityFields(config)) fields.set(setting.key, setting.setting);
    this.#addCluster(original?.value ?? 'unnamed', original, fields);
  }

  /** The members of the JSON in security_config, as fields `security.…`. */
  #securityFields(config: Setting | undefined): { key: string; setting: Setting }[] {
    if (config === undefined || config.value === '') {
      this.#report.tell(config, 'exact', {});
      return [];
    }
    const parsed = settingsOfTree(config.file, config.value, `${config.name}.`);
    if (parsed === null || parseJson(config.value) === undefined) {
      const step = 'Write the login of the Cluster.';
      this.#report.tell(config, 'no-equal', { note: 'It is no JSON.', step, isSecret: true });
      return [];
    }
    this.#report.tell(config, 'different', { note: 'Its members are listed one by one.', isSecret: true });
    return parsed.map((setting) => ({
      key: `security.${fieldName(setting.name.slice(config.name.length + 1))}`,
      setting,
    }));
  }

  #addCluster(original: string, named: Setting | undefined, fields: ReadonlyMap<string, Setting>): void {
    const name = this.#clusterNames.of(original);
    this.#report.tell(named, name === original ? 'exact' : 'different', {
      to: `Cluster ${name}`,
      note: name === original ? undefined : 'A name has small letters, digits, "-" and ".".',
    });
    if (this.#clusters.has(name)) {
      const note = `The Cluster ${name} was read before, and is taken as it was there.`;
      const step = `See that the Cluster ${name} is the one that is meant.`;
      for (const setting of fields.values()) this.#report.tell(setting, 'different', { note, step, isSecret: true });
      return;
    }
    this.#clusters.set(name, clusterOfKafMirror({ name, fields, report: this.#report, secrets: this.#secrets }));
    for (const [key, setting] of fields) {
      if (!key.startsWith('security.') || this.#report.isTold(setting)) continue;
      if (key === 'security.enabled') {
        this.#report.tell(setting, 'exact', { note: 'What stands beside it says it.' });
        continue;
      }
      this.#report.tell(setting, 'no-equal', { note: 'The login has no use for it.', isSecret: true });
    }
  }

  #addJob({ id, settings, mappings }: JobRow): void {
    const value = (column: string): string => settings.get(column)?.value ?? '';
    const [source, target] = [value('source_cluster_name'), value('target_cluster_name')].map((original) =>
      this.#clusterNames.of(original),
    );
    const name = this.#mirrorNames.of(value('name'));
    this.#tellJob(settings, name);
    const rules = mappings.flatMap((columns) => this.#ruleOf(columns, name));
    const isWhole = [source, target].every((each) => each !== undefined && this.#clusters.has(each));
    if (rules.length === 0 || !isWhole || source === target) {
      const note = isWhole
        ? 'It has no topic mapping that is on, or one cluster on both sides.'
        : 'One of its clusters is not there.';
      this.#report.tell(settings.get('name'), 'no-equal', {
        note,
        step: `Write a Mirror for the job "${value('name')}".`,
      });
      return;
    }
    this.#mirrorOfJob.set(id, name);
    this.#addMirror(name, { source: source ?? '', target: target ?? '', topics: rules });
  }

  #addMirror(name: string, spec: NamedMirror['spec']): void {
    this.#mirrors.push({ name, spec: { ...spec, sync: { configs: false } } });
    this.#report.tellDefault(
      `${name}: kaf-mirror copies no settings of topics, so "sync.configs" is false; leave it out to have them follow.`,
    );
  }

  #tellJob(settings: ReadonlyMap<string, Setting>, name: string): void {
    const original = settings.get('name');
    this.#report.tell(original, original?.value === name ? 'exact' : 'different', {
      to: `Mirror ${name}`,
      note: original?.value === name ? undefined : 'A name has small letters, digits, "-" and "." and is unique.',
    });
    const status = settings.get('status');
    const runs = status?.value === 'active' || status?.value === 'running';
    this.#report.tell(status, runs ? 'exact' : 'no-equal', {
      note: runs ? undefined : 'A Mirror has no state of its own in a file.',
      step: runs
        ? undefined
        : `Leave the Mirror ${name} out as long as it shall stand still: "lockstep run" copies what is in its files.`,
    });
    this.#tellCompression(settings.get('compression'));
    const preserved = settings.get('preserve_partitions');
    this.#report.tell(preserved, preserved?.value === '1' ? 'exact' : 'different', {
      note: 'Partitions are always preserved.',
    });
  }

  #tellCompression(setting: Setting | undefined): void {
    const isNone = setting?.value === 'none' || setting?.value === '';
    this.#report.tell(setting, isNone ? 'exact' : 'different', { note: 'Batches keep the codec of the source.' });
  }

  #ruleOf(columns: ReadonlyMap<string, Setting>, mirror: string): NamedMirror['spec']['topics'] {
    const [source, target] = [columns.get('source_topic_pattern'), columns.get('target_topic_pattern')];
    const enabled = columns.get('enabled');
    if (source === undefined) return [];
    if (enabled?.value === '0' || enabled?.value === 'false') {
      for (const setting of [source, target, enabled])
        this.#report.tell(setting, 'exact', { note: 'The mapping is off, so there is no rule.' });
      return [];
    }
    this.#report.tell(enabled, 'exact', {});
    return this.#tellRule({ source, target, to: `Mirror ${mirror}: spec.topics` });
  }

  #tellRule({
    source,
    target,
    to,
  }: {
    readonly source: Setting;
    readonly target: Setting | undefined;
    readonly to: string;
  }): NamedMirror['spec']['topics'] {
    const rule = ruleOfMapping({ source: source.value, target: target?.value ?? '' });
    if ('problem' in rule) {
      const step = `Write a rule for "${source.value}".`;
      this.#report.tell(source, 'no-equal', { to, note: `${rule.problem}.`, step });
      this.#report.tell(target, 'no-equal', { to, step });
      return [];
    }
    const { note, ...kept } = rule;
    for (const setting of [source, target])
      this.#report.tell(setting, note === undefined ? 'exact' : 'different', { to, note });
    return [kept];
  }

  // ── YAML

  /** False where it is no mapping. */
  #addTree(path: string, text: string, label: string): boolean {
    const settings = settingsOfTree(path, text, label);
    if (settings === null) return false;
    for (const setting of settings) this.#report.expect(setting);
    const below = (prefix: string): Map<string, Setting> => this.#fieldsBelow(settings, `${label}${prefix}.`);
    const names = new Set(
      settings.flatMap(({ name }) => /^clusters\.([^.]+)\./.exec(name.slice(label.length))?.[1] ?? []),
    );
    for (const name of names) this.#addCluster(name, undefined, below(`clusters.${name}`));
    const isPair = ['source_cluster', 'target_cluster'].every((each) => below(each).size > 0);
    if (isPair) for (const side of ['source', 'target']) this.#addCluster(side, undefined, below(`${side}_cluster`));
    this.#addFileMappings(settings, { label, isPair });
    this.#tellFile(settings, label);
    return true;
  }

  /** By their names; a list of brokers is one field, as where it is a text. */
  #fieldsBelow(settings: readonly Setting[], start: string): Map<string, Setting> {
    const own = settings.filter(({ name }) => name.startsWith(start));
    const fields = new Map(own.map((setting) => [dotted(setting.name.slice(start.length)), setting]));
    const listed = own.filter(({ name }) => /^brokers\[\d+\]$/.test(name.slice(start.length)));
    const [first, ...others] = listed;
    if (first === undefined) return fields;
    for (const setting of others) this.#report.tell(setting, 'exact', { note: `See ${first.name}.` });
    // The report knows the first by itself: what is told of the whole list is told of it.
    return fields.set('brokers', this.#report.standFor(first, listed.map(({ value }) => value).join(',')));
  }

  #addFileMappings(
    settings: readonly Setting[],
    { label, isPair }: { readonly label: string; readonly isPair: boolean },
  ): void {
    const byPlace = Map.groupBy(
      settings.filter(({ name }) => name.startsWith(`${label}topic_mappings[`)),
      ({ name }) => name.slice(0, name.indexOf(']') + 1),
    );
    const rules = [...byPlace].flatMap(([place, all]) => {
      const of = (key: string): Setting | undefined => all.find(({ name }) => name === `${place}.${key}`);
      const columns = new Map<string, Setting>();
      for (const [column, setting] of [
        ['source_topic_pattern', of('source')],
        ['target_topic_pattern', of('target')],
        ['enabled', of('enabled')],
      ] as const)
        if (setting) columns.set(column, setting);
      if (isPair) return this.#ruleOf(columns, 'source-to-target');
      const step =
        'Write a Mirror with these rules if they are used: the file does not say from which cluster to which.';
      for (const setting of all)
        this.#report.tell(setting, 'no-equal', { note: 'kaf-mirror starts no job from them.', step });
      return [];
    });
    if (!isPair || rules.length === 0) return;
    const name = this.#mirrorNames.of('source-to-target');
    this.#tellInterval(settings.find((each) => each.name === `${label}replication.topic_discovery_interval`));
    this.#addMirror(name, {
      source: this.#clusterNames.of('source'),
      target: this.#clusterNames.of('target'),
      topics: rules,
      ...refreshOf(settings, label),
    });
  }

  #tellFile(settings: readonly Setting[], label: string): void {
    for (const setting of settings) {
      const key = setting.name.slice(label.length);
      if (this.#report.isTold(setting)) continue;
      if (key === 'replication.compression') this.#tellCompression(setting);
      else this.#tellByRow(setting, kafMirrorRowOf(fileRows, key));
    }
  }

  #tellInterval(setting: Setting | undefined): void {
    const ms = durationMs(setting?.value ?? '');
    const isKept = ms !== null && ms > 0 && ms <= 3_600_000;
    this.#report.tell(setting, isKept ? 'exact' : 'different', {
      to: 'Mirror: spec.refreshMs',
      note: isKept ? undefined : 'New topics are looked for at least every hour.',
    });
  }

  #tellRest(rows: typeof databaseRows): void {
    for (const { setting, row } of this.#report
      .untold()
      .map((each) => ({ setting: each, row: kafMirrorRowOf(rows, each.name) })))
      this.#tellByRow(setting, row);
  }

  #tellByRow(setting: Setting, row: ReturnType<typeof kafMirrorRowOf>): void {
    if (row === null) {
      this.#report.tell(setting, 'unknown', { step: `See what ${setting.name} was to do.`, isSecret: true });
      return;
    }
    const isSecret = /password|secret|token|hash|key|connection|jaas/i.test(setting.name);
    this.#report.tell(setting, row.fate ?? 'exact', {
      note: row.fate === null ? 'No mirror and no cluster here uses it.' : row.how,
      ...(row.to === null || row.fate === null ? {} : { to: row.to }),
      isSecret,
    });
  }
}

/** `security.sasl_mechanism` → `security.saslmechanism`. */
function dotted(path: string): string {
  return path.split('.').map(fieldName).join('.');
}

function refreshOf(settings: readonly Setting[], label: string): { refreshMs?: number } {
  const stated = settings.find(({ name }) => name === `${label}replication.topic_discovery_interval`);
  const ms = stated === undefined ? null : durationMs(stated.value);
  return ms === null || ms < 100 || ms > 3_600_000 ? {} : { refreshMs: ms };
}

/** Go's durations: `5m`, `1h30m`, `90s`, `500ms`; null for what is none. */
function durationMs(text: string): number | null {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return text === '0' ? 0 : null;
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  return Math.round(parts.reduce((sum, [, number, unit]) => sum + Number(number) * (units[unit ?? ''] ?? 0), 0));
}
