/** The `spec` of a Mirror for a pair of MirrorMaker 2, as its connectors of Kafka 4.3 understand their settings. */

import type { Fate } from '#contract/migration.ts';
import { topicNameProblem } from '#contract/topic-pattern.ts';
import { javaTrim, listOf } from '../java/properties.ts';
import { excludedBy, includedBy, type Filter, type Named } from '../name-filter.ts';
import type { Outcome, Setting } from '../report.ts';
import { REPLACE_ME } from '../client-security.ts';
import { namingOf, type Naming } from './naming.ts';
import type { Connector, PairContext } from './model.ts';

export interface MirrorText {
  readonly source: string;
  readonly target: string;
  readonly topics: readonly RuleText[];
  readonly start?: 'latest';
  readonly transactions?: 'committed-only';
  readonly sync?: Readonly<Record<string, unknown>>;
  readonly refreshMs?: number;
  readonly targetReplicationFactor?: number;
}

type RuleText = { readonly match: string; readonly to?: string } | { readonly exclude: string };

const TOPICS_EXCLUDE = ['mm2.*\\.internal', '.*\\.replica', '__.*'];
const GROUPS_EXCLUDE = ['console-consumer-.*', 'connect-.*', '__.*'];
/** Of MirrorMaker 2's list those that are a matter of choice here (contract/sync-settings.ts). */
const CONFIGS_EXCLUDE = ['unclean.leader.election.enable', 'min.insync.replicas'];

const HOUR_MS = 3_600_000;

export function mirrorSpecOf(context: PairContext): MirrorText {
  const { pair, report, name } = context;
  const naming = namingOf(context);
  tellClasses(context);
  report.tellDefault(
    `${name}: topics on ${pair.target.name} that MirrorMaker 2 has filled have other offsets. A Mirror writes into them with mapped offsets only, and behind what is there: see docs/migration/mirror-maker-2.md before it runs.`,
  );
  const sync = syncOf(context, naming);
  return {
    source: pair.source.name,
    target: pair.target.name,
    topics: rulesOf(context, naming),
    ...consumerOf(context),
    ...(Object.keys(sync).length === 0 ? {} : { sync }),
    ...refreshOf(context),
    ...replicationOf(context),
  };
}

function at({ name }: PairContext, key: string): string {
  return `Mirror ${name}: spec.${key}`;
}

function tell(context: PairContext, setting: Setting | undefined, fate: Fate, outcome: Outcome = {}): void {
  context.report.tell(setting, fate, outcome);
}

/** A setting, under the name that it had before, too. */
function named(context: PairContext, connector: Connector, ...keys: readonly string[]): Setting | undefined {
  const found = keys.flatMap((key) => context.pair.get(connector, key) ?? []);
  for (const hidden of found.slice(1))
    tell(context, hidden, 'exact', { note: `It is hidden by ${found[0]?.name ?? 'another'}.` });
  return found[0];
}

/** `Boolean.parseBoolean`, as Kafka's configurations read it but for what is neither. */
function flag(setting: Setting | undefined, byDefault: boolean): boolean {
  return setting === undefined ? byDefault : javaTrim(setting.value).toLowerCase() === 'true';
}

// ── Topics

function rulesOf(context: PairContext, naming: Naming): RuleText[] {
  const included = filterOf(context, {
    setting: named(context, 'source', 'topics'),
    byDefault: ['.*'],
    named: 'topic',
    read: includedBy,
    to: 'topics',
    otherwise: `Write rules in place of "match: ${REPLACE_ME}", which stands there until then.`,
  });
  const excluded = filterOf(context, {
    setting: named(context, 'source', 'topics.exclude', 'topics.blacklist'),
    byDefault: TOPICS_EXCLUDE,
    named: 'topic',
    read: excludedBy,
    to: 'topics',
    otherwise: 'Write excludes in place of "exclude: /.*/", which keeps everything out until then.',
  });
  const patterns = included?.match ?? [REPLACE_ME];
  // MirrorMaker 2 never copies these, whatever its filter says.
  const internal = patterns.filter(isInternal);
  const unnamed = patterns.filter(
    (pattern) => !pattern.startsWith('/') && topicNameProblem(`${naming.prefix}${pattern}`) !== null,
  );
  const matches = patterns.filter((pattern) => !internal.includes(pattern) && !unnamed.includes(pattern));
  if (unnamed.length > 0)
    tell(context, named(context, 'source', 'topics'), 'different', {
      note: `With "${naming.prefix}" in front ${unnamed.join(', ')} is no topic name, so there is no rule for it.`,
    });
  if (internal.length > 0)
    tell(context, named(context, 'source', 'topics'), 'different', {
      note: `MirrorMaker 2 copies no internal topic, so there is no rule for ${internal.join(', ')}.`,
    });
  const rules = (matches.length > 0 ? matches : [REPLACE_ME]).map((match) => ruleOf(match, naming));
  const excludes = [
    ...(included?.exclude ?? []),
    ...(excluded?.exclude ?? ['/.*/']),
    ...naming.excludes,
    ...(patterns.some((pattern) => pattern.startsWith('/')) ? ['/^\\./'] : []),
  ];
  if (included !== null && matches.length === 0)
    tell(context, named(context, 'source', 'topics'), 'no-equal', {
      note: 'It matches no topic that MirrorMaker 2 would copy.',
      step: `Write rules in place of "match: ${REPLACE_ME}", or leave the Mirror ${context.name} out.`,
    });
  return [...rules, ...[...new Set(excludes)].map((exclude) => ({ exclude }))];
}

