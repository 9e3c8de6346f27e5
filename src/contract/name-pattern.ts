/**
 * Names of settings, principals and quotas by lists of patterns: an exact name, or an RE2 expression between slashes. As in
 * topic rules, an expression of `match` must match the whole name and one of `exclude` takes out wherever it matches.
 */
import { parseExpression, type Parsed, type TopicPattern } from './topic-pattern.ts';

export interface NameChoice {
  /** What is meant; null means every name. */
  readonly match: readonly string[] | null;
  readonly exclude: readonly string[];
}

/** A pattern as a file holds it. The problem is worded to follow the key. */
export function parseNamePattern(text: string): Parsed<TopicPattern> {
  if (text.startsWith('/')) return parseExpression(text);
  return text === '' ? { problem: 'a name cannot be empty' } : { value: { kind: 'exact', name: text } };
}

/** Whether a name is meant. The patterns are compiled once; those of a file have been checked when it was read. */
export function compileNames({ match, exclude }: NameChoice): (name: string) => boolean {
  const [matching, excluding] = [match ?? [], exclude].map((patterns) =>
    patterns.flatMap((text) => {
      const parsed = parseNamePattern(text);
      return 'value' in parsed ? [parsed.value] : [];
    }),
  );
  return (name) => {
    const isMatched = match === null || (matching ?? []).some((each) => isOf(each, name, { whole: true }));
    return isMatched && !(excluding ?? []).some((each) => isOf(each, name, { whole: false }));
  };
}

function isOf(pattern: TopicPattern, name: string, { whole }: { readonly whole: boolean }): boolean {
  if (pattern.kind === 'exact') return pattern.name === name;
  return whole ? pattern.regex.matches(name) : pattern.regex.test(name);
}
