import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { capacityOf, type CapacityLoad } from './capacity.ts';

const load = (change: Partial<CapacityLoad> = {}): CapacityLoad => ({
  topics: 5_000,
  partitions: 50_000,
  bytesPerSecond: 500e6,
  brokers: { source: 6, target: 6 },
  tlsSides: 0,
  groupPlaces: 50_000,
  groups: 1_000,
  groupsEveryMs: 5_000,
  refreshMs: 5_000,
  ...change,
});

describe('what a load takes', () => {
  test('is little for little', () => {
    const plan = capacityOf(load({ topics: 1, partitions: 3, bytesPerSecond: 1e6, groups: 0, groupPlaces: 0 }));
    expect(plan).toMatchObject({ processes: 1, connections: 25 });
    expect(plan.cores).toBeLessThan(0.01);
    expect(plan.limits[0]?.used).toBeLessThan(0.1);
  });

  test('is more processes where one has no room, and each then has less to do', () => {
    const [one, three] = [capacityOf(load(), 1), capacityOf(load(), 3)];
    expect(one.coresOfOne).toBeGreaterThan(0.7);
    expect(one.limits[0]).toMatchObject({ what: 'the core of a process', next: 'one more process' });
    expect(three.coresOfOne).toBeLessThan(one.coresOfOne);
    expect(capacityOf(load()).processes).toBeGreaterThan(1);
    expect(capacityOf(load()).coresOfOne).toBeLessThanOrEqual(0.7);
  });

  test('ends in a limit that more processes do not lift', () => {
    const plan = capacityOf(load({ bytesPerSecond: 0, groups: 20_000, groupPlaces: 1_000_000 }));
    expect(plan.limits[0]).toMatchObject({ what: 'the core of a process', next: expect.stringContaining('everyMs') });
    expect(plan.processes).toBeLessThan(50);
    const topics = capacityOf(load({ topics: 50_000 }));
    expect(topics.limits[0]).toMatchObject({ what: 'the group of the processes', next: 'several mirrors' });
  });

  test('grows with the load, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.record({
          topics: fc.nat(10_000),
          partitions: fc.nat(100_000),
          bytesPerSecond: fc.nat(1_000_000_000),
          tlsSides: fc.nat(2),
          groupPlaces: fc.nat(100_000),
          groups: fc.nat(5_000),
        }),
        fc.integer({ min: 1, max: 20 }),
        (change, processes) => {
          const [plan, twice] = [change, { ...change, bytesPerSecond: change.bytesPerSecond * 2 + 1 }].map((each) =>
            capacityOf(load(each), processes),
          );
          expect(twice?.cores).toBeGreaterThan(plan?.cores ?? Infinity);
          expect(twice?.requestsPerSecond.source).toBeGreaterThanOrEqual(plan?.requestsPerSecond.source ?? Infinity);
          const numbers = [plan?.cores, plan?.memoryBytes, plan?.groupBytes, ...Object.values(plan?.coresOf ?? {})];
          expect(numbers.every((each) => Number.isFinite(each) && (each ?? -1) >= 0)).toBe(true);
        },
      ),
    );
  });
});