function isInternal(pattern: string): boolean {
  return !pattern.startsWith('/') && /^(?:__|\.)|^mm2.*\.internal$|\.checkpoints\.internal$/.test(pattern);
}

function ruleOf(match: string, { prefix }: Naming): RuleText {
  if (prefix === '') return { match };
  return { match, to: match.startsWith('/') ? `${prefix}$0` : `${prefix}${match}` };
}

/** A list of Java expressions as patterns of ours; null, with a step, where there is no equal. */
function filterOf(
  context: PairContext,
  {
    setting,
    byDefault,
    named,
    read,
    to,
    otherwise,
  }: {
    readonly setting: Setting | undefined;
    readonly byDefault: readonly string[];
    readonly named: Named;
    readonly read: typeof includedBy;
    readonly to: string;
    readonly otherwise: string;
  },
): Filter | null {
  const result = read(setting === undefined ? byDefault : listOf(setting.value), named);
  if ('value' in result) {
    const isDotted =
      setting !== undefined &&
      [...result.value.match, ...result.value.exclude].some((each) => /^\/.*[a-z0-9]\.[a-z0-9]/.test(each));
    const note = isDotted
      ? 'A "." matches any character, as in MirrorMaker 2; a name without slashes is only that name.'
      : undefined;
    tell(context, setting, 'exact', { to: at(context, to), note });
    return result.value;
  }
  tell(context, setting, 'no-equal', { to: at(context, to), note: `${result.problem}.`, step: otherwise });
  return null;
}

// ── What the consumer is told

function consumerOf(context: PairContext): { start?: 'latest'; transactions?: 'committed-only' } {
  const reset = named(context, 'source', 'source.consumer.auto.offset.reset', 'consumer.auto.offset.reset');
  const isolation = named(context, 'source', 'source.consumer.isolation.level', 'consumer.isolation.level');
  const from = reset === undefined ? 'earliest' : javaTrim(reset.value).toLowerCase();
  const isCommitted = isolation !== undefined && javaTrim(isolation.value).toLowerCase() === 'read_committed';
  if (from === 'latest')
    tell(context, reset, 'different', {
      to: at(context, 'start'),
      note: 'Topics and partitions that appear later are copied from their beginning, not from where they are found.',
    });
  else if (from === 'earliest') tell(context, reset, 'exact', { to: at(context, 'start') });
  else
    tell(context, reset, 'no-equal', {
      note: 'A copy begins at earliest, latest, a time or offsets.',
      step: `Write "start" of the Mirror ${context.name} if it is not earliest.`,
    });
  if (isCommitted) tell(context, isolation, 'exact', { to: at(context, 'transactions') });
  else
    tell(context, isolation, 'different', {
      to: at(context, 'transactions'),
      note: 'Transactions are preserved: aborted records stay aborted, where MirrorMaker 2 makes them real.',
    });
  if (isolation === undefined)
    context.report.tellDefault(
      `${context.name}: MirrorMaker 2 reads at read_uncommitted and makes aborted records real; here they stay aborted.`,
    );
  return {
    ...(from === 'latest' ? { start: 'latest' as const } : {}),
    ...(isCommitted ? { transactions: 'committed-only' as const } : {}),
  };
}

// ── Around the records

function syncOf(context: PairContext, naming: Naming): Record<string, unknown> {
  const configs = configsOf(context);
  const groups = groupsOf(context, naming);
  return {
    ...(configs === true ? {} : { configs }),
    ...(aclsOf(context) ? { acls: true } : {}),
    ...(groups === null ? {} : { groups }),
  };
}

