import { expect, test } from 'vitest';
import { DispositionLedger, type Disposition } from '#contract/disposition-ledger.ts';
import { controlBatch, sourceBatch, TRANSACTIONAL } from '#testing/source-batches.ts';
import { createRandom } from '#util/random.ts';
import { LedgerRecount, spansOf, type RawSpan } from './ledger-recount.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const ABORTER = 7;

type Entry = [Disposition, number];

/** Batches as a source has them, and what became of each of their offsets. */
function played(random: { next(): number }): {
  bytes: Buffer;
  aborted: { producerId: number; firstOffset: number }[];
  entries: Entry[];
} {
  const batches: Buffer[] = [];
  const entries: Entry[] = [];
  const aborted: { producerId: number; firstOffset: number }[] = [];
  let end = 0;
  const add = (batch: Buffer | null, kinds: readonly Disposition[]): void => {
    if (batch) batches.push(batch);
    for (const kind of kinds) entries.push([kind, 1]);
    end += kinds.length;
  };
  const record = { timestamp: 1, key: null, value: Buffer.from('v') };
  for (let i = 0; i < 12; i++) {
    const draw = random.next();
    const count = 1 + Math.floor(random.next() * 5);
    const all = Array.from({ length: count }, () => record);
    if (draw < 0.2)
      add(
        null,
        all.map(() => ({ kind: 'compacted' })),
      );
    else if (draw < 0.4) {
      aborted.push({ producerId: ABORTER, firstOffset: end });
      const options = { producerId: ABORTER, attributes: TRANSACTIONAL };
      add(
        sourceBatch({ baseOffset: end, records: all, ...options }),
        all.map(() => ({ kind: 'aborted' })),
      );
      add(controlBatch({ baseOffset: end, producerId: ABORTER, isCommit: false }), [{ kind: 'control' }]);
    } else {
      const isFiltered = random.next() < 0.3;
      const kept = all.map((each, at) => (at > 0 && at < count - 1 && random.next() < 0.4 ? null : each));
      const kind: Disposition = isFiltered ? { kind: 'filtered', rule: 0 } : { kind: 'delivered' };
      add(
        sourceBatch({ baseOffset: end, records: kept }),
        kept.map((each) => (each ? kind : { kind: 'compacted' })),
      );
    }
  }
  return { bytes: Buffer.concat(batches), aborted, entries };
}

function ledgerOf(entries: readonly Entry[]): DispositionLedger {
  const ledger = new DispositionLedger(0);
  for (const [disposition, length] of entries) ledger.append(disposition, length);
  return ledger;
}

function recounted(
  ledger: DispositionLedger,
  spans: readonly RawSpan[],
  options: { from?: number; isCleaned?: boolean } = {},
) {
  const recount = new LedgerRecount(ledger, options.from ?? 0, { isCleaned: options.isCleaned ?? false });
  recount.take(spans, ledger.end);
  recount.end(ledger.end);
  return recount;
}

/** As a reader counts them: a record that was left out was there, and one that was never there is the same as one that is gone. */
const looksLike = ({ kind }: Disposition): string =>
  kind === 'filtered' || kind === 'dead-lettered' ? 'delivered' : kind === 'lost-at-source' ? 'compacted' : kind;

test('a ledger that says what the source shows leaves nothing unexplained, and each offset that it has wrong is counted', () => {
  process.stdout.write(`ledger recount: seed ${seed}\n`);
  let planted = 0;
  for (let round = 0; round < 300; round++) {
    const random = createRandom(seed + round);
    const { bytes, aborted, entries } = played(random);
    const spans = spansOf(bytes, { start: 0, end: bytes.length, aborted });
    const whole = ledgerOf(entries);
    for (const isCleaned of [false, true]) {
      expect(recounted(whole, spans, { isCleaned }).unexplained).toBe(0);
      const from = Math.floor(whole.end * random.next());
      expect(recounted(whole, spans, { from, isCleaned }).unexplained, `from ${from}`).toBe(0);
    }
    const at = Math.floor(random.next() * (entries.length - 1)); // behind it something is said
    const kinds = ['delivered', 'control', 'aborted', 'compacted'] as const;
    const kind = kinds[Math.floor(random.next() * kinds.length)]!;
    if (looksLike(entries[at]![0]) === kind) continue;
    planted++;
    const wrong = recounted(ledgerOf(entries.with(at, [{ kind }, 1])), spans);
    expect(wrong.unexplained, `offset ${at} of seed ${seed + round} is said to be ${kind}`).toBeGreaterThan(0);
    expect(wrong.first).toBeLessThanOrEqual(at);
    // What it leaves out altogether.
    const cut = new DispositionLedger(0);
    for (const [disposition, length] of entries.slice(0, at)) cut.append(disposition, length);
    const rest = new DispositionLedger(at + 1, whole.ordinalAt(at + 1));
    for (const [disposition, length] of entries.slice(at + 1)) rest.append(disposition, length);
    expect(cut.take(rest.encode(), { mayGap: true })).toBe(true);
    expect(recounted(cut, spans).unexplained).toBe(1);
  }
  expect(planted).toBeGreaterThan(100);
});

test('what compaction has taken since is no mistake of the ledger, and what is there all the same is', () => {
  const record = { timestamp: 1, key: null, value: Buffer.from('v') };
  const ledger = ledgerOf([
    [{ kind: 'delivered' }, 3],
    [{ kind: 'control' }, 1],
    [{ kind: 'compacted' }, 2],
  ]);
  const left = sourceBatch({ baseOffset: 0, records: [record, null, record] });
  const spans = (bytes: Buffer): RawSpan[] => spansOf(bytes, { start: 0, end: bytes.length, aborted: [] });
  expect(recounted(ledger, spans(left), { isCleaned: true }).unexplained).toBe(0);
  expect(recounted(ledger, spans(left)).unexplained).toBe(2);
  const there = Buffer.concat([left, sourceBatch({ baseOffset: 4, records: [record, record] })]);
  expect(recounted(ledger, spans(there), { isCleaned: true })).toMatchObject({ unexplained: 2, first: 4 });
});
