/**
 * Which topics a mirror copies, and under which names.
 * An exact name is that name: a dot is a dot. A regular expression of `match` must match the whole name; one of `exclude`
 * excludes wherever in the name it matches, unless it is anchored. Both readings err on the side of copying less.
 * Excludes hold wherever they stand; of the other rules the first that matches wins. Kafka's internal topics and those
 * that begin with `__` are only copied by a rule that names them exactly.
 */
import type { StatedCondition, TopicRule } from './resources.ts';
import {
  parseTargetTemplate,
  parseTopicPattern,
  topicNameProblem,
  type Parsed,
  type TargetTemplate,
  type TopicPattern,
} from './topic-pattern.ts';
import { assert } from '#util/assert.ts';

/** Compiled rules. `rule` is the index in the mirror's file. */
export interface TopicRules {
  readonly matches: readonly {
    readonly rule: number;
    readonly pattern: TopicPattern;
    readonly to: TargetTemplate | null;
    readonly filter?: TopicFilter;
  }[];
  readonly excludes: readonly TopicPattern[];
}

/** The condition of a rule; the ledger names it by the rule's index in the mirror's file. */
export interface TopicFilter extends StatedCondition {
  readonly rule: number;
}

export interface SourceTopic {
  readonly name: string;
  /** As the broker's metadata says. */
  readonly isInternal: boolean;
}

export interface TopicPair {
  readonly source: string;
  readonly target: string;
  /** Other source topics go into the target topic as well. */
  readonly isMerged?: true;
}

export interface TopicPlan {
  /** What can be copied, by source name; none of those in `conflicts` or `invalid`. */
  readonly pairs: readonly TopicPair[];
  /** Indexes of `match` rules that no source topic came under. */
  readonly unmatchedRules: readonly number[];
  /** Several source topics that would go into one target topic. */
  readonly conflicts: readonly { readonly target: string; readonly sources: readonly string[] }[];
  /** Target names that Kafka, or Lockstep itself, does not accept. */
  readonly invalid: readonly (TopicPair & { readonly problem: string })[];
  /** Target names that differ only in "." and "_", which Kafka's metrics, and so topic creation, cannot tell apart. */
  readonly collisions: readonly (readonly string[])[];
}

/** Compiles rules that parseDocuments has accepted. */
export function compileTopicRules(rules: readonly TopicRule[]): TopicRules {
  const matches = rules.flatMap((each, rule) => {
    if (!('match' in each)) return [];
    const pattern = accepted(parseTopicPattern(each.match));
    const to = each.to === null ? null : accepted(parseTargetTemplate(each.to, pattern));
    return [{ rule, pattern, to, ...(each.filter ? { filter: { rule, ...each.filter } } : {}) }];
  });
  const excludes = rules.flatMap((each) => ('exclude' in each ? [accepted(parseTopicPattern(each.exclude))] : []));
  return { matches, excludes };
}

/** The target name of `topic`, the index of the rule that gives it, and its condition; null when the topic is not copied. */
export function targetOf(
  rules: TopicRules,
  topic: SourceTopic,
): { target: string; rule: number; filter?: TopicFilter } | null {
  if (rules.excludes.some((pattern) => isExcluded(pattern, topic.name))) return null;
  const exactOnly = topic.isInternal || topic.name.startsWith('__');
  for (const { rule, pattern, to, filter } of rules.matches) {
    if (exactOnly && pattern.kind === 'regex') continue;
    const captures = capturesOf(pattern, topic.name);
    if (captures !== null) {
      return { target: to === null ? topic.name : render(to, captures), rule, ...(filter ? { filter } : {}) };
    }
  }
  return null;
}

/** The condition on the records of a topic that is copied; null where all of them are. */
export function filterOf(rules: TopicRules, topic: SourceTopic): TopicFilter | null {
  return targetOf(rules, topic)?.filter ?? null;
}

/** What `rules` make of the topics that the source has. */
export function planTopics(rules: TopicRules, sourceTopics: readonly SourceTopic[]): TopicPlan {
  const matched = new Set<number>();
  const sourcesOf = new Map<string, string[]>();
  for (const topic of sourceTopics.toSorted((a, b) => compare(a.name, b.name))) {
    const found = targetOf(rules, topic);
    if (found === null) continue;
    matched.add(found.rule);
    sourcesOf.set(found.target, [...(sourcesOf.get(found.target) ?? []), topic.name]);
  }
  const pairs: TopicPair[] = [];
  const conflicts: { target: string; sources: string[] }[] = [];
  const invalid: (TopicPair & { problem: string })[] = [];
  for (const [target, sources] of sourcesOf) {
    const problem = targetNameProblem(target);
    if (problem !== null) invalid.push(...sources.map((source) => ({ source, target, problem })));
    else if (sources.length > 1) conflicts.push({ target, sources });
    else pairs.push(...sources.map((source) => ({ source, target })));
  }
  return {
    pairs: pairs.toSorted((a, b) => compare(a.source, b.source)),
    unmatchedRules: rules.matches.map(({ rule }) => rule).filter((rule) => !matched.has(rule)),
    conflicts,
    invalid,
    collisions: collisionsOf([...sourcesOf.keys()]),
  };
}

/** Where offsets may be mapped, several source topics can go into one target topic. */
export function withMerges(plan: TopicPlan, { offsets }: { readonly offsets: string }): TopicPlan {
  if (offsets === 'identical') return plan;
  const merged = plan.conflicts.flatMap(({ target, sources }) =>
    sources.map((source): TopicPair => ({ source, target, isMerged: true })),
  );
  const pairs = [...plan.pairs, ...merged].toSorted((a, b) => compare(a.source, b.source));
  return { ...plan, pairs, conflicts: [] };
}

/** Groups of names that `org.apache.kafka.common.internals.Topic#hasCollision` finds equal. */
export function collisionsOf(names: readonly string[]): string[][] {
  const groups = Map.groupBy(new Set(names), (name) => name.replaceAll('.', '_'));
  return [...groups.values()].filter((group) => group.length > 1);
}

function targetNameProblem(target: string): string | null {
  if (target.startsWith('__lockstep.'))
    return 'Lockstep keeps its own state under this name; give the copy another name with "to"';
  if (BROKER_TOPICS.has(target))
    return 'the target\'s brokers keep their own state under this name; give the copy another name with "to"';
  return topicNameProblem(target);
}

const BROKER_TOPICS = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
  '__cluster_metadata',
]);

function isExcluded(pattern: TopicPattern, name: string): boolean {
  return pattern.kind === 'exact' ? pattern.name === name : pattern.regex.test(name);
}

/** The whole name and the captures, '' for those that took no part; null when the pattern does not match. */
function capturesOf(pattern: TopicPattern, name: string): readonly string[] | null {
  if (pattern.kind === 'exact') return pattern.name === name ? [name] : null;
  const matcher = pattern.regex.matcher(name);
  if (!matcher.matches()) return null;
  return Array.from({ length: matcher.groupCount() + 1 }, (_, index) => matcher.group(index) ?? '');
}

function render(template: TargetTemplate, captures: readonly string[]): string {
  return template.map((piece) => (typeof piece === 'string' ? piece : (captures[piece] ?? ''))).join('');
}

function accepted<T>(parsed: Parsed<T>): T {
  assert('value' in parsed, 'rules are compiled only after their file has been accepted');
  return parsed.value;
}

// By code unit, the order in which Kafka's tools list topics, and the same on every machine.
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
