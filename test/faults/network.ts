/** Faults of the network between a mirror and one of its clusters: one rule on the proxy of each broker of that side. */
import { onTestFinished } from 'vitest';
import type { FaultProxy, Injected } from '#testing/fault-proxy.ts';
import type { FaultRule, RuleOptions } from '#testing/fault-rule.ts';
import { must } from '#util/assert.ts';
import type { FaultRun } from './fault.ts';
import { startMirror } from './mirror-under-test.ts';
import type { ClusterPair, MirrorOptions, MirrorUnderTest, Side } from './mirror-under-test.ts';

/** A mirror whose connections all go through the proxies; its traffic and the checkers go past them. */
export async function startProxied(
  run: FaultRun,
  pair: ClusterPair,
  options: Partial<MirrorOptions> = {},
): Promise<MirrorUnderTest> {
  return startMirror(run, pair, {
    name: run.id,
    replicationFactor: 1,
    link: { source: pair.source.proxiedBootstrap, target: pair.target.proxiedBootstrap },
    ...options,
  });
}

/** The same fault on all brokers of a side. It ends with the test at the latest. */
export function injectInto(pair: ClusterPair, side: Side, options: RuleOptions): NetworkFault {
  const injected = new NetworkFault(pair[side].proxies, side, options);
  onTestFinished(() => injected.end());
  return injected;
}

export class NetworkFault {
  readonly #side: Side;
  readonly #rules: ReadonlyMap<FaultProxy, FaultRule>;
  /** Entries of the journals before this fault. */
  readonly #earlier: ReadonlyMap<FaultProxy, number>;

  constructor(proxies: readonly FaultProxy[], side: Side, options: RuleOptions) {
    this.#side = side;
    this.#earlier = new Map(proxies.map((proxy) => [proxy, proxy.journal.length]));
    this.#rules = new Map(proxies.map((proxy) => [proxy, proxy.inject(options)]));
  }

  /** Effects so far, on all brokers. */
  get count(): number {
    return [...this.#rules.values()].reduce((sum, rule) => sum + rule.count, 0);
  }

  end(): void {
    for (const rule of this.#rules.values()) rule.end();
  }

  /** Waits until it has taken effect so often in all; fails when the mirror ends first. */
  fired(mirror: Pick<MirrorUnderTest, 'until'>, count = 1, timeoutMs = 90_000): Promise<void> {
    return mirror.until(() => this.count >= count, `the fault ${this.#name()} takes effect ${count} times`, timeoutMs);
  }

  /** What the journals say: how often, on which side, on what. */
  evidence(): string {
    const entries = [...this.#rules].flatMap(([proxy, rule]) =>
      proxy.journal.slice(this.#earlier.get(proxy)).filter((entry) => entry.rule === rule.name),
    );
    const kinds = new Map<string, number>();
    for (const entry of entries) kinds.set(kindOf(entry), (kinds.get(kindOf(entry)) ?? 0) + 1);
    const told = [...kinds].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${kind} ${count}`);
    return `${this.#name()} on the ${this.#side} ${this.count} times: ${told.slice(0, 8).join(', ')}`;
  }

  #name(): string {
    return must([...this.#rules.values()][0], 'rule').name;
  }
}

function kindOf({ api, direction }: Injected): string {
  return `${direction === 'response' ? 'answers of' : 'requests of'} ${api ?? 'no whole frame'}`;
}
