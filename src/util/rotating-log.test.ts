import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { MemoryDisk } from '#testing/command-line.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import type { AppendFile } from './host.ts';
import { systemDisk } from './host.ts';
import { RotatingLog, type LogDisk, type LogLimits } from './rotating-log.ts';

const DAY_MS = 86_400_000;
const START = 'run-2023-11-14T22-13-20-000Z';

async function open(disk: LogDisk, limits: Partial<LogLimits> = {}, directory = 'logs') {
  const clock = new ManualClock();
  const troubles: string[] = [];
  const log = await RotatingLog.open(disk, {
    directory,
    name: 'run',
    clock,
    limits: { fileBytesMax: 1_000, filesMax: 1_000, ageMs: 30 * DAY_MS, ...limits },
    onTrouble: (trouble, error) => void troubles.push(`${trouble}: ${(error as Error).message}`),
  });
  return { log, clock, troubles };
}

const lineOf = (number: number): string => `{"number":${number},"text":"${'x'.repeat(50)}"}\n`;

/** In the order in which they were written; the part of a line that a crash left at the end of a file does not count. */
function numbersIn(texts: readonly string[]): number[] {
  return texts.flatMap((text) =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { number: number }).number),
  );
}

const inOrder = (names: readonly string[]): string[] =>
  [...names].toSorted((a, b) => orderOf(a) - orderOf(b) || (a < b ? -1 : 1));
/** What was moved aside by its number, then what is written to. */
const orderOf = (name: string): number => Number(/\.(\d+)\.jsonl$/.exec(name)?.[1] ?? Infinity);

