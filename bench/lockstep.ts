import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '#testing/kafka-home.ts';
import { must } from '#util/assert.ts';
import type { CopyTask, System, TlsDoor } from './system.ts';
import { CopyGroup, CopyProcess } from './system.ts';

export interface LockstepOptions {
  /** Default: lockstep. */
  readonly name?: string;
  /** Whose program runs. Default: this checkout's. */
  readonly checkout?: string;
  /** For profiles. */
  readonly nodeFlags?: readonly string[];
  /** Goes to the encrypted listeners of both clusters. */
  readonly overTls?: boolean;
  /** That share one mirror. Default: 1. */
  readonly processes?: number;
  /** Default: as the program chooses, identical. */
  readonly offsets?: 'identical' | 'mapped';
}

/** The command as an operator types it, with its defaults. */
export function lockstep(options: LockstepOptions = {}): System {
  const { name = 'lockstep', checkout = repository, nodeFlags = [], overTls = false, offsets, processes = 1 } = options;
  const more = [
    ...(overTls ? ['with TLS to both clusters'] : []),
    ...(offsets ? [`offsets: ${offsets}`] : []),
    ...(processes > 1 ? [`${processes} processes`] : []),
  ];
  return {
    name,
    description: `lockstep run -f link.yaml --until caught-up ${['--json', ...more].join(', ')}`,
    ends: 'when caught up',
    isOverTls: overTls,
    start(task, { isLive = false } = {}) {
      const file = join(task.directory, 'link.yaml');
      writeFileSync(file, linkOf(task, { overTls, offsets }));
      const { NODE_OPTIONS: _options, ...env } = process.env;
      const program = join(checkout, 'bin', 'lockstep.js');
      const until = isLive ? [] : ['--until', 'caught-up'];
      const args = [...nodeFlags, program, 'run', '-f', file, ...until, '--json'];
      const start = (): CopyProcess => CopyProcess.start(process.execPath, args, { directory: task.directory, env });
      return Promise.resolve(processes === 1 ? start() : new CopyGroup(Array.from({ length: processes }, start)));
    },
  };
}

function linkOf(
  { topic, source, target, tls, runId }: CopyTask,
  { overTls, offsets }: { readonly overTls: boolean; readonly offsets: LockstepOptions['offsets'] },
): string {
  const encrypted = ({ bootstrap, caFile }: TlsDoor): object => ({
    bootstrap,
    security: { protocol: 'SSL', ca: { file: caFile } },
  });
  const doors = overTls ? must(tls, 'encrypted listeners') : null;
  const documents = [
    { kind: 'Cluster', metadata: { name: 'source' }, spec: doors ? encrypted(doors.source) : { bootstrap: source } },
    { kind: 'Cluster', metadata: { name: 'target' }, spec: doors ? encrypted(doors.target) : { bootstrap: target } },
    {
      kind: 'Mirror',
      metadata: { name: `bench-${runId}` },
      spec: { source: 'source', target: 'target', topics: [{ match: topic }], ...(offsets ? { offsets } : {}) },
    },
  ];
  // JSON is YAML.
  return documents.map((document) => JSON.stringify({ apiVersion: 'lockstep/v1', ...document })).join('\n---\n');
}
