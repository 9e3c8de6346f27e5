/** A partition and its copy compared within a window of offsets, with what lies outside of what both sides have. */
import { sleep, type Clock } from '#util/clock.ts';
import type { Difference, PartitionVerification, UnverifiedPart } from '#contract/verification.ts';
import { MappedComparison, type MappedExport } from './compare-mapped.ts';
import { Comparison, readRecord, type ComparePolicy } from './compare-partition.ts';
import { DamagedBatchError, type LogBounds, type PartitionLog } from './log-side.ts';
import type { StatedFilter } from './stated-filter.ts';

/** How often, a second apart, a source that ends before its copy is asked again. */
const END_QUESTIONS = 4;

/** What is told of a comparison while it goes on. */
export type Running = Pick<Comparison, 'records' | 'bytes' | 'differences'>;

export interface CompareRun {
  readonly clock: Clock;
  readonly running: Set<Running>;
  readonly signal: AbortSignal;
  /** Offsets [from, to) of the source; null for all that is there. */
  readonly from: number | null;
  readonly to: number | null;
  /** Only so many offsets before the end. */
  readonly tail?: number;
}

type Compared = Omit<PartitionVerification, 'topic' | 'targetTopic' | 'partition'>;

/** The target's ends first: what is on it then has been on the source before. */
export async function compareLogs(
  logs: { readonly source: PartitionLog; readonly target: PartitionLog },
  policy: ComparePolicy,
  run: CompareRun,
): Promise<Compared> {
  const target = await logs.target.bounds();
  const source = await sourceBounds(logs.source, target.end, run);
  const last = Math.min(source.stable, target.stable, run.to ?? Infinity);
  const window = { from: Math.max(run.from ?? 0, last - (run.tail ?? Infinity)), to: run.to ?? Infinity };
  const from = Math.max(source.start, target.start, window.from);
  const to = last;
  const comparison = new Comparison(logs, { from, to: Math.max(from, to) }, policy);
  run.running.add(comparison);
  try {
    const compared = await comparison.run(run.signal);
    const isBeyond = target.end > source.stable && window.to > source.stable;
    const beyond = isBeyond ? [await differenceBeyond(logs.target, source.stable, target)] : [];
    const differences = compared.differences + beyond.length;
    const unverified = [...unreadable(source, target, window), ...compared.unverified];
    // With transactions preserved it is one of the source's that is being copied.
    if (policy.transactions === 'committed-only' && target.stable < Math.min(target.end, source.stable, window.to))
      unverified.push({
        from: target.stable,
        to: Math.min(target.end, source.stable, window.to),
        reason: 'a transaction that is open on the target hides it',
      });
    const provenThrough = to >= from ? compared.provenThrough : null;
    return {
      verdict: differences > 0 ? 'different' : unverified.length > 0 ? 'unverified' : 'identical',
      from: provenThrough === null ? null : from,
      provenThrough,
      sourceStart: source.start,
      sourceEnd: source.stable,
      targetStart: target.start,
      targetEnd: target.stable,
      lag: Math.max(0, source.stable - (provenThrough ?? source.start)),
      records: comparison.records,
      compacted: compared.compacted,
      source: compared.source,
      target: compared.target,
      unexplained: comparison.unexplained,
      differences,
      shown: [...compared.shown, ...beyond],
      unverified,
      bytes: { ...comparison.bytes },
      error: null,
    };
  } finally {
    run.running.delete(comparison);
  }
}

/** What the map places, as far as both sides still have it. */
export async function compareMappedLogs(
  logs: { readonly source: PartitionLog; readonly target: PartitionLog },
  options: { readonly exported: MappedExport; readonly policy: ComparePolicy; readonly filter: StatedFilter },
  run: CompareRun,
): Promise<Compared> {
  try {
    return await compareMappedOnce(logs, { ...options, isDamageFinal: false }, run);
  } catch (error) {
    if (!(error instanceof DamagedBatchError)) throw error;
    return compareMappedOnce(logs, { ...options, isDamageFinal: true }, run); // damage on the way passes
  }
}

