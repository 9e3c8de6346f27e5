/** The configuration file of the `config` verbs. */
import { AppError } from '#contract/errors.ts';
import { editOptionFile, nearestOption, optionKeyOf, parseOptionFile } from '#contract/option-file.ts';
import { changesOf, resolveOptions, type ResolvedOptions } from '#contract/option-values.ts';
import { type OptionKey, rowOf } from '#contract/options.ts';
import type { Context } from './context.ts';
import { readText } from './files.ts';
import { CONFIG_VARIABLE } from './options.ts';

export interface FileOption {
  readonly file?: string;
}

/** For `Verb.options`. */
export const FILE_OPTION = {
  '-f, --file <file>': `the file; without it the one that ${CONFIG_VARIABLE} names, else lockstep.yaml`,
} as const;

const DEFAULT_PATH = 'lockstep.yaml';

export interface ConfigFile {
  readonly path: string;
  /** '' where it is not there. */
  readonly text: string;
  readonly isThere: boolean;
}

/** A file that nobody has named need not be there. Throws AppError CONFIG_INVALID. */
export function readConfigFile({ host }: Context, given: FileOption): ConfigFile {
  const named = given.file ?? host.environment[CONFIG_VARIABLE];
  const path = named === undefined || named === '' ? DEFAULT_PATH : named;
  try {
    return { path, text: host.disk.readText(path), isThere: true };
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (isMissing && path === DEFAULT_PATH) return { path, text: '', isThere: false };
    return { path, text: readText(host.disk, path), isThere: true };
  }
}

/** As `readConfigFile`, of a file that is to be written: it is made where it is not there. */
export function readOrMake(context: Context, given: FileOption): ConfigFile {
  try {
    return readConfigFile(context, given);
  } catch (error) {
    const path = given.file ?? context.host.environment[CONFIG_VARIABLE] ?? DEFAULT_PATH;
    const { cause } = error as { cause?: unknown };
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return { path, text: '', isThere: false };
    throw error;
  }
}

/** What holds with the file as it is, and the environment. Throws AppError CONFIG_INVALID. */
export function resolveFile({ host }: Context, { path, text }: ConfigFile): ResolvedOptions {
  return resolveOptions({ file: parseOptionFile(path, text), environment: host.environment });
}

/** What holds of each option, for people. */
export function shownOf(context: Context, file: ConfigFile): (key: OptionKey) => string {
  const { values } = resolveFile(context, file);
  return (key) => shownValue(key, values[key]);
}

export interface Change {
  readonly key: OptionKey;
  /** As a file holds it; undefined takes it out. */
  readonly value: unknown;
}

/** The file with the changes, held against all rules. Throws AppError CONFIG_INVALID; nothing is written. */
function changed(file: ConfigFile, changes: readonly Change[]): string {
  const text = changes.reduce((before, change) => editOptionFile(file.path, before, change), file.text);
  resolveOptions({ file: parseOptionFile(file.path, text) });
  return text;
}

/** Writes the changes, and says from when on they hold. A crash leaves the file as it was, or as it shall be. */
export function writeChanges(context: Context, file: ConfigFile, changes: readonly Change[]): void {
  const { host, io } = context;
  const text = changed(file, changes);
  const before = file.isThere ? resolveOptions({ file: parseOptionFile(file.path, file.text) }) : resolveOptions({});
  const after = resolveOptions({ file: parseOptionFile(file.path, text) });
  const aside = `${file.path}.new`;
  host.disk.writeText(aside, text);
  host.disk.sync(aside);
  host.disk.rename(aside, file.path);
  const { hot, restart } = changesOf(before.values, after.values);
  if (hot.length + restart.length === 0) io.out(`${file.path}: nothing has changed\n`);
  if (hot.length > 0) io.out(`${file.path}: ${hot.join(', ')}: a running server takes it over at once\n`);
  if (restart.length > 0) io.out(`${file.path}: ${restart.join(', ')}: holds after a restart\n`);
  const effective = resolveFile(context, { ...file, text });
  for (const { key } of changes) {
    if (effective.sources[key] === 'environment')
      io.err(`note: an environment variable goes before the file: ${key} stays as it says\n`);
  }
}

/** The option that was meant. Throws AppError REQUEST_INVALID with the nearest. */
export function optionNamed(written: string): OptionKey {
  const key = optionKeyOf(written);
  if (key !== null) return key;
  const near = nearestOption(written);
  throw new AppError(
    'REQUEST_INVALID',
    `there is no option "${written}"${near === null ? '' : `; did you mean "${near}"?`}`,
    { nextStep: 'docs/configuration.md has all options; "lockstep config get" shows what holds.' },
  );
}

/** What a person wrote, as a file holds it. Throws AppError REQUEST_INVALID. */
export function valueFrom(key: OptionKey, written: string): unknown {
  const { type } = rowOf(key);
  const value = type.fromText(written);
  const result = type.schema.safeParse(value);
  if (result.success) return type.toFile(result.data);
  const form = type.isSecret ? 'env:NAME or file:PATH; the value itself never stands here' : type.shown;
  throw new AppError('REQUEST_INVALID', `${key} must be ${form}`, { nextStep: `Write: lockstep config set ${key} …` });
}

/** For people; a secret is where it stands. */
export function shownValue(key: OptionKey, value: unknown): string {
  if (value === null) return '–';
  const { type } = rowOf(key);
  const held = type.toFile(value);
  if (type.isSecret) {
    const [[kind, place] = ['', '']] = Object.entries(held as Record<string, string>);
    return kind === 'env' ? `(environment variable ${place})` : `(file ${place})`;
  }
  return Array.isArray(held) ? held.join(', ') || '–' : String(held);
}
