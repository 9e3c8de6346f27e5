/** `lockstep run -f FILE --json` as a process of its own, which the demo kills with -9 and starts again. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Incident, MirrorStatus, RunEvent } from '#contract/status.ts';
import { repository } from '#testing/kafka-home.ts';
import { spawnSupervised } from '#testing/supervisor.ts';
import { assert, must } from '#util/assert.ts';

export type MirrorState = 'running' | 'killed' | 'ended';

export class MirrorRun {
  readonly #linkFile: string;
  #process: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  #state: MirrorState = 'ended';
  #changedAtMs = performance.now();
  #kills = 0;
  #status: MirrorStatus | null = null;
  #incident: Incident | null = null;
  #ending = '';

  constructor(linkFile: string) {
    this.#linkFile = linkFile;
  }

  get state(): MirrorState {
    return this.#state;
  }

  /** How long it has been in its state. */
  get inStateMs(): number {
    return performance.now() - this.#changedAtMs;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  get kills(): number {
    return this.#kills;
  }

  /** What the running process has said about itself, once a second; null until then. */
  get status(): MirrorStatus | null {
    return this.#status;
  }

  /** The first incident of the running process. */
  get incident(): Incident | null {
    return this.#incident;
  }

  /** Why it ended by itself: the line of its last words that names the error. */
  get ending(): string {
    const lines = this.#ending.split('\n');
    return (lines.find((line) => /error/i.test(line)) ?? lines[0] ?? '').trim();
  }

  /** All of its last words. */
  get lastWords(): string {
    return this.#ending;
  }

  start(): void {
    assert(this.#process === null, 'the mirror is not running yet');
    const argv = [join(repository, 'bin', 'lockstep.js'), 'run', '-f', this.#linkFile, '--json'];
    const child = spawnSupervised(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    this.#status = null;
    this.#incident = null;
    this.#enter('running');
    let messages = '';
    must(child.stderr, 'standard error of the mirror').on('data', (chunk: Buffer) => {
      messages = (messages + chunk.toString()).slice(-2000);
    });
    createInterface({ input: must(child.stdout, 'standard output of the mirror') }).on('line', (line) => {
      if (this.#process === child) this.#take(line);
    });
    this.#exited = new Promise((resolve) => {
      child.once('close', (code) => {
        this.#process = null;
        if (this.#state === 'running') {
          this.#ending = messages.trim() || `exit code ${code}`;
          this.#enter('ended');
        }
        resolve();
      });
    });
  }

  /** SIGKILL in the middle of whatever it does. Resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.#process === null) return;
    this.#kills += 1;
    await this.close();
  }

  /** Ends it with the demo; this is no kill that the demo shows. */
  async close(): Promise<void> {
    if (this.#process === null) return;
    this.#enter('killed');
    this.#process.kill('SIGKILL');
    await this.#exited;
  }

  #enter(state: MirrorState): void {
    this.#state = state;
    this.#changedAtMs = performance.now();
  }

  #take(line: string): void {
    if (!line.endsWith('}')) return; // cut off by a kill
    const event = JSON.parse(line) as RunEvent;
    if (event.event === 'progress') this.#status = event.status;
    if (event.event === 'incident') this.#incident ??= event.incident;
  }
}
