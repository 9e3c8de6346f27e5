/**
 * The process behind supervisor.ts: waits for the end of its standard input, which is the end of the runner, then
 * kills what the runner has started and removes its directory. Runs on Linux (it reads /proc).
 */
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { keepMark, runVariable } from './supervisor.ts';

/** Ids of the processes whose environment carries the run. A zombie has no environment any more: it counts as gone. */
function processesOf(directory: string): number[] {
  const entry = `${runVariable}=${directory}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => environmentOf(pid).includes(entry))
    .map(Number);
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return []; // gone meanwhile, or somebody else's
  }
}

/** Kills until two looks in a row find nothing: a child between fork and exec does not carry the run yet. */
async function killAll(directory: string): Promise<void> {
  for (let quiet = 0; quiet < 2; quiet += 1) {
    for (const pid of processesOf(directory)) {
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
process.stdin.on('close', async () => {
  await killAll(directory);
  if (!existsSync(join(directory, keepMark))) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  process.exit(0);
});
