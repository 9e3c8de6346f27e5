/** What is measured, seen as a process that copies one topic from one cluster to another. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Codec } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { spawnSupervised } from '#testing/supervisor.ts';

export interface CopyTask {
  readonly topic: string;
  readonly source: readonly string[];
  readonly target: readonly string[];
  /** The encrypted listeners of the same clusters, where they have them. */
  readonly tls: { readonly source: TlsDoor; readonly target: TlsDoor } | null;
  /** Of the data. */
  readonly codec: Codec;
  /** Where the source's broker keeps its logs, a folder for each partition. */
  readonly sourceDataDir: string;
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
  /** `when caught up`: it ends with exit code 0 once everything is copied. `never`: it has to be killed. */
  readonly ends: 'when caught up' | 'never';
  /** The topic must be on the target before it starts. */
  readonly needsTopic?: boolean;
  /** Goes to the encrypted listeners. */
  readonly isOverTls?: boolean;
  /** Moves bytes past the brokers: there is nothing on the target afterwards. */
  readonly isRelay?: boolean;
  /** Makes what it needs. Returns why it cannot run here, or null. */
  prepare?(): Promise<string | null>;
  /** `isLive`: it is to go on for ever, for what is written meanwhile. */
  start(task: CopyTask, options?: { readonly isLive?: boolean }): Promise<Copy>;
}

/** A running copy. */
export interface Copy {
  /** The process that is measured. */
  readonly pid: number;
  /** That one, and others where a system is several. */
  readonly pids: readonly number[];
  /** The exit code, once the program has ended by itself within `timeoutMs`; null when it had to be killed. */
  end(timeoutMs: number): Promise<number | null>;
  /** The end of what it wrote to standard error, for failure messages. */
  logTail(): string;
  /** Of a relay: how often it moves everything, and the bytes that have arrived, of how many. */
  readonly relayed?: { readonly times: number; share(): Promise<number> };
}

const LOG_LINES_MAX = 20;

/** A copy that is one process. It ends with the benchmark at the latest. */
export class CopyProcess implements Copy {
  readonly pid: number;
  readonly pids: readonly number[];
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #logFile: string;

  private constructor(child: ChildProcess, logFile: string) {
    this.#child = child;
    this.#logFile = logFile;
    this.pid = must(child.pid, 'process id of the mirror');
    this.pids = [this.pid];
    this.#exited = new Promise((resolve) => {
      child.once('exit', resolve);
    });
  }

  /** Starts a program whose output goes to files in `directory`. */
  static start(
    command: string,
    args: readonly string[],
    options: { directory: string; env: NodeJS.ProcessEnv },
  ): CopyProcess {
    const { directory, env } = options;
    const logFile = join(directory, 'log.txt');
    const output = openSync(join(directory, 'output.txt'), 'a');
    const log = openSync(logFile, 'a');
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

  async end(timeoutMs: number): Promise<number | null> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    try {
      return await this.#exited;
    } finally {
      clearTimeout(timer);
    }
  }

  logTail(): string {
    return readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_MAX).join('\n');
  }
}

/** Several processes that share one copy. */
export class CopyGroup implements Copy {
  readonly pid: number;
  readonly pids: readonly number[];
  readonly #copies: readonly Copy[];

  constructor(copies: readonly Copy[]) {
    this.#copies = copies;
    this.pids = copies.flatMap(({ pids }) => pids);
    this.pid = must(this.pids[0], 'process id of the mirror');
  }

  /** The first code that is not 0. */
  async end(timeoutMs: number): Promise<number | null> {
    const codes = await Promise.all(this.#copies.map((copy) => copy.end(timeoutMs)));
    const failed = codes.find((code) => code !== 0);
    return failed === undefined ? 0 : failed;
  }

  logTail(): string {
    return must(this.#copies[0], 'process').logTail(); // they write to one file
  }
}
