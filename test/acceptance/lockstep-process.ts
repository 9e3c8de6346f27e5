/** The real `lockstep` command as a process, with what it says on standard output as events. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Incident, MirrorStatus, RunEvent } from '#contract/status.ts';
import { countKill } from '#testing/kills.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { spawnSupervised } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

const command = join(import.meta.dirname, '..', '..', 'bin', 'lockstep.js');

export interface RunResult {
  /** Exit code; −1 after a signal. */
  readonly code: number;
  readonly events: readonly RunEvent[];
  readonly stderr: string;
  readonly incidents: readonly Incident[];
  readonly outages: readonly Incident[];
}

export interface ProcessOptions {
  readonly script?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long runUntilCaughtUp waits. Default: 3 minutes. */
  readonly timeoutMs?: number;
}

export class LockstepProcess {
  readonly events: RunEvent[] = [];
  readonly #child: ChildProcess;
  readonly #closed: Promise<number>;
  #stderr = '';
  #isRunning = true;

  /** `script` is run with `argv` on this Node; the default is the real command. */
  constructor(argv: readonly string[], options: ProcessOptions = {}) {
    const { script = command, env = {} } = options;
    const child = spawnSupervised(process.execPath, [script, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    const lines = createInterface({ input: must(child.stdout, 'standard output') });
    lines.on('line', (line) => this.#take(line));
    must(child.stderr, 'standard error')
      .setEncoding('utf8')
      .on('data', (text: string) => (this.#stderr += text));
    this.#closed = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        this.#isRunning = false;
        resolve(code ?? -1);
      });
    });
  }

  /** Runs the mirrors of a file and speaks JSON. */
  static run(file: string, argv: readonly string[] = [], options: ProcessOptions = {}): LockstepProcess {
    return new LockstepProcess(['run', '-f', file, '--json', ...argv], options);
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  get pid(): number {
    return must(this.#child.pid, 'process id');
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Of topics and partitions that stopped. */
  get incidents(): Incident[] {
    return this.#incidents('error');
  }

  /** Those that only warn: of clusters that partitions waited for longer than 30 s, and of settings. */
  get outages(): Incident[] {
    return this.#incidents('warning');
  }

  #incidents(severity: Incident['severity']): Incident[] {
    return this.events.flatMap((event) =>
      event.event === 'incident' && event.incident.severity === severity ? [event.incident] : [],
    );
  }

  /** The last status that a mirror told, or null. */
  status(mirror: string): MirrorStatus | null {
    return statusOf(this.events, mirror);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until `condition` holds; fails at once when the process ends before it does. */
  async until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 60_000): Promise<void> {
    const isDone = async (): Promise<boolean> => {
      if (await condition()) return true;
      if (!this.#isRunning) throw new Error(`lockstep ended before ${what}\n${this.describe()}`);
      return false;
    };
    await waitUntil(isDone, () => `${what}\n${this.describe()}`, { timeoutMs, everyMs: 20 });
  }

  /** Waits for the end of the process. */
  async ended(timeoutMs = 180_000): Promise<RunResult> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    const code = await this.#closed;
    clearTimeout(timer);
    return { code, events: this.events, stderr: this.#stderr, incidents: this.incidents, outages: this.outages };
  }

  /** Ctrl-C, then the end. */
  async interrupt(): Promise<RunResult> {
    this.signal('SIGINT');
    return this.ended(30_000);
  }

  async kill(): Promise<void> {
    if (this.#isRunning) countKill();
    this.signal('SIGKILL');
    await this.#closed;
  }

  /** What it said last, for failure messages. */
  describe(): string {
    const shards = this.events
      .findLast((event) => event.event === 'progress')
      ?.status.shards.map(
        (shard) =>
          `  ${shard.topic}/${shard.partition} ${shard.state} at ${shard.position} of ${shard.sourceStableOffset}`,
      );
    const others = this.events.filter((event) => event.event !== 'progress').slice(-12);
    return [...others.map((event) => JSON.stringify(event).slice(0, 600)), ...(shards ?? []), this.#stderr].join('\n');
  }

  #take(line: string): void {
    try {
      this.events.push(JSON.parse(line) as RunEvent);
    } catch {
      // A line that a kill cut off.
    }
  }
}

/** How to run without some of its rules: `ownership,sequence`. */
export function unguarded(off: string): ProcessOptions {
  return { script: join(import.meta.dirname, 'unguarded-run.ts'), env: { LOCKSTEP_UNGUARDED: off } };
}

/** Runs the file until it has caught up, and returns how it ended. */
export function runUntilCaughtUp(file: string, options?: ProcessOptions): Promise<RunResult> {
  return LockstepProcess.run(file, ['--until', 'caught-up'], options).ended(options?.timeoutMs);
}

/** The last status of a mirror among events: of its end, where it has ended. */
export function statusOf(events: readonly RunEvent[], mirror: string): MirrorStatus | null {
  for (const event of events.toReversed()) {
    if (event.event === 'progress' && event.status.mirror === mirror) return event.status;
    if (event.event === 'ended' && event.mirror === mirror && event.status) return event.status;
  }
  return null;
}

/** What went wrong, for the messages of assertions on exit codes. */
export function told({ code, stderr, events }: RunResult): string {
  const said = events
    .filter((event) => event.event !== 'progress')
    .map((event) => JSON.stringify(event).slice(0, 1500));
  return `exit code ${code}\n${stderr}\n${said.slice(-15).join('\n')}`;
}
