#!/usr/bin/env node
/**
 * The `lockstep` command for any Node: on one that can run TypeScript the program runs right here, on an older one in a
 * child on the Node that this checkout pins.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isNodeCurrent, pinnedNode, runChild } from '../scripts/pinned-node.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (!existsSync(join(root, 'node_modules'))) notInstalled('its packages are not installed');
else if (isNodeCurrent()) await import('../src/cli/main.ts');
else await runOnPinnedNode();

async function runOnPinnedNode() {
  const node = pinnedNode(root);
  if (node === null) return notInstalled(`it needs Node 24.15 or newer, and this is ${process.version}`);
  const argv = [join(root, 'src', 'cli', 'main.ts'), ...process.argv.slice(2)];
  const { code } = await runChild(node, argv, { stdio: 'inherit' });
  process.exit(code);
}

function notInstalled(why) {
  process.stderr.write(`lockstep: ${why}; run npm ci in ${root}\n`);
  process.exit(1);
}
