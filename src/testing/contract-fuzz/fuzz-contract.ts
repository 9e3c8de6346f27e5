/**
 * Schemathesis against a control plane that listens: it reads openapi.json, makes requests that fit it and requests that do not,
 * follows the links between answers and routes, and holds every answer to the document.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { must } from '#util/assert.ts';
import { pythonPackages } from '../python-packages.ts';
import { spawnSupervised, temporaryDirectory } from '../supervisor.ts';

const here = import.meta.dirname;
const root = join(here, '../../..');

/** Streams never end by themselves. */
const LEFT_OUT = ['openStream', 'openSocket'];

export interface FuzzOptions {
  /** Where the server listens, `http://127.0.0.1:1234`. */
  readonly url: string;
  /** A session or token of an administrator; another one each time. */
  nextToken(this: void): Promise<string>;
  readonly seed: number;
  readonly phases: readonly ('examples' | 'coverage' | 'fuzzing' | 'stateful')[];
  /** Cases of each operation in each phase, at most. */
  readonly examplesMax: number;
  readonly workers?: number;
}

export interface FuzzReport {
  readonly hasPassed: boolean;
  /** What Schemathesis printed. */
  readonly output: string;
  readonly cases: number;
}

/** Where Schemathesis is; null where it cannot be had. */
export function findSchemathesis(): Promise<string | null> {
  return pythonPackages('schemathesis', join(here, 'requirements.txt'));
}

export async function fuzzContract(schemathesis: string, options: FuzzOptions): Promise<FuzzReport> {
  const tokens = createServer((_request, response) => {
    options.nextToken().then(
      (token) => response.end(token),
      () => response.writeHead(500).end(),
    );
  });
  tokens.listen(0, '127.0.0.1');
  await once(tokens, 'listening');
  const { port } = tokens.address() as AddressInfo;
  const directory = temporaryDirectory('fuzz');
  const settings = {
    url: options.url,
    seed: options.seed,
    phases: options.phases.join(),
    'max-examples': options.examplesMax,
    workers: options.workers ?? 1,
    'generation-database': ':memory:',
    'suppress-health-check': 'all',
  };
  const program = ['-c', 'from schemathesis.cli import schemathesis; schemathesis()'];
  const args = [
    ...program,
    `--config-file=${join(here, 'schemathesis.toml')}`,
    'run',
    join(root, 'openapi.json'),
    ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
    ...LEFT_OUT.map((id) => `--exclude-operation-id=${id}`),
    '--no-color',
    '--continue-on-failure',
  ];
  const child = spawnSupervised('python3', args, {
    cwd: directory,
    env: {
      ...process.env,
      PYTHONPATH: `${schemathesis}:${here}`,
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'hooks',
      LOCKSTEP_FUZZ_TOKENS: `http://127.0.0.1:${port}/`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    const exited = once(child, 'exit');
    const output = Promise.all([text(must(child.stdout, 'stdout')), text(must(child.stderr, 'stderr'))]);
    const [code] = (await exited) as [number | null];
    const shown = (await output).join('');
    return { hasPassed: code === 0, output: shown, cases: Number(/(\d+) generated/.exec(shown)?.[1] ?? 0) };
  } finally {
    tokens.close();
  }
}
