/** `npm run fuzz:api -- --examples 200 --seed N --postgres`: Schemathesis at length against openapi.json; exit 1 with findings. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findSchemathesis, fuzzContract } from '#testing/contract-fuzz/fuzz-contract.ts';
import { startFuzzedPlane } from '#testing/contract-fuzz/fuzzed-plane.ts';
import { PostgresServer } from '#testing/postgres.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';

const { values } = parseArgs({
  options: {
    examples: { type: 'string', default: '200' },
    seed: { type: 'string' },
    postgres: { type: 'boolean', default: false },
  },
});
const schemathesis = await findSchemathesis();
if (schemathesis === null) {
  console.error('Schemathesis cannot be had here: it needs Python 3, pip and the network');
  process.exit(1);
}
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
const postgres = values.postgres ? await PostgresServer.start() : null;
const fuzzed = await startFuzzedPlane(
  postgres === null
    ? { engine: 'sqlite', path: join(temporaryDirectory('fuzz'), 'lockstep.db') }
    : { engine: 'postgres', url: await postgres.createDatabase('fuzz') },
);
console.log(`${fuzzed.url}, ${postgres === null ? 'SQLite' : 'PostgreSQL'}, seed ${seed}`);
const { url, nextToken, plane, served } = fuzzed;
const phases = ['examples', 'coverage', 'fuzzing', 'stateful'] as const;
const report = await fuzzContract(schemathesis, { url, nextToken, seed, phases, examplesMax: Number(values.examples) });
await fuzzed.close();
await postgres?.down('SIGINT');
console.log(report.output);
for (const { message, error } of plane.logged) console.log(message, error);
console.log(`${report.cases} requests; ${served.size} routes have done what was asked at least once`);
process.exit(report.hasPassed && plane.logged.length === 0 ? 0 : 1);
