/** Figures over time against the simplest account of them: a list of what was added when. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { openMigrated } from './location.ts';
import { defaultRetention } from './maintenance.ts';
import { createLocalStore } from './open-store.ts';

const HOUR = 3_600_000;
const BEGIN = Date.UTC(2026, 10, 22);

/** Often within a step of 10 s, sometimes hours later. */
const pause = fc.oneof(fc.nat(5000), fc.nat(1_200_000), fc.nat(6 * HOUR));
const step = fc.record({
  what: fc.constantFrom('copy', 'copy', 'copy', 'begin anew', 'restart', 'roll up', 'prune'),
  ms: pause,
  added: fc.nat(1000),
});

test('whatever restarts, is rolled up, pruned or repeated, sums and covered times are those of the list', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      let now = BEGIN;
      const clock = { ...systemClock, now: () => now };
      const database = await openMigrated({ engine: 'sqlite', path: ':memory:' }, systemHost.disk);
      const store = createLocalStore(database, { clock, random: createRandom(1) });
      try {
        const text = {
          name: 'j',
          kind: 'Mirror',
          source: null,
          target: null,
          document: {},
          desired: 'started',
        } as const;
        const { id: jobId } = await store.jobs.create(text);
        let source = { id: 'run-0', startedAt: now };
        let value = 0;
        let saidAt = now;
        let [added, coveredMs] = [0, 0];
        for (const { what, ms, added: more } of steps) {
          now += ms;
          if (what === 'restart') {
            source = { id: `${source.id}+`, startedAt: now };
            value = 0;
            saidAt = now;
          } else if (what === 'roll up') {
            await store.maintenance.rollUp(defaultRetention);
          } else if (what === 'prune') {
            while (await store.maintenance.prune(defaultRetention));
          } else {
            // A counter that falls has begun anew without saying so.
            const next = what === 'copy' ? value + more : Math.floor(value / 2);
            added += next < value ? next : next - value;
            value = next;
            coveredMs += now - saidAt;
            saidAt = now;
            const samples = [{ jobId, topic: null, metric: 'records', kind: 'counter', value }] as const;
            await store.history.record(source, samples);
            if (ms % 3 === 0) await store.history.record(source, samples);
          }
        }
        const time = { from: BEGIN, to: now + 1 };
        const totals = await store.history.totals({ jobId, metrics: ['records'], ...time });
        expect(totals[0] ?? { added: 0, coveredMs: 0 }).toMatchObject({ added, coveredMs });
        for (const pointsMax of [5, 100, 10_000]) {
          const [series] = await store.history.read({ jobId, topic: null, metrics: ['records'], ...time, pointsMax });
          const points = series?.points ?? [];
          expect(points.reduce((sum, point) => sum + (point.added ?? 0), 0)).toBe(added);
          expect(points.map(({ at }) => at)).toEqual(
            [...new Set(points.map(({ at }) => at))].toSorted((a, b) => a - b),
          );
        }
      } finally {
        await store.close(0);
      }
    }),
    { numRuns: 40 },
  );
});
