/** `kill -9`, on a real disk: what the process said that it was acknowledged is in the log, which verifies as it is. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LOG_KEY } from '#testing/audit-events.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemClock, systemDisk } from '#util/host.ts';
import { AuditLog } from './audit-log.ts';
import { verifyLog } from './verify-log.ts';

const program = fileURLToPath(new URL('../../testing/audit-log-process.ts', import.meta.url));

test('a process that is killed again and again leaves a log that verifies, with everything that was acknowledged', async () => {
  const directory = temporaryDirectory('audit-log');
  const acknowledged: number[] = [];
  for (const lines of [60, 150, 300]) {
    await writeAndKill(directory, lines, acknowledged);
    const { verdict, size, counts } = await verify(directory);
    expect([verdict === 'tampered', Object.keys(counts).filter((kind) => kind !== 'intent-without-outcome')]).toEqual([
      false,
      [],
    ]);
    expect(size).toBeGreaterThan(0);
  }
  const onFailure = (error: Error): void => expect.unreachable(error.message);
  const log = await AuditLog.open({ disk: systemDisk, clock: systemClock, directory, key: LOG_KEY, onFailure });
  for (const intent of log.dangling) await log.settle(intent, 'unknown');
  await log.close();
  expect(await verify(directory)).toMatchObject({ verdict: 'verified', starts: 4, openIntents: [] });
  const reader = log.reader();
  expect(acknowledged.length).toBeGreaterThanOrEqual(510);
  for (const seq of acknowledged) expect(reader.entry(seq).seq).toBe(seq);
});

function verify(directory: string) {
  return verifyLog(systemDisk, directory, { clock: systemClock, key: LOG_KEY.verifier });
}

/** Kills it in the middle of what it does, once it has acknowledged so many entries. */
async function writeAndKill(directory: string, lines: number, acknowledged: number[]): Promise<void> {
  const child = spawn(process.execPath, [program, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let left = lines;
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line));
    if (--left === 0) child.kill('SIGKILL');
  }
  await exited;
}
