/**
 * What keeps a mirror from being copied, found before the first write: rights that are missing, and settings of topics
 * and brokers that stand against it. Nothing is written. What cannot be learnt is said to be not known.
 */
import type { Access, Finding, Grant, NotChecked, Right } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { TopicPair, TopicPlan } from '#contract/topic-rules.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { type KafkaError, UnsupportedApiError } from '#kafka/errors.ts';
import { partitionSizes } from '#kafka/log-dirs.ts';
import { isDenied, markersNeedClusterAction, validateCreation, type ValidatedTopic } from '#kafka/permissions.ts';
import { quotasOf, type Quota } from '#kafka/quotas.ts';
import type { NewTopic } from '#kafka/topics.ts';
import { checkRights } from './held-rights.ts';
import { hiddenTopics } from './hidden-topics.ts';
import { olderThan, readLogFacts, type LogFacts } from './log-facts.ts';
import { grantsOf, patternsOfRule, RIGHTS, rightsOf, unknownTopic, type RightFacts } from './rights.ts';
import { mirrorIdOf } from './state-records.ts';
import { newStateTopic, STATE_TOPIC, StateTopic } from './state-topic.ts';
import { isEmpty } from './topic-configs.ts';
import type { TopicDecision } from './topic-decision.ts';
import type { FactsError, TopicFacts } from './topic-facts.ts';
import { EXPIRATION, readExpiration } from './producer-memory.ts';
import { duration, findCatchUp, findSettings, type CatchUp, type SettingsQuestion } from './topic-settings.ts';

/** Assumed where nobody states a rate: a moderate link between sites. */
const RATE_ASSUMED = 50_000_000;
/** It is an int (TransactionLogConfig.PRODUCER_ID_EXPIRATION_MS_CONFIG): 24.8 days. */
const EXPIRATION_MAX_MS = 2_147_483_647;
const TOPIC_ALREADY_EXISTS = 36;
const TOPICS_NAMED_MAX = 3;

export interface PreflightPorts {
  readonly resource: MirrorResource;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly access: { readonly source: Access; readonly target: Access };
  /** What can be copied in a second, where somebody states it. */
  readonly rateBytesPerSecond: number | null;
}

/** A pair of topics as the plan has found it. */
export interface SurveyedPair {
  readonly pair: TopicPair;
  readonly facts: TopicFacts | FactsError;
  /** Null where the facts are not known. */
  readonly decision: TopicDecision | null;
  /** The largest first offset of its partitions. */
  readonly start: number | KafkaError;
}

export interface RightsFound {
  readonly missing: readonly Right[];
  readonly notChecked: readonly NotChecked[];
  /** Topics that rules name and that we may not see, if there are such. */
  readonly hidden: readonly TopicPair[];
  /** By target topic that would be created. */
  readonly created: ReadonlyMap<string, ValidatedTopic>;
}

/** The state topic as far as we may read it: null where it is missing, or where a right is. Throws as StateTopic.peek. */
export async function peekState(target: Cluster): Promise<{ state: StateTopic | null; isHidden: boolean }> {
  try {
    return { state: await StateTopic.peek(target), isHidden: false };
  } catch (error) {
    if (!isDenied(error)) throw error;
    return { state: null, isHidden: true };
  }
}

// ---- rights

