#!/usr/bin/env node
/**
 * The `lockstep` command for any Node: on one that can run TypeScript the program runs right here, on an older one in a
 * child on the Node that this checkout pins.
 */
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isNodeCurrent, pinnedNode, runChild } from '../scripts/pinned-node.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/**
 * Node keeps compiled code here: from the second run on it need not load what takes the types off, which is half of the
 * start (0.47 s to 0.22 s) and 26 MB of memory. Where the folder cannot be written all is as without it.
 */
const compiled = join(root, '.cache', 'compiled');

if (!existsSync(join(root, 'node_modules'))) notInstalled('its packages are not installed');
else if (isNodeCurrent()) await runHere();
else await runOnPinnedNode();

async function runHere() {
  nodeModule.enableCompileCache(compiled);
  await import('../src/cli/main.ts');
}

async function runOnPinnedNode() {
  const node = pinnedNode(root);
  if (node === null) return notInstalled(`it needs Node 24.15 or newer, and this is ${process.version}`);
  const argv = [join(root, 'src', 'cli', 'main.ts'), ...process.argv.slice(2)];
  const env = { NODE_COMPILE_CACHE: compiled, ...process.env };
  const { code } = await runChild(node, argv, { env, stdio: 'inherit' });
  process.exit(code);
}

function notInstalled(why) {
  process.stderr.write(`lockstep: ${why}; run npm ci in ${root}\n`);
  process.exit(1);
}
