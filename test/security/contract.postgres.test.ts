/** openapi.json against a server that listens, on both stores: Schemathesis makes the requests and judges the answers. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { StoreLocation } from '#store/location.ts';
import { findSchemathesis, fuzzContract, type FuzzOptions } from '#testing/contract-fuzz/fuzz-contract.ts';
import { startFuzzedPlane } from '#testing/contract-fuzz/fuzzed-plane.ts';
import { PostgresServer } from '#testing/postgres.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

const schemathesis = await findSchemathesis();
const seed = Number(process.env['LOCKSTEP_SEED'] ?? 1);
let server: PostgresServer | null = null;

beforeAll(async () => {
  if (schemathesis !== null) server = await PostgresServer.start();
});
afterAll(() => server?.down('SIGINT'));

interface Run {
  readonly locate: () => Promise<StoreLocation>;
  readonly phases: FuzzOptions['phases'];
  readonly casesMin: number;
}

/** What does not get as far as the database is asked of one of them. */
const runs: [string, Run][] = [
  [
    'SQLite',
    {
      locate: async () => ({ engine: 'sqlite', path: join(temporaryDirectory('fuzz'), 'lockstep.db') }),
      phases: ['examples', 'coverage', 'stateful'],
      casesMin: 1_000,
    },
  ],
  [
    'PostgreSQL',
    {
      locate: async () => ({ engine: 'postgres', url: await must(server, 'server').createDatabase('fuzz') }),
      phases: ['examples', 'fuzzing', 'stateful'],
      casesMin: 200,
    },
  ],
];

describe.skipIf(schemathesis === null).concurrent('every answer is one that openapi.json describes', () => {
  test.for(runs)('on %s', { timeout: 600_000 }, async ([, { locate, phases, casesMin }], { expect }) => {
    const fuzzed = await startFuzzedPlane(await locate());
    const { url, nextToken, served, plane } = fuzzed;
    const report = await fuzzContract(must(schemathesis, 'schemathesis'), {
      url,
      nextToken,
      seed,
      phases,
      examplesMax: 3,
    });
    await fuzzed.close();
    expect(report.hasPassed, report.output).toBe(true);
    expect(plane.logged).toEqual([]);
    expect(report.cases).toBeGreaterThan(casesMin);
    // It got as far as the handlers.
    expect(served.size).toBeGreaterThan(50);
  });
});