/** Throws KafkaError. */
export async function findRights(
  ports: PreflightPorts,
  found: {
    readonly surveyed: readonly SurveyedPair[];
    readonly rules: TopicPlan;
    readonly state: { readonly state: StateTopic | null; readonly isHidden: boolean };
  },
): Promise<RightsFound> {
  const { resource, source, target, access } = ports;
  const { hidden, patterns } = await findUnseen(ports, found.rules);
  const { state, isHidden } = found.state;
  const created = await validateCreation(target, newTopics(found.surveyed, { hidden, target, state }));
  const facts: RightFacts = {
    stateIsMissing: state === null && (!isHidden || created.get(STATE_TOPIC)?.error?.code !== TOPIC_ALREADY_EXISTS),
    markersNeedClusterAction: await markersNeedClusterAction(target),
    mirrorIsNew: !state?.mirror(mirrorIdOf({ name: resource.metadata.name, ...idsOf(ports) })),
    topics: [
      ...found.surveyed.map(rightFactsOf),
      ...hidden.map((pair) => unknownTopic({ source: literal(pair.source), target: literal(pair.target) })),
      ...patterns.map(unknownTopic),
    ],
  };
  const rights = rightsOf(resource, facts, access);
  const ofSide = (side: Right['side']) => rights.filter((right) => right.side === side);
  const [ofSource, ofTarget] = await Promise.all([
    checkRights(source, ofSide('source'), new Map()),
    checkRights(target, ofSide('target'), created),
  ]);
  const all = new Set([...ofSource.missing, ...ofTarget.missing]);
  const unknown = new Set([...ofSource.unknown, ...ofTarget.unknown]);
  const isPlanOnly = ({ stops }: Right): boolean => stops === 'plan';
  const unread = rights.filter((right) => isPlanOnly(right) && (all.has(right) || unknown.has(right)));
  return {
    missing: rights.filter((right) => all.has(right) && !isPlanOnly(right)),
    notChecked: [
      ...grantsOf(
        rights.filter((right) => unknown.has(right) && !isPlanOnly(right)),
        access,
      ).map(unknownRights),
      ...unread.map((right) => unreadFact(right, { isMissing: all.has(right) })),
    ],
    hidden,
    created,
  };
}

function idsOf({ source, target }: PreflightPorts): { sourceClusterId: string; targetClusterId: string } {
  return { sourceClusterId: source.clusterId, targetClusterId: target.clusterId };
}

const literal = (name: string) => ({ name, pattern: 'literal' }) as const;

/** Rules that match no topic that we see: their topics may be there and hidden. */
async function findUnseen(
  { resource, source }: PreflightPorts,
  rules: TopicPlan,
): Promise<{ hidden: TopicPair[]; patterns: NonNullable<ReturnType<typeof patternsOfRule>>[] }> {
  const hidden = await hiddenTopics(source, resource, rules.unmatchedRules);
  const names = rules.unmatchedRules.flatMap((rule) => {
    const each = resource.spec.topics[rule];
    const patterns = each === undefined ? null : patternsOfRule(each);
    return patterns ? [{ ...patterns, isHidden: hidden.has(rule) }] : [];
  });
  return {
    hidden: names
      .filter(({ isHidden }) => isHidden)
      .map((each) => ({ source: each.source.name, target: each.target.name })),
    patterns: names.filter(({ source: { name, pattern } }) => pattern === 'prefixed' || name === '*'),
  };
}

/** What a run would create, as it would; of topics that we do not see, as the brokers' defaults have it. */
function newTopics(
  surveyed: readonly SurveyedPair[],
  { hidden, target, state }: { hidden: readonly TopicPair[]; target: Cluster; state: StateTopic | null },
): NewTopic[] {
  const topics = surveyed.flatMap(({ pair, facts, decision }): NewTopic[] => {
    if (facts instanceof Error) return isDenied(facts) ? [unseenTopic(pair.target)] : [];
    if (decision?.action !== 'create') return [];
    const { replicationFactor, configs } = decision;
    const partitions = facts.source.partitions.length;
    return [{ name: pair.target, partitions, replicationFactor, configs: configs.set }];
  });
  const unseen = hidden.map((pair) => unseenTopic(pair.target));
  const byName = new Map([...topics, ...unseen].map((topic) => [topic.name, topic]));
  return [...byName.values(), ...(state === null ? [newStateTopic(target)] : [])];
}

const unseenTopic = (name: string): NewTopic => ({ name, partitions: -1, replicationFactor: -1 });

function rightFactsOf({ pair, facts, decision, start }: SurveyedPair): RightFacts['topics'][number] {
  const names = { source: literal(pair.source), target: literal(pair.target) };
  if (facts instanceof Error || decision === null) return unknownTopic(names);
  const isCompacted = facts.sourceConfigs?.get('cleanup.policy')?.value?.includes('compact') ?? true;
  const beginsLater = decision.action !== 'resume' && start !== 0;
  return {
    ...names,
    targetIsMissing: facts.target === null,
    beginsLater,
    mayHaveHoles: isCompacted,
    changesConfigs: (facts.target !== null && !isEmpty(decision.configs)) || (beginsLater && isCompacted),
  };
}

