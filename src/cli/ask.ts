import { AppError } from '#contract/errors.ts';
import { type OptionKey, rowOf } from '#contract/options.ts';
import { type Change, valueFrom } from './config-file.ts';
import type { Context } from './context.ts';
import type { Io } from './io.ts';

/** Answers that take an option out of the file again. */
const NONE = '-';

/** Asks for each option; no answer leaves it as it is. A wrong answer is asked for again. Throws where nobody can answer. */
export async function askOptions(
  { io }: Pick<Context, 'io'>,
  keys: readonly OptionKey[],
  current: (key: OptionKey) => string,
): Promise<Change[]> {
  const { ask } = io;
  if (!ask)
    throw new AppError('REQUEST_INVALID', 'there is no terminal at which somebody could answer', {
      nextStep: 'Name option and value: lockstep config set KEY VALUE.',
    });
  const changes: Change[] = [];
  io.out(`No answer leaves a value as it is; "${NONE}" goes back to the default.\n`);
  for (const key of keys) {
    const { description, type } = rowOf(key);
    io.out(`\n${io.style('bold', key)}: ${description}\n${io.style('dim', `  ${type.shown}`)}\n`);
    const change = await askOne({ io, ask }, key, current(key));
    if (change) changes.push(change);
  }
  return changes;
}

async function askOne(
  { io, ask }: { readonly io: Io; readonly ask: NonNullable<Io['ask']> },
  key: OptionKey,
  current: string,
): Promise<Change | null> {
  for (;;) {
    const answer = (await ask(`[${current}] `)).trim();
    if (answer === '') return null;
    if (answer === NONE) return { key, value: undefined };
    try {
      return { key, value: valueFrom(key, answer) };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      io.out(`${error.message}\n`);
    }
  }
}
