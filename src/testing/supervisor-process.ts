/**
 * The process behind supervisor.ts: waits for the end of its standard input, which is the end of the runner, then
 * kills what the runner has started and removes its directory. Runs on Linux (it reads /proc).
 */
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesWithVariable } from './process-stat.ts';
import { keepMark, runVariable } from './supervisor.ts';

/** Kills until two looks in a row find nothing: a child between fork and exec does not carry the run yet. */
async function killAll(directory: string): Promise<void> {
  for (let quiet = 0; quiet < 2; quiet += 1) {
    for (const pid of processesWithVariable(runVariable, directory)) {
      quiet = -1;
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // gone meanwhile
      }
    }
    await sleep(50);
  }
}

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: supervisor-process.ts DIRECTORY');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {}); // it ends with the runner only
process.stdin.resume();
await once(process.stdin, 'close');
await killAll(directory);
if (!existsSync(join(directory, keepMark))) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
