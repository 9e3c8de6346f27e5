/**
 * Processes and directories that must not outlive the program that uses them, however it ends.
 *
 * The first use starts one small process (supervisor-process.ts) in a session of its own that does nothing but hold
 * the reading end of a pipe. The kernel closes the writing end when the runner exits, crashes, is killed with -9, or
 * when the worker thread that owns it ends; the supervisor then kills every process that carries the run's directory
 * in its environment, and removes that directory. `setpriv --pdeathsig` would not do: it is bound to the thread that
 * forked, and it removes no files.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Names the run's directory in the environment of each supervised process. */
export const runVariable = 'LOCKSTEP_TEST_RUN';
/** A file of this name in the run's directory says that the directory stays. */
export const keepMark = '.keep';

let runDirectory: string | null = null;

/** The directory of this run (of this thread, in a thread pool). Starts the supervisor at the first call. */
function ensureRunDirectory(): string {
  if (runDirectory !== null) return runDirectory;
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-'));
  const { [runVariable]: _outer, ...env } = process.env; // a run inside a run must not die before it has cleaned up
  const supervisor = spawn(process.execPath, [join(import.meta.dirname, 'supervisor-process.ts'), directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env,
  });
  supervisor.unref();
  (supervisor.stdin as unknown as { unref(): void }).unref(); // the pipe must not keep the runner alive either
  runDirectory = directory;
  if (process.env['LOCKSTEP_KEEP'] === '1') keepRunDirectory();
  return directory;
}

/** From now on the run's directory is not removed at the end of the runner; what is left in it then stays. */
export function keepRunDirectory(): void {
  writeFileSync(join(ensureRunDirectory(), keepMark), '');
}

let directoryCount = 0;

/** Makes a directory that is gone when the runner is. */
export function temporaryDirectory(name: string): string {
  directoryCount += 1;
  const directory = join(ensureRunDirectory(), `${directoryCount}-${name}`);
  mkdirSync(directory);
  return directory;
}

/** Removes a temporary directory early. */
export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

/** node:child_process spawn, of a process that is killed when the runner is gone. Its own children are too. */
export function spawnSupervised(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const env = { ...(options.env ?? process.env), [runVariable]: ensureRunDirectory() };
  return spawn(command, args, { ...options, env });
}
