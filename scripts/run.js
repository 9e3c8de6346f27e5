/**
 * The door of every npm script: plain JavaScript for any Node >= 18, without dependencies. It installs the locked
 * packages when they are missing or stale, then runs the task on the Node that the lock file pins.
 *
 * Not a pre-script or a postinstall: `--ignore-scripts` would skip those, and here nothing that comes from the
 * registry runs before the task itself.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isNodeCurrent, pinnedNode, runChild } from './pinned-node.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, 'node_modules', '.lockstep-installed');
const lockFile = join(root, '.cache', 'install.lock');

/** What each task runs, one after the other, on the pinned Node. The caller's arguments go to the last one. */
const tasks = {
  test: [['node_modules/vitest/vitest.mjs', 'run']],
  fuzz: [['scripts/fuzz.ts']],
  'fuzz:api': [['scripts/fuzz-api.ts']],
  'test:faults': [['scripts/faults.ts']],
  'test:simulation': [['scripts/simulation.ts']],
  'test:versions': [['scripts/versions.ts']],
  demo: [['demo/main.ts']],
  bench: [['bench/main.ts']],
  check: [['scripts/check.ts']],
  fix: [['node_modules/.bin/oxlint', '--fix'], ['node_modules/.bin/oxfmt']],
  gen: [
    ['scripts/acceptance.ts'],
    ['scripts/pages.ts'],
    ['scripts/generate-openapi.ts'],
    ['scripts/generate-codecs.ts'],
  ],
};

const [task = '', ...args] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task)) fail(2, `unknown task '${task}'; it is one of: ${Object.keys(tasks).join(', ')}`);
await install();
process.exit(await runTask(pinnedNode(root) ?? ownNode()));

async function runTask(node) {
  const commands = tasks[task];
  let firstFailure = 0;
  for (const [index, command] of commands.entries()) {
    const extra = index === commands.length - 1 ? args : [];
    const { code, received } = await runChild(node, [...command, ...extra], {
      cwd: root,
      env: taskEnvironment(node),
      stdio: 'inherit',
    });
    firstFailure ||= code;
    if (received) break;
  }
  return firstFailure;
}

/**
 * `npm ci`, once per lock file, dependency list and platform. It empties node_modules first and the stamp lies in there,
 * so an install that was interrupted at any point leaves no stamp and is repeated from the beginning.
 */
async function install() {
  const stamp = currentStamp();
  const isCurrent = () => existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
  if (isCurrent()) return;
  await takeLock();
  try {
    if (isCurrent()) return; // somebody else installed while we waited
    process.stderr.write('lockstep: installing packages with npm ci (about a minute the first time)\n');
    const { code, received } = await npmCi();
    if (received) process.exitCode = 128 + constants.signals[received];
    else if (code !== 0) {
      process.stderr.write(`lockstep: npm ci ended with ${code}; its reason is above\n`);
      process.exitCode = code;
    } else writeFileSync(stampFile, stamp);
  } finally {
    rmSync(lockFile, { force: true });
  }
  if (process.exitCode) process.exit();
}

function currentStamp() {
  const { dependencies, devDependencies, optionalDependencies, overrides } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(JSON.stringify([dependencies, devDependencies, optionalDependencies, overrides]))
    .update(`${process.platform}-${process.arch}`)
    .digest('hex');
}

function npmCi() {
  // npm_execpath is the npm that runs us; it is absent when somebody types `node scripts/run.js test`.
  const ours = process.env.npm_execpath ?? '';
  const [command, ...before] = /npm-cli\.c?js$/.test(ours) ? [process.execPath, ours] : ['npm'];
  const argv = [...before, 'ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  // Its output goes to our stderr: stdout belongs to the task.
  return runChild(command, argv, { cwd: root, env: installEnvironment(), stdio: ['ignore', 2, 2] });
}

/**
 * The outer npm hands its settings down as npm_* variables, and NODE_ENV=production would omit Vitest. The inner npm
 * reads only .npmrc files and the few settings that say where packages come from and where they are cached.
 */
function installEnvironment() {
  const keep = /^npm_config_(registry|cache|cafile|ca|https?_proxy|proxy|noproxy|userconfig|globalconfig|strict_ssl)$/i;
  const drop = /^(npm_.*|NODE_ENV|NODE_OPTIONS|INIT_CWD)$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => keep.test(key) || !drop.test(key)));
}

/** The pinned Node is first on PATH, so what a task starts as `node` is that one too. */
function taskEnvironment(node) {
  const { NODE_OPTIONS: _options, NODE_ENV: _mode, ...environment } = process.env;
  return { ...environment, PATH: `${dirname(node)}${delimiter}${environment.PATH ?? ''}` };
}

function ownNode() {
  if (isNodeCurrent()) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  return fail(2, `npm has no pinned Node for ${platform}, and this is ${process.version}: install Node 24.15 or newer`);
}

/**
 * One install at a time per checkout: whoever creates the file has the lock. The file names its owner by pid and start
 * time, so the lock of a process that died, also one whose pid was given away again, is taken over.
 */
async function takeLock() {
  mkdirSync(dirname(lockFile), { recursive: true });
  let told = false;
  for (;;) {
    try {
      writeFileSync(lockFile, `${process.pid} ${startTime(process.pid) ?? ''}`, { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!isLockHeld(lockFile)) removeStaleLock();
    else {
      if (!told) process.stderr.write('lockstep: another first run is installing packages here; waiting for it\n');
      told = true;
      await sleep(200);
    }
  }
}

/** Moved aside before it is judged again: of two that find the same stale lock, the second would remove the first one's new one. */
function removeStaleLock() {
  const aside = `${lockFile}.${process.pid}`;
  try {
    renameSync(lockFile, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return; // the other one was faster
    throw error;
  }
  if (isLockHeld(aside)) renameSync(aside, lockFile);
  else rmSync(aside, { force: true });
}

function isLockHeld(path) {
  try {
    const text = readFileSync(path, 'utf8');
    // Created and not yet written: its owner lives, or was killed between the two calls.
    if (text === '') return Date.now() - statSync(path).mtimeMs < 2000;
    const [pid, started] = text.split(' ');
    return isAlive(Number(pid), started);
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}

function isAlive(pid, started) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  if (!existsSync('/proc/self/status')) return true; // no /proc on this system: what the signal says is all we know
  const now = startTime(pid);
  return now !== null && now === started;
}

/** Start time of a living process in clock ticks since boot; null when it is gone or a zombie (a PID 1 that does not reap keeps those). */
function startTime(pid) {
  try {
    const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (state === 'Z' || state === 'X') return null;
    // proc(5): field 2 is the name in parentheses and may hold anything; what follows it starts at field 3, this is field 22.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function fail(code, message) {
  process.stderr.write(`lockstep: ${message}\n`);
  process.exit(code);
}
