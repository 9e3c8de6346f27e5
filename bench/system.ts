/** What is measured, seen as a process that copies one topic from one cluster to another. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '#util/assert.ts';
import { spawnSupervised } from '#testing/supervisor.ts';

export interface CopyTask {
  readonly topic: string;
  readonly source: readonly string[];
  readonly target: readonly string[];
  /** The encrypted listeners of the same clusters, where they have them. */
  readonly tls: { readonly source: TlsDoor; readonly target: TlsDoor } | null;
  /** An empty directory for files and logs. */
  readonly directory: string;
  /** Different for each run: what a system keeps on a cluster under its own name is never found again by the next run. */
  readonly runId: string;
}

export interface TlsDoor {
  readonly bootstrap: readonly string[];
  /** PEM file of the authority of the brokers' certificates. */
  readonly caFile: string;
}

export interface System {
  readonly name: string;
  readonly description: string;
  /** Whether it ends with exit code 0 once everything is copied; otherwise it is killed. */
  readonly endsByItself: boolean;
  start(task: CopyTask): CopyProcess;
}

/** A running copy. */
export class CopyProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #logFile: string;

  private constructor(child: ChildProcess, logFile: string) {
    this.#child = child;
    this.#logFile = logFile;
    this.pid = must(child.pid, 'process id of the mirror');
    this.#exited = new Promise((resolve) => {
      child.once('exit', resolve);
    });
  }

  /** Starts a program whose output goes to files in `directory`. It ends with the benchmark at the latest. */
  static start(
    command: string,
    args: readonly string[],
    options: { directory: string; env: NodeJS.ProcessEnv },
  ): CopyProcess {
    const { directory, env } = options;
    const logFile = join(directory, 'log.txt');
    const output = openSync(join(directory, 'output.txt'), 'w');
    const log = openSync(logFile, 'w');
    try {
      return new CopyProcess(
        spawnSupervised(command, args, { cwd: directory, env, stdio: ['ignore', output, log] }),
        logFile,
      );
    } finally {
      closeSync(output);
      closeSync(log);
    }
  }

  /** The exit code, once the program has ended by itself within `timeoutMs`; null when it had to be killed. */
  async end(timeoutMs: number): Promise<number | null> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    try {
      return await this.#exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The end of what it wrote to standard error, for failure messages. */
  logTail(linesMax = 20): string {
    return readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-linesMax).join('\n');
  }
}
