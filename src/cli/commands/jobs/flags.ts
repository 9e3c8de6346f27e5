/** A mirror as flags say it. What has no flag stands in a file: docs/resources.md. */
import { AppError } from '#contract/errors.ts';
import { choiceFrom, wholeNumber } from '../../remote/values.ts';

export interface JobFlags {
  readonly source?: string;
  readonly target?: string;
  readonly topic?: readonly string[];
  readonly exclude?: readonly string[];
  readonly offsets?: string;
  readonly start?: string;
  readonly transactions?: string;
  readonly timestamps?: string;
  readonly refreshMs?: string;
}

/** For `Verb.options`. */
export const JOB_OPTIONS = {
  '--source <cluster>': 'from where',
  '--target <cluster>': 'to where',
  '--topic <rule...>':
    'a name, "user.*" with a star, /regular expression/, or one of them =NAME under another name ($1 is its first capture)',
  '--exclude <pattern...>': 'a name, one with a star, or a /regular expression/ that is left out',
  '--offsets <mode>': 'auto, identical or mapped',
  '--start <place>': 'earliest, latest, or a time with its zone',
  '--transactions <how>': 'preserve or committed-only',
  '--timestamps <how>': 'append, producer or target',
  '--refresh-ms <number>': 'how often new topics and partitions are looked for, in milliseconds',
} as const;

/** The keys that flags state, as in `spec` of a Mirror; `before` holds where a flag says nothing. */
export function jobSpec(flags: JobFlags, before: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const { source, target, topic, exclude, offsets, start, transactions, timestamps, refreshMs } = flags;
  const rules = [...(topic ?? []).map(ruleFrom), ...(exclude ?? []).map((each) => ({ exclude: patternFrom(each) }))];
  return {
    ...before,
    ...(source === undefined ? {} : { source }),
    ...(target === undefined ? {} : { target }),
    ...(rules.length === 0 ? {} : { topics: rules }),
    ...(offsets === undefined ? {} : { offsets: choiceFrom('--offsets', offsets, ['auto', 'identical', 'mapped']) }),
    ...(start === undefined ? {} : { start: startFrom(start) }),
    ...(transactions === undefined
      ? {}
      : { transactions: choiceFrom('--transactions', transactions, ['preserve', 'committed-only']) }),
    ...(timestamps === undefined
      ? {}
      : { timestamps: choiceFrom('--timestamps', timestamps, ['append', 'producer', 'target']) }),
    ...(refreshMs === undefined ? {} : { refreshMs: wholeNumber('--refresh-ms', refreshMs, 1) }),
  };
}

export function isStated(flags: JobFlags): boolean {
  return Object.keys(jobSpec(flags)).length > 0;
}

/** `orders`, `orders=backup.orders`, `/^orders-(.*)$/=backup-$1`. */
function ruleFrom(written: string): { match: string; to?: string } {
  const [, expression, renamed] = /^(\/.*\/)(?:=(.*))?$/.exec(written) ?? [];
  if (expression !== undefined)
    return renamed === undefined ? { match: expression } : { match: expression, to: renamed };
  const [name = '', to] = written.split('=', 2);
  return to === undefined ? { match: patternFrom(name) } : { match: patternFrom(name), to };
}

/** What people write for "all that begin so" is made the expression that says it. */
function patternFrom(written: string): string {
  if (written.startsWith('/') || !written.includes('*')) return written;
  const parts = written.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return `/^${parts.join('.*')}$/`;
}

function startFrom(written: string): unknown {
  if (written === 'earliest' || written === 'latest') return written;
  if (!Number.isNaN(Date.parse(written)) && /^\d{4}-/.test(written)) return { timestamp: written };
  throw new AppError('REQUEST_INVALID', `--start must be earliest, latest or a time, not "${written}"`, {
    nextStep: 'Write a time with its zone: 2026-11-01T00:00:00Z. Single offsets stand in a file.',
  });
}
