/**
 * Which rights a mirror needs on its clusters, as data: `lockstep plan` checks them, `plan --permissions` lists them and
 * docs/permissions.md documents them. Least: each can be taken away only at the price that `without` names. Pure.
 *
 * Implied by Kafka's authorizer, and so not listed (AclEntry.IMPLIES_DESCRIBE): DESCRIBE by READ, WRITE, DELETE and ALTER,
 * DESCRIBE_CONFIGS by ALTER_CONFIGS.
 */
import type { Access, Grant, MirrorPermissions, Right } from '#contract/plan.ts';
import type { GroupSync } from '#contract/group-settings.ts';
import { parseNamePattern } from '#contract/name-pattern.ts';
import type { MirrorResource, TopicRule } from '#contract/resources.ts';
import { parseTargetTemplate, parseTopicPattern } from '#contract/topic-pattern.ts';
import { GROUP_PREFIX } from '#jobs/ownership.ts';
import type { Operation } from '#kafka/permissions.ts';
import { must } from '#util/assert.ts';
import { checkpointTopic, heartbeatTopic } from './checkpoints.ts';
import { STATE_TOPIC, TRANSACTIONAL_ID_PREFIX } from './state-topic.ts';

export interface RightRow {
  readonly side: 'source' | 'target';
  readonly on:
    | 'source topic'
    | 'target topic'
    | 'state topic'
    | 'transactional ids'
    | 'groups'
    | 'source groups'
    | 'target groups'
    | 'checkpoint topics'
    | 'cluster';
  readonly operation: Operation;
  /** Needed … */
  readonly when: string;
  readonly why: string;
  readonly without: string;
  readonly stops: Right['stops'];
}

