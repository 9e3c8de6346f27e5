/** One mirror of a campaign, and the processes that copy its topics: started, stopped and killed as the fault wants. */
import { expect } from 'vitest';
import { waitUntil } from '#testing/process-stat.ts';
import type { Link, MirrorSpec } from '../acceptance/link-file.ts';
import { writeLink } from '../acceptance/link-file.ts';
import type { ProcessOptions } from '../acceptance/lockstep-process.ts';
import { LockstepProcess, told, unguarded } from '../acceptance/lockstep-process.ts';
import type { LogEnds } from '../acceptance/log-ends.ts';
import { hasGrown } from '../acceptance/log-ends.ts';
import type { Kind, KindTopics } from './campaign-topics.ts';
import { PARTITIONS } from './campaign-topics.ts';

/** A session, a rebalance, a watermark that stands still, and a machine that does other things too. */
const sharedWithinMs = 120_000;

/** A mirror, and the processes that copy its topics. */
export class Lane {
  readonly kind: Kind;
  readonly mirror: string;
  readonly content: KindTopics;
  readonly spec: MirrorSpec;
  /** Every process so far. */
  readonly all: LockstepProcess[] = [];
  /** Those that neither ended nor stand still. */
  readonly live: LockstepProcess[] = [];
  readonly ends: LogEnds;
  readonly #file: string;
  readonly #process: ProcessOptions;

  constructor(options: {
    kind: Kind;
    mirror: string;
    content: KindTopics;
    link: Pick<Link, 'source' | 'target'>;
    ends: LogEnds;
    off: string;
  }) {
    const { kind, mirror, content, link, ends, off } = options;
    this.kind = kind;
    this.mirror = mirror;
    this.content = content;
    this.ends = ends;
    this.spec = { topics: content.topics.map((match) => ({ match })), ...content.spec };
    this.#file = writeLink({ ...link, mirrors: { [mirror]: this.spec } });
    this.#process = off === '' ? {} : unguarded(off);
  }

  get isOwned(): boolean {
    return this.#process.script === undefined;
  }

  /** How many partitions there are. */
  get count(): number {
    return this.content.topics.length * PARTITIONS;
  }

  start(count = 1): void {
    for (let n = 0; n < count; n++) {
      const lockstep = LockstepProcess.run(this.#file, [], this.#process);
      this.all.push(lockstep);
      this.live.push(lockstep);
    }
  }

  /** The partitions that it copies, as it said last. */
  held(lockstep: LockstepProcess): string[] {
    const shards = lockstep.status(this.mirror)?.shards ?? [];
    return shards.filter(({ state }) => state === 'copying').map(({ topic, partition }) => `${topic}/${partition}`);
  }

  /** Waits until the live processes copy everything: each partition in one of them, or, without ownership, in each. */
  async shared(what: string): Promise<void> {
    const isShared = (): boolean => {
      const each = this.live.map((lockstep) => this.held(lockstep));
      if (!this.isOwned) return each.every(({ length }) => length === this.count);
      const counts = each.map(({ length }) => length);
      const isFair = Math.max(...counts) - Math.min(...counts) <= 1;
      return isFair && each.flat().length === this.count && new Set(each.flat()).size === this.count;
    };
    const describe = (): string => `${this.mirror}: all partitions are copied ${what}\n${this.describe()}`;
    await waitUntil(isShared, describe, { timeoutMs: sharedWithinMs, everyMs: 50 });
  }

  /** Waits until the target has got something in the partitions of a process; returns them. */
  async works(lockstep: LockstepProcess): Promise<readonly string[]> {
    const before = await this.ends.read();
    const held = this.held(lockstep);
    const ends = held.length > 0 ? held : [...before.keys()];
    const grows = async (): Promise<boolean> => {
      const now = await this.ends.read();
      return ends.some((place) => (now.get(place)?.end ?? 0) > (before.get(place)?.end ?? 0));
    };
    await lockstep.until(grows, `the target grows in ${ends.join(', ')}`);
    return held;
  }

  /** Waits until every partition has moved on since the call, but for those that have stopped. They need traffic. */
  async advances(what: string, stopped: () => ReadonlySet<string> = () => new Set()): Promise<void> {
    const positions = (): Map<string, number> => {
      const furthest = new Map<string, number>();
      for (const lockstep of this.live)
        for (const { topic, partition, position } of lockstep.status(this.mirror)?.shards ?? []) {
          const place = `${topic}/${partition}`;
          furthest.set(place, Math.max(furthest.get(place) ?? 0, position ?? 0));
        }
      return furthest;
    };
    const before = positions();
    const isAhead = (): boolean => {
      const now = positions();
      const left = stopped();
      return (
        now.size === this.count &&
        [...now].every(([place, position]) => position > (before.get(place) ?? 0) || left.has(place))
      );
    };
    const describe = (): string => `${this.mirror} goes on ${what}\n${this.describe()}`;
    await waitUntil(isAhead, describe, { timeoutMs: sharedWithinMs, everyMs: 50 });
  }

  /** Waits until the target has got nothing for so long. */
  async standsStill(ms: number): Promise<void> {
    let before = await this.ends.read();
    let since = performance.now();
    const isStill = async (): Promise<boolean> => {
      const now = await this.ends.read();
      if (hasGrown(before, now)) since = performance.now();
      before = now;
      return performance.now() - since >= ms;
    };
    await waitUntil(isStill, `${this.mirror} stands still`, { timeoutMs: sharedWithinMs, everyMs: 50 });
  }

  async kill(lockstep: LockstepProcess): Promise<void> {
    this.#leave(lockstep);
    await lockstep.kill();
  }

  pause(lockstep: LockstepProcess): void {
    this.#leave(lockstep);
    lockstep.signal('SIGSTOP');
  }

  resume(lockstep: LockstepProcess): void {
    lockstep.signal('SIGCONT');
    this.live.push(lockstep);
  }

  /** Ctrl-C, for all that live or for one of them. */
  async interrupt(...chosen: readonly LockstepProcess[]): Promise<void> {
    const leaving = chosen.length > 0 ? chosen : [...this.live];
    for (const lockstep of leaving) this.#leave(lockstep);
    for (const run of await Promise.all(leaving.map((lockstep) => lockstep.interrupt())))
      expect(run.code, told(run)).toBe(130);
  }

  /** Writes of its processes that brokers refused because another had been there first. */
  refusals(): number {
    const last = this.all.map((lockstep) => lockstep.status(this.mirror)?.shards ?? []);
    return last.flat().reduce((sum, { refusals }) => sum + refusals, 0);
  }

  describe(): string {
    return this.all
      .slice(-4)
      .map((lockstep) => lockstep.describe())
      .join('\n\n');
  }

  #leave(lockstep: LockstepProcess): void {
    this.live.splice(this.live.indexOf(lockstep), 1);
  }
}
