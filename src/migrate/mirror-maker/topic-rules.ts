/** `topics`, `topics.exclude` and the replication policy as topic rules. */
import { topicNameProblem } from '#contract/topic-pattern.ts';
import { excludedBy, includedBy } from '../name-filter.ts';
import { REPLACE_ME } from '../security-text.ts';
import type { PairContext } from './model.ts';
import type { Naming } from './naming.ts';
import { filterOf, named, tell } from './pair-settings.ts';

export type RuleText = { readonly match: string; readonly to?: string } | { readonly exclude: string };

const TOPICS_EXCLUDE = ['mm2.*\\.internal', '.*\\.replica', '__.*'];

export function rulesOf(context: PairContext, naming: Naming): RuleText[] {
  const included = filterOf(context, {
    setting: named(context, 'source', 'topics'),
    byDefault: ['.*'],
    named: 'topic',
    read: includedBy,
    to: 'topics',
    otherwise: `Write rules in place of "match: ${REPLACE_ME}", which stands there until then.`,
  });
  const excluded = filterOf(context, {
    setting: named(context, 'source', 'topics.exclude', 'topics.blacklist'),
    byDefault: TOPICS_EXCLUDE,
    named: 'topic',
    read: excludedBy,
    to: 'topics',
    otherwise: 'Write excludes in place of "exclude: /.*/", which keeps everything out until then.',
  });
  const patterns = included?.match ?? [REPLACE_ME];
  // MirrorMaker 2 never copies these, whatever its filter says.
  const internal = patterns.filter(isInternal);
  const unnamed = patterns.filter(
    (pattern) => !pattern.startsWith('/') && topicNameProblem(`${naming.prefix}${pattern}`) !== null,
  );
  const matches = patterns.filter((pattern) => !internal.includes(pattern) && !unnamed.includes(pattern));
  if (unnamed.length > 0)
    tell(context, named(context, 'source', 'topics'), 'different', {
      note: `With "${naming.prefix}" in front ${unnamed.join(', ')} is no topic name, so there is no rule for it.`,
    });
  if (internal.length > 0)
    tell(context, named(context, 'source', 'topics'), 'different', {
      note: `MirrorMaker 2 copies no internal topic, so there is no rule for ${internal.join(', ')}.`,
    });
  const rules = (matches.length > 0 ? matches : [REPLACE_ME]).map((match) => ruleOf(match, naming));
  const excludes = [
    ...(included?.exclude ?? []),
    ...(excluded?.exclude ?? ['/.*/']),
    ...naming.excludes,
    ...(patterns.some((pattern) => pattern.startsWith('/')) ? ['/^\\./'] : []),
  ];
  if (included !== null && matches.length === 0)
    tell(context, named(context, 'source', 'topics'), 'no-equal', {
      note: 'It matches no topic that MirrorMaker 2 would copy.',
      step: `Write rules in place of "match: ${REPLACE_ME}", or leave the Mirror ${context.name} out.`,
    });
  return [...rules, ...[...new Set(excludes)].map((exclude) => ({ exclude }))];
}

function isInternal(pattern: string): boolean {
  return !pattern.startsWith('/') && /^(?:__|\.)|^mm2.*\.internal$|\.checkpoints\.internal$/.test(pattern);
}

function ruleOf(match: string, { prefix }: Naming): RuleText {
  if (prefix === '') return { match };
  return { match, to: match.startsWith('/') ? `${prefix}$0` : `${prefix}${match}` };
}