/** In the order in which a mirror meets them. */
export const RIGHTS = {
  sourceRead: {
    side: 'source',
    on: 'source topic',
    operation: 'READ',
    when: 'always',
    why: 'its records are fetched; without it the topic is not even seen',
    without: 'The topic is not copied.',
    stops: 'topic',
  },
  sourceConfigs: {
    side: 'source',
    on: 'source topic',
    operation: 'DESCRIBE_CONFIGS',
    when: 'always',
    why: 'its settings are compared with those of the copy',
    without: 'Records are copied; the settings of the copy do not follow the source.',
    stops: 'part',
  },
  sourceState: {
    side: 'source',
    on: 'state topic',
    operation: 'READ',
    when: 'always, also where there is no such topic',
    why: 'it says which topics of the source are copies, and from where',
    without: 'Records are copied; a ring of mirrors, and copies that come from the target, are not found.',
    stops: 'part',
  },
  stateCreate: {
    side: 'target',
    on: 'state topic',
    operation: 'CREATE',
    when: 'while the topic does not exist',
    why: 'the first start of a mirror creates it',
    without: 'Nothing is copied.',
    stops: 'mirror',
  },
  stateRead: {
    side: 'target',
    on: 'state topic',
    operation: 'READ',
    when: 'always',
    why: 'what was recorded of the mirror is read at every start',
    without: 'Nothing is copied.',
    stops: 'mirror',
  },
  stateWrite: {
    side: 'target',
    on: 'state topic',
    operation: 'WRITE',
    when: 'always',
    why: 'claims, log starts and leader epochs are recorded',
    without: 'Nothing is copied.',
    stops: 'mirror',
  },
  stateConfigs: {
    side: 'target',
    on: 'state topic',
    operation: 'DESCRIBE_CONFIGS',
    when: 'always',
    why: 'a topic that were not compacted would lose what the mirror has to remember',
    without: 'Nothing is copied.',
    stops: 'mirror',
  },
  producerId: {
    side: 'target',
    on: 'transactional ids',
    operation: 'WRITE',
    when: 'with transactions: preserve, and at the first start of a mirror',
    why: 'the mirror gets its two producer ids, once, and writes transactions',
    without: 'Nothing is copied.',
    stops: 'mirror',
  },
  group: {
    side: 'target',
    on: 'groups',
    operation: 'READ',
    when: 'always',
    why: 'the processes of a mirror are members of a group there, which says who of them writes to which partition',
    without: 'Nothing is copied.',
    stops: 'mirror',
  },
  targetCreate: {
    side: 'target',
    on: 'target topic',
    operation: 'CREATE',
    when: 'while the topic does not exist',
    why: 'it is created as the source topic is',
    without: 'The topic is not copied.',
    stops: 'topic',
  },
  targetRead: {
    side: 'target',
    on: 'target topic',
    operation: 'READ',
    when: 'always',
    why: 'the position of the mirror is read from the log itself',
    without: 'The topic is not copied.',
    stops: 'topic',
  },
  targetWrite: {
    side: 'target',
    on: 'target topic',
    operation: 'WRITE',
    when: 'always',
    why: 'records are written',
    without: 'The topic is not copied.',
    stops: 'topic',
  },
  targetAlterConfigs: {
    side: 'target',
    on: 'target topic',
    operation: 'ALTER_CONFIGS',
    when: 'with sync.configs, or where a setting of the copy must change',
    why: 'the settings of the copy follow the source',
    without: 'Records are copied unless a setting stands against it; the settings do not follow the source.',
    stops: 'part',
  },
  targetConfigs: {
    side: 'target',
    on: 'target topic',
    operation: 'DESCRIBE_CONFIGS',
    when: 'where ALTER_CONFIGS is not',
    why: 'settings that stand against the copy are found before they do harm',
    without: 'Records are copied; a setting that stands against it is found only when it does.',
    stops: 'part',
  },
  targetAlter: {
    side: 'target',
    on: 'target topic',
    operation: 'ALTER',
    when: 'with sync.partitions',
    why: 'the copy gets the partitions that the source gains',
    without: 'Partitions that the source gains are not copied.',
    stops: 'part',
  },
  targetDelete: {
    side: 'target',
    on: 'target topic',
    operation: 'DELETE',
    when: 'where a partition of the source begins above offset 0',
    why: 'filler below the first record is deleted again (DeleteRecords), so that both logs begin at the same offset',
    without: 'A partition that does not begin at offset 0 is not copied.',
    stops: 'topic',
  },
  markers: {
    side: 'target',
    on: 'cluster',
    operation: 'ALTER',
    when: 'where a source topic is compacted, or with transactions: committed-only',
    why: 'offsets without a record are filled with control records (WriteTxnMarkers); CLUSTER_ACTION allows it as well',
    // KIP-1037: ALTER is enough from 3.8 on.
    without:
      'A partition stops at the first offset of its source that holds no record. Brokers before 3.8 want CLUSTER_ACTION in its place.',
    stops: 'part',
  },
  sourceGroups: {
    side: 'source',
    on: 'source groups',
    operation: 'DESCRIBE',
    when: 'with sync.groups',
    why: 'what the groups have committed is read',
    without: 'A group that we may not describe is not seen, and keeps no place on the target.',
    stops: 'part',
  },
  targetGroups: {
    side: 'target',
    on: 'target groups',
    operation: 'READ',
    when: 'with sync.groups',
    why: 'offsets are committed for the groups while they have no members there',
    without: 'The groups keep no places on the target.',
    stops: 'part',
  },
  targetGroupsDelete: {
    side: 'target',
    on: 'target groups',
    operation: 'DELETE',
    when: 'with sync.groups and deleted: delete',
    why: 'groups that are gone from the source are deleted where nobody has used them',
    without: 'Groups that are gone from the source stay on the target until their offsets expire.',
    stops: 'part',
  },
  sourceAcls: {
    side: 'source',
    on: 'cluster',
    operation: 'DESCRIBE',
    when: 'with sync.acls or sync.users',
    why: 'ACLs and SCRAM users are read',
    without: 'ACLs of the target do not follow the source, and no users that it lacks are named.',
    stops: 'part',
  },
  targetAcls: {
    side: 'target',
    on: 'cluster',
    operation: 'ALTER',
    when: 'with sync.acls',
    why: 'ACLs are read, created and deleted',
    without: 'ACLs of the target do not follow the source.',
    stops: 'part',
  },
  targetUsers: {
    side: 'target',
    on: 'cluster',
    operation: 'DESCRIBE',
    when: 'with sync.users',
    why: 'SCRAM users are read',
    without: 'SCRAM users that the target lacks are not named.',
    stops: 'part',
  },
  sourceClientQuotas: {
    side: 'source',
    on: 'cluster',
    operation: 'DESCRIBE_CONFIGS',
    when: 'with sync.quotas',
    why: 'client quotas are read',
    without: 'Client quotas of the target do not follow the source.',
    stops: 'part',
  },
  targetClientQuotas: {
    side: 'target',
    on: 'cluster',
    operation: 'ALTER_CONFIGS',
    when: 'with sync.quotas',
    why: 'client quotas are read and set',
    without: 'Client quotas of the target do not follow the source.',
    stops: 'part',
  },
  checkpointsCreate: {
    side: 'target',
    on: 'checkpoint topics',
    operation: 'CREATE',
    when: 'with sync.groups.checkpoints, while the topics do not exist',
    why: "they are what MirrorMaker 2's client reads",
    without: 'No checkpoints are written; the groups are moved all the same.',
    stops: 'part',
  },
  checkpointsWrite: {
    side: 'target',
    on: 'checkpoint topics',
    operation: 'WRITE',
    when: 'with sync.groups.checkpoints',
    why: 'places of groups, and a heartbeat, are written',
    without: 'No checkpoints are written; the groups are moved all the same.',
    stops: 'part',
  },
  sourceSizes: {
    side: 'source',
    on: 'cluster',
    operation: 'DESCRIBE',
    when: 'for lockstep plan only',
    why: 'the bytes that are to be copied are known, and so how long it takes against the retention of the source',
    without: 'How long it takes to catch up is not known.',
    stops: 'plan',
  },
  sourceQuotas: {
    side: 'source',
    on: 'cluster',
    operation: 'DESCRIBE_CONFIGS',
    when: 'for lockstep plan only',
    why: 'quotas that would slow the mirror down are found',
    without: 'Quotas on reading are not known.',
    stops: 'plan',
  },
  targetBrokers: {
    side: 'target',
    on: 'cluster',
    operation: 'DESCRIBE_CONFIGS',
    when: 'for lockstep plan only',
    why: 'producer.id.expiration.ms of the brokers, and quotas, are read',
    without: 'producer.id.expiration.ms and quotas on writing are not known.',
    stops: 'plan',
  },
} as const satisfies Record<string, RightRow>;

