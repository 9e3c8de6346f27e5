/**
 * The floor: what moving the same bytes through one Node process costs when nobody looks at them. Three processes on
 * loopback TCP, one connection each: a sender that reads the files of the source's log as the broker laid them down, 1 MiB
 * at a time; the relay, which alone is measured: it reads into pooled 1 MiB buffers (`onread`) and writes them on as they
 * are; and a sink that counts and forgets. No broker takes part.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSupervised } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import type { Copy, CopyTask, System } from '../system.ts';

/** CPU time is known in steps of 10 ms: so many bytes are moved that these do not count. */
const BYTES_MIN = 2e9;

export const relay: System = {
  name: 'relay',
  description: 'the same bytes, unread, through one Node process between two others: no broker takes part',
  ends: 'never',
  isRelay: true,
  start: startRelay,
};

async function startRelay({ topic, sourceDataDir }: CopyTask): Promise<Copy> {
  const files = logFiles(sourceDataDir, topic);
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  const times = Math.max(1, Math.ceil(BYTES_MIN / bytes));
  const processes: ChildProcess[] = [];
  const start = (role: string, args: readonly string[]): ChildProcess => {
    const child = spawnSupervised(process.execPath, [join(import.meta.dirname, `${role}-process.ts`), ...args], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    processes.push(child);
    return child;
  };
  const [sink, sender] = [start('relay-sink', []), start('relay-sender', [String(times), ...files])];
  const ports = await Promise.all([sender, sink].map(portOf));
  const relayPid = must(start('relay', ports.map(String)).pid, 'process id of the relay');
  return {
    pid: relayPid,
    pids: [relayPid],
    async end() {
      await Promise.all(processes.map((child) => endOf(child)));
      return null;
    },
    logTail: () => '',
    relayed: { times, share: async () => (await bytesOf(sink)) / (bytes * times) },
  };
}

/** Of a topic, as its broker laid them down: segments of all partitions. */
function logFiles(dataDir: string, topic: string): string[] {
  return readdirSync(dataDir)
    .filter((name) => name.startsWith(`${topic}-`) && /^\d+$/.test(name.slice(topic.length + 1)))
    .flatMap((folder) =>
      readdirSync(join(dataDir, folder), { withFileTypes: true }).map((entry) => ({ folder, entry })),
    )
    .filter(({ entry }) => entry.name.endsWith('.log'))
    .map(({ folder, entry }) => join(dataDir, folder, entry.name));
}

/** The first thing that a process tells is where it listens. */
async function portOf(child: ChildProcess): Promise<number> {
  const [port] = (await once(child, 'message')) as [number];
  return port;
}

async function bytesOf(sink: ChildProcess): Promise<number> {
  const answer = once(sink, 'message') as Promise<[number]>;
  sink.send('how many');
  return (await answer)[0];
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
