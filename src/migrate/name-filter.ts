/**
 * MirrorMaker 2's filters as patterns of ours. A filter is a list of Java expressions, joined by `|`, that has to match the
 * whole name; ours are exact names and RE2 expressions, of which one of `exclude` takes out wherever it matches.
 */
import { parseNamePattern } from '#contract/name-pattern.ts';
import { parseTopicPattern, topicNameProblem } from '#contract/topic-pattern.ts';
import { translateJavaRegex, type Alternative } from './java/regex.ts';

/** Topics have names that Kafka checks; groups, settings and the like may have any. */
export type Named = 'topic' | 'other';

export interface Filter {
  readonly match: readonly string[];
  /** What the look-aheads of the list deny, as patterns of `exclude`. */
  readonly exclude: readonly string[];
}

type Result = { readonly value: Filter } | { readonly problem: string };

/** Of a list that includes. */
export function includedBy(list: readonly string[], named: Named): Result {
  const translated = alternativesOf(list);
  if ('problem' in translated) return translated;
  const alternatives = translated.value;
  const denied = alternatives.flatMap(({ notAtStart }) => notAtStart);
  if (denied.length > 0 && alternatives.length > 1)
    return { problem: 'a look-ahead holds for one of several expressions; ours would take out topics of all' };
  return checked(
    { match: alternatives.map((each) => matching(each, named)), exclude: denied.map((re2) => `/^${re2}/`) },
    named,
  );
}

/** Of a list that excludes: the patterns are in `exclude`. */
export function excludedBy(list: readonly string[], named: Named): Result {
  const translated = alternativesOf(list);
  if ('problem' in translated) return translated;
  if (translated.value.some(({ notAtStart }) => notAtStart.length > 0))
    return { problem: 'look-around does not exist in RE2' };
  return checked({ match: [], exclude: translated.value.map((each) => excluding(each, named)) }, named);
}

/** Each on its own where that is the same; what only makes sense when joined, such as `(a, b)`, is translated joined. */
function alternativesOf(list: readonly string[]): ReturnType<typeof translateJavaRegex> {
  const fields = list.filter((field) => field !== '');
  const joined = translateJavaRegex(fields.join('|'));
  if ('problem' in joined || fields.length === 0) return 'problem' in joined ? joined : { value: [] };
  const seen = new Set<string>();
  // An empty alternative matches the empty name, which nothing has.
  const named = joined.value.filter(({ re2 }) => re2 !== '');
  return { value: named.filter(({ re2, notAtStart }) => notAtStart.length > 0 || !hasBefore(seen, re2)) };
}

function hasBefore(seen: Set<string>, re2: string): boolean {
  if (seen.has(re2)) return true;
  seen.add(re2);
  return false;
}

function matching({ re2, literal }: Alternative, named: Named): string {
  return exactName(literal, named) ?? `/${re2}/`;
}

function excluding({ re2, literal }: Alternative, named: Named): string {
  return exactName(literal, named) ?? `/^${re2}$/`;
}

/** Null where it has to be an expression: it is none that could be a name, or would be taken for an expression. */
function exactName(literal: string | null, named: Named): string | null {
  if (literal === null || literal === '' || literal.startsWith('/')) return null;
  return named === 'topic' && topicNameProblem(literal) !== null ? null : literal;
}

/** What RE2 refuses although Java takes it: counts above 1,000, for one. */
function checked(filter: Filter, named: Named): Result {
  for (const pattern of [...filter.match, ...filter.exclude]) {
    const parsed = named === 'topic' ? parseTopicPattern(pattern) : parseNamePattern(pattern);
    if ('problem' in parsed) return { problem: parsed.problem };
  }
  return { value: filter };
}
