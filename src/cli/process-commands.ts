/** Commands that go on. They are a table of their own: what others need would stay in memory for as long. */
import { serve } from './commands/serve.ts';
import { worker } from './commands/worker.ts';
import type { Verb } from './verb.ts';

export interface Noun {
  /** Null: its verbs are commands themselves. */
  readonly name: string | null;
  readonly description: string;
  /** Name and arguments → what it does. */
  readonly verbs: Readonly<Record<string, Verb<never>>>;
}

export const processCommands: Noun = {
  name: null,
  description: 'A server, and more processes for its jobs',
  verbs: { serve, worker },
};
