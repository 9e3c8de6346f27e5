/**
 * Looking through a log. Times never go back in it, so a time is found by halving; everything else is looked for entry by
 * entry, a bounded number at a time: whoever wants more asks again from where the last answer ended.
 */
import type { AuditEntry, AuditOutcome, AuditPhase } from '#contract/audit.ts';
import type { LogReader } from './log-reader.ts';

/** Some 50 ms of looking. */
const SCAN_MAX = 10_000;

export interface LogFilter {
  readonly actorId?: string;
  /** `jobs` finds `jobs.start` too. */
  readonly action?: string;
  readonly resourceType?: string;
  readonly resourceId?: string;
  readonly cluster?: string;
  readonly phase?: AuditPhase;
  readonly outcome?: AuditOutcome;
  readonly requestId?: string;
  /** From here, inclusive, to there, exclusive; milliseconds. */
  readonly fromTs?: number;
  readonly toTs?: number;
}

export interface LogPage {
  /** In the order of the question. */
  readonly entries: readonly AuditEntry[];
  /** Where the next page begins; null where there is none. */
  readonly next: number | null;
}

/** The newest first, of those below `before` that the filter lets through; fewer than `limit`, even none, where many do not. */
export function browse(
  reader: LogReader,
  filter: LogFilter,
  {
    before,
    limit,
    scanMax = SCAN_MAX,
  }: { readonly before?: number; readonly limit: number; readonly scanMax?: number },
): LogPage {
  const [first, end] = boundsOf(reader, filter);
  const entries: AuditEntry[] = [];
  let seq = Math.min(before ?? end, end);
  const last = Math.max(first, seq - scanMax);
  while (seq > last && entries.length < limit) {
    seq--;
    const entry = reader.entry(seq);
    if (matches(entry, filter)) entries.push(entry);
  }
  return { entries, next: seq > first ? seq : null };
}

/** As `browse`, from `from` on and the oldest first; `next` is the `from` of the next page. */
export function browseForward(
  reader: LogReader,
  filter: LogFilter,
  { from, limit, scanMax = SCAN_MAX }: { readonly from: number; readonly limit: number; readonly scanMax?: number },
): LogPage {
  const [first, end] = boundsOf(reader, filter);
  const entries: AuditEntry[] = [];
  let seq = Math.max(from, first);
  const last = Math.min(end, seq + scanMax);
  for (; seq < last && entries.length < limit; seq++) {
    const entry = reader.entry(seq);
    if (matches(entry, filter)) entries.push(entry);
  }
  return { entries, next: seq < end ? seq : null };
}

function boundsOf(reader: LogReader, { fromTs, toTs }: LogFilter): [number, number] {
  return [
    fromTs === undefined ? 0 : firstFrom(reader, fromTs),
    toTs === undefined ? reader.size : firstFrom(reader, toTs),
  ];
}

/** The first entry that is not before `ts`. */
function firstFrom(reader: LogReader, ts: number): number {
  let [low, high] = [0, reader.size];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (reader.entry(middle).ts < ts) low = middle + 1;
    else high = middle;
  }
  return low;
}

function matches(entry: AuditEntry, filter: LogFilter): boolean {
  const { actor, action, resource, phase, outcome, requestId } = entry;
  const isAction = filter.action === undefined || action === filter.action || action.startsWith(`${filter.action}.`);
  const pairs = [
    [filter.actorId, actor.id],
    [filter.resourceType, resource.type],
    [filter.resourceId, resource.id],
    [filter.cluster, resource.cluster],
    [filter.phase, phase],
    [filter.outcome, outcome],
    [filter.requestId, requestId],
  ];
  return isAction && pairs.every(([wanted, found]) => wanted === undefined || wanted === found);
}