export type RightKey = keyof typeof RIGHTS;

/** A name, or the beginning of names; '*' for all. */
export interface NamePattern {
  readonly name: string;
  readonly pattern: Right['pattern'];
}

/** What is known of the mirror's topics; where something is not known, true. */
export interface RightFacts {
  readonly stateIsMissing: boolean;
  /** Brokers of the target before 3.8 do not take ALTER for control records (KIP-1037). */
  readonly markersNeedClusterAction: boolean;
  /** It has no producer ids yet. */
  readonly mirrorIsNew: boolean;
  readonly topics: readonly {
    readonly source: NamePattern;
    readonly target: NamePattern;
    readonly targetIsMissing: boolean;
    readonly beginsLater: boolean;
    readonly mayHaveHoles: boolean;
    /** Of the target topic, by this run. */
    readonly changesConfigs: boolean;
  }[];
}

/** Everything that a mirror may need, by its file alone: nothing is known of its topics. */
function factsOfRules(resource: MirrorResource): RightFacts {
  return {
    stateIsMissing: true,
    mirrorIsNew: true,
    markersNeedClusterAction: false,
    topics: patternsOf(resource).map(unknownTopic),
  };
}

/** A topic of which nothing but the names is known. */
export function unknownTopic(names: {
  readonly source: NamePattern;
  readonly target: NamePattern;
}): RightFacts['topics'][number] {
  return { ...names, targetIsMissing: true, beginsLater: true, mayHaveHoles: true, changesConfigs: true };
}

