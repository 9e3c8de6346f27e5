/** What a replication policy of MirrorMaker 2 calls its copies, and what it never copies. */
import { javaTrim } from '../java/properties.ts';
import type { PairContext } from './model.ts';

export interface Naming {
  /** Stands before the source's name; '' where copies keep it. */
  readonly prefix: string;
  /** Patterns of topics that are left out: MirrorMaker 2's own, and those that come from the target. */
  readonly excludes: readonly string[];
  /** Whether its own topics are called as those of our checkpoints are. */
  readonly hasUsualInternals: boolean;
}

const POLICIES: Readonly<Record<string, 'default' | 'identity'>> = {
  'org.apache.kafka.connect.mirror.DefaultReplicationPolicy': 'default',
  'org.apache.kafka.connect.mirror.IdentityReplicationPolicy': 'identity',
  'io.strimzi.kafka.connect.mirror.IdentityReplicationPolicy': 'identity',
  // Of the AWS samples for Amazon MSK: copies keep their names.
  'com.amazonaws.kafka.samples.CustomMM2ReplicationPolicy': 'identity',
};

export function namingOf({ pair, report, name }: PairContext): Naming {
  const stated = pair.get('source', 'replication.policy.class');
  const separatorSetting = pair.get('source', 'replication.policy.separator');
  const internalSetting = pair.get('source', 'replication.policy.internal.topic.separator.enabled');
  const separator = separatorSetting === undefined ? '.' : javaTrim(separatorSetting.value);
  const isOldInternal = internalSetting !== undefined && javaTrim(internalSetting.value).toLowerCase() === 'false';
  const internal = isOldInternal ? '.' : separator;
  const className =
    stated === undefined ? 'org.apache.kafka.connect.mirror.DefaultReplicationPolicy' : javaTrim(stated.value);
  const policy = POLICIES[className] ?? 'unknown';
  const to = `Mirror ${name}: spec.topics[].to`;
  const own = [`/^mm2.*${escaped(internal)}internal$/`, `/${escaped(`${internal}checkpoints${internal}internal`)}$/`];
  const hasUsualInternals = internal === '.';
  if (policy === 'unknown') {
    report.tell(stated, 'no-equal', {
      to,
      note: 'The names that a class of your own gives are not known here: copies have the names of their sources.',
      step: `Write "to" in the topic rules of the Mirror ${name} as the class names its topics.`,
    });
    report.tell(separatorSetting, 'no-equal', { note: 'What the class does with it is not known here.' });
    return { prefix: '', excludes: own, hasUsualInternals };
  }
  if (policy === 'identity') {
    const isKafkas = className.startsWith('org.apache.');
    const note = isKafkas
      ? 'Names that end with "heartbeats" get the prefix of the source there, and none here.'
      : 'Taken for IdentityReplicationPolicy, whose copies keep their names.';
    report.tell(stated, 'different', { to, note });
    report.tell(separatorSetting, 'exact', { note: 'Copies keep their names.' });
    return { prefix: '', excludes: own, hasUsualInternals };
  }
  report.tell(stated, 'exact', { to });
  if (stated === undefined)
    report.tellDefault(
      `${name}: MirrorMaker 2 names copies after their source unless told not to: orders becomes ${pair.source.alias}${separator}orders.`,
    );
  const prefix = `${pair.source.alias}${separator}`;
  if (!/^[a-zA-Z0-9._-]+$/.test(prefix) || separator === '') {
    report.tell(separatorSetting ?? stated, 'no-equal', {
      to,
      note: `"${prefix}" cannot stand before the name of a topic.`,
      step: `Write "to" in the topic rules of the Mirror ${name}.`,
    });
    if (!separatorSetting && !stated)
      report.tellDefault(`${name}: "${prefix}" cannot stand before the name of a topic, so copies keep their names.`);
    return { prefix: '', excludes: own, hasUsualInternals };
  }
  const isBlind = pair.target.alias.includes(separator);
  const note = `MirrorMaker 2 cannot see that a topic comes from "${pair.target.alias}", since the separator is part of that name; here such topics are left out.`;
  report.tell(separatorSetting, isBlind ? 'different' : 'exact', { to, ...(isBlind ? { note } : {}) });
  if (isBlind && !separatorSetting) report.tellDefault(`${name}: ${note}`);
  return { prefix, excludes: [...own, cycleOf(pair.target.alias, separator)], hasUsualInternals };
}

/** MirrorSourceConnector.isCycle: a part of the name, not the last one, is the target. */
function cycleOf(target: string, separator: string): string {
  const [alias, between] = [escaped(target), escaped(separator)];
  const rest = separator.length === 1 ? `.*[^${/[\\\]^-]/.test(separator) ? '\\' : ''}${separator}]` : '.+';
  return `/^(?:.*${between})?${alias}${between}${rest}/`;
}

function escaped(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