function configsOf(context: PairContext): boolean | Record<string, unknown> {
  const enabled = named(context, 'source', 'sync.topic.configs.enabled');
  const excluded = named(context, 'source', 'config.properties.exclude', 'config.properties.blacklist');
  const defaults = named(context, 'source', 'use.defaults.from');
  if (!flag(enabled, true)) {
    tell(context, enabled, 'exact', { to: at(context, 'sync.configs') });
    for (const setting of [excluded, defaults])
      tell(context, setting, 'exact', { note: 'Settings of topics are not synchronised.' });
    return false;
  }
  tell(context, enabled, 'different', { to: at(context, 'sync.configs'), note: NEVER_WEAKER });
  if (enabled === undefined) context.report.tellDefault(`${context.name}: ${NEVER_WEAKER}`);
  const filter = filterOf(context, {
    setting: excluded,
    byDefault: [],
    named: 'other',
    read: excludedBy,
    to: 'sync.configs.exclude',
    otherwise: 'Write sync.configs.exclude in place of "configs: false".',
  });
  if (filter === null) return false;
  const from = defaults === undefined ? 'target' : javaTrim(defaults.value).toLowerCase();
  if (from === 'source' || from === 'target')
    tell(context, defaults, 'exact', { to: at(context, 'sync.configs.defaultsFrom') });
  else
    tell(context, defaults, 'no-equal', {
      note: 'It is neither source nor target.',
      step: `Write sync.configs.defaultsFrom of the Mirror ${context.name} if it is not target.`,
    });
  return {
    exclude: excluded === undefined ? CONFIGS_EXCLUDE : filter.exclude,
    ...(from === 'source' ? { defaultsFrom: 'source' } : {}),
  };
}

const NEVER_WEAKER =
  'Retention is never shortened on the target; "allowWeaker: true" in sync.configs does that, as MirrorMaker 2 does.';

function aclsOf(context: PairContext): boolean {
  const enabled = named(context, 'source', 'sync.topic.acls.enabled');
  const isWanted = flag(enabled, true);
  const note =
    'ACLs of groups, transactional ids and the cluster are copied too, and those about beginnings of names; "sync.acls" says which.';
  tell(context, enabled, isWanted ? 'different' : 'exact', {
    to: at(context, 'sync.acls'),
    note: isWanted ? note : undefined,
  });
  if (enabled === undefined)
    context.report.tellDefault(`${context.name}: MirrorMaker 2 copies ACLs of topics unless told not to. ${note}`);
  return isWanted;
}

function groupsOf(context: PairContext, naming: Naming): Record<string, unknown> | null {
  const { pair, report, name } = context;
  const of = (...keys: readonly string[]): Setting | undefined => named(context, 'checkpoint', ...keys);
  const enabled = of('sync.group.offsets.enabled');
  const checkpoints = of('emit.checkpoints.enabled');
  const interval = of('sync.group.offsets.interval.seconds');
  const [match, exclude] = [of('groups'), of('groups.exclude', 'groups.blacklist')];
  tell(context, enabled, 'exact', { to: at(context, 'sync.groups') });
  if (!flag(enabled, false)) {
    const step = `If programs translate offsets by MirrorMaker 2's client, write sync.groups of the Mirror ${name} with "checkpoints: true".`;
    const isEmitted = checkpoints !== undefined && flag(checkpoints, true);
    tell(context, checkpoints, isEmitted ? 'no-equal' : 'exact', {
      note: isEmitted ? 'Checkpoints come with sync.groups, which moves the groups, too.' : undefined,
      step: isEmitted ? step : undefined,
    });
    for (const setting of [interval, match, exclude])
      tell(context, setting, 'exact', { note: 'Groups are not synchronised.' });
    if (checkpoints === undefined)
      report.tellDefault(
        `${name}: MirrorMaker 2 writes checkpoints unless told not to; they come with sync.groups here.`,
      );
    return null;
  }
  const otherwise = `Write sync.groups of the Mirror ${name}: without it no group is synchronised.`;
  const included = filterOf(context, {
    setting: match,
    byDefault: ['.*'],
    named: 'other',
    read: includedBy,
    to: 'sync.groups.match',
    otherwise,
  });
  const excluded = filterOf(context, {
    setting: exclude,
    byDefault: GROUPS_EXCLUDE,
    named: 'other',
    read: excludedBy,
    to: 'sync.groups.exclude',
    otherwise,
  });
  const everyMs = millisecondsOf(context, interval, 'sync.groups.everyMs');
  if (included === null || excluded === null || included.match.length === 0) return null;
  const isEmitted = flag(checkpoints, true);
  const isRenamed = pair.source.name !== pair.source.alias || !naming.hasUsualInternals;
  tell(context, checkpoints, isEmitted && isRenamed ? 'different' : 'exact', {
    to: at(context, 'sync.groups.checkpoints'),
    note: isEmitted && isRenamed ? `The topic of checkpoints is ${pair.source.name}.checkpoints.internal.` : undefined,
  });
  const denied = [...included.exclude, ...excluded.exclude];
  return {
    match: included.match,
    ...(denied.length === 0 ? {} : { exclude: denied }),
    ...(everyMs === null ? {} : { everyMs }),
    ...(isEmitted ? { checkpoints: true } : {}),
  };
}

