/** Many partitions that several processes share, while one after the other goes and comes back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { TIMES } from '#jobs/ownership.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo, spawnLiveTraffic } from '#testing/workload.ts';
import { createRandom } from '#util/random.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { LogEnds, type Bounds } from '../acceptance/log-ends.ts';
import { expectVerified } from '../acceptance/verified.ts';
import { newSeed, pick } from './campaign.ts';
import { fault } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';

const pair = clusterPair({ source: {}, target: {} });
const WORKERS = 3;
const TOPICS = 3;
const PARTITIONS = 100;
const ROUNDS = 20;
const ways = ['killed', 'paused', 'restarted'] as const;
/** Of each topic: three a second for each partition. */
const RECORDS_PER_SECOND = 300;
const SAMPLE_MS = 500;
/**
 * A partition has no owner from the loss of one until the next writes: the session (the group notices), 5 s for the rebalance and
 * for finding where to go on, and what the measuring itself takes.
 */
const WITHOUT_OWNER_MAX_MS = TIMES.sessionTimeoutMs + 5_000 + 2 * SAMPLE_MS;

fault(
  {
    id: 'three-workers',
    title: `${WORKERS} processes share ${TOPICS * PARTITIONS} partitions under load; ${ROUNDS} times one is killed, stopped beyond its session or restarted in order`,
    timeoutMs: 1_800_000,
  },
  async (run) => {
    const { source, target } = await pair();
    const link = { source: source.bootstrap, target: target.bootstrap };
    const topics = Array.from({ length: TOPICS }, (_, i) => `${run.id}.${i}`);
    const seed = newSeed(run);
    const random = createRandom(seed);
    await createTopics(
      link.source,
      topics.map((name) => ({ name, partitions: PARTITIONS })),
    );
    const file = writeLink({ ...link, mirrors: { [run.id]: { topics: topics.map((match) => ({ match })) } } });
    const streams = topics.map((topic) => ({
      name: topic,
      topic,
      partitions: partitionsUpTo(PARTITIONS),
      recordsPerSecond: RECORDS_PER_SECOND,
      valueBytes: 300,
      lingerMs: 20,
    }));
    const traffic = await spawnLiveTraffic(link.source, streams, { seed });
    onTestFinished(async () => void (await traffic.stop().catch(() => {})));
    const workers = new Workers(file, run.id);
    onTestFinished(() => workers.kill());
    for (let i = 0; i < WORKERS; i++) workers.start();
    await workers.share('at first');
    const gaps = await Gaps.watch(link.target, topics);
    onTestFinished(() => gaps.stop());

    const longest = new Map<string, number>();
    const shared = new Map<string, number>();
    const kept = (figures: Map<string, number>, way: string, ms: number): void =>
      void figures.set(way, Math.max(figures.get(way) ?? 0, ms));
    for (let round = 0; round < ROUNDS; round++) {
      const way = ways[round % ways.length]!;
      const victim = pick(random, workers.live);
      gaps.begin();
      await sleep(random.next() * 2_000);
      const startedAt = performance.now();
      if (way === 'killed') await workers.lose(victim);
      else if (way === 'restarted') await workers.end(victim);
      else await workers.pause(victim);
      if (way === 'paused') workers.resume(victim);
      else workers.start();
      await workers.share(`after one was ${way}`);
      await gaps.allGrow();
      kept(shared, way, performance.now() - startedAt);
      kept(longest, way, gaps.longestMs);
      expect(gaps.longestMs, `${way} in round ${round}: ${gaps.where}`).toBeLessThan(WITHOUT_OWNER_MAX_MS);
    }
    await gaps.stop();
    await traffic.stop();
    await Promise.all([...workers.live].map((worker) => workers.end(worker)));
    const last = await runUntilCaughtUp(file);
    expect([last.code, last.incidents], told(last)).toEqual([0, []]);
    for (const worker of workers.all) expect(worker.incidents, worker.describe()).toEqual([]);

    run.tookEffect(
      `${ROUNDS} times one of ${WORKERS} processes was ${ways.join(', ')} in turn; each time the others had all ${workers.count} partitions, and then all shared them`,
    );
    for (const way of ways) {
      run.figure(`longest time in which a partition did not grow, one ${way}, in s`, (longest.get(way) ?? 0) / 1000);
      run.figure(`until all shared again, one ${way}, at most s`, (shared.get(way) ?? 0) / 1000);
    }
    const pairs = topics.map((topic) => ({ source: topic, target: topic }));
    const { recordsEqual } = await expectIdentical({ ...link, topics: pairs, policy: { transactions: 'preserve' } });
    const verified = await expectVerified({
      ...link,
      mirrors: { [run.id]: { topics: topics.map((match) => ({ match })) } },
    });
    run.outcome(`identical, ${recordsEqual} records, no incident; lockstep verify: ${verified} records identical`);
  },
);

