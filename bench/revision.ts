/** Of which sources a figure is. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { repository } from '#testing/kafka-home.ts';

export interface Revision {
  /** The last commit; `unknown` outside a repository. */
  readonly commit: string;
  /** Digest of the sources, committed or not. */
  readonly sources: string;
}

/** Beside the sources: what chooses the packages and the Node that they run on. */
const doors = ['package.json', 'package-lock.json', 'scripts/run.js', 'scripts/pinned-node.js'];

export function currentRevision(): Revision {
  const { stdout } = spawnSync('git', ['-C', repository, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  return { commit: stdout?.trim() || 'unknown', sources: sourcesDigest() };
}

/** Of what figures depend on: the program, the benchmark and its peers; not of tests, results and what only reports. */
export function sourcesDigest(base = repository): string {
  const hash = createHash('sha256');
  for (const path of [...['src', 'bin', 'bench'].flatMap((top) => filesUnder(base, top)), ...doors].sort())
    hash.update(`${path}\0`).update(readFileSync(join(base, path)));
  return hash.digest('hex').slice(0, 16);
}

const withoutEffect = /\.test\.ts$|^bench\/(results\/|(report|chart|goal|goals|update-docs)\.ts$)/;

function filesUnder(base: string, top: string): string[] {
  return readdirSync(join(base, top), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(base, join(entry.parentPath, entry.name)))
    .filter((path) => !withoutEffect.test(path));
}
