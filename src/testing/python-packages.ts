/** Packages of PyPI, unpacked into the cache: nothing is installed into the system's Python, and no rights are needed. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeOnce } from '../../scripts/make-once.ts';
import { cacheDirectory } from './kafka-home.ts';

/**
 * The folder for PYTHONPATH; null where they cannot be had: no Python, no pip, no network. `requirements` is a file that pins
 * every package, those that others need too.
 */
export async function pythonPackages(name: string, requirements: string): Promise<string | null> {
  const target = join(cacheDirectory, 'python', name);
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--requirement', requirements];
  try {
    const stamp = `${run('--version')}${readFileSync(requirements, 'utf8')}`; // wheels are for one version of Python
    await makeOnce(target, stamp, async (scratch) => {
      run(...pip, '--target', scratch);
    });
    return target;
  } catch {
    return null; // whoever asks skips, by name
  }
}

function run(...args: readonly string[]): string {
  return execFileSync('python3', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 300_000 });
}
