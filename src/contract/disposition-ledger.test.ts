import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DispositionLedger, type Disposition } from './disposition-ledger.ts';

const numRuns = 500;
const disposition: fc.Arbitrary<Disposition> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'delivered' as const }) },
  fc.constantFrom('control' as const, 'aborted' as const, 'compacted' as const).map((kind) => ({ kind })),
  fc.nat({ max: 2 }).map((rule) => ({ kind: 'filtered' as const, rule })),
);
const entries = fc.array(fc.tuple(disposition, fc.integer({ min: 1, max: 5 })), { maxLength: 30 });
const starts = fc.nat({ max: 50 });

function ledgerOf(start: number, all: readonly [Disposition, number][]): DispositionLedger {
  const ledger = new DispositionLedger(start);
  for (const [each, length] of all) ledger.append(each, length);
  return ledger;
}

/** Offset by offset. */
function listOf(all: readonly [Disposition, number][]): Disposition[] {
  return all.flatMap(([each, length]) => Array.from({ length }, () => each));
}

describe('a ledger against a list of offsets', () => {
  test('has each offset once, and explains all of them', () => {
    fc.assert(
      fc.property(starts, entries, (start, all) => {
        const ledger = ledgerOf(start, all);
        const list = listOf(all);
        for (const [i, each] of list.entries()) expect(ledger.dispositionAt(start + i)).toEqual(each);
        for (const [i, { kind }] of list.entries()) expect(ledger.runOf(start + i)?.kind).toBe(kind);
        expect(ledger.dispositionAt(start - 1)).toBe(null);
        expect(ledger.runOf(start + list.length)).toBe(null);
        expect(ledger.dispositionAt(start + list.length)).toBe(null);
        const balance = ledger.balance();
        expect([balance.start, balance.end, balance.unexplained]).toEqual([start, start + list.length, 0]);
        expect(Object.values(balance.counts).reduce((a, b) => a + b, 0)).toBe(list.length);
        expect(balance.counts.filtered).toBe(list.filter(({ kind }) => kind === 'filtered').length);
        let next = start;
        for (const run of ledger.runs()) {
          expect(run.from).toBe(next);
          next = run.to;
        }
        expect(next).toBe(ledger.end);
      }),
      { numRuns },
    );
  });

  test('knows of each record that was delivered the source offset', () => {
    fc.assert(
      fc.property(starts, entries, (start, all) => {
        const ledger = ledgerOf(start, all);
        const delivered = listOf(all).flatMap(({ kind }, i) => (kind === 'delivered' ? [start + i] : []));
        expect(ledger.ordinal).toBe(delivered.length);
        for (const [ordinal, offset] of delivered.entries()) expect(ledger.offsetOf(ordinal)).toBe(offset);
        expect([ledger.offsetOf(-1), ledger.offsetOf(delivered.length)]).toEqual([null, null]);
        const map = ledger.deliveries();
        expect(map.records).toBe(delivered.length);
        for (const [ordinal, offset] of delivered.entries()) expect(map.targetOf(offset)).toBe(ordinal);
      }),
      { numRuns },
    );
  });

  test('is cut before a record, and keeps what lies before that', () => {
    fc.assert(
      fc.property(starts, entries, fc.nat({ max: 60 }), (start, all, ordinal) => {
        const ledger = ledgerOf(start, all);
        const offset = ledger.offsetOf(ordinal) ?? ledger.end;
        ledger.truncate(ordinal);
        const kept = listOf(all).slice(0, offset - start);
        expect([ledger.end, ledger.ordinal]).toEqual([offset, kept.filter(({ kind }) => kind === 'delivered').length]);
        expect([...ledger.runs()]).toEqual([
          ...ledgerOf(
            start,
            kept.map((each) => [each, 1]),
          ).runs(),
        ]);
      }),
      { numRuns },
    );
  });

  test('is the same after it was written and read, in pieces', () => {
    fc.assert(
      fc.property(starts, entries, fc.integer({ min: 1, max: 7 }), (start, all, size) => {
        const ledger = ledgerOf(start, all);
        const read = new DispositionLedger(start);
        for (let from = 0; from < ledger.runCount; from += size) {
          const piece = ledger.encode(from, Math.min(ledger.runCount, from + size));
          expect(read.take(JSON.parse(JSON.stringify(piece)) as typeof piece)).toBe(true);
          expect(read.take(piece), 'twice').toBe(false);
        }
        expect([...read.runs()]).toEqual([...ledger.runs()]);
        expect([read.end, read.ordinal]).toEqual([ledger.end, ledger.ordinal]);
      }),
      { numRuns },
    );
  });
});

test('what is no piece of a ledger is not taken', () => {
  for (const runs of [[0], [0, 0], [9, 1], [0, -1], [0, 1.5], [0, 3, 16 + 10_000, 1]])
    expect(new DispositionLedger(7).take({ start: 7, ordinal: 0, runs }), JSON.stringify(runs)).toBe(false);
  expect(new DispositionLedger(7).take({ start: 8, ordinal: 0, runs: [0, 1] })).toBe(false);
  expect(new DispositionLedger(7).take({ start: 7, ordinal: 1, runs: [0, 1] })).toBe(false);
});