function unknownRights({ what, cluster, command }: Grant): NotChecked {
  return {
    what: `${what} of "${cluster}"`,
    why: 'nothing of a name like that is seen, or the broker does not tell',
    command,
  };
}

function unreadFact(right: Right, { isMissing }: { isMissing: boolean }): NotChecked {
  return {
    what: right.without,
    why: `${right.operation} on cluster "${right.cluster}" ${isMissing ? 'is missing' : 'is perhaps missing'}`,
    command: right.command,
  };
}

// ---- settings

export interface SettingsFound {
  /** By source topic. */
  readonly byTopic: ReadonlyMap<string, readonly Finding[]>;
  readonly findings: readonly Finding[];
  readonly notChecked: readonly NotChecked[];
}

/** Throws KafkaError. */
export async function findUnfitSettings(
  ports: PreflightPorts,
  surveyed: readonly SurveyedPair[],
  rights: RightsFound,
): Promise<SettingsFound> {
  const { source, target } = ports;
  const known = surveyed.flatMap(({ pair, facts, decision }) =>
    facts instanceof Error || decision === null || decision.action === 'refused' ? [] : [{ pair, facts, decision }],
  );
  const logs = await readLogFacts(
    { source, target },
    known.map(({ pair, facts, decision }) => ({
      ...pair,
      partitions: facts.source.partitions.length,
      isResumed: decision.action === 'resume',
    })),
  );
  const all = [...logs.values()].flat();
  const [quotas, sizes, expiration] = await Promise.all([
    readQuotas(ports),
    unlessDenied(() => partitionSizes(source, all)),
    findExpiration(ports, all),
  ]);
  const catchUp = sizes && catchUpOf(ports, { logs: all, sizes, quotas: quotas.known });
  const byTopic = new Map(
    known.map((each): [string, Finding[]] => {
      const question = settingsQuestion(ports, each, { logs: logs.get(each.pair.source) ?? [], rights });
      const sourceBytes = sizes && bytesOf(question.logs, sizes);
      const late = catchUp ? findCatchUp({ ...question, catchUp, sourceBytes }) : [];
      return [each.pair.source, [...findCreation(each.pair, rights), ...findSettings(question), ...late]];
    }),
  );
  const isSaid = rights.notChecked.some(({ what }) => what === RIGHTS.sourceSizes.without);
  const why = `cluster "${source.name}" does not tell the size of its logs`;
  const unsized = sizes || isSaid ? [] : [{ what: RIGHTS.sourceSizes.without, why, command: null }];
  return {
    byTopic,
    findings: [...expiration, ...quotas.findings],
    notChecked: [...quotas.notChecked, ...unsized],
  };
}

/** What the controller would refuse for other reasons than rights: a policy, a setting, too many replicas. */
function findCreation({ target }: TopicPair, { created, missing }: RightsFound): Finding[] {
  const error = created.get(target)?.error;
  const isOfRight = missing.some(({ operation, resource }) => operation === 'CREATE' && resource === target);
  if (!error || isOfRight || error.code === TOPIC_ALREADY_EXISTS) return [];
  const { code, message, nextStep } = toAppError(error, `topic "${target}"`);
  return [{ code, severity: 'error', message, nextStep: nextStep ?? '' }];
}

function settingsQuestion(
  { source, target, resource }: PreflightPorts,
  { pair, facts, decision }: { pair: TopicPair; facts: TopicFacts; decision: TopicDecision },
  { logs, rights }: { logs: readonly LogFacts[]; rights: RightsFound },
): SettingsQuestion {
  const mayAlter = !rights.missing.some(
    ({ side, operation, resource: name }) => side === 'target' && operation === 'ALTER_CONFIGS' && name === pair.target,
  );
  const metadata = facts.target?.metadata;
  return {
    source: { cluster: source.name, topic: pair.source },
    target: { cluster: target.name, topic: pair.target },
    timestamps: resource.spec.timestamps,
    sourceConfigs: facts.sourceConfigs,
    targetConfigs: targetConfigsOf(facts, decision, { created: rights.created.get(pair.target), mayAlter }),
    inSyncReplicas: metadata ? Math.min(...metadata.partitions.map(({ isr }) => isr.length)) : null,
    replicationFactor: decision.replicationFactor,
    logs,
    nowMs: source.clock.now(),
  };
}

