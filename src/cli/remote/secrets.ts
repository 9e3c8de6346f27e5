/** Passwords and tokens: typed at a terminal, or handed in on standard input; never a flag, which every process can read. */
import { AppError } from '#contract/errors.ts';
import type { Io } from '../io.ts';

export interface SecretOptions {
  readonly passwordStdin?: true;
}

/** For `Verb.options`. */
export const PASSWORD_OPTION = {
  '--password-stdin': 'read the password from standard input, its first line',
} as const;

/** The lines of standard input, at least `count` of them. */
export async function inputLines(io: Io, count: number, what: string): Promise<string[]> {
  const lines = (await io.readInput()).split(/\r?\n/);
  if (lines.slice(0, count).every((line) => line !== '') && lines.length >= count) return lines;
  throw new AppError('REQUEST_INVALID', `standard input does not hold ${what}`, {
    nextStep: 'Have a file or a password manager write it there, a line for each.',
  });
}

const ON_INPUT = 'Hand it in on standard input with --password-stdin.';

export async function readPassword(io: Io, { passwordStdin }: SecretOptions, question = 'Password: '): Promise<string> {
  if (passwordStdin) return (await inputLines(io, 1, 'a password'))[0] ?? '';
  return askSecret(io, question, ON_INPUT);
}

/** Asked for twice: nobody sees what is typed. */
export async function readNewPassword(io: Io, { passwordStdin }: SecretOptions): Promise<string> {
  if (passwordStdin) return (await inputLines(io, 1, 'a password'))[0] ?? '';
  for (;;) {
    const password = await askSecret(io, 'New password: ', ON_INPUT);
    if ((await askSecret(io, 'Once more: ', ON_INPUT)) === password) return password;
    io.out('They are not the same.\n');
  }
}

/** Throws AppError REQUEST_INVALID where nobody can answer, or nobody does. */
export async function askSecret({ askSecret: ask }: Io, question: string, nextStep: string): Promise<string> {
  const answer = await ask?.(question);
  if (answer !== undefined && answer !== '') return answer;
  throw new AppError('REQUEST_INVALID', ask ? 'nothing was typed' : 'there is no terminal at which it could be typed', {
    nextStep,
  });
}
