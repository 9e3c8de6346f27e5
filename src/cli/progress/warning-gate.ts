import type { RunEvent } from '#contract/status.ts';
import { formatNumberOf } from '../format.ts';
import { describeWarning } from './words.ts';

type Warning = Extract<RunEvent, { event: 'warning' }>;

/** These come again at every attempt of every partition: a broker that restarts would bury everything else. */
const REPEATED: ReadonlySet<Warning['code']> = new Set(['SHARD_WAITING', 'CLUSTER_UNREACHABLE']);
const HELD_MS = 10_000;

/**
 * For people: of the warnings that come again and again one in ten seconds for each mirror and code, which says how many
 * were like it. `--json` and `--log` have all of them.
 */
export class WarningGate {
  readonly #last = new Map<string, { shownMs: number; held: number }>();

  /** What is to be printed now: one line or none. `nowMs` is monotonic. */
  admit(warning: Warning, nowMs: number): string[] {
    if (!REPEATED.has(warning.code)) return [describeWarning(warning)];
    const key = `${warning.mirror} ${warning.code}`;
    const last = this.#last.get(key);
    if (last && nowMs - last.shownMs < HELD_MS) {
      last.held++;
      return [];
    }
    this.#last.set(key, { shownMs: nowMs, held: 0 });
    const more = last?.held ? ` (and ${formatNumberOf(last.held, 'more warning')} like it before)` : '';
    return [`${describeWarning(warning)}${more}`];
  }
}