/** The settings of the target topic once the run has done what it may; names that are not known are missing. */
function targetConfigsOf(
  { target }: TopicFacts,
  { configs }: TopicDecision,
  { created, mayAlter }: { created: ValidatedTopic | undefined; mayAlter: boolean },
): ReadonlyMap<string, string> {
  const base = target ? target.configs : created?.configs;
  const values = new Map<string, string>();
  for (const [name, { value }] of base ?? []) if (value !== null) values.set(name, value);
  if (target !== null && !mayAlter) return values;
  for (const name of configs.remove) values.delete(name); // the default that comes instead is not known
  for (const [name, value] of configs.set) values.set(name, value);
  return values;
}

// ---- brokers

/** A broker forgets a producer that long after the time of its last record (exactness.md rule 2). */
async function findExpiration(ports: PreflightPorts, logs: readonly LogFacts[]): Promise<Finding[]> {
  const { source, target, resource } = ports;
  if (resource.spec.timestamps === 'target') return [];
  const expirationMs = await readExpiration(target);
  if (expirationMs === null) return []; // said to be not known where the right to it is
  const nowMs = source.clock.now();
  const old = await olderThan(source, logs, nowMs - expirationMs);
  if (old.length === 0) return [];
  const topics = [...new Set(old.map(({ topic }) => topic))];
  const oldest = old.reduce((least, { firstTimestamp }) => Math.min(least, firstTimestamp ?? Infinity), Infinity);
  const age = Number.isFinite(oldest) ? ` (the first is ${duration(nowMs - oldest)} old)` : '';
  const isInReach = Number.isFinite(oldest) && nowMs - oldest < EXPIRATION_MAX_MS;
  const wanted = isInReach ? Math.min(Math.ceil((nowMs - oldest) * 1.5), EXPIRATION_MAX_MS) : null;
  return [
    {
      code: 'CLUSTER_SETTING_UNFIT',
      severity: 'warning',
      message: `${old.length === 1 ? '1 partition' : `${old.length} partitions`} of ${listed(topics)} hold records to be copied that are older than ${duration(expirationMs)}${age}, and "${target.name}" has ${EXPIRATION}=${expirationMs}: its brokers forget the mirror's producer while they are copied, and would not refuse a process that wrote to a partition of another. Their batches go one at a time to each partition.`,
      nextStep: `The group of the mirror's processes keeps them apart all the same. To have both guards, run one process until they are copied${wanted === null ? '' : `; to have both and more speed, set ${EXPIRATION}=${wanted} on the brokers of "${target.name}" until then (kafka-configs.sh --alter --entity-type brokers --entity-default --add-config ${EXPIRATION}=${wanted})`}.`,
    },
  ];
}

function listed(topics: readonly string[]): string {
  const named = topics.slice(0, TOPICS_NAMED_MAX).map((topic) => `"${topic}"`);
  const more = topics.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}

interface KnownQuotas {
  readonly source: readonly Quota[] | null;
  readonly target: readonly Quota[] | null;
}

