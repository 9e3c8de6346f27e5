/** openapi.json against a server that listens, on both stores: Schemathesis makes the requests and judges the answers. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { StoreLocation } from '#store/location.ts';
import { findSchemathesis, fuzzContract } from '#testing/contract-fuzz/fuzz-contract.ts';
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

const stores: [string, () => Promise<StoreLocation>][] = [
  ['SQLite', async () => ({ engine: 'sqlite', path: join(temporaryDirectory('fuzz'), 'lockstep.db') })],
  ['PostgreSQL', async () => ({ engine: 'postgres', url: await must(server, 'server').createDatabase('fuzz') })],
];

describe.skipIf(schemathesis === null).concurrent('every answer is one that openapi.json describes', () => {
  test.for(stores)('on %s', { timeout: 600_000 }, async ([, locate], { expect }) => {
    const fuzzed = await startFuzzedPlane(await locate());
    const { url, nextToken, served, plane } = fuzzed;
    const phases = ['examples', 'coverage', 'stateful'] as const;
    const options = { url, nextToken, seed, phases, examplesMax: 3 };
    const report = await fuzzContract(must(schemathesis, 'schemathesis'), options);
    await fuzzed.close();
    expect(report.hasPassed, report.output).toBe(true);
    expect(plane.logged).toEqual([]);
    expect(report.cases).toBeGreaterThan(1_000);
    // It got as far as the handlers.
    expect(served.size).toBeGreaterThan(50);
  });
});
