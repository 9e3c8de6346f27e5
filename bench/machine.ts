/** On what was measured. */
import { spawnSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly java: string;
  /** Null where there is none, or where a result of before does not say. */
  readonly go: string | null;
}

export function describeMachine(): Machine {
  const java = outputOf('java', ['-version']);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release().replace(/-.*/, ''),
    node: process.versions.node,
    java: /version "([^"]+)"/.exec(java)?.[1] ?? 'unknown',
    go: /go version go(\S+)/.exec(outputOf('go', ['version']))?.[1] ?? null,
  };
}

/** Of the last minute: with more than its cores, CPU-seconds rise a little and the wall a lot. */
export function loadNow(): number {
  return loadavg()[0] ?? 0;
}

export function formatMachine({ cores, cpu, memoryGib, kernel, node, java, go }: Machine): string {
  const tools = [`Node ${node}`, `Java ${java}`, ...(go === null ? [] : [`Go ${go}`])];
  return `${cores} cores (${cpu}), ${memoryGib} GiB, Linux ${kernel}, ${tools.join(', ')}`;
}

/** Both streams; empty when there is no such program. */
function outputOf(command: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`;
}