async function compareMappedOnce(
  logs: Parameters<typeof compareMappedLogs>[0],
  options: Parameters<typeof compareMappedLogs>[1] & { readonly isDamageFinal: boolean },
  run: Parameters<typeof compareMappedLogs>[2],
): Promise<Compared> {
  const { map, ledger, isShared, isPart, mappedFrom = ledger.start } = options.exported;
  const target = await logs.target.bounds();
  const source = await sourceBounds(logs.source, ledger.end, run);
  const window = { from: run.from ?? 0, to: run.to ?? Infinity };
  const first = Math.max(ledger.start, window.from);
  // What retention took from the target is not there to be compared.
  const kept = map.runCount > 0 && target.start > map.runAt(0).target ? map.nextSource(target.start) : first;
  const from = Math.max(first, kept, source.start);
  const to = Math.max(from, Math.min(ledger.end, source.stable, window.to));
  const comparison = new MappedComparison(logs, { from, to, targetEnd: target.stable }, options);
  run.running.add(comparison);
  try {
    const { provenThrough, shown, unverified } = await comparison.run(run.signal);
    const isBeyond = ledger.end > source.stable && window.to > source.stable;
    const beyond = isBeyond ? [await mappedBeyond(logs.target, options.exported, { source, target })] : [];
    const isEmpty = map.runCount === 0 && source.stable > ledger.end;
    const parts = [
      isPart
        ? {
            from: source.start,
            to: ledger.start,
            reason: `offsets are identical there: --to ${ledger.start} compares them`,
          }
        : {
            from: source.start,
            to: Math.min(mappedFrom, source.stable),
            reason: `the copy begins at offset ${mappedFrom}`,
          },
      {
        from: Math.max(mappedFrom, window.from),
        to: Math.min(from, ledger.end),
        reason: 'one side has not got it any more',
      },
      ...(isEmpty ? [{ from: ledger.end, to: source.stable, reason: 'the target holds nothing of it' }] : []),
      ...(window.from > ledger.end
        ? [{ from: window.from, to: window.from + 1, reason: `the copy reaches to offset ${ledger.end} only` }]
        : []),
    ].map((part) => ({ ...part, from: Math.max(part.from, window.from), to: Math.min(part.to, window.to) }));
    const all = [...parts.filter((part) => part.from < part.to), ...unverified];
    const { records, compacted, seen } = comparison;
    const differences = comparison.differences + beyond.length;
    return {
      verdict: differences > 0 ? 'different' : all.length > 0 ? 'unverified' : 'identical',
      from,
      provenThrough,
      sourceStart: source.start,
      sourceEnd: source.stable,
      targetStart: target.start,
      targetEnd: target.stable,
      lag: Math.max(0, source.stable - provenThrough),
      records,
      compacted,
      source: { control: seen.control, aborted: seen.aborted, absent: seen.compacted },
      target: null,
      unexplained: comparison.unexplained,
      differences,
      shown: [...shown, ...beyond],
      unverified: all,
      bytes: { ...comparison.bytes },
      mapping: { runs: map.runCount, isShared, others: comparison.others },
      error: null,
    };
  } finally {
    run.running.delete(comparison);
  }
}

/** What the target holds by the map, and the source does not. */
async function mappedBeyond(
  log: PartitionLog,
  { map, ledger }: MappedExport,
  { source, target }: { readonly source: LogBounds; readonly target: LogBounds },
): Promise<Difference> {
  const place = Math.max(map.nextTarget(source.stable), target.start);
  const found = place < target.stable ? await readRecord(log, place, target.stable) : null;
  return {
    kind: 'beyond',
    offset: source.stable,
    fields: [],
    message: `the source ends at offset ${source.stable}, and its copy goes on to ${ledger.end}: the source was truncated or created anew, or another program wrote to the target`,
    source: null,
    target: found?.shown ?? null,
  };
}

/** A leader that has just been elected may show an end that is too low for a moment. */
async function sourceBounds(
  log: PartitionLog,
  targetEnd: number,
  { clock, signal }: Pick<CompareRun, 'clock' | 'signal'>,
): Promise<LogBounds> {
  let bounds = await log.bounds();
  for (let questions = 1; bounds.stable < targetEnd && questions < END_QUESTIONS; questions++) {
    await sleep(clock, 1_000, signal);
    bounds = await log.bounds();
  }
  return bounds;
}

async function differenceBeyond(target: PartitionLog, from: number, { stable, end }: LogBounds): Promise<Difference> {
  const first = stable > from ? await readRecord(target, from, stable) : null;
  return {
    kind: 'beyond',
    offset: first?.offset ?? from,
    fields: [],
    message: `the source ends at offset ${from}, and the target goes on to ${end}: the source was truncated or created anew, or another program wrote to the target`,
    source: null,
    target: first?.shown ?? null,
  };
}

/** What one side has not got any more, or not yet at all. */
function unreadable(
  source: LogBounds,
  target: LogBounds,
  window: { readonly from: number; readonly to: number },
): UnverifiedPart[] {
  const parts: UnverifiedPart[] = [];
  const add = (from: number, to: number, reason: string): void => {
    const part = { from: Math.max(from, window.from), to: Math.min(to, window.to), reason };
    if (part.from < part.to) parts.push(part);
  };
  const isEmpty = target.start === target.stable;
  if (isEmpty && source.stable > source.start) add(source.start, source.stable, 'the target holds nothing of it');
  else if (source.start < target.start)
    add(source.start, Math.min(target.start, source.stable), `the target's log begins at offset ${target.start}`);
  else add(target.start, Math.min(source.start, target.stable), `the source's log begins at offset ${source.start}`);
  const end = Math.min(source.stable, target.stable);
  if (window.from > end)
    add(window.from, Math.min(window.to, window.from + 1), `both sides reach to offset ${end} only`);
  return parts;
}
