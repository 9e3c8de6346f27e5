/** What values of options look like: as text (environment, flags) and as YAML, with one validation for both. */
import { z } from 'zod';
import type { SecretRef } from './cluster-security.ts';
import { must } from './complaints.ts';

export interface OptionType<T> {
  /** For help and documents: `HOST:PORT`, `true or false`. */
  readonly shown: string;
  /** One word, for what stands behind a flag. */
  readonly word: string;
  /** Checks what a file holds. */
  readonly schema: z.ZodType<T>;
  /** What a file would hold in the place of this text; the schema judges it. */
  fromText(text: string): unknown;
  /** As a file would hold it. */
  toFile(value: T): unknown;
  /** The value stands elsewhere: an environment variable of the option's name is a place for it. */
  readonly isSecret?: true;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

const asIs = <T>(value: T): unknown => value;

export function text(
  shown: string,
  { word = 'text', pattern }: { word?: string; pattern?: RegExp } = {},
): OptionType<string> {
  const schema = z.string(must(shown)).min(1, must(shown));
  return { shown, word, schema: pattern ? schema.regex(pattern, must(shown)) : schema, fromText: asIs, toFile: asIs };
}

export function choice<const T extends string>(...values: readonly T[]): OptionType<T> {
  const shown = values.length === 2 ? values.join(' or ') : values.join(', ');
  return { shown, word: values.join('|'), schema: z.enum(values, must(shown)), fromText: asIs, toFile: asIs };
}

export function flag(): OptionType<boolean> {
  const shown = 'true or false';
  return {
    shown,
    word: 'true|false',
    schema: z.boolean(must(shown)),
    fromText: (given) => (given === 'true' ? true : given === 'false' ? false : given),
    toFile: asIs,
  };
}

export function count(min: number, max: number): OptionType<number> {
  const shown = `a whole number from ${min} to ${max}`;
  return {
    shown,
    word: 'number',
    schema: z.int(must(shown)).min(min, must(shown)).max(max, must(shown)),
    fromText: (given) => (/^-?\d+$/.test(given) ? Number(given) : given),
    toFile: asIs,
  };
}

const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/;
const UNITS_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;

/** In milliseconds. */
export function duration(min: string, max: string): OptionType<number> {
  const shown = `a duration from ${min} to ${max}, such as 30s, 5m, 2h or 7d`;
  const [minMs, maxMs] = [durationMs(min) ?? 0, durationMs(max) ?? Infinity];
  return {
    shown,
    word: 'duration',
    schema: z.string(must(shown)).transform((given, context): number => {
      const ms = durationMs(given);
      if (ms !== null && ms >= minMs && ms <= maxMs) return ms;
      context.issues.push({ code: 'custom', input: given, message: `must be ${shown}` });
      return z.NEVER;
    }),
    fromText: asIs,
    toFile: formatDuration,
  };
}

function durationMs(given: string): number | null {
  const match = DURATION.exec(given);
  return match ? Number(match[1]) * UNITS_MS[match[2] as keyof typeof UNITS_MS] : null;
}

function formatDuration(ms: number): string {
  const unit = (Object.keys(UNITS_MS) as (keyof typeof UNITS_MS)[]).find((each) => ms % UNITS_MS[each] === 0) ?? 'ms';
  return `${ms / UNITS_MS[unit]}${unit}`;
}

/** Port 0 is any free one. Without a host this machine alone is meant. */
export function address(): OptionType<Address> {
  const shown = 'HOST:PORT, or PORT for this machine only';
  return {
    shown,
    word: 'host:port',
    schema: z.union([z.string(), z.int()], must(shown)).transform((given, context): Address => {
      const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]+))?:)?(\d{1,5})$/.exec(String(given));
      const port = Number(match?.[3]);
      if (match && port <= 65_535) return { host: match[1] ?? match[2] ?? '127.0.0.1', port };
      context.issues.push({ code: 'custom', input: given, message: `must be ${shown}` });
      return z.NEVER;
    }),
    fromText: asIs,
    toFile: formatAddress,
  };
}

export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Of what we send to. What is secret goes encrypted, or not off this machine; a user name or password in an address would end up
 * where addresses are shown.
 */
export function url(shown = 'an http:// or https:// address without user name and password'): OptionType<string> {
  return {
    shown,
    word: 'url',
    schema: z.string(must(shown)).check((context) => {
      const { value } = context;
      const parsed = URL.canParse(value) ? new URL(value) : null;
      const isWeb = parsed !== null && ['http:', 'https:'].includes(parsed.protocol);
      if (isWeb && parsed.username === '' && parsed.password === '' && parsed.hash === '') return;
      context.issues.push({ code: 'custom', input: value, message: `must be ${shown}` });
    }),
    fromText: asIs,
    toFile: asIs,
  };
}

export function list(of: OptionType<string>): OptionType<readonly string[]> {
  const shown = `a list: each ${of.shown}`;
  return {
    shown,
    word: 'list',
    schema: z.array(of.schema, must(shown)),
    fromText: (given) => given.split(',').flatMap((each) => (each.trim() === '' ? [] : [each.trim()])),
    toFile: asIs,
  };
}

/** As secrets of clusters: what stands in a file that is shown is where the secret stands. */
export function secret(): OptionType<SecretRef> {
  const shown = '{ env: NAME } or { file: PATH }; the value itself never stands here';
  const part = z.string(must(shown)).min(1, must(shown));
  return {
    shown,
    word: 'env:NAME|file:PATH',
    schema: z.union([z.strictObject({ env: part }), z.strictObject({ file: part })], must(shown)),
    fromText(given) {
      const match = /^(env|file):(.+)$/s.exec(given);
      return match ? { [match[1] ?? '']: match[2] } : given;
    },
    toFile: asIs,
    isSecret: true,
  };
}