// ── Numbers

/** Seconds of theirs as milliseconds of ours, within what ours admit; null where nothing is to be written. */
function millisecondsOf(context: PairContext, setting: Setting | undefined, to: string): number | null {
  if (setting === undefined) return null;
  const text = javaTrim(setting.value);
  const seconds = /^\+?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0)) {
    tell(context, setting, 'no-equal', {
      note: 'It is no number of seconds.',
      step: `Write ${to} of the Mirror ${context.name} if it is not 5 s.`,
    });
    return null;
  }
  const isLong = seconds * 1000 > HOUR_MS;
  tell(context, setting, isLong ? 'different' : 'exact', {
    to: at(context, to),
    note: isLong ? 'At most an hour.' : undefined,
  });
  return Math.min(seconds * 1000, HOUR_MS);
}

function refreshOf(context: PairContext): { refreshMs?: number } {
  const enabled = named(context, 'source', 'refresh.topics.enabled');
  tell(context, enabled, flag(enabled, true) ? 'exact' : 'no-equal', {
    note: 'New topics and partitions are always looked for; exact names in place of expressions take in no new topics.',
  });
  const refreshMs = millisecondsOf(context, named(context, 'source', 'refresh.topics.interval.seconds'), 'refreshMs');
  return refreshMs === null ? {} : { refreshMs };
}

function replicationOf(context: PairContext): { targetReplicationFactor?: number } {
  const setting = named(context, 'source', 'replication.factor');
  if (setting === undefined) {
    context.report.tellDefault(
      `${context.name}: MirrorMaker 2 creates topics with 2 replicas unless told; here they get as many as at the source, or as the target can hold.`,
    );
    return {};
  }
  const text = javaTrim(setting.value);
  const factor = /^\+?\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (factor >= 1 && factor <= 32_767) {
    tell(context, setting, 'exact', { to: at(context, 'targetReplicationFactor') });
    return { targetReplicationFactor: factor };
  }
  const isDefault = text === '-1';
  tell(context, setting, isDefault ? 'different' : 'no-equal', {
    note: isDefault
      ? "The source's is taken, not the default of the target's brokers."
      : 'It is no number of replicas.',
    step: isDefault
      ? undefined
      : `Write targetReplicationFactor of the Mirror ${context.name} if it is not the source's.`,
  });
  return {};
}

// ── Classes

function tellClasses(context: PairContext): void {
  const defaults = {
    'topic.filter.class': ['source', /^org\.apache\.kafka\.connect\.mirror\.DefaultTopicFilter$/, 'topics'],
    'config.property.filter.class': [
      'source',
      /^org\.apache\.kafka\.connect\.mirror\.DefaultConfigPropertyFilter$/,
      'sync.configs',
    ],
    'group.filter.class': ['checkpoint', /^org\.apache\.kafka\.connect\.mirror\.DefaultGroupFilter$/, 'sync.groups'],
    'forwarding.admin.class': ['source', /^org\.apache\.kafka\.clients\.admin\.ForwardingAdmin$/, 'topics'],
    'key.converter': ['source', /\.ByteArrayConverter$/, 'what reads the copies'],
    'value.converter': ['source', /\.ByteArrayConverter$/, 'what reads the copies'],
  } as const;
  for (const [key, [connector, usual, to]] of Object.entries(defaults)) {
    const setting = named(context, connector, key);
    const isUsual = setting === undefined || usual.test(javaTrim(setting.value));
    tell(context, setting, isUsual ? 'exact' : 'no-equal', {
      note: isUsual ? undefined : 'What such a class does is not done here.',
      step: isUsual
        ? undefined
        : `See that ${to} of the Mirror ${context.name} can do without ${setting?.value ?? key}.`,
    });
  }
  const transforms = named(context, 'source', 'transforms');
  if (transforms === undefined) return;
  const isEmpty = listOf(transforms.value).length === 0;
  tell(context, transforms, isEmpty ? 'exact' : 'no-equal', {
    note: isEmpty ? undefined : 'There are no transformations: records are copied as they are.',
    step: isEmpty
      ? undefined
      : `Write a rename as "to" and a filter as "condition" of the topic rules of the Mirror ${context.name}; what changes values needs a program of its own.`,
  });
}
