/** What a run of a mirror would do, learnt without writing anything: the decisions are those of the run itself. */
import { nearest } from '#util/nearest.ts';
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import type { Access, Finding, MirrorPlan, PlannedTopic, Right } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import {
  collisionsOf,
  compileTopicRules,
  planTopics,
  withMerges,
  type TopicPair,
  type TopicPlan,
} from '#contract/topic-rules.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { KafkaError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import { absentOf, changesOf, surveyAround } from './around-survey.ts';
import { planGroups } from './group-plan.ts';
import { findLostTopics } from './lost-topics.ts';
import { findRights, findUnfitSettings, peekState, type SurveyedPair } from './preflight.ts';
import { grantsOf } from './rights.ts';
import { cycleFinding, leftOutFinding, SourceProvenance } from './source-provenance.ts';
import { askMode, readStarts } from './mode-facts.ts';
import { stateUnreadable } from './shard-stop.ts';
import { mirrorIdOf } from './state-records.ts';
import type { MirrorChoices, StateTopic } from './state-topic.ts';
import { decisionOptions } from './target-topics.ts';
import { decideTopic, type TopicDecision } from './topic-decision.ts';
import { readTargetFacts, readTopicFacts, type FactsError, type TopicFacts } from './topic-facts.ts';

/** Measured: 1,000 million offsets in 72 s. */
const FILL_SECONDS_PER_OFFSET = 72e-9;
const FILL_GB_PER_OFFSET = 0.7e-9;

export interface PlanOptions {
  /** As whom the clusters are asked. */
  readonly access?: { readonly source: Access; readonly target: Access };
  /** What can be copied in a second, where somebody states it. */
  readonly rateBytesPerSecond?: number | null;
}

/** Throws AppError CLUSTER_SAME for one cluster on both sides, KafkaError where a cluster cannot be asked. */
export async function planMirror(
  resource: MirrorResource,
  source: Cluster,
  target: Cluster,
  options: PlanOptions = {},
): Promise<MirrorPlan> {
  const name = resource.metadata.name;
  if (source.clusterId === target.clusterId) {
    throw new AppError(
      'CLUSTER_SAME',
      `Mirror "${name}": source "${source.name}" and target "${target.name}" are one cluster (id ${source.clusterId}).`,
      {
        nextStep: 'Give source and target the addresses of two clusters.',
      },
    );
  }
  const access = options.access ?? { source: unknownAccess(source), target: unknownAccess(target) };
  const mirrorId = mirrorIdOf(choicesOf(resource, source, target));
  const ports = { resource, source, target, access, rateBytesPerSecond: options.rateBytesPerSecond ?? null };
  const allTopics = await source.refresh('all');
  const sourceTopics = allTopics.filter(({ errorCode }) => errorCode === 0);
  const compiled = compileTopicRules(resource.spec.topics);
  const provenance = new SourceProvenance(source);
  await provenance.read();
  const all = withMerges(planTopics(compiled, sourceTopics), resource.spec);
  const { plan: rules, cycles, leftOut } = provenance.route(all, { rules: compiled, target });
  const recorded = await peekState(target);
  const surveyed = await surveyPairs({ resource, source, target, mirrorId, state: recorded.state }, rules.pairs);
  const rights = await findRights(ports, { surveyed, rules, state: recorded });
  const settings = await findUnfitSettings(ports, surveyed, rights);
  const existing = (await target.refresh('all')).map((topic) => topic.name);
  const topics = surveyed.map((each) =>
    planTopic(each, {
      source,
      isAuto: resource.spec.offsets === 'auto',
      existing,
      state: recorded.state,
      isStateHidden: recorded.isHidden,
      missing: rights.missing,
      settings: settings.byTopic.get(each.pair.source) ?? [],
    }),
  );
  const findings = [
    ...findChanges(resource, { source, target, state: recorded.state }),
    ...cycles.map((each) => cycleFinding(each, { resource, source, target })),
    ...leftOut.map((each) => leftOutFinding(each, { resource, source, target })),
    ...findRules(resource, source, withoutHidden(rules, resource, rights.hidden), sourceTopics),
    ...(recorded.state
      ? await findLostTopics({ source, target, state: recorded.state, mirrorId }, compiled, allTopics)
      : []),
    ...settings.findings,
  ];
  const copied = topics.filter(({ action }, i) => action !== 'refused' && !surveyed[i]?.decision?.copy.isShared);
  const around = await surveyAround(
    { ...ports, mirrorId, state: recorded.state, principal: access.target.principal },
    copied,
  );
  return {
    mirror: name,
    source: source.name,
    target: target.name,
    access,
    around: changesOf(around),
    usersToProvision: around.users && 'found' in around.users ? around.users.found : [],
    topics: [...topics, ...rights.hidden.map(hiddenTopic)],
    groups: await planGroups(resource, { source, target }, rules.pairs),
    findings,
    missingRights: rights.missing,
    grants: grantsOf(rights.missing, access),
    notChecked: [...rights.notChecked, ...settings.notChecked, ...absentOf(around)],
  };
}

