/** What Linux says about processes, from /proc. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Kernel ticks per second of the times in /proc: USER_HZ, 100 on every architecture that Node runs on. */
const ticksPerSecond = 100;

/** The fields of /proc/PID/stat from the third (state) on, or null when there is no such process. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' '); // the second field, the name, may hold blanks and brackets
  } catch {
    return null;
  }
}

/** The state letter (R, S, D, T …), or null when the process is gone. A zombie counts as gone: nothing of it runs. */
export function processState(pid: number): string | null {
  const state = statOf(pid)?.[0] ?? null;
  return state === 'Z' || state === 'X' ? null : state;
}

/** CPU time of all threads so far, user and system, in seconds. 0 when the process is gone. */
export function processCpuSeconds(pid: number): number {
  const stat = statOf(pid);
  return stat === null ? 0 : (Number(stat[11]) + Number(stat[12])) / ticksPerSecond;
}

/** Resident memory in bytes: now, and the highest so far. Both 0 when the process is gone. */
export function processMemory(pid: number): { rssBytes: number; peakRssBytes: number } {
  let status = '';
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    // gone: no line matches
  }
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
  return { rssBytes: kibibytes('VmRSS') * 1024, peakRssBytes: kibibytes('VmHWM') * 1024 };
}

/** Ids of the processes that were started with `name` = `value` in their environment. A zombie has none any more. */
export function processesWithVariable(name: string, value: string): number[] {
  const entry = `${name}=${value}`;
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && environmentOf(pid).includes(entry))
    .map(Number);
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return []; // gone meanwhile, or somebody else's
  }
}

/** Waits until `condition` holds. Throws after `timeoutMs`; `what` says then what was waited for. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  options: { timeoutMs?: number; everyMs?: number } = {},
): Promise<void> {
  const { timeoutMs = 10_000, everyMs = 10 } = options;
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain until ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(everyMs);
  }
}