test('reg-M-256: a file is moved aside before it is too large, and the newest lines stand under the name of the run', async () => {
  const disk = new MemoryDisk();
  const { log } = await open(disk);
  for (let number = 0; number < 100; number++) log.append(lineOf(number));
  await log.close();
  const names = inOrder(disk.list('logs'));
  expect(names.at(-1)).toBe(`${START}.jsonl`);
  expect(names[0]).toBe(`${START}.1.jsonl`);
  const texts = names.map((name) => disk.readText(`logs/${name}`));
  expect(texts.length).toBeGreaterThan(5);
  for (const text of texts) expect(text.length).toBeLessThanOrEqual(1_000);
  expect(numbersIn(texts)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(disk.secrets).toEqual(new Set([`logs/${START}.jsonl`]));
});

test('reg-M-256: of the files besides it so many are kept, those of earlier runs among them, and none for longer than its time', async () => {
  const directory = temporaryDirectory('logs');
  const clock = new ManualClock();
  const at = (name: string, daysAgo: number): void => {
    writeFileSync(join(directory, name), `${name}\n`);
    utimesSync(join(directory, name), new Date(), new Date(clock.now() - daysAgo * DAY_MS));
  };
  at('run-2023-10-01T00-00-00-000Z.jsonl', 31);
  at('run-2023-10-20T00-00-00-000Z.1.jsonl', 20);
  at('run-2023-10-20T00-00-00-000Z.jsonl', 10);
  at('run-2023-11-14T00-00-00-000Z.jsonl', 0); // another process writes to it
  at('serve-2023-10-01T00-00-00-000Z.jsonl', 31);
  at('notes.txt', 400);
  const { log, troubles } = await open(systemDisk, { filesMax: 2 }, directory);
  const others = ['notes.txt', 'serve-2023-10-01T00-00-00-000Z.jsonl'];
  const kept = () =>
    readdirSync(directory)
      .filter((name) => !others.includes(name))
      .toSorted();
  expect(kept()).toEqual([
    'run-2023-10-20T00-00-00-000Z.jsonl',
    'run-2023-11-14T00-00-00-000Z.jsonl',
    `${START}.jsonl`,
  ]);
  for (let number = 0; number < 60; number++) log.append(lineOf(number));
  await log.close();
  const mine = kept().filter((name) => name.startsWith(START));
  expect(mine).toHaveLength(3);
  expect(numbersIn(inOrder(mine).map((name) => readFileSync(join(directory, name), 'utf8'))).at(-1)).toBe(59);
  expect(kept()).toEqual(['run-2023-11-14T00-00-00-000Z.jsonl', ...mine].toSorted());
  expect(readdirSync(directory)).toEqual(expect.arrayContaining(others));
  for (const name of mine) expect(statSync(join(directory, name)).mode & 0o777, name).toBe(0o600);
  expect(troubles).toEqual([]);
});

test('reg-M-256: whenever it is killed, the lines that were written are there, each once and in order', async () => {
  const limits = { fileBytesMax: 200 };
  /** The last line of which it was said that it was written. */
  const write = async (disk: SimulatedDisk): Promise<number> => {
    const { log } = await open(disk, limits);
    for (let number = 0; number < 12; number++) {
      log.append(lineOf(number));
      await log.written();
      if (disk.isOff) return number - 1;
    }
    return 11;
  };
  const whole = new SimulatedDisk();
  expect(await write(whole)).toBe(11);
  expect(whole.changes).toBeGreaterThan(30);
  for (let at = 1; at <= whole.changes; at++) {
    const disk = new SimulatedDisk();
    disk.breakAt(at, 'power');
    const written = await write(disk).catch(() => -1); // it could not begin
    const after = disk.afterKill();
    const names = inOrder(after.list('/').includes('logs') ? after.list('logs') : []);
    const numbers = numbersIn(names.map((name) => after.readText(`logs/${name}`)));
    expect(numbers, `killed at change ${at}`).toEqual(numbers.map((_, i) => i));
    expect(numbers.length, `killed at change ${at}`).toBeGreaterThan(written);
    // The next process goes on with a file of its own.
    const { log: next } = await open(after);
    next.append(lineOf(0));
    await next.close();
    expect(numbersIn([after.readText(next.path)])).toEqual([0]);
  }
});

test('reg-M-256: a disk that hangs keeps nobody waiting; what it does not take in time is told once', async () => {
  const disk = new MemoryDisk();
  const hanging: LogDisk = {
    makeDirectory: () => {},
    move: (from, to) => disk.move(from, to),
    discard: (path) => disk.discard(path),
    filesOf: (path) => disk.filesOf(path),
    createAppendFile: async (): Promise<AppendFile> => ({ append: () => new Promise(() => {}), close: async () => {} }),
  };
  const { log, clock, troubles } = await open(hanging);
  const mebibyte = `${'x'.repeat(1 << 20)}\n`;
  for (let times = 0; times < 10; times++) log.append(mebibyte);
  expect(troubles).toEqual([]);
  for (let times = 0; times < 10; times++) log.append(mebibyte);
  expect(troubles).toEqual(['ended: the disk does not keep up']);
  const closing = log.close();
  await settle();
  await clock.advance(2_000);
  await closing;
  expect(troubles).toHaveLength(1);
});

test('a full disk is told once and ends the log; files that cannot be listed stay, and end nothing', async () => {
  const full = new SimulatedDisk();
  const { log, troubles } = await open(full);
  log.append(lineOf(0));
  await log.written();
  full.breakAt(full.changes + 1, 'ENOSPC');
  for (const number of [1, 2]) {
    log.append(lineOf(number));
    await log.written();
  }
  expect(troubles).toEqual([expect.stringContaining('ended: ENOSPC')]);
  await log.close();

  const unlisted = new MemoryDisk();
  unlisted.filesOf = () => Promise.reject(new Error('EACCES'));
  const second = await open(unlisted);
  second.log.append(lineOf(0));
  await second.log.close();
  expect(second.troubles).toEqual(['kept: EACCES']);
  expect(numbersIn([unlisted.readText(second.log.path)])).toEqual([0]);
});

test('two that begin at the same moment have files of their own', async () => {
  const disk = new MemoryDisk();
  const [first, second] = [await open(disk), await open(disk)];
  expect([first.log.path, second.log.path]).toEqual([`logs/${START}.jsonl`, `logs/${START}-2.jsonl`]);
});
