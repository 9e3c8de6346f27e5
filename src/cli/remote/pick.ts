/** Questions at a terminal; a script says the same with arguments and flags. */
import { AppError } from '#contract/errors.ts';
import { nearest } from '#util/nearest.ts';
import { printable } from '#util/printable.ts';
import type { Io } from '../io.ts';

/** What was named, or what somebody picks from the list. Throws AppError REQUEST_INVALID where nobody can. */
export async function pick(
  io: Io,
  named: string | undefined,
  { what, names }: { readonly what: string; readonly names: () => Promise<readonly string[]> },
): Promise<string> {
  if (named !== undefined && named !== '') return named;
  if (!io.ask)
    throw new AppError('REQUEST_INVALID', `it is not said which ${what}`, {
      nextStep: `Name it; there is no terminal at which it could be picked from a list.`,
    });
  const known = await names();
  if (known.length === 0) throw new AppError('RESOURCE_NOT_FOUND', `there is no ${what}`);
  known.forEach((name, index) => io.out(`${String(index + 1).padStart(4)}  ${printable(name)}\n`));
  for (;;) {
    const answer = (await io.ask(`Which ${what} (number or name)? `)).trim();
    const chosen = /^\d+$/.test(answer) ? known[Number(answer) - 1] : known.find((name) => name === answer);
    if (chosen !== undefined) return chosen;
    if (answer === '') throw new AppError('REQUEST_INVALID', `no ${what} was picked`);
    const near = nearest(answer, known);
    io.out(`There is no ${what} "${answer}"${near === null ? '' : `; did you mean "${near}"?`}\n`);
  }
}

export interface ConfirmOptions {
  readonly yes?: true;
}

/** For `Verb.options`. */
export const YES_OPTION = { '--yes': 'do it without asking' } as const;

/** Throws AppError REQUEST_INVALID where it is not confirmed. */
export async function confirm(io: Io, { yes }: ConfirmOptions, question: string): Promise<void> {
  if (yes) return;
  if (!io.ask)
    throw new AppError('REQUEST_INVALID', 'this has to be confirmed, and there is no terminal to ask at', {
      nextStep: 'Add --yes.',
    });
  const answer = (await io.ask(`${printable(question)} (yes/no) `)).trim().toLowerCase();
  if (answer === 'yes' || answer === 'y') return;
  throw new AppError('REQUEST_INVALID', 'it was not confirmed; nothing was changed');
}