/** Quotas on what we do there: reading from the source, writing to the target, and time of the brokers on both. */
async function readQuotas({
  source,
  target,
  access,
}: PreflightPorts): Promise<{ known: KnownQuotas; findings: Finding[]; notChecked: NotChecked[] }> {
  const ask = (cluster: Cluster, { principal }: Access) => {
    const user = principal?.replace(/^User:/, '') ?? null;
    return unlessDenied(() => quotasOf(cluster, { user, clientId: cluster.clientId }));
  };
  const [ofSource, ofTarget] = await Promise.all([ask(source, access.source), ask(target, access.target)]);
  const known = { source: ofSource, target: ofTarget };
  const relevant = [
    ...(ofSource ?? []).filter(({ key }) => key !== 'producer_byte_rate').map((quota) => ({ quota, on: source })),
    ...(ofTarget ?? []).filter(({ key }) => key !== 'consumer_byte_rate').map((quota) => ({ quota, on: target })),
  ].filter(({ quota }) => SLOWING.has(quota.key));
  const findings = relevant.map(({ quota, on }): Finding => {
    const entity = entityFlags(quota.entity);
    return {
      code: 'CLUSTER_SETTING_UNFIT',
      severity: 'warning',
      message: `Cluster "${on.name}" has a quota for ${quota.entity}: ${quota.key}=${quota.value} on each broker. The mirror is held back to it.`,
      nextStep: `Raise it (kafka-configs.sh --alter ${entity} --add-config ${quota.key}=…), or expect that rate.`,
    };
  });
  const sides = [
    { cluster: source, quotas: ofSource, access: access.source },
    { cluster: target, quotas: ofTarget, access: access.target },
  ];
  const notChecked = sides.flatMap(({ cluster, quotas, access: { principal, how } }): NotChecked[] =>
    quotas === null || principal !== null
      ? []
      : [
          {
            what: `Quotas of our own user on "${cluster.name}"`,
            why: `our principal is not known: ${how}`,
            command: null,
          },
        ],
  );
  return { known, findings, notChecked };
}

const SLOWING = new Set(['producer_byte_rate', 'consumer_byte_rate', 'request_percentage']);

/** As kafka-configs.sh names whom a quota is for. */
function entityFlags(entity: string): string {
  return entity
    .split(', ')
    .map((part) => {
      const [, isEvery, user, client] = /^(every )?(?:(user)|client id) ?(.*)$/.exec(part) ?? [];
      const type = user === undefined ? 'clients' : 'users';
      return `--entity-type ${type} ${isEvery ? '--entity-default' : `--entity-name ${client}`}`;
    })
    .join(' ');
}

// ---- time to catch up

function catchUpOf(
  { source, target, rateBytesPerSecond }: PreflightPorts,
  { logs, sizes, quotas }: { logs: readonly LogFacts[]; sizes: ReadonlyMap<string, number>; quotas: KnownQuotas },
): CatchUp {
  const bytes = logs.reduce((sum, log) => sum + remainingOf(log, sizes), 0);
  const limits = [
    { rate: rateBytesPerSecond ?? RATE_ASSUMED, why: rateBytesPerSecond === null ? 'which is assumed' : 'as stated' },
    ...(quotas.source ?? [])
      .filter(({ key }) => key === 'consumer_byte_rate')
      .map(({ value }) => ({ rate: value * source.brokers().length, why: 'the quota of the source' })),
    ...(quotas.target ?? [])
      .filter(({ key }) => key === 'producer_byte_rate')
      .map(({ value }) => ({ rate: value * target.brokers().length, why: 'the quota of the target' })),
  ];
  const slowest = limits.reduce((a, b) => (b.rate < a.rate ? b : a));
  const basis = `${megabytes(bytes)} on the source's disks at ${megabytes(slowest.rate)}/s, ${slowest.why}`;
  return { seconds: bytes / slowest.rate, basis };
}

/** The share of a log's bytes that its offsets still to be copied are of all: records are taken to be equally large. */
function remainingOf(log: LogFacts, sizes: ReadonlyMap<string, number>): number {
  const { logStart, stableOffset, position } = log;
  const size = sizes.get(`${log.topic}/${log.partition}`) ?? 0;
  if (logStart === null || stableOffset === null || position === null || stableOffset <= logStart) return 0;
  const open = stableOffset - Math.max(position, logStart);
  return (size * Math.max(open, 0)) / (stableOffset - logStart);
}

function bytesOf(logs: readonly LogFacts[], sizes: ReadonlyMap<string, number>): number {
  return logs.reduce((sum, { topic, partition }) => sum + (sizes.get(`${topic}/${partition}`) ?? 0), 0);
}

function megabytes(bytes: number): string {
  return `${Number((bytes / 1e6).toPrecision(3)).toLocaleString('en-US')} MB`;
}

/** Null without the right, which is said with the rights, and where a broker of another make does not know the request. */
async function unlessDenied<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (!isDenied(error) && !(error instanceof UnsupportedApiError)) throw error;
    return null;
  }
}
