/**
 * The door of the npm scripts, run for real on a small checkout of its own. In npm's place stands a script that takes
 * its time, writes down that it was called, and 'installs' this Node as the pinned one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const pinned = `node-${process.platform}-${process.arch}`;

const NPM = `
import { appendFileSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
rmSync('node_modules', { recursive: true, force: true });
appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n');
while (existsSync('hold')) await sleep(20);
if (existsSync('broken')) process.exit(9);
mkdirSync('node_modules/${pinned}/bin', { recursive: true });
symlinkSync(process.execPath, 'node_modules/${pinned}/bin/node');
`;

const DEMO = `
const [mode = '', code = '0'] = process.argv.slice(2);
if (mode === 'wait') {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(40));
  setInterval(() => undefined, 1000);
} else process.exitCode = Number(code);
console.log('running', process.pid);
`;

let checkout = '';
const started: ChildProcess[] = [];

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'lockstep-door-'));
  cpSync(join(repository, 'scripts', 'run.js'), join(checkout, 'scripts', 'run.js'));
  cpSync(join(repository, 'scripts', 'pinned-node.js'), join(checkout, 'scripts', 'pinned-node.js'));
  mkdirSync(join(checkout, 'demo'));
  writeFileSync(join(checkout, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(checkout, 'package-lock.json'), '{}');
  writeFileSync(join(checkout, 'npm-cli.js'), NPM);
  writeFileSync(join(checkout, 'demo', 'main.ts'), DEMO);
});

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  rmSync(checkout, { recursive: true, force: true });
});

function open(...args: string[]): ChildProcess {
  const { npm_lifecycle_event: _event, ...environment } = process.env;
  const child = spawn(process.execPath, ['scripts/run.js', ...args], {
    cwd: checkout,
    env: { ...environment, npm_execpath: join(checkout, 'npm-cli.js') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'exit') as Promise<[number | null]>,
    child.stdout ? text(child.stdout) : '',
    child.stderr ? text(child.stderr) : '',
  ]);
  return { code, stdout, stderr };
}

const installs = (): number =>
  existsSync(join(checkout, 'calls')) ? readCheckout('calls').trim().split('\n').length : 0;
const readCheckout = (path: string): string => readFileSync(join(checkout, path), 'utf8');
const put = (path: string, content = ''): void => writeFileSync(join(checkout, path), content);
const isRunning = (pid: number): boolean => {
  const path = `/proc/${pid}/status`;
  return existsSync(path) && !/^State:\s+[ZX]/m.test(readFileSync(path, 'utf8'));
};

/** Waits for a condition; the test's own deadline ends what never comes. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(10);
}

async function pidOfDemo(child: ChildProcess): Promise<number> {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(() => /running \d+/.test(output));
  return Number(/running (\d+)/.exec(output)?.[1]);
}

test('installs once, without install scripts, and keeps the exit code of the task', async () => {
  expect((await ended(open('demo', 'exit', '3'))).code).toBe(3);
  expect((await ended(open('demo', 'exit', '0'))).code).toBe(0);
  expect(installs()).toBe(1);
  expect(readCheckout('calls')).toMatch(/^ci .*--ignore-scripts/);
});

test('installs again when the lock file has changed', async () => {
  await ended(open('demo'));
  put('package-lock.json', '{ "lockfileVersion": 3 }');
  await ended(open('demo'));
  expect(installs()).toBe(2);
});

test('two first runs at once install once', async () => {
  put('hold');
  const both = [open('demo'), open('demo')].map(ended);
  await until(() => installs() === 1);
  rmSync(join(checkout, 'hold'));
  expect((await Promise.all(both)).map((run) => run.code)).toEqual([0, 0]);
  expect(installs()).toBe(1);
});

test('an install that fails stops the task, says so, and leaves no lock', async () => {
  put('broken');
  const { code, stdout, stderr } = await ended(open('demo'));
  expect(code).toBe(9);
  expect(stdout).toBe('');
  expect(stderr).toContain('npm ci ended with 9');
  expect(existsSync(join(checkout, '.cache', 'install.lock'))).toBe(false);
  rmSync(join(checkout, 'broken'));
  expect((await ended(open('demo'))).code).toBe(0);
});

test('after kill -9 in the middle of an install the next run takes over and installs from the beginning', async () => {
  put('hold');
  const first = open('demo');
  await until(() => installs() === 1);
  first.kill('SIGKILL');
  await once(first, 'exit');
  expect(existsSync(join(checkout, '.cache', 'install.lock'))).toBe(true);
  rmSync(join(checkout, 'hold'));
  expect((await ended(open('demo'))).code).toBe(0);
  expect(installs()).toBe(2);
  expect(existsSync(join(checkout, '.cache', 'install.lock'))).toBe(false);
});

test.each([
  ['of a process that is gone', () => '4194305 1'],
  ['of a pid that was given away again', () => `${process.pid} 1`],
  ['that holds nothing readable', () => 'what?'],
])('a lock %s is taken over', async (_which, content) => {
  mkdirSync(join(checkout, '.cache'));
  put('.cache/install.lock', content());
  expect((await ended(open('demo'))).code).toBe(0);
});

test('a lock of a zombie is taken over', async () => {
  // The shell becomes a program that never asks for the child that it has started: a zombie with a known pid.
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  started.push(parent);
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  await until(() => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  mkdirSync(join(checkout, '.cache'));
  put('.cache/install.lock', `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`);
  expect((await ended(open('demo'))).code).toBe(0);
});

test('a lock whose owner lives is waited for', async () => {
  put('hold');
  const first = open('demo');
  await until(() => installs() === 1);
  const second = open('demo');
  let said = '';
  second.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until(() => said.includes('waiting for it'));
  expect(installs()).toBe(1);
  rmSync(join(checkout, 'hold'));
  expect((await Promise.all([ended(first), ended(second)])).map((run) => run.code)).toEqual([0, 0]);
  expect(installs()).toBe(1);
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s reaches the task, whose exit code is kept', async (signal) => {
  const door = open('demo', 'wait');
  await pidOfDemo(door);
  door.kill(signal);
  const [code] = (await once(door, 'exit')) as [number];
  expect(code).toBe(40);
});

test.runIf(process.platform === 'linux')('kill -9 of the door ends the task too', async () => {
  const door = open('demo', 'wait');
  const pid = await pidOfDemo(door);
  door.kill('SIGKILL');
  await until(() => !isRunning(pid));
  expect(isRunning(pid)).toBe(false);
});

test('the lockstep command passes arguments and exit code, and says what to do when nothing is installed', async () => {
  cpSync(join(repository, 'bin', 'lockstep.js'), join(checkout, 'bin', 'lockstep.js'));
  mkdirSync(join(checkout, 'src', 'cli'), { recursive: true });
  const lockstep = (...args: string[]): ChildProcess =>
    spawn(process.execPath, ['bin/lockstep.js', ...args], { cwd: checkout, stdio: ['ignore', 'pipe', 'pipe'] });

  put('src/cli/main.ts', 'process.exitCode = Number(process.argv[2]);');
  const bare = await ended(lockstep('5'));
  expect(bare.code).toBe(1);
  expect(bare.stderr).toMatch(/^lockstep: its packages are not installed; run npm ci in .*\n$/);

  mkdirSync(join(checkout, 'node_modules'));
  expect((await ended(lockstep('5'))).code).toBe(5);
});

test('an unknown task names the known ones', async () => {
  const { code, stderr } = await ended(open('dance'));
  expect(code).toBe(2);
  expect(stderr).toContain(
    `unknown task 'dance'; it is one of: test, fuzz, fuzz:api, test:faults, test:simulation, test:versions, demo, bench, check, fix, gen`,
  );
});
