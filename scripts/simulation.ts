/**
 * `npm run test:simulation [-- --schedules N] [--seed N] [--kind NAME…]`: schedules of simulated mirrors, each made from a
 * seed; 10,000 by default, of all kinds. A failure is told with the line that repeats it, and makes exit code 1. `--guards` cuts each
 * rule of src/testing/simulation/guards.ts in turn, and says how many schedules it took to notice.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { assert } from '#util/assert.ts';
import { plantBug } from '#testing/planted-bug.ts';
import { simulatedGuards, type SimulatedGuard } from '#testing/simulation/guards.ts';
import { addCounts, kinds, type Kind } from '#testing/simulation/kinds.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const GUARD_SCHEDULES = 1_000;
/** One is enough to see that a guard is missed. */
const FAILURES_MAX = process.env['LOCKSTEP_FIRST'] === '1' ? 1 : 10;

/** Simulations that are test files: they take the number of schedules and the first seed from the environment. */
const files = [
  { name: 'mapped', share: 0.14, file: 'src/mirror/mapped-shard.sim.test.ts', test: 'and with answers lost' },
  { name: 'ownership', share: 0.11, file: 'src/jobs/ownership.sim.test.ts', test: 'never write to one shard' },
] as const;
const names = [...kinds, ...files].map(({ name }) => name);

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    kind: { type: 'string', multiple: true },
    guards: { type: 'boolean' },
  },
});
const schedules = wholeNumber(values.schedules, '--schedules');
const firstSeed = values.seed === undefined ? Date.now() % 1_000_000_000 : wholeNumber(values.seed, '--seed');
const chosen = values.kind ?? names;
const unknown = chosen.filter((name) => !names.includes(name));

if (unknown.length > 0) {
  process.stderr.write(`test:simulation: no kind is called ${unknown.join(', ')}; there are: ${names.join(', ')}\n`);
  process.exitCode = 2;
} else if (values.guards) process.exitCode = cutGuards();
else process.exitCode = await run();
process.exit(); // processes that were killed wait for ever

async function run(): Promise<number> {
  const all = [...kinds, ...files].filter(({ name }) => chosen.includes(name));
  const shares = all.reduce((sum, { share }) => sum + share, 0);
  const countOf = ({ share }: { readonly share: number }): number =>
    Math.max(1, Math.round((schedules * share) / shares));
  console.log(`simulation: seeds from ${firstSeed} on`);
  let [played, failures] = [0, 0];
  for (const kind of all) {
    if (failures >= FAILURES_MAX) break;
    const count = countOf(kind);
    played += count;
    failures += 'file' in kind ? playFile(kind, count) : await playKind(kind, count);
  }
  console.log(`simulation: ${played} schedules, ${failures} failed`);
  return failures > 0 ? 1 : 0;
}

/** How many failed. */
async function playKind(kind: Kind, count: number): Promise<number> {
  const startedAt = process.cpuUsage();
  const total: Record<string, number> = {};
  let failures = 0;
  for (let seed = firstSeed; seed < firstSeed + count && failures < FAILURES_MAX; seed++) {
    try {
      addCounts(total, await kind.play(seed));
    } catch (error) {
      failures++;
      tellFailure(kind.name, seed, seed - firstSeed + 1, error);
    }
  }
  const { user, system } = process.cpuUsage(startedAt);
  const cpu = ((user + system) / 1e6).toFixed(0);
  console.log(`${kind.name}: ${count} schedules, ${failures} failed, ${cpu} s of CPU; ${JSON.stringify(total)}`);
  return failures;
}

function tellFailure(name: string, seed: number, number: number, error: unknown): void {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  const because = cause instanceof Error ? `: ${cause.message}` : '';
  console.log(`FAILED ${name}, schedule ${number}: ${message}${because}`);
  console.log(`  repeat: npm run test:simulation -- --kind ${name} --schedules 1 --seed ${seed}`);
}

function playFile({ name, file, test }: (typeof files)[number], count: number): number {
  const env = { ...process.env, LOCKSTEP_SCHEDULES: String(count), LOCKSTEP_SEED: String(firstSeed) };
  const args = [vitest, 'run', '--project', 'unit', '--test-timeout', '3600000', file, '-t', test];
  const { status } = spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
  if (status === 0) return 0;
  console.log(`FAILED ${name}: the seed is told above`);
  console.log(`  repeat: npm run test:simulation -- --kind ${name} --schedules ${count} --seed ${firstSeed}`);
  return 1;
}

// ---- guards

function cutGuards(): number {
  const missed = simulatedGuards.map((guard) => findsCut(guard)).filter((isFound) => !isFound).length;
  console.log(`guards: ${simulatedGuards.length - missed} of ${simulatedGuards.length} are missed when they are cut`);
  return missed > 0 ? 1 : 0;
}

function findsCut({ name, kind, off }: SimulatedGuard): boolean {
  const planted = plantBug(off);
  const args = [fileURLToPath(import.meta.url), '--kind', kind, '--schedules', String(GUARD_SCHEDULES), '--seed', '1'];
  const env = { ...process.env, ...planted.env, LOCKSTEP_FIRST: '1' };
  const { stdout } = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 2 ** 28 });
  assert(planted.wasPlanted(), `${off.file} is loaded without its guard`);
  const found = /^FAILED .*?, schedule (\d+): (.*)$/m.exec(stdout);
  const told = found
    ? `after ${found[1]} schedules of ${kind}: ${found[2]?.slice(0, 110)}`
    : `NOT FOUND in ${GUARD_SCHEDULES} of ${kind}`;
  console.log(`| ${name} | ${told} |`);
  return found !== null;
}

function wholeNumber(text: string, flag: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`test:simulation: ${flag}: '${text}' is not a whole number\n`);
    process.exit(2);
  }
  return value;
}
