/**
 * Where topics come from, and which pairs of a mirror would carry records back there. The state topic of each cluster says which
 * of its topics are copies, and from which topic of which cluster; each claim repeats what its own source topic was a copy of, so
 * that two clusters are enough to see a ring of any length. Pure.
 */
import { targetOf, type TopicPair, type TopicPlan, type TopicRules } from '#contract/topic-rules.ts';
import type { ClaimRecord, Hop, MirrorRecord } from './state-records.ts';

/** The nearest are kept: what is farther away than so many topics is not known. */
export const HOPS_MAX = 1_000;

/** What the state topic of a cluster says about one of its topics. */
export interface CopyFacts {
  readonly topicId: string;
  readonly claim: ClaimRecord | null;
  /** Of the claim. */
  readonly mirror: MirrorRecord | null;
  /** Of a merged topic, as far as they are known. */
  readonly sourceTopics: readonly string[];
  /** Nothing flows any more: the topic has writers of its own. */
  readonly isFailedOver: boolean;
}

/** Topics whose records come into this one, nearest first; none where it is nobody's copy. */
export function hopsOf({ topicId, claim, mirror, sourceTopics, isFailedOver }: CopyFacts): Hop[] {
  if (!claim || !mirror || isFailedOver || claim.targetTopicId !== topicId) return [];
  const clusterId = mirror.sourceClusterId;
  const topics = [...new Set([claim.sourceTopic, ...sourceTopics])];
  return mergeHops([topics.map((topic) => ({ clusterId, topic, mirror: mirror.name })), claim.provenance ?? []]);
}

/** Each place once, where it stands first. */
export function mergeHops(hops: readonly (readonly Hop[])[]): Hop[] {
  const byPlace = new Map<string, Hop>();
  for (const hop of hops.flat()) {
    const place = `${hop.clusterId}/${hop.topic}`;
    if (!byPlace.has(place)) byPlace.set(place, hop);
  }
  return [...byPlace.values()].slice(0, HOPS_MAX);
}

/** A pair that is not copied, since its records come from the target cluster. */
export interface ReturningPair {
  readonly pair: TopicPair;
  /** Index of the rule in the file. */
  readonly rule: number;
  /** The nearest topic of the target cluster that it comes from; of a cycle, the pair's own target. */
  readonly origin: Hop;
  /** All that its records have come through, nearest first, ending with the origin. */
  readonly through: readonly Hop[];
}

export interface Routes {
  /** Without the pairs below. */
  readonly plan: TopicPlan;
  /** The target topic is one of those that the source topic is copied from: the records would go round. */
  readonly cycles: readonly ReturningPair[];
  /** It comes from another topic of the target cluster, which has these records already. */
  readonly leftOut: readonly ReturningPair[];
}

export interface RouteOptions {
  readonly rules: TopicRules;
  readonly targetId: string;
  readonly hopsOf: (sourceTopic: string) => readonly Hop[];
}

/**
 * A copy whose records the target cluster has under another name is copied back only by a rule that names it exactly, as with
 * Kafka's internal topics; MirrorMaker 2 never does (DefaultReplicationPolicy, MirrorSourceConnector.isCycle).
 */
export function routeTopics(plan: TopicPlan, options: RouteOptions): Routes {
  const cycles: ReturningPair[] = [];
  const leftOut: ReturningPair[] = [];
  const pairs = plan.pairs.filter((pair) => {
    const { cycle, isLeftOut } = judge(pair, options);
    if (cycle) cycles.push(cycle);
    if (isLeftOut) leftOut.push(isLeftOut);
    return !cycle && !isLeftOut;
  });
  return { plan: { ...plan, pairs }, cycles, leftOut };
}

function judge(
  pair: TopicPair,
  { rules, targetId, hopsOf: hops }: RouteOptions,
): { cycle: ReturningPair | null; isLeftOut: ReturningPair | null } {
  const all = hops(pair.source);
  const home = all.filter(({ clusterId }) => clusterId === targetId);
  const own = home.find(({ topic }) => topic === pair.target);
  const origin = own ?? home[0];
  if (!origin) return { cycle: null, isLeftOut: null };
  const rule = targetOf(rules, { name: pair.source, isInternal: false })?.rule ?? 0;
  const returning = { pair, rule, origin, through: all.slice(0, all.indexOf(origin) + 1) };
  if (own) return { cycle: returning, isLeftOut: null };
  const isNamed = rules.matches.find((each) => each.rule === rule)?.pattern.kind === 'exact';
  return { cycle: null, isLeftOut: isNamed ? null : returning };
}