/** The rights that a mirror needs, each once, in the order of RIGHTS. */
export function rightsOf(
  resource: MirrorResource,
  facts: RightFacts,
  access: { readonly source: Access; readonly target: Access },
): Right[] {
  return (Object.keys(RIGHTS) as RightKey[]).flatMap((key) => {
    const isOld = key === 'markers' && facts.markersNeedClusterAction;
    const row: RightRow = isOld ? { ...RIGHTS[key], operation: 'CLUSTER_ACTION' } : RIGHTS[key];
    const names = new Map(namesOf(key, resource, facts).map((each) => [`${each.pattern} ${each.name}`, each]));
    return [...names.values()].map((name) => toRight(row, name, access[row.side]));
  });
}

const literal = (name: string): NamePattern => ({ name, pattern: 'literal' });
const CLUSTER = [literal('kafka-cluster')];

function namesOf(key: RightKey, { spec }: MirrorResource, facts: RightFacts): readonly NamePattern[] {
  const { topics } = facts;
  const targets = (isNeeded: (topic: RightFacts['topics'][number]) => boolean) =>
    topics.filter(isNeeded).map(({ target }) => target);
  switch (key) {
    case 'sourceRead':
    case 'sourceConfigs':
      return topics.map(({ source }) => source);
    case 'stateCreate':
      return facts.stateIsMissing ? [literal(STATE_TOPIC)] : [];
    case 'sourceState':
    case 'stateRead':
    case 'stateWrite':
    case 'stateConfigs':
      return [literal(STATE_TOPIC)];
    case 'producerId':
      return facts.mirrorIsNew || spec.transactions === 'preserve'
        ? [{ name: TRANSACTIONAL_ID_PREFIX, pattern: 'prefixed' }]
        : [];
    case 'group':
      return [{ name: GROUP_PREFIX, pattern: 'prefixed' }];
    case 'targetCreate':
      return targets(({ targetIsMissing }) => targetIsMissing);
    case 'targetRead':
    case 'targetWrite':
      return targets(() => true);
    case 'targetAlterConfigs':
      return targets(({ changesConfigs }) => spec.sync.configs !== null || changesConfigs);
    case 'targetConfigs':
      return targets(({ changesConfigs }) => spec.sync.configs === null && !changesConfigs);
    case 'targetAlter':
      return targets(() => spec.sync.partitions);
    case 'targetDelete':
      return targets(({ beginsLater }) => beginsLater);
    case 'markers':
      return spec.transactions === 'committed-only' || topics.some(({ mayHaveHoles }) => mayHaveHoles) ? CLUSTER : [];
    case 'sourceGroups':
    case 'targetGroups':
      return groupsOf(spec.sync.groups);
    case 'targetGroupsDelete':
      return spec.sync.groups?.deleted === 'delete' ? groupsOf(spec.sync.groups) : [];
    case 'sourceAcls':
      return spec.sync.acls !== null || spec.sync.users ? CLUSTER : [];
    case 'targetAcls':
      return spec.sync.acls === null ? [] : CLUSTER;
    case 'targetUsers':
      return spec.sync.users ? CLUSTER : [];
    case 'sourceClientQuotas':
    case 'targetClientQuotas':
      return spec.sync.quotas === null ? [] : CLUSTER;
    case 'checkpointsCreate':
    case 'checkpointsWrite':
      return spec.sync.groups?.checkpoints
        ? [checkpointTopic(spec.source), heartbeatTopic(spec.source)].map(literal)
        : [];
    case 'sourceSizes':
    case 'sourceQuotas':
    case 'targetBrokers':
      return CLUSTER;
  }
}

