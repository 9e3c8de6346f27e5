import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OffsetMap, type OffsetRun } from './offset-map.ts';

/** Gaps and lengths: from the end of one run to the next on either side. */
const runsArbitrary = fc.array(
  fc.record({ sourceGap: fc.nat({ max: 4 }), targetGap: fc.nat({ max: 3 }), length: fc.integer({ min: 1, max: 6 }) }),
  { maxLength: 30 },
);

function runsOf(gaps: readonly { sourceGap: number; targetGap: number; length: number }[]): OffsetRun[] {
  let [source, target] = [0, 0];
  return gaps.map(({ sourceGap, targetGap, length }) => {
    const run = { source: source + sourceGap, target: target + targetGap, length };
    [source, target] = [run.source + length, run.target + length];
    return run;
  });
}

function mapOf(runs: readonly OffsetRun[]): OffsetMap {
  const map = new OffsetMap();
  for (const run of runs) map.append(run);
  return map;
}

/** Record by record: [source, target]. */
function pairsOf(runs: readonly OffsetRun[]): [number, number][] {
  return runs.flatMap(({ source, target, length }) =>
    Array.from({ length }, (_, i): [number, number] => [source + i, target + i]),
  );
}

const numRuns = 500;

describe('a map of offsets against a list of pairs', () => {
  test('says for each offset of either side what the list says', () => {
    fc.assert(
      fc.property(runsArbitrary, (gaps) => {
        const runs = runsOf(gaps);
        const map = mapOf(runs);
        const pairs = pairsOf(runs);
        expect(map.records).toBe(pairs.length);
        for (let offset = 0; offset <= map.sourceEnd + 2; offset++) {
          expect(map.targetOf(offset)).toBe(pairs.find(([source]) => source === offset)?.[1] ?? null);
          expect(map.nextTarget(offset)).toBe(pairs.find(([source]) => source >= offset)?.[1] ?? map.targetEnd);
        }
        for (let offset = 0; offset <= map.targetEnd + 2; offset++) {
          expect(map.sourceOf(offset)).toBe(pairs.find(([, target]) => target === offset)?.[0] ?? null);
          expect(map.nextSource(offset)).toBe(pairs.find(([, target]) => target >= offset)?.[0] ?? map.sourceEnd);
        }
      }),
      { numRuns },
    );
  });

  test('translates every offset of a group so that it has read the same records, at any lag', () => {
    fc.assert(
      fc.property(runsArbitrary, (gaps) => {
        const pairs = pairsOf(runsOf(gaps));
        const map = mapOf(runsOf(gaps));
        for (let offset = 0; offset <= map.sourceEnd; offset++) {
          const read = pairs.filter(([source]) => source < offset).length;
          const target = map.nextTarget(offset);
          expect(pairs.filter(([, each]) => each < target).length).toBe(read);
          expect(pairs.filter(([source]) => source < map.nextSource(target)).length).toBe(read);
        }
      }),
      { numRuns },
    );
  });

  test('has as few runs as there are gaps, whatever pieces it was told in', () => {
    fc.assert(
      fc.property(runsArbitrary, (gaps) => {
        const map = new OffsetMap();
        for (const [source, target] of pairsOf(runsOf(gaps))) map.append({ source, target, length: 1 });
        const breaks = gaps.filter(({ sourceGap, targetGap }, i) => i === 0 || sourceGap + targetGap > 0).length;
        expect(map.runCount).toBe(breaks);
        expect([...map.runs()]).toEqual([...mapOf(runsOf(gaps)).runs()]);
      }),
      { numRuns },
    );
  });

  test('is the same after it was written and read, in one piece or several', () => {
    fc.assert(
      fc.property(runsArbitrary, fc.nat({ max: 30 }), (gaps, cut) => {
        const map = mapOf(runsOf(gaps));
        const at = Math.min(cut, map.runCount);
        const read = new OffsetMap();
        expect(read.take(JSON.parse(JSON.stringify(map.encode(0, at))) as number[])).toBe(true);
        expect(read.take(JSON.parse(JSON.stringify(map.encode(at))) as number[])).toBe(true);
        expect([...read.runs()]).toEqual([...map.runs()]);
        expect(read.records).toBe(map.records);
      }),
      { numRuns },
    );
  });

  test('is cut where it is told to', () => {
    fc.assert(
      fc.property(runsArbitrary, fc.nat({ max: 200 }), (gaps, at) => {
        const map = mapOf(runsOf(gaps));
        map.truncate(at);
        const kept = pairsOf(runsOf(gaps)).filter(([source]) => source < at);
        expect(pairsOf([...map.runs()])).toEqual(kept);
        expect(map.records).toBe(kept.length);
      }),
      { numRuns },
    );
  });

  test('follows another map as the list of pairs does', () => {
    fc.assert(
      fc.property(runsArbitrary, runsArbitrary, (first, second) => {
        const [a, b] = [runsOf(first), runsOf(second)];
        const targets = new Map(pairsOf(b));
        const expected = pairsOf(a).flatMap(([source, middle]) => {
          const target = targets.get(middle);
          return target === undefined ? [] : [[source, target]];
        });
        expect(pairsOf([...mapOf(a).followedBy(mapOf(b)).runs()])).toEqual(expected);
      }),
      { numRuns },
    );
  });
});

test('what is no map is not taken', () => {
  for (const encoded of [
    [0, 0],
    [0, 0, 0],
    [-1, 0, 5],
    [0, -1, 5],
    [0, 0, 1.5],
    [0, 0, 5, -2, 0, 1],
    [2 ** 53, 0, 1],
  ]) {
    const map = new OffsetMap();
    expect(map.take(encoded), JSON.stringify(encoded)).toBe(false);
    expect(map.runCount).toBe(0);
  }
  const map = mapOf([{ source: 10, target: 5, length: 3 }]);
  expect(map.take([12, 20, 1])).toBe(false);
  expect(map.take([13, 7, 1])).toBe(false);
  expect(map.take([13, 8, 1])).toBe(true);
  expect(() => map.append({ source: 13, target: 20, length: 1 })).toThrow('a map only grows');
});
