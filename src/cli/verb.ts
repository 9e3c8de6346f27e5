import type { Context } from './context.ts';

/** One command: its options are read by commander, `run` does the rest and returns the exit code. */
export interface Verb<Options> {
  readonly summary: string;
  /** More than the summary says; printed by --help. */
  readonly description?: string;
  readonly examples: readonly string[];
  /** flags → description */
  readonly options: Readonly<Record<string, string>>;
  /** True where it has nothing to do with resource files: there is no `-f` then. */
  readonly isWithoutFiles?: true;
  run(context: Context, options: Options, argument: string): Promise<number>;
}