function unknownAccess({ name }: Cluster): Access {
  return { cluster: name, bootstrap: name, principal: null, how: 'nobody has told' };
}

/** Rules of topics that are hidden from us are not rules that match nothing. */
function withoutHidden(rules: TopicPlan, { spec }: MirrorResource, hidden: readonly TopicPair[]): TopicPlan {
  const names = new Set(hidden.map(({ source }) => source));
  const isHidden = (rule: number): boolean => {
    const each = spec.topics[rule];
    return each !== undefined && 'match' in each && names.has(each.match);
  };
  return { ...rules, unmatchedRules: rules.unmatchedRules.filter((rule) => !isHidden(rule)) };
}

interface Ports {
  readonly resource: MirrorResource;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly mirrorId: string;
  readonly state: StateTopic | null;
}

async function surveyPairs(ports: Ports, pairs: readonly TopicPair[]): Promise<SurveyedPair[]> {
  const { resource, source, target } = ports;
  const targetFacts = await readTargetFacts(target);
  const facts = await readTopicFacts(ports, pairs);
  const starts = await readStarts(
    source,
    facts.filter((each): each is TopicFacts => !(each instanceof Error)),
    resource.spec.start,
  );
  const options = decisionOptions(ports);
  const modes = await Promise.all(facts.map(async (each) => (each instanceof Error ? null : askMode(ports, each))));
  return pairs.map((pair, i) => {
    const each = must(facts[i], 'facts of a pair');
    const asked = modes[i] ?? undefined;
    const decision =
      each instanceof Error ? null : decideTopic(each, targetFacts, { ...options, ...(asked ? { asked } : {}) });
    return { pair, facts: each, decision, start: starts.get(pair.source) ?? 0 };
  });
}

interface TopicContext {
  readonly source: Cluster;
  /** `offsets: auto`. */
  readonly isAuto: boolean;
  /** Names of all topics of the target. */
  readonly existing: readonly string[];
  readonly state: StateTopic | null;
  /** Whose the target topic is cannot be read. */
  readonly isStateHidden: boolean;
  readonly missing: readonly Right[];
  readonly settings: readonly Finding[];
}

interface TopicQuestion extends Pick<TopicContext, 'isAuto' | 'existing'> {
  readonly facts: TopicFacts;
  /** The largest first offset of its partitions, or why that is not known. */
  readonly start: number | KafkaError;
}

