/** What each fault came to the last time it was run: one JSON file per id in .cache/faults/. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = join(root, '.cache', 'faults');

/** Names the faults to run, `all` or ids with commas between; without it those of the share run. */
export const selectionVariable = 'LOCKSTEP_FAULTS';

export interface FaultResult {
  readonly id: string;
  readonly title: string;
  /** Whether `npm test` runs it. */
  readonly isShared: boolean;
  /** `started` stays when the run was interrupted. */
  readonly state: 'started' | 'passed' | 'failed';
  /** How it was seen that the fault took effect. */
  readonly evidence: readonly string[];
  /** What came of it. */
  readonly outcomes: readonly string[];
  readonly figures: readonly (readonly [name: string, value: number | string])[];
  /** Processes that were ended with SIGKILL; missing in older results. */
  readonly kills?: number;
  /** Codes of the incidents that had to be told, where the test says so. */
  readonly expected?: readonly string[];
  /** Of the failure. */
  readonly error: string | null;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  /** Digest of the sources as they were. */
  readonly sources: string;
  readonly version: string;
  /** The last commit before the run; null outside a repository. */
  readonly commit: string | null;
}

/** Beside the sources: what chooses the packages and the Node that they run on. */
const doors = ['package.json', 'package-lock.json', 'scripts/run.js', 'scripts/pinned-node.js'];

/**
 * Digest of what a test file's outcome depends on: it, every file in src/, test/ and bin/ that is no test, and what
 * installs and starts them. The same where the sources are the same, committed or not. `tests` are paths from the root.
 */
export function sourcesDigest(tests: readonly string[], base = root): string {
  const hash = createHash('sha256');
  const files = ['src', 'test', 'bin'].flatMap((top) =>
    readdirSync(join(base, top), { recursive: true, withFileTypes: true }),
  );
  const paths = files
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => relative(base, join(entry.parentPath, entry.name)));
  for (const path of [...paths, ...doors, ...tests].sort())
    hash.update(`${path}\0`).update(readFileSync(join(base, path)));
  return hash.digest('hex').slice(0, 16);
}

/** Version and commit that a result belongs to. */
export function currentVersion(): Pick<FaultResult, 'version' | 'commit'> {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return { version: manifest.version, commit: lastCommit() };
}

function lastCommit(): string | null {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

/** The file appears whole or not at all. */
export function writeResult(result: FaultResult): void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${result.id}.json`);
  writeFileSync(`${path}.new`, `${JSON.stringify(result, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** The last result of a fault, or null when it has never run here. */
export function readResult(id: string): FaultResult | null {
  const path = join(folder, `${id}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as FaultResult) : null;
}
