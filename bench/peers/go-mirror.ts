import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '#testing/kafka-home.ts';
import { CopyProcess, type System } from '../system.ts';

const sources = join(import.meta.dirname, 'go');
const program = join(cacheDirectory, 'bench', 'go-mirror');
const BUILD_TIMEOUT_MS = 600_000;

/** bench/peers/go: our own small mirror on franz-go, which takes records apart as Redpanda Migrator and kaf-mirror do. */
export const goMirror: System = {
  name: 'go',
  description:
    'record by record with franz-go 1.22.2: 1 MB batches, the codec of the data, acks=all, idempotent, linger 0',
  ends: 'never',
  needsTopic: true,
  prepare: () => Promise.resolve(build()),
  start({ source, target, topic, codec, directory, runId }) {
    const where = ['--source', source.join(','), '--target', target.join(','), '--topic', topic];
    const args = [...where, '--group', `go-mirror-${runId}`, '--codec', codec];
    return Promise.resolve(CopyProcess.start(program, args, { directory, env: process.env }));
  },
};

/** Go's own cache makes it short when nothing has changed. */
function build(): string | null {
  mkdirSync(join(cacheDirectory, 'bench'), { recursive: true });
  const { status, error, stderr, signal } = spawnSync(
    'go',
    ['build', '-trimpath', '-mod=readonly', '-o', program, '.'],
    {
      cwd: sources,
      encoding: 'utf8',
      timeout: BUILD_TIMEOUT_MS,
    },
  );
  if (error && 'code' in error && error.code === 'ENOENT') return 'there is no Go on this machine (go, 1.26 or newer)';
  if (status === 0 && existsSync(program)) return null;
  const why =
    (stderr ?? '').trim().split('\n').slice(-3).join(' ') || signal || error?.message || `exit code ${status}`;
  return `go build failed: ${why}`;
}
