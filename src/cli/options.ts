/** Options of the table (contract/options.ts) as flags of a command, and where else they may stand. */
import { parseOptionFile } from '#contract/option-file.ts';
import { optionsFor, resolveOptions, type OptionSources, type ResolvedOptions } from '#contract/option-values.ts';
import { flagOf, type OptionKey, type OptionReader, rowOf } from '#contract/options.ts';
import type { Context } from './context.ts';
import { readText } from './files.ts';

/** What commander made of the flags. */
export interface ConfigOptions {
  readonly config?: string;
}

/** The file whose options hold where --config names none. */
export const CONFIG_VARIABLE = 'LOCKSTEP_CONFIG';

/** flags → description, for `Verb.options`. */
export function optionFlags(reader: OptionReader): Record<string, string> {
  const flags: Record<string, string> = {
    '--config <file>': `file with options (docs/configuration.md); without it the one that ${CONFIG_VARIABLE} names`,
  };
  for (const key of optionsFor(reader)) {
    const flag = flagOf(key);
    if (flag !== null) flags[`${flag} <${rowOf(key).type.word}>`] = `${rowOf(key).description} [${key}]`;
  }
  return flags;
}

/** What holds for a command. Throws AppError CONFIG_INVALID. */
export function readOptions(...given: Parameters<typeof readSources>): ResolvedOptions {
  return resolveOptions(readSources(...given));
}

/** Where the options of a command stand now. Throws AppError CONFIG_INVALID for a file that cannot be read. */
export function readSources(
  { host }: Pick<Context, 'host'>,
  given: ConfigOptions,
  reader: OptionReader,
): OptionSources {
  const path = given.config ?? host.environment[CONFIG_VARIABLE];
  const flags = new Map<OptionKey, string>();
  for (const key of optionsFor(reader)) {
    const flag = flagOf(key);
    const value: unknown = flag === null ? undefined : Reflect.get(given, attributeOf(flag));
    if (typeof value === 'string') flags.set(key, value);
  }
  const file = path === undefined || path === '' ? undefined : parseOptionFile(path, readText(host.disk, path));
  return { flags, environment: host.environment, ...(file ? { file } : {}) };
}

/** As commander names it: `--monitoring-token` → monitoringToken. */
function attributeOf(flag: string): string {
  return flag.replace(/^--/, '').replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