/** Processes of one file. */
class Workers {
  readonly all: LockstepProcess[] = [];
  readonly live: LockstepProcess[] = [];
  readonly count = TOPICS * PARTITIONS;
  readonly #file: string;
  readonly #mirror: string;

  constructor(file: string, mirror: string) {
    this.#file = file;
    this.#mirror = mirror;
  }

  start(): void {
    const worker = LockstepProcess.run(this.#file);
    this.all.push(worker);
    this.live.push(worker);
  }

  async lose(worker: LockstepProcess): Promise<void> {
    this.#leave(worker);
    await worker.kill();
  }

  async end(worker: LockstepProcess): Promise<void> {
    this.#leave(worker);
    const run = await worker.interrupt();
    expect(run.code, told(run)).toBe(130);
  }

  /** Until the others have what it held: its session is over then. */
  async pause(worker: LockstepProcess): Promise<void> {
    this.#leave(worker);
    worker.signal('SIGSTOP');
    await this.#until(() => this.#isHeldOnce(), 'the others have what the paused one held');
  }

  resume(worker: LockstepProcess): void {
    worker.signal('SIGCONT');
    this.live.push(worker);
  }

  /** Waits until each partition is copied by one of those that live, and each of them copies some. */
  async share(what: string): Promise<void> {
    const isShared = (): boolean => this.#isHeldOnce() && this.live.every((worker) => this.#held(worker).length > 0);
    await this.#until(isShared, `all partitions are shared ${what}`);
  }

  async kill(): Promise<void> {
    await Promise.all(this.all.map((worker) => worker.kill()));
  }

  #isHeldOnce(): boolean {
    const held = this.live.flatMap((worker) => this.#held(worker));
    return held.length === this.count && new Set(held).size === this.count;
  }

  #held(worker: LockstepProcess): string[] {
    const shards = worker.status(this.#mirror)?.shards ?? [];
    return shards.filter(({ state }) => state === 'copying').map(({ topic, partition }) => `${topic}/${partition}`);
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const describe = (): string =>
      `${what}: ${this.live.map((worker) => this.#held(worker).length).join(' + ')} of ${this.count}`;
    await waitUntil(condition, describe, { timeoutMs: 120_000, everyMs: 100 });
  }

  #leave(worker: LockstepProcess): void {
    this.live.splice(this.live.indexOf(worker), 1);
  }
}

/** How long partitions of the target have stood still: all of them get records all the time. */
class Gaps {
  longestMs = 0;
  /** Of the longest. */
  where = '';
  readonly #ends: LogEnds;
  readonly #running: Promise<void>;
  #isStopping = false;
  /** By place: where it ended last, and since when. */
  readonly #last = new Map<string, { readonly end: number; readonly sinceMs: number }>();

  private constructor(ends: LogEnds) {
    this.#ends = ends;
    this.#running = this.#run();
  }

  static async watch(bootstrap: readonly string[], topics: readonly string[]): Promise<Gaps> {
    return new Gaps(await LogEnds.open(bootstrap, topics));
  }

  /** Of what comes from now on. */
  begin(): void {
    this.longestMs = 0;
    this.where = '';
  }

  /** Waits until every partition has grown once more. */
  async allGrow(): Promise<void> {
    const beganMs = performance.now();
    const haveGrown = (): boolean => [...this.#last.values()].every(({ sinceMs }) => sinceMs > beganMs);
    await waitUntil(haveGrown, 'every partition of the target grows', { timeoutMs: 60_000, everyMs: 100 });
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    await this.#running;
    this.#ends.close();
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      this.#note(await this.#ends.read());
      await sleep(SAMPLE_MS);
    }
  }

  #note(bounds: Bounds): void {
    const nowMs = performance.now();
    for (const [place, { end }] of bounds) {
      const last = this.#last.get(place);
      const stoodMs = last ? nowMs - last.sinceMs : 0;
      if (stoodMs > this.longestMs) [this.longestMs, this.where] = [stoodMs, place];
      if (!last || end > last.end) this.#last.set(place, { end, sinceMs: nowMs });
    }
  }
}