function toRight(row: RightRow, { name, pattern }: NamePattern, access: Access): Right {
  const resourceType = RESOURCE_TYPES[row.on];
  const right = {
    side: row.side,
    cluster: access.cluster,
    resourceType,
    resource: name,
    pattern,
    operation: row.operation,
    when: row.when,
    why: row.why,
    without: row.without,
    stops: row.stops,
  };
  return { ...right, command: commandOf([right], access) };
}

const RESOURCE_TYPES = {
  'source topic': 'topic',
  'target topic': 'topic',
  'state topic': 'topic',
  'transactional ids': 'transactional-id',
  groups: 'group',
  'source groups': 'group',
  'target groups': 'group',
  'checkpoint topics': 'topic',
  cluster: 'cluster',
} as const satisfies Record<RightRow['on'], Right['resourceType']>;

type Granted = Pick<Right, 'resourceType' | 'resource' | 'pattern' | 'operation'>;

/** What grants rights on resources of one type and pattern of one cluster: each operation on each resource. */
function commandOf(rights: readonly Granted[], access: Access): string {
  const first = must(rights[0], 'right');
  const words = ['kafka-acls.sh', '--bootstrap-server', access.bootstrap, '--add'];
  words.push('--allow-principal', access.principal ?? 'User:NAME');
  for (const operation of new Set(rights.map((right) => right.operation)))
    words.push('--operation', operationWord(operation));
  if (first.resourceType === 'cluster') words.push('--cluster');
  else
    for (const name of new Set(rights.map((right) => right.resource)))
      words.push(`--${first.resourceType}`, quote(name));
  if (first.pattern === 'prefixed') words.push('--resource-pattern-type', 'prefixed');
  return words.join(' ');
}

/** The commands that grant the rights: the same operations on several resources of one type are one command. */
export function grantsOf(
  rights: readonly Right[],
  access: { readonly source: Access; readonly target: Access },
): Grant[] {
  const byResource = Map.groupBy(rights, ({ side, resourceType, pattern, resource }) =>
    [side, resourceType, pattern, resource].join(' '),
  );
  const bySet = Map.groupBy(byResource.values(), (group) => {
    const { side, resourceType, pattern } = must(group[0], 'right');
    return [side, resourceType, pattern, ...group.map(({ operation }) => operation)].join(' ');
  });
  return [...bySet.values()].flatMap((groups) =>
    chunksOf(groups, NAMES_PER_COMMAND_MAX).map((each) => toGrant(each.flat(), access)),
  );
}

const NAMES_PER_COMMAND_MAX = 50;
const STOPS_WORST_FIRST: readonly Right['stops'][] = ['mirror', 'topic', 'part', 'plan'];

function toGrant(rights: readonly Right[], access: { readonly source: Access; readonly target: Access }): Grant {
  const first = must(rights[0], 'right');
  const operations = [...new Set(rights.map(({ operation }) => operation))].join(', ');
  const stops = must(
    STOPS_WORST_FIRST.find((each) => rights.some((right) => right.stops === each)),
    'a stop',
  );
  const worst = rights.filter((right) => right.stops === stops); // where nothing is copied, the settings do not matter
  return {
    side: first.side,
    cluster: first.cluster,
    what: `${operations} on ${namesOfResources(rights)}`,
    without: [...new Set(worst.map(({ without }) => without))],
    stops,
    command: commandOf(rights, access[first.side]),
  };
}

