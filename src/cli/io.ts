/** What a command sees of the terminal, so that a test can stand in for it. */
import { createInterface, emitKeypressEvents, type Key } from 'node:readline';
import { Writable } from 'node:stream';
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
  /** As `ask`, of what nobody else should see: it is not shown as it is typed. */
  readonly askSecret?: (question: string) => Promise<string>;
  /** All of standard input, up to its end. */
  readInput(): Promise<string>;
  /** Calls `listener` with each key (`q`, `up`, `return` …) until the returned function is called; missing where nobody types. */
  readonly onKey?: (listener: (key: string) => void) => () => void;
  /** Calls `listener` when the size of the terminal has changed, until the returned function is called. */
  onResize(listener: () => void): () => void;
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
    ...(stdout.isTTY && process.stdin.isTTY
      ? {
          ask: (question) => askTerminal(question, stdout),
          askSecret: (question) => askSecretly(question),
          onKey: listenToKeys,
        }
      : {}),
    readInput,
    onResize(listener) {
      stdout.on('resize', listener);
      return () => void stdout.off('resize', listener);
    },
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

function askTerminal(question: string, output: NodeJS.WritableStream): Promise<string> {
  const lines = createInterface({ input: process.stdin, output, terminal: true });
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

/** The line editor shows what is typed by writing it: what it writes is thrown away. */
async function askSecretly(question: string): Promise<string> {
  process.stdout.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await askTerminal('', nowhere);
  process.stdout.write('\n');
  return answer;
}

/** More is no password, and no file that a person means to give. */
const INPUT_BYTES_MAX = 1024 * 1024;

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > INPUT_BYTES_MAX) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function listenToKeys(listener: (key: string) => void): () => void {
  const { stdin } = process;
  const take = (text: string | undefined, { name, ctrl }: Key): void => {
    if (ctrl && name === 'c') process.kill(process.pid, 'SIGINT'); // raw mode takes it from the terminal
    else listener(name ?? text ?? '');
  };
  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.on('keypress', take);
  stdin.resume();
  return () => {
    stdin.off('keypress', take);
    stdin.setRawMode(false);
    stdin.pause();
  };
}
