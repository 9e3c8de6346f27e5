/** The line between the source and a mirror that runs beside the target, as a proxy before the source plays it. */
import { latency } from '#testing/fault-kinds.ts';
import type { FaultProxy } from '#testing/fault-proxy.ts';
import type { Fault, RuleOptions } from '#testing/fault-rule.ts';
import { must } from '#util/assert.ts';

export interface Link {
  readonly roundTripMs: number;
  /** Of the answers; null: as fast as it goes. */
  readonly mbitPerSecond: number | null;
  readonly hasStalls: boolean;
}

/** Stands for loss: so long, on such a share of what the proxy reads at once (up to 64 KB). */
const STALL_MS = 200;
const STALL_SHARE = 0.01;

/** `80ms`, `80ms+10Mbit`, `80ms+stalls`. Throws for what is no link. */
export function linkOf(name: string): Link {
  const [, ms, mbit, stalls] = /^(\d+)ms(?:\+(\d+)Mbit)?(\+stalls)?$/.exec(name) ?? [];
  const roundTripMs = Number(must(ms, `round trip of the link '${name}'`));
  return { roundTripMs, mbitPerSecond: mbit === undefined ? null : Number(mbit), hasStalls: stalls !== undefined };
}

/** From now on everything that passes the proxies takes this line; `clear` of a proxy ends it. */
export function applyLink(name: string, proxies: readonly FaultProxy[]): void {
  for (const proxy of proxies) for (const rule of rulesOf(linkOf(name))) proxy.inject(rule);
}

function rulesOf({ roundTripMs, mbitPerSecond, hasStalls }: Link): RuleOptions[] {
  return [
    { match: {}, fault: latency(roundTripMs / 2) },
    ...(mbitPerSecond === null
      ? []
      : [{ match: { direction: 'response' } as const, fault: line((mbitPerSecond * 1e6) / 8) }]),
    ...(hasStalls ? [{ match: { probability: STALL_SHARE }, fault: latency(STALL_MS) }] : []),
  ];
}

/** One for all connections: what is read together leaves when the last of it would have. */
function line(bytesPerSecond: number): Fault {
  let freeAtMs = 0;
  return {
    name: `line of ${bytesPerSecond} B/s`,
    apply(passage) {
      const nowMs = performance.now();
      freeAtMs = Math.max(freeAtMs, nowMs) + (passage.bytes.length * 1_000) / bytesPerSecond;
      passage.delayMs += freeAtMs - nowMs;
      return true;
    },
  };
}
