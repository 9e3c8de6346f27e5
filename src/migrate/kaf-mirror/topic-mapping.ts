/**
 * A topic mapping of kaf-mirror 1.2 as a rule. Its expressions are Go's, which are RE2 like ours, but match, and are
 * replaced, anywhere in a name.
 */
import { parseTargetTemplate, parseTopicPattern, topicNameProblem } from '#contract/topic-pattern.ts';

export interface Mapping {
  readonly source: string;
  readonly target: string;
}

export type MappedRule =
  | { readonly match: string; readonly to?: string; readonly note?: string }
  | { readonly problem: string };

export function ruleOfMapping({ source, target }: Mapping): MappedRule {
  const isExact = topicNameProblem(source) === null;
  const isRenamed = target !== '' && target !== source;
  if (isExact) {
    if (!isRenamed) return { match: source };
    const problem = topicNameProblem(target);
    return problem === null
      ? { match: source, to: target }
      : { problem: `"${target}" is not a topic name: ${problem}` };
  }
  // Where the whole name is copied under its own, "anywhere" can be said.
  const anchored = source.replace(/^\^/, '').replace(/(?<!\\)\$$/, '');
  const isWhole = source.startsWith('^') && /(?<!\\)\$$/.test(source);
  if (!isRenamed) return accepted({ match: isWhole ? `/${anchored}/` : `/${anywhere(source)}/` });
  const { text: to, isChanged } = templateOf(target);
  const notes = [
    ...(isWhole ? [] : ['The expression matches the whole name; kaf-mirror matched and replaced it anywhere.']),
    ...(isChanged ? ['In Go a "$1" takes the letters behind it as part of its name; ${1} is meant.'] : []),
  ];
  return accepted({ match: `/${anchored}/`, to, ...(notes.length > 0 ? { note: notes.join(' ') } : {}) });
}

function anywhere(source: string): string {
  const start = source.startsWith('^') ? '' : '.*';
  const end = /(?<!\\)\$$/.test(source) ? '' : '.*';
  const inner = source.replace(/^\^/, '').replace(/(?<!\\)\$$/, '');
  // `.*` at an end says "anywhere" already.
  const hasStart = inner.startsWith('.*');
  const hasEnd = inner.endsWith('.*') && !inner.endsWith('\\.*');
  if (inner.includes('|')) return `${start}(?:${inner})${end}`;
  return `${hasStart ? '' : start}${inner}${hasEnd ? '' : end}`;
}

/** `$1_x` is the group "1_x" in Go, which there is not. */
function templateOf(target: string): { text: string; isChanged: boolean } {
  const text = target.replaceAll(/\$(\d+)(?=[A-Za-z_])/g, '${$1}');
  return { text, isChanged: text !== target };
}

function accepted(rule: { match: string; to?: string; note?: string }): MappedRule {
  const pattern = parseTopicPattern(rule.match);
  if ('problem' in pattern) return { problem: pattern.problem };
  if (rule.to === undefined) return rule;
  const template = parseTargetTemplate(rule.to, pattern.value);
  return 'problem' in template ? { problem: template.problem } : rule;
}
