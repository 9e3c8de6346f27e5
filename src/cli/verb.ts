import type { Context } from './context.ts';

/** One command: its options are read by commander, `run` does the rest and returns the exit code. */
export interface Verb<Options> {
  readonly summary: string;
  /** More than the summary says; printed by --help. */
  readonly description?: string;
  readonly examples: readonly string[];
  /** flags → description */
  readonly options: Readonly<Record<string, string>>;
  /** False where the resource files of -f are not what it works on; `optional`: without them it asks a server. */
  readonly takesFiles?: false | 'optional';
  /** Other words for it. */
  readonly aliases?: readonly string[];
  /** The only values of its argument. */
  readonly choices?: readonly string[];
  /** `args`: all arguments; `argument` is the first of them, '' without one. */
  run(context: Context, options: Options, argument: string, args: readonly string[]): Promise<number>;
}

/** Options that commands have by what they are. */
export const RESOURCE_FILES = {
  '-f, --file <file...>': 'YAML files with Cluster, Mirror and Verify documents',
} as const;
export const RESOURCE_FILES_OR_SERVER = {
  '-f, --file <file...>': 'YAML files with Cluster, Mirror and Verify documents, instead of a server',
} as const;
export const JSON_OPTION = { '--json': 'print JSON for machines' } as const;
