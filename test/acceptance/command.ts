/** The `lockstep` command as a shell starts it: its exit code, what it writes to each stream, and how long it took. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { waitUntil } from '#testing/process-stat.ts';
import { spawnSupervised } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

/** Another checkout can be put under test, as in lockstep-process.ts. */
const script = process.env['LOCKSTEP_COMMAND'] ?? join(import.meta.dirname, '..', '..', 'bin', 'lockstep.js');

export interface Ended {
  /** −1 after a signal. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly tookMs: number;
}

export class Command {
  out = '';
  err = '';
  readonly child: ChildProcess;
  readonly #argv: readonly string[];
  readonly #ended: Promise<Ended>;
  #isRunning = true;

  /** Colours, debugging and the like are as `env` says, whatever the runner's own terminal is. */
  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { FORCE_COLOR: _, NO_COLOR: __, LOCKSTEP_DEBUG: ___, ...rest } = process.env;
    const startedMs = performance.now();
    this.#argv = argv;
    this.child = spawnSupervised(process.execPath, [script, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...rest, ...env },
    });
    must(this.child.stdout, 'stdout')
      .setEncoding('utf8')
      .on('data', (text: string) => (this.out += text));
    must(this.child.stderr, 'stderr')
      .setEncoding('utf8')
      .on('data', (text: string) => (this.err += text));
    this.#ended = new Promise((resolve) => {
      this.child.once('close', (code) => {
        this.#isRunning = false;
        resolve({ code: code ?? -1, out: this.out, err: this.err, tookMs: performance.now() - startedMs });
      });
    });
  }

  /** Waits for the end; kills it after `timeoutMs`, which then shows as exit code −1. */
  async ended(timeoutMs = 60_000): Promise<Ended> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    const ended = await this.#ended;
    clearTimeout(timer);
    return ended;
  }

  /** Waits until it has written something that matches; fails at once when it ends before. */
  async says(pattern: RegExp, timeoutMs = 60_000): Promise<void> {
    const hasSaid = (): boolean => {
      if (pattern.test(this.out) || pattern.test(this.err)) return true;
      if (!this.#isRunning) throw new Error(`${this.#argv.join(' ')} ended without ${pattern}\n${this.out}${this.err}`);
      return false;
    };
    await waitUntil(hasSaid, () => `${this.#argv.join(' ')} says ${pattern}\n${this.out}${this.err}`, { timeoutMs });
  }
}

export function lockstep(...argv: readonly string[]): Promise<Ended> {
  return new Command(argv).ended();
}
