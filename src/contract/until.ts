/** When a run ends by itself: `lockstep run --until`. */
import { AppError } from './errors.ts';

export type Until =
  | { readonly kind: 'caught-up' }
  /** Every shard has copied everything below this source offset, or up to its end where that comes first. */
  | { readonly kind: 'offset'; readonly offset: number }
  /** Wall time in milliseconds since the epoch. */
  | { readonly kind: 'time'; readonly at: number };

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** Reads `caught-up`, `offset=N`, `time=30s|5m|2h|1d` (from `nowMs` on) or `time=2026-11-21T18:00:00Z`; else REQUEST_INVALID. */
export function parseUntil(text: string, nowMs: number): Until {
  if (text === 'caught-up') return { kind: 'caught-up' };
  const offset = /^offset=(\d+)$/.exec(text)?.[1];
  if (offset !== undefined && Number.isSafeInteger(Number(offset))) return { kind: 'offset', offset: Number(offset) };
  const time = /^time=(.+)$/.exec(text)?.[1];
  const at = time === undefined ? null : timeOf(time, nowMs);
  if (at !== null && Number.isSafeInteger(at)) return { kind: 'time', at };
  throw new AppError('REQUEST_INVALID', `--until does not understand "${text}"`, {
    nextStep: 'Write caught-up, offset=N, time=30s (or 5m, 2h, 1d), or time=2026-11-21T18:00:00Z.',
  });
}

function timeOf(text: string, nowMs: number): number | null {
  const duration = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  const unit = UNITS_MS[duration?.[2] ?? ''];
  if (duration !== null && unit !== undefined) return nowMs + Math.round(Number(duration[1]) * unit);
  const at = DATE_TIME.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}
