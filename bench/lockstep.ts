import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '#testing/kafka-home.ts';
import type { CopyTask, System } from './system.ts';
import { CopyProcess } from './system.ts';

export interface LockstepOptions {
  /** Default: lockstep. */
  readonly name?: string;
  /** Whose program runs. Default: this checkout's. */
  readonly checkout?: string;
  /** For profiles. */
  readonly nodeFlags?: readonly string[];
}

/** The command as an operator types it, with its defaults. */
export function lockstep(options: LockstepOptions = {}): System {
  const { name = 'lockstep', checkout = repository, nodeFlags = [] } = options;
  return {
    name,
    description: 'lockstep run -f link.yaml --until caught-up --json',
    endsByItself: true,
    start(task) {
      const file = join(task.directory, 'link.yaml');
      writeFileSync(file, linkOf(task));
      const { NODE_OPTIONS: _options, ...env } = process.env;
      const program = join(checkout, 'bin', 'lockstep.js');
      const args = [...nodeFlags, program, 'run', '-f', file, '--until', 'caught-up', '--json'];
      return CopyProcess.start(process.execPath, args, { directory: task.directory, env });
    },
  };
}

function linkOf({ topic, source, target, runId }: CopyTask): string {
  const documents = [
    { kind: 'Cluster', metadata: { name: 'source' }, spec: { bootstrap: source } },
    { kind: 'Cluster', metadata: { name: 'target' }, spec: { bootstrap: target } },
    {
      kind: 'Mirror',
      metadata: { name: `bench-${runId}` },
      spec: { source: 'source', target: 'target', topics: [{ match: topic }] },
    },
  ];
  // JSON is YAML.
  return documents.map((document) => JSON.stringify({ apiVersion: 'lockstep/v1', ...document })).join('\n---\n');
}
