/**
 * What becomes of topic names that ACLs are about: of one name, and of all names with one beginning. Pure.
 *
 * A beginning has a counterpart on the target only where the rules alone show that every name with it, also of topics
 * that are still to come, gets the same name or the same new beginning, and nothing else on the target has that one.
 * Whatever cannot be shown has none: nothing is guessed.
 */
import type { TopicRule } from '#contract/resources.ts';
import { parseTargetTemplate, parseTopicPattern, type TargetTemplate } from '#contract/topic-pattern.ts';
import { compileTopicRules, targetOf, type TopicPair } from '#contract/topic-rules.ts';
import { patternsOfRule, type NamePattern } from './rights.ts';

export interface TopicNames {
  /** Topics that are copied, and names without a topic that the rules would copy. */
  readonly pairs: readonly TopicPair[];
  /** By source name, of the same. */
  readonly targets: ReadonlyMap<string, string>;
  /** The beginning that names with `prefix` have on the target; null where there is none. */
  prefixOf(prefix: string): string | null;
}

export interface KnownTopics {
  readonly rules: readonly TopicRule[];
  /** Those that this mirror copies. */
  readonly copied: readonly TopicPair[];
  /** Names of all topics of either cluster. */
  readonly onSource: readonly string[];
  readonly onTarget: readonly string[];
}

/** `named`: names that ACLs mention, whether or not there are such topics. */
export function topicNames(topics: KnownTopics, named: Iterable<string>): TopicNames {
  const { rules, copied, onTarget } = topics;
  // Of what several topics are copied into, and of nobody else's, one topic's ACLs say who may read it.
  const byTarget = Map.groupBy(copied, ({ target }) => target);
  const sole = copied.filter(({ target }) => byTarget.get(target)?.length === 1);
  const pairs = [...sole, ...foretold(topics, named)];
  const sourceOf = new Map(sole.map(({ source, target }) => [target, source]));
  return {
    pairs,
    targets: new Map(pairs.map(({ source, target }) => [source, target])),
    prefixOf: (prefix) => {
      const target = prefixByRules(rules, prefix);
      if (target === null) return null;
      const isForeign = (name: string): boolean => name.startsWith(target) && !sourceOf.get(name)?.startsWith(prefix);
      return onTarget.some(isForeign) ? null : target;
    },
  };
}

/** Names without a topic on either side, of which the rules show that no other name becomes theirs on the target. */
function foretold({ rules, copied, onSource, onTarget }: KnownTopics, named: Iterable<string>): TopicPair[] {
  const compiled = compileTopicRules(rules);
  const there = new Set(onSource);
  const taken = new Set([...onTarget, ...copied.map(({ target }) => target)]);
  return [...new Set(named)].flatMap((source): TopicPair[] => {
    const found = there.has(source) ? null : targetOf(compiled, { name: source, isInternal: false });
    if (!found || taken.has(found.target) || !isSole(rules, source, found)) return [];
    return [{ source, target: found.target }];
  });
}

function isSole(
  rules: readonly TopicRule[],
  source: string,
  { target, rule: taking }: { readonly target: string; readonly rule: number },
): boolean {
  const rule = rules[taking];
  const isOneToOne = rule && 'match' in rule && (rule.match === source || renamed(rule, source) !== null);
  const mayBecome = (each: TopicRule): boolean => {
    const of = patternsOfRule(each)?.target;
    if (!of) return false;
    if (of.name === '*') return true;
    return of.pattern === 'literal' ? of.name === target : target.startsWith(of.name);
  };
  return Boolean(isOneToOne) && !rules.some((each, i) => i !== taking && mayBecome(each));
}

/** By the text of the rules alone. */
function prefixByRules(rules: readonly TopicRule[], prefix: string): string | null {
  // Names that begin so are copied only where a rule names them exactly.
  if (prefix === '' || prefix.startsWith('__') || '__'.startsWith(prefix)) return null;
  if (rules.some((rule) => 'exclude' in rule && mayExclude(rule.exclude, prefix))) return null;
  const patterns = rules.flatMap((rule) => {
    const names = patternsOfRule(rule);
    return names && 'match' in rule ? [{ ...names, rule }] : [];
  });
  const first = patterns.findIndex(({ source }) => meets(source, prefix));
  const taking = patterns[first];
  const target = taking ? renamed(taking.rule, prefix) : null;
  if (target === null) return null;
  const others = patterns.filter((_, i) => i !== first);
  return others.some((other) => meets(other.target, target)) ? null : target;
}

/** Whether a name of the pattern may begin with `prefix`. */
function meets({ name, pattern }: NamePattern, prefix: string): boolean {
  if (pattern === 'literal' && name !== '*') return name.startsWith(prefix);
  const beginning = name === '*' ? '' : name;
  return beginning.startsWith(prefix) || prefix.startsWith(beginning);
}

function mayExclude(exclude: string, prefix: string): boolean {
  return exclude.startsWith('/') || exclude.startsWith(prefix);
}

/** A beginning that is written out, and then anything: `/^payments\.(.+)$/`. */
const ALL_WITH_PREFIX = /^\^?((?:[a-zA-Z0-9_-]|\\[.])*)(?:\.[*+]|\(\.[*+]\))\$?$/;

function renamed(rule: Extract<TopicRule, { match: string }>, prefix: string): string | null {
  const pattern = parseTopicPattern(rule.match);
  if ('problem' in pattern || pattern.value.kind === 'exact') return null;
  const found = ALL_WITH_PREFIX.exec(pattern.value.source);
  if (!found) return null;
  const beginning = (found[1] ?? '').replaceAll('\\', '');
  // With '.+' a topic of just that name would not be copied: nor is it one that anything is copied into.
  if (!prefix.startsWith(beginning)) return null;
  if (rule.to === null) return prefix;
  const template = parseTargetTemplate(rule.to, pattern.value);
  if ('problem' in template) return null;
  return begin(template.value, { whole: prefix, rest: prefix.slice(beginning.length) });
}

/** Text and then one capture, which is the whole name or what follows the beginning. */
function begin(template: TargetTemplate, names: { readonly whole: string; readonly rest: string }): string | null {
  const text = template.slice(0, -1);
  const last = template.at(-1);
  if (typeof last !== 'number' || !text.every((piece) => typeof piece === 'string')) return null;
  return text.join('') + (last === 0 ? names.whole : names.rest);
}
