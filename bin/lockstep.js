#!/usr/bin/env node
/**
 * The `lockstep` command for any Node: on one that can run TypeScript the program runs right here, on an older one in a
 * child on the Node that this checkout pins.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isNodeCurrent, pinnedNode, runChild } from '../scripts/pinned-node.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (isNodeCurrent()) await import('../src/cli/main.ts');
else {
  const node = pinnedNode(root);
  if (node === null) {
    process.stderr.write(
      `lockstep: needs Node 24.15 or newer and this is ${process.version}; run npm ci in ${root} to install one for it\n`,
    );
    process.exit(1);
  }
  const argv = [join(root, 'src', 'cli', 'main.ts'), ...process.argv.slice(2)];
  const { code } = await runChild(node, argv, { stdio: 'inherit' });
  process.exit(code);
}
