/**
 * A share of the nightly simulation (`npm run test:simulation`): processes of a mirror with identical offsets that are killed,
 * stand still and are cut off, between clusters that refuse, lose and delay. LOCKSTEP_SEED repeats one seed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { simulatedGuards } from '#testing/simulation/guards.ts';
import { addCounts, kinds } from '#testing/simulation/kinds.ts';
import { must } from '#util/assert.ts';

const given = process.env['LOCKSTEP_SEED'];
const base = given === undefined ? Date.now() % 1_000_000_000 : Number(given);
const schedules = { doubles: 40, alone: 40, 'alone-preserve': 30, group: 20, 'group-preserve': 10 } as const;

describe('schedules of a partition with identical offsets', () => {
  const happened: Record<string, number> = {};
  test.each(Object.entries(schedules))(
    '%s: the target is the source, or one incident names the place, in %i schedules',
    async (name, count) => {
      const kind = must(
        kinds.find((each) => each.name === name),
        name,
      );
      const total: Record<string, number> = {};
      for (let seed = base; seed < base + (given === undefined ? count : 1); seed++) {
        const repeat = `npm run test:simulation -- --kind ${name} --schedules 1 --seed ${seed}`;
        addCounts(
          total,
          await kind.play(seed).catch((error: unknown) => {
            throw new Error(repeat, { cause: error });
          }),
        );
      }
      process.stdout.write(`${name}: seeds from ${base} on, ${JSON.stringify(total)}\n`);
      addCounts(happened, total);
      expect(total['written'], 'records').toBeGreaterThan(0);
    },
    240_000,
  );

  test.runIf(given === undefined)('of all these no fault was without effect', () => {
    const faults = ['kills', 'lost', 'refused', 'late', 'elections', 'hangUps'];
    expect(faults.filter((what) => !happened[what])).toEqual([]);
  });
});

test('killed before each event that reaches it, its successor goes on exactly', async () => {
  const { crashes = 0 } = await must(
    kinds.find(({ name }) => name === 'crashes'),
    'kind',
  ).play(base);
  process.stdout.write(`crashes: ${crashes}, seed ${base}\n`);
  expect(crashes).toBeGreaterThan(60);
}, 240_000);

test('every rule that the simulation is tried without stands in the source exactly once', () => {
  const timesIn = (file: string, find: string): number =>
    readFileSync(join(import.meta.dirname, '..', '..', file), 'utf8').split(find).length - 1;
  const wrong = simulatedGuards.filter(({ off }) => timesIn(off.file, off.find) !== 1);
  expect(wrong.map(({ name }) => name)).toEqual([]);
});
