/** What a command sees of the terminal, so that a test can stand in for it. */
import { createInterface } from 'node:readline';
import { styleText } from 'node:util';
import { exitCodes } from './exit-codes.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface Io {
  /** Standard output: results only. */
  out(text: string): void;
  /** Standard error: what went wrong, and hints. */
  err(text: string): void;
  /** True where standard output is a terminal that understands cursor movement. */
  readonly isTty: boolean;
  columns(): number;
  rows(): number;
  /** `text` in a style where standard output takes colours (NO_COLOR and FORCE_COLOR are honoured), else as it is. */
  style(style: Style, text: string): string;
  /** Asks whoever sits at the terminal; missing where nobody does. An end of input is no answer. */
  readonly ask?: (question: string) => Promise<string>;
  /** Prints stack traces of errors. */
  readonly isDebug: boolean;
  /** Calls `listener` at each Ctrl-C or SIGTERM; a second one ends the process at once. */
  onInterrupt(listener: () => void): void;
}

export function systemIo(): Io {
  const { stdout, stderr, env } = process;
  let interrupted = (): void => process.exit(exitCodes.interrupted);
  process.on('SIGINT', () => interrupted());
  process.on('SIGTERM', () => interrupted());
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // The reader of a pipe has gone (`… | head`): nobody is left to report to.
    interrupted();
  });
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    isTty: stdout.isTTY && env['TERM'] !== 'dumb',
    columns: () => stdout.columns || 80,
    rows: () => stdout.rows || 24,
    style: (style, text) => styleText(style, text, { stream: stdout }),
    ...(stdout.isTTY && process.stdin.isTTY ? { ask: askTerminal } : {}),
    isDebug: env['LOCKSTEP_DEBUG'] === '1',
    onInterrupt(listener) {
      let interrupts = 0;
      interrupted = () => {
        interrupts++;
        if (interrupts > 1) process.exit(exitCodes.interrupted);
        listener();
      };
    },
  };
}

function askTerminal(question: string): Promise<string> {
  const { stdin: input, stdout: output } = process;
  const lines = createInterface({ input, output });
  return new Promise((resolve) => {
    let answer = '';
    lines.on('SIGINT', () => process.exit(exitCodes.interrupted));
    lines.on('close', () => resolve(answer));
    lines.question(question, (given) => {
      answer = given;
      lines.close();
    });
  });
}