/** `topics "a", "b"`, `topics that begin with "dr."`, `the cluster`. */
function namesOfResources(rights: readonly Right[]): string {
  const { resourceType, pattern } = must(rights[0], 'right');
  if (resourceType === 'cluster') return 'the cluster';
  const noun = resourceType.replace('-', ' ');
  const names = [...new Set(rights.map(({ resource }) => resource))];
  if (names.includes('*')) return `every ${noun}`;
  const quoted = names.map((name) => `"${name}"`).join(', ');
  if (pattern === 'prefixed') return `${noun}s that begin with ${quoted}`;
  return `${noun}${names.length === 1 ? '' : 's'} ${quoted}`;
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** The command that lets a mirror take part in the group of its processes. */
export function groupGrant(target: Access): string {
  return toRight(RIGHTS.group, { name: GROUP_PREFIX, pattern: 'prefixed' }, target).command;
}

/** What a mirror may need, by its file alone: nothing is asked of a cluster. */
export function permissionsOf(
  resource: MirrorResource,
  access: { readonly source: Access; readonly target: Access },
): MirrorPermissions {
  const rights = rightsOf(resource, factsOfRules(resource), access);
  return { mirror: resource.metadata.name, rights, grants: grantsOf(rights, access) };
}

/** As kafka-acls.sh spells it: `DescribeConfigs`. */
function operationWord(operation: string): string {
  return operation
    .split('_')
    .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
    .join('');
}

/** Names of groups may hold what a shell takes for its own; those of topics do not, but for the pattern of all. */
function quote(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", String.raw`'\''`)}'`;
}

// ---- names from rules

/** Source and target of each `match` rule, as far as its text tells. */
function patternsOf({ spec }: MirrorResource): { source: NamePattern; target: NamePattern }[] {
  return spec.topics.flatMap((rule) => patternsOfRule(rule) ?? []);
}

/** Null for a rule that excludes. */
export function patternsOfRule(rule: TopicRule): { source: NamePattern; target: NamePattern } | null {
  if (!('match' in rule)) return null;
  const pattern = parseTopicPattern(rule.match);
  if ('problem' in pattern) return null; // refused when the file was read
  const source = pattern.value.kind === 'exact' ? literal(pattern.value.name) : prefixOf(pattern.value.source);
  if (rule.to === null) return { source, target: source };
  const template = parseTargetTemplate(rule.to, pattern.value);
  const pieces = 'value' in template ? template.value : [];
  const at = pieces.findIndex((piece) => typeof piece === 'number');
  const text = (at < 0 ? pieces : pieces.slice(0, at)).join('');
  return { source, target: at < 0 ? literal(text) : beginning(text) };
}

/** As far as the text of the rules tells. */
function groupsOf(groups: GroupSync | null): NamePattern[] {
  return (groups?.match ?? []).flatMap((text) => {
    const pattern = parseNamePattern(text);
    if ('problem' in pattern) return []; // refused when the file was read
    return [pattern.value.kind === 'exact' ? literal(pattern.value.name) : prefixOf(pattern.value.source)];
  });
}

/** What all names begin with that an expression matches as a whole. */
function prefixOf(expression: string): NamePattern {
  const body = expression.replace(/^\^/, '');
  if (hasAlternatives(body)) return beginning('');
  const found = /^(?:[a-zA-Z0-9_-]|\\[.])*/.exec(body)?.[0] ?? '';
  const rest = body.slice(found.length);
  const isOptional = /^[*?{]/.test(rest); // what it belongs to may be missing
  const certain = isOptional ? found.replace(/(?:\\.|[^\\])$/, '') : found;
  return beginning(certain.replaceAll('\\', ''));
}

/** Whether `|` stands outside of all groups. */
function hasAlternatives(expression: string): boolean {
  let depth = 0;
  for (let i = 0; i < expression.length; i++) {
    const char = expression[i];
    if (char === '\\') i++;
    else if (char === '(' || char === '[') depth++;
    else if (char === ')' || char === ']') depth--;
    else if (char === '|' && depth === 0) return true;
  }
  return false;
}

function beginning(text: string): NamePattern {
  return text === '' ? literal('*') : { name: text, pattern: 'prefixed' };
}
