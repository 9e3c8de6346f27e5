#!/usr/bin/env node
/**
 * The `lockstep` command for any Node: on one that can run TypeScript the program runs right here, on an older one in a
 * child on the Node that this checkout pins.
 */
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { isNodeCurrent, pinnedNode, runChild } from '../scripts/pinned-node.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/**
 * Node keeps compiled code here: from the second run on it need not load what takes the types off, which is half of the
 * start (0.47 s to 0.22 s) and 26 MB of memory. Where the folder cannot be written all is as without it.
 */
const compiled = join(root, '.cache', 'compiled');

/**
 * While modules are loaded, nearly all that is made stays: a young generation that doubles with it reaches 48 MB and keeps them.
 * It grows again when there is work (src/cli/main.ts).
 */
const youngStaysSmall = '--semi-space-growth-factor=1';

if (!existsSync(join(root, 'node_modules'))) notInstalled('its packages are not installed');
else if (isNodeCurrent()) await runHere();
else await runOnPinnedNode();

async function runHere() {
  nodeModule.enableCompileCache(compiled);
  process.env.NODE_COMPILE_CACHE ??= compiled; // for threads
  setFlagsFromString(youngStaysSmall);
  await import('../src/cli/main.ts');
}

async function runOnPinnedNode() {
  const node = pinnedNode(root);
  if (node === null) return notInstalled(`it needs Node 24.15 or newer, and this is ${process.version}`);
  const argv = [youngStaysSmall, join(root, 'src', 'cli', 'main.ts'), ...process.argv.slice(2)];
  const env = { NODE_COMPILE_CACHE: compiled, ...process.env };
  const { code } = await runChild(node, argv, { env, stdio: 'inherit' });
  process.exit(code);
}

function notInstalled(why) {
  process.stderr.write(`lockstep: ${why}; run npm ci in ${root}\n`);
  process.exit(1);
}
