/** The `spec` of a Mirror for a pair of MirrorMaker 2, as its connectors of Kafka 4.3 understand their settings. */
import { javaTrim, listOf } from '../java/properties.ts';
import type { PairContext } from './model.ts';
import { namingOf } from './naming.ts';
import { flag, keyOf, millisecondsOf, named, tell } from './pair-settings.ts';
import { syncOf } from './sync-spec.ts';
import { rulesOf, type RuleText } from './topic-rules.ts';

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

function consumerOf(context: PairContext): { start?: 'latest'; transactions?: 'committed-only' } {
  const reset = named(context, 'source', 'source.consumer.auto.offset.reset', 'consumer.auto.offset.reset');
  const isolation = named(context, 'source', 'source.consumer.isolation.level', 'consumer.isolation.level');
  const from = reset === undefined ? 'earliest' : javaTrim(reset.value).toLowerCase();
  const isCommitted = isolation !== undefined && javaTrim(isolation.value).toLowerCase() === 'read_committed';
  if (from === 'latest')
    tell(context, reset, 'different', {
      to: keyOf(context, 'start'),
      note: 'Topics and partitions that appear later are copied from their beginning, not from where they are found.',
    });
  else if (from === 'earliest') tell(context, reset, 'exact', { to: keyOf(context, 'start') });
  else
    tell(context, reset, 'no-equal', {
      note: 'A copy begins at earliest, latest, a time or offsets.',
      step: `Write "start" of the Mirror ${context.name} if it is not earliest.`,
    });
  if (isCommitted) tell(context, isolation, 'exact', { to: keyOf(context, 'transactions') });
  else
    tell(context, isolation, 'different', {
      to: keyOf(context, 'transactions'),
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

function refreshOf(context: PairContext): { refreshMs?: number } {
  const enabled = named(context, 'source', 'refresh.topics.enabled');
  if (flag(enabled, true)) tell(context, enabled, 'exact');
  else
    tell(context, enabled, 'no-equal', {
      note: 'New topics and partitions are always looked for.',
      step: `If topics to come shall not be copied, write exact names in place of expressions in the topic rules of the Mirror ${context.name}.`,
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
    tell(context, setting, 'exact', { to: keyOf(context, 'targetReplicationFactor') });
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
