import type { RunEvent } from '#contract/status.ts';

/** Shows a run to somebody: a person at a terminal, a log, a program. */
export interface Printer {
  /** How often it wants to hear of progress. */
  readonly progressMs: number;
  print(event: RunEvent): void;
  /** A line that is no event: a hint. */
  note(text: string): void;
}
