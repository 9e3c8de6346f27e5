import type { Context } from './context.ts';

/** One command: its options are read by commander, `run` does the rest and returns the exit code. */
export interface Verb<Options> {
  readonly summary: string;
  /** More than the summary says; printed by --help. */
  readonly description?: string;
  readonly examples: readonly string[];
  /** flags → description */
  readonly options: Readonly<Record<string, string>>;
  /** False where the resource files of -f are not what it works on. */
  readonly takesFiles?: false;
  /** The only values of its argument. */
  readonly choices?: readonly string[];
  /** `args`: all arguments; `argument` is the first of them, '' without one. */
  run(context: Context, options: Options, argument: string, args: readonly string[]): Promise<number>;
}
