import type { Context } from './context.ts';

/** One command: its options are read by commander, `run` does the rest and returns the exit code. */
export interface Verb<Options> {
  readonly summary: string;
  /** More than the summary says; printed by --help. */
  readonly description?: string;
  readonly examples: readonly string[];
  /** flags → description */
  readonly options: Readonly<Record<string, string>>;
  /** It is about none of our files: `-f` has no meaning. */
  readonly takesNoFile?: true;
  /** The only values of its argument. */
  readonly choices?: readonly string[];
  /** `others`: arguments behind the first. */
  run(context: Context, options: Options, argument: string, others: readonly string[]): Promise<number>;
}
