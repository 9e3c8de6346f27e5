/** Programs of Debian packages, unpacked into the cache: nothing is installed, and no rights are needed. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeOnce } from '../../scripts/make-once.ts';
import { cacheDirectory } from './kafka-home.ts';

export interface DebianPrograms {
  /** Path of one of its programs. */
  program(name: string): string;
}

/** Null where the package cannot be had: another system, no network, no such package. */
export async function debianPrograms(name: string): Promise<DebianPrograms | null> {
  const target = join(cacheDirectory, 'debian', name);
  try {
    await makeOnce(target, name, async (scratch) => {
      run('apt-get', ['download', '-qq', name], scratch);
      const archive = readdirSync(scratch).find((file) => file.endsWith('.deb'));
      if (archive === undefined) throw new Error(`no package ${name}`);
      run('dpkg-deb', ['--extract', archive, '.'], scratch);
    });
  } catch {
    return null; // whoever asks skips, by name
  }
  const folder = join(target, 'usr/bin');
  return existsSync(folder) ? { program: (program) => join(folder, program) } : null;
}

function run(command: string, args: readonly string[], cwd: string): void {
  execFileSync(command, args, { cwd, stdio: 'ignore', timeout: 120_000 });
}
