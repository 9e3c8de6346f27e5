/**
 * Which Node runs Lockstep, and how a child is run on it. Plain JavaScript without dependencies: these lines run on
 * whatever Node (>= 18) the machine has, before anything is installed. Used by scripts/run.js and bin/lockstep.js.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants as fsConstants, existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

/** Older ones cannot run TypeScript without a flag, or lack zstd. */
const NODE_MAJOR_MIN = 24;
const NODE_MINOR_MIN = 15;

/** Whether the Node that runs this can run Lockstep. */
export function isNodeCurrent() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN);
}

/** Path of the Node that the lock file pins, or null when it is not installed (or npm has none for this platform). */
export function pinnedNode(root) {
  const path = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  return existsSync(path) ? path : null;
}

/** Path of an executable that PATH leads to, or null. */
function findOnPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, fsConstants.X_OK);
      return path;
    } catch {
      continue; // not here
    }
  }
  return null;
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs a child and resolves to its exit code (128 + n when signal n ended it) and the first signal that was sent to us.
 * We end with the child, never before it; when we are killed with -9, the kernel kills it too (Linux).
 */
export function runChild(command, argv, options) {
  return new Promise((resolve) => {
    // PR_SET_PDEATHSIG by setpriv (util-linux), which then becomes the child: same pid, same signals.
    const setpriv = process.platform === 'linux' ? findOnPath('setpriv') : null;
    const full = setpriv ? [setpriv, '--pdeathsig', 'KILL', command, ...argv] : [command, ...argv];
    const child = spawn(full[0], full.slice(1), options);
    let received = null;
    const forward = (signal) => {
      received ??= signal;
      // A terminal's Ctrl-C goes to the whole process group: the child has it already, a second one would mean 'hurry'.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const signal of FORWARDED) process.on(signal, forward);
    const stopWatching = watchParent(() => forward('SIGTERM'));
    const end = (code) => {
      stopWatching();
      for (const signal of FORWARDED) process.off(signal, forward);
      resolve({ code, received });
    };
    child.on('error', (error) => {
      process.stderr.write(`lockstep: cannot start ${command}: ${error.message}\n`);
      end(1);
    });
    child.on('exit', (code, signal) => end(code ?? 128 + constants.signals[signal]));
  });
}

/** npm that is killed with -9 tells nobody. Its scripts run as its direct child, so a new parent means that it is gone. */
function watchParent(onGone) {
  if (process.env.npm_lifecycle_event === undefined) return () => undefined;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, 250);
  timer.unref();
  return () => clearInterval(timer);
}
