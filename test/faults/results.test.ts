import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { root, sourcesDigest } from './results.ts';

const fault = 'test/faults/a.fault.test.ts';
const doors = ['package.json', 'package-lock.json', 'scripts/run.js', 'scripts/pinned-node.js'];

/** A small checkout: the doors as they are, a file of each folder, a fault and another test. */
function checkout(): string {
  const base = temporaryDirectory('digest');
  for (const path of doors) cpSync(join(root, path), join(base, path), { recursive: true });
  for (const path of ['src/main.ts', 'test/faults/fault.ts', 'bin/lockstep.js', fault, 'src/main.test.ts']) {
    mkdirSync(dirname(join(base, path)), { recursive: true });
    writeFileSync(join(base, path), path);
  }
  return base;
}

test('a result is void when the product, what starts it, a dependency or its own test has changed', () => {
  const base = checkout();
  const before = sourcesDigest([fault], base);
  expect(sourcesDigest([fault], base)).toBe(before);
  for (const path of [...doors, 'src/main.ts', 'test/faults/fault.ts', 'bin/lockstep.js', fault]) {
    const digest = sourcesDigest([fault], base);
    writeFileSync(join(base, path), 'changed');
    expect(sourcesDigest([fault], base), path).not.toBe(digest);
  }
});

test('a result stands when another test has changed', () => {
  const base = checkout();
  const before = sourcesDigest([fault], base);
  writeFileSync(join(base, 'src/main.test.ts'), 'changed');
  expect(sourcesDigest([fault], base)).toBe(before);
});