function planTopic({ pair, facts, start, ...surveyed }: SurveyedPair, context: TopicContext): PlannedTopic {
  const { source, state, isStateHidden, missing, settings } = context;
  if (facts instanceof Error) return refusedPair(pair, source, facts);
  const decision = must(surveyed.decision, 'decision about known facts');
  const question = { ...context, facts, start };
  const isUnclear = isStateHidden && facts.target !== null;
  const collisions = findCollision(question, decision);
  const own = isUnclear ? [] : [...findStart(question, decision), ...collisions, ...findUnreadable(facts, state)];
  // A broker that was asked whether it would create the topic refuses a collision too, in fewer words.
  const unfit = settings.filter(({ code }) => collisions.length === 0 || code !== 'CLUSTER_REFUSED');
  const found = isUnclear ? [] : [...decision.findings, ...own, ...unfit];
  const lacksRight = missing.some((right) => stopsTopic(right, pair));
  const isRefused = isUnclear || lacksRight || found.some(({ severity }) => severity === 'error');
  const { set, remove } = decision.configs;
  return {
    source: pair.source,
    target: pair.target,
    partitions: facts.source.partitions.length,
    targetPartitions: facts.target?.metadata.partitions.length ?? null,
    mode: decision.copy.mode,
    why: isUnclear ? 'not known: the state topic cannot be read' : whyOf(question, decision),
    action: isRefused ? 'refused' : decision.action,
    replicationFactor: decision.replicationFactor,
    configs: isRefused ? {} : Object.fromEntries([...set, ...remove.map((name) => [name, '(default)'] as const)]),
    differences: isRefused ? [] : decision.differences,
    findings: found,
  };
}

export function stopsTopic({ stops, side, resourceType, resource }: Right, pair: TopicPair): boolean {
  return stops === 'topic' && resourceType === 'topic' && resource === (side === 'source' ? pair.source : pair.target);
}

/** A topic that a rule names and that our principal may not see; perhaps there is none. */
function hiddenTopic(pair: TopicPair): PlannedTopic {
  return {
    ...pair,
    partitions: null,
    targetPartitions: null,
    mode: 'identical',
    why: 'not known: the topic is hidden from us, or missing',
    action: 'refused',
    replicationFactor: null,
    configs: {},
    differences: [],
    findings: [],
  };
}

/** What identical offsets take here. */
function whyOf({ facts, start }: TopicQuestion, { action, copy }: TopicDecision): string {
  if (copy.why !== null) return copy.why;
  if (action === 'resume') return 'goes on where its copy ends';
  if (typeof start !== 'number') return 'log start not known';
  const filled = start === 0 ? 'log start at 0' : fillEstimate(start, facts.source.partitions.length);
  return isCompacted(facts) ? `${filled}; compacted, so holes are filled with control records` : filled;
}

function fillEstimate(start: number, partitions: number): string {
  const offsets = start === 1 ? '1 offset' : `${start.toLocaleString('en-US')} offsets`;
  const seconds = Math.ceil(start * FILL_SECONDS_PER_OFFSET);
  const gigabytes = (start * FILL_GB_PER_OFFSET).toFixed(1);
  const cost = seconds > 1 ? ` (about ${seconds} s and ${gigabytes} GB, deleted afterwards)` : '';
  return partitions === 1 ? `${offsets} to fill${cost}` : `up to ${offsets} to fill a partition${cost}`;
}

function findStart({ facts, start }: TopicQuestion, { action }: TopicDecision): Finding[] {
  if (action !== 'create' && action !== 'adopt') return [];
  if (typeof start !== 'number') {
    if (isDenied(start)) return [];
    const { code, message, nextStep } = toAppError(start, `first offsets of topic "${facts.pair.source}"`);
    return [{ code, severity: 'error', message, nextStep: nextStep ?? '' }];
  }
  return [];
}

/** A broker does not create a topic whose name differs from an existing one only in "." and "_". */
function findCollision({ facts, existing }: TopicQuestion, { action }: TopicDecision): Finding[] {
  const name = facts.pair.target;
  const other =
    action === 'create'
      ? collisionsOf([...existing, name])
          .find((group) => group.includes(name))
          ?.find((each) => each !== name)
      : undefined;
  if (other === undefined) return [];
  return [
    {
      code: 'TOPIC_NAME_COLLISION',
      severity: 'error',
      message: `Topic "${name}" cannot be created beside "${other}", which is there already: they differ only in "." and "_".`,
      nextStep: 'Give the copy another name with "to".',
    },
  ];
}

