/** One command of lockstep, from its start to its end, and what it took. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repository } from '#testing/kafka-home.ts';
import { processCpuSeconds, processMemory } from '#testing/process-stat.ts';
import { spawnSupervised } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

const POLL_MS = 10;

export interface MeasuredCommand {
  readonly out: string;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly seconds: number;
}

/** Throws where it does not end with 0. */
export async function measureCommand(
  argv: readonly string[],
  nodeFlags: readonly string[] = [],
): Promise<MeasuredCommand> {
  const program = [...nodeFlags, join(repository, 'bin', 'lockstep.js'), ...argv];
  const startedMs = performance.now();
  const child = spawnSupervised(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  must(child.stdout, 'standard output').on('data', (chunk: Buffer) => (out += chunk.toString()));
  const pid = must(child.pid, 'process id');
  let [cpuSeconds, peakRssBytes] = [0, 0];
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let isRunning = true;
  void ended.then(() => (isRunning = false));
  for (; isRunning; await sleep(POLL_MS)) {
    cpuSeconds = Math.max(cpuSeconds, processCpuSeconds(pid));
    peakRssBytes = Math.max(peakRssBytes, processMemory(pid).peakRssBytes);
  }
  if (child.exitCode !== 0) throw new Error(`exit code ${child.exitCode}\n${out.slice(-3_000)}`);
  return { out, cpuSeconds, peakRssBytes, seconds: (performance.now() - startedMs) / 1000 };
}