/** Where partitions begin that a run would stop; the first of them stands for all. */
function findUnreadable({ pair, source: { partitions } }: TopicFacts, state: StateTopic | null): Finding[] {
  for (const { partition } of partitions) {
    try {
      state?.partition(pair.target, partition);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, cause, nextStep } = stateUnreadable(error).reason;
      return [{ code, severity: 'error', message: `${pair.source}/${partition}: ${cause}`, nextStep }];
    }
  }
  return [];
}

/** Where a right is missing, the list of missing rights says it. */
function refusedPair(pair: TopicPair, source: Cluster, error: FactsError): PlannedTopic {
  const { code, message, nextStep } = toAppError(error, `topic "${pair.source}"`);
  return {
    ...pair,
    partitions: source.topicOf(pair.source)?.partitions.length ?? 0,
    targetPartitions: null,
    mode: 'identical',
    why: 'not known',
    action: 'refused',
    replicationFactor: null,
    configs: {},
    differences: [],
    findings: isDenied(error) ? [] : [{ code, severity: 'error', message, nextStep: nextStep ?? '' }],
  };
}

function isCompacted({ sourceConfigs }: TopicFacts): boolean {
  return sourceConfigs?.get('cleanup.policy')?.value?.includes('compact') ?? false;
}

function findChanges(
  resource: MirrorResource,
  { source, target, state }: Pick<Ports, 'source' | 'target' | 'state'>,
): Finding[] {
  try {
    state?.checkMirror(choicesOf(resource, source, target));
    return [];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [{ code: error.code, severity: 'error', message: error.message, nextStep: error.nextStep ?? '' }];
  }
}

/** A rule, by its index in the file, that matches none of the topics. */
export function ruleEmpty(
  { metadata, spec }: MirrorResource,
  index: number,
  source: Cluster,
  topics: readonly { readonly name: string }[],
): Finding {
  const rule = spec.topics[index];
  const match = rule && 'match' in rule ? rule.match : '';
  const similar = nearest(
    match,
    topics.map(({ name }) => name),
  );
  return {
    code: 'TOPIC_RULE_EMPTY',
    severity: 'warning',
    message: `topics[${index}] of mirror "${metadata.name}" (match: ${match}) matches no topic of cluster "${source.name}".`,
    nextStep:
      similar === null
        ? 'Correct or remove the rule; without --until the mirror waits for the topic.'
        : `Did you mean "${similar}"?`,
  };
}

function findRules(
  resource: MirrorResource,
  source: Cluster,
  plan: TopicPlan,
  topics: readonly { readonly name: string }[],
): Finding[] {
  const empty = plan.unmatchedRules.map((rule) => ruleEmpty(resource, rule, source, topics));
  const conflicts = plan.conflicts.map(({ target, sources }): Finding => ({
    code: 'TOPIC_RULE_CONFLICT',
    severity: 'error',
    message: `The rules send ${sources.map((each) => `"${each}"`).join(' and ')} to the one target topic "${target}".`,
    nextStep:
      'Exclude all but one of them, or give them other names with "to"; or write "offsets: mapped" to merge them.',
  }));
  const invalid = plan.invalid.map(({ source: from, target, problem }): Finding => ({
    code: 'TOPIC_NAME_INVALID',
    severity: 'error',
    message: `Topic "${from}" would become "${target}": ${problem}.`,
    nextStep: 'Change "to" of the rule.',
  }));
  const collisions = plan.collisions.map((each): Finding => ({
    code: 'TOPIC_NAME_COLLISION',
    severity: 'warning',
    message: `Target topics ${each.map((target) => `"${target}"`).join(', ')} differ only in "." and "_"; brokers do not create one beside the other.`,
    nextStep: 'Rename one of them with "to".',
  }));
  return [...empty, ...conflicts, ...invalid, ...collisions];
}

/** What the state topic records of a mirror. */
export function choicesOf({ metadata, spec }: MirrorResource, source: Cluster, target: Cluster): MirrorChoices {
  return {
    name: metadata.name,
    sourceClusterId: source.clusterId,
    targetClusterId: target.clusterId,
    transactions: spec.transactions,
    timestamps: spec.timestamps,
    start: spec.start,
  };
}
