/**
 * What a fault is done to: two clusters, topics with live traffic, and the real command as a process that mirrors them;
 * and the judgement, identical afterwards.
 */
import { afterAll, afterEach, expect, onTestFinished } from 'vitest';
import type { ErrorCode } from '#contract/errors.ts';
import type { Incident, RunEvent, ShardStatus } from '#contract/status.ts';
import type { MirrorPolicy } from '#testing/checker/check-replication.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import type { ClusterOptions, KafkaCluster } from '#testing/kafka-cluster.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { LiveTraffic, RecordStream } from '#testing/workload.ts';
import { partitionsUpTo, spawnLiveTraffic, writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { assert, must } from '#util/assert.ts';
import { clusterNames, writeLink } from '../acceptance/link-file.ts';
import type { Link, MirrorSpec } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import type { ProcessOptions, RunResult } from '../acceptance/lockstep-process.ts';
import { LogEnds } from '../acceptance/log-ends.ts';
import { expectVerified, runVerify } from '../acceptance/verified.ts';
import { expectDenseCopies } from './dense-copy.ts';
import type { FaultRun } from './fault.ts';
import { expectStoppedAtRepeatedEnds, mayBeRepeatedEnd, placesOf } from './repeated-ends.ts';

const VERIFIED_WITHIN_MS = 60_000;

export type Side = 'source' | 'target';
export type ClusterPair = Readonly<Record<Side, KafkaCluster>>;

/** At most one pair lives at a time: a file may declare several, of which two would be too many for a small machine. */
let alive: { readonly wanted: Readonly<Record<Side, ClusterOptions>>; readonly pair: ClusterPair } | null = null;

/**
 * Declares two clusters for the faults of a file, at its top. The function that it returns starts them at its first
 * call, and gives the same running ones at later calls; a fault that failed, and the call of another pair's function,
 * end them. Brokers that a fault has left dead are started again.
 */
export function clusterPair(wanted: Readonly<Record<Side, ClusterOptions>>): () => Promise<ClusterPair> {
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail' && alive?.wanted === wanted) await endPair(true);
  });
  afterAll(() => endPair(false));
  return async () => {
    if (alive !== null && alive.wanted !== wanted) await endPair(false);
    alive ??= { wanted, pair: await startPair(wanted) };
    const brokers = [...alive.pair.source.brokers, ...alive.pair.target.brokers];
    await Promise.all(brokers.filter((broker) => !broker.isRunning()).map((broker) => broker.start()));
    return alive.pair;
  };
}

async function startPair(wanted: Readonly<Record<Side, ClusterOptions>>): Promise<ClusterPair> {
  const [source, target] = await Promise.all(
    (['source', 'target'] as const).map((name) => startCluster({ name, ...wanted[name] })),
  );
  return { source: must(source, 'source'), target: must(target, 'target') };
}

async function endPair(hasFailed: boolean): Promise<void> {
  const pair = alive?.pair;
  alive = null;
  if (!pair) return;
  for (const cluster of hasFailed ? [pair.source, pair.target] : []) {
    process.stderr.write(`${cluster.logs()}\n`);
    cluster.keep();
  }
  await Promise.all([pair.source.stop(), pair.target.stop()]);
}

/** Records with keys; short transactions, a fifth of them aborted; keys that come back, compacted with holes. */
type Kind = 'plain' | 'transactional' | 'compacted';

export interface MirrorOptions {
  /** Names the mirror, and begins the name of each target topic. Unique for the pair of clusters. */
  readonly name: string;
  /** One topic of each. Default: plain and transactional. */
  readonly kinds?: readonly Kind[];
  /** Of each topic. Default: 3. */
  readonly partitions?: number;
  /** Of the topics, on both sides. Default: the number of brokers. */
  readonly replicationFactor?: number;
  /**
   * In each topic, of about 400 bytes. 0 writes nothing while the mirror works. Default: 75, whose transactions
   * two cores that also run six brokers can copy: each waits for the one before.
   */
  readonly recordsPerSecond?: number;
  /** Of what is written live, over the defaults. */
  readonly stream?: Partial<RecordStream>;
  /** Settings of the source topics (and so of the target's). */
  readonly configs?: Readonly<Record<string, string>>;
  /** More of the Mirror's spec. */
  readonly spec?: Partial<MirrorSpec>;
  /** More of the file, or other than the plain addresses of the clusters: proxied ones, secure ones. */
  readonly link?: Partial<Link>;
  readonly process?: ProcessOptions;
  readonly seed?: number;
  /**
   * The fault takes the coordinator of the target's transactions away, and the next one may write an end once more: a
   * partition with transactions may stop there, of which that is then shown (repeated-ends.ts).
   */
  readonly mayRepeatEnds?: boolean;
}

/** Of which cluster a wait may be told, under which code. */
export interface Wait {
  readonly code: ErrorCode;
  readonly side: Side;
}

/** Warnings that last. Partitions that have waited for a cluster for 30 s are one for that cluster (mirror/outages.ts). */
export interface Waits {
  /** Those that the fault makes: exactly these are told. Default: none. */
  readonly outages?: readonly ErrorCode[];
  /** Those that it makes on a slow machine only: each may be told once. Default: none. */
  readonly mayWait?: readonly Wait[];
}

/** A cluster that starts again: nobody answers, then a partition has no leader yet. */
export function waitsForStart(side: Side): Wait[] {
  return [
    { code: 'CLUSTER_UNREACHABLE', side },
    { code: 'SHARD_WAITING', side },
  ];
}

/** The code alone does not say whose outage it is; the cause names the cluster as the resource file does. */
function isWait({ code, cause }: Incident, wait: Wait): boolean {
  return code === wait.code && cause.includes(`cluster "${clusterNames[wait.side]}"`);
}

export function expectOutages(run: RunResult, { outages = [], mayWait = [] }: Waits = {}): void {
  const allowed = [...mayWait];
  const others = run.outages.filter((outage) => {
    const at = allowed.findIndex((wait) => isWait(outage, wait));
    if (at !== -1) allowed.splice(at, 1);
    return at === -1;
  });
  expect(others.map(({ code }) => code).sort(), told(run)).toEqual([...outages].sort());
}

/** A mirror at work. `startMirror` makes one; its process and its traffic end with the test. */
export class MirrorUnderTest {
  readonly name: string;
  readonly pair: ClusterPair;
  /** On the source. On the target each has the same name. */
  readonly topics: readonly string[];
  readonly traffic: LiveTraffic | null;
  /** Its resource file. */
  readonly file: string;
  readonly #run: FaultRun;
  readonly #options: MirrorOptions;
  readonly #link: Link;
  #process: LockstepProcess;

  constructor(options: {
    run: FaultRun;
    pair: ClusterPair;
    options: MirrorOptions;
    topics: readonly string[];
    link: Link;
    traffic: LiveTraffic | null;
  }) {
    this.#run = options.run;
    this.#options = options.options;
    this.name = options.options.name;
    this.pair = options.pair;
    this.topics = options.topics;
    this.traffic = options.traffic;
    this.#link = options.link;
    this.file = writeLink(options.link);
    this.#process = this.#start();
    onTestFinished(() => this.#process.kill());
  }

  #start(): LockstepProcess {
    return LockstepProcess.run(this.file, [], this.#options.process);
  }

  get process(): LockstepProcess {
    return this.#process;
  }

  /** kill -9, of a process that has opened no incident. */
  async kill(): Promise<void> {
    await this.#process.kill();
    expect(this.incidents(), this.#process.describe()).toEqual([]);
  }

  /** Another process of the same file, after `kill`. */
  startAgain(): void {
    this.#process = this.#start();
  }

  /** The topic of a kind. */
  topic(kind: Kind): string {
    return must(
      this.topics.find((topic) => topic === topicOf(this.name, kind)),
      `topic of kind ${kind}`,
    );
  }

  /** Those that were opened, also when they have ended since. */
  incidents(): Incident[] {
    return this.process.incidents;
  }

  /** The messages of the warnings so far. */
  warnings(): string[] {
    return this.process.events.flatMap((event) =>
      event.event === 'warning' ? [`${event.code}: ${event.message}`] : [],
    );
  }

  shards(): readonly ShardStatus[] {
    return this.process.status(this.name)?.shards ?? [];
  }

  /** By `topic/partition`, the next offset to copy. */
  positions(): ReadonlyMap<string, number> {
    return new Map(this.shards().map((shard) => [`${shard.topic}/${shard.partition}`, shard.position ?? 0]));
  }

  /** Records that the source has and the mirror has not copied, as last measured; null while unknown. */
  lagRecords(): number | null {
    const lags = this.shards().map(({ lagRecords }) => lagRecords);
    return lags.includes(null) ? null : lags.reduce<number>((sum, lag) => sum + (lag ?? 0), 0);
  }

  /** Offsets copied, of all partitions together: what two of these differ by is progress. */
  offsetsCopied(): number {
    return [...this.positions().values()].reduce((sum, position) => sum + position, 0);
  }

  /** Waits until `condition` holds; fails when the process ends first. Default: 60 s. */
  until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs?: number): Promise<void> {
    return this.process.until(condition, what, timeoutMs);
  }

  /** Lets a fault last; fails when the process ends meanwhile. */
  lasts(ms: number): Promise<void> {
    const endsAt = performance.now() + ms;
    return this.until(() => performance.now() >= endsAt, `${ms} ms are over`, ms + 60_000);
  }

  /**
   * Waits until partitions (all, or those of which `of` says so) have copied something since the call; returns after how
   * many milliseconds the last of them had. They need traffic.
   */
  async advances(
    what: string,
    options: { of?: (topic: string, partition: number) => boolean; timeoutMs?: number } = {},
  ): Promise<number> {
    const { of = () => true, timeoutMs = 90_000 } = options;
    const before = this.positions();
    const startedAt = performance.now();
    const meant = this.shards().filter((shard) => of(shard.topic, shard.partition));
    assert(meant.length > 0, `a partition of ${this.name} is meant`);
    const isAhead = (): boolean => {
      const now = this.positions();
      return meant.every(({ topic, partition }) => {
        const place = `${topic}/${partition}`;
        return (now.get(place) ?? 0) > (before.get(place) ?? 0) || this.#stoppedAt().has(place);
      });
    };
    await this.until(isAhead, `it goes on: ${what}`, timeoutMs);
    return performance.now() - startedAt;
  }

  /** Incidents of partitions that may have stopped for the reason of `mayRepeatEnds`. */
  #broken(): Incident[] {
    const isBroken = (incident: Incident): boolean =>
      mayBeRepeatedEnd(incident) && incident.topic === topicOf(this.name, 'transactional');
    return this.#options.mayRepeatEnds ? openIncidents(this.process.events).filter(isBroken) : [];
  }

  /** Places of partitions, `topic/partition`. */
  #stoppedAt(): ReadonlySet<string> {
    return placesOf(this.#broken());
  }

  /** Ends the traffic, then waits until every partition (of these topics) has all that the source has. */
  async settle(options: { topics?: readonly string[]; timeoutMs?: number } = {}): Promise<void> {
    const { topics = this.topics, timeoutMs = 180_000 } = options;
    await this.traffic?.stop();
    const ends = await readEnds(this.pair.source.bootstrap, topics);
    const isThere = (): boolean => {
      const now = this.positions();
      const stopped = this.#stoppedAt();
      return [...ends].every(([place, end]) => now.get(place) === end || stopped.has(place));
    };
    await this.until(isThere, `all is copied: ${JSON.stringify(Object.fromEntries(ends))}`, timeoutMs);
  }

  /**
   * The good end: the mirror gets all there is, by itself; it opened no incident (but those that `incidents` lists, each
   * once) and those that it opened ended by themselves; ended by Ctrl-C it leaves a target that the checkers find
   * identical, and `lockstep verify` too. Nor has it waited for a cluster for longer than 30 s, but as `outages` and
   * `mayWait` say. Returns the number of equal records.
   */
  async expectIdenticalAfterwards(
    options: {
      timeoutMs?: number;
      policy?: Partial<MirrorPolicy>;
      incidents?: readonly ErrorCode[];
    } & Waits = {},
  ): Promise<number> {
    await this.settle(options);
    const lasting = (): number => openIncidents(this.process.events).length - this.#broken().length;
    await this.until(() => lasting() === 0, 'every incident has ended');
    const broken = this.#broken();
    const run = await this.process.interrupt();
    if (broken.length === 0) expect(run.code, told(run)).toBe(130);
    const codes = run.incidents
      .filter(({ topic, partition }) => !broken.some((each) => each.topic === topic && each.partition === partition))
      .map(({ code }) => code)
      .sort();
    expect(codes, told(run)).toEqual([...(options.incidents ?? [])].sort());
    expectOutages(run, options);
    // As expectOutages allows, and as #judgeBroken shows.
    this.#run.expects([...codes, ...[...broken, ...run.outages].map(({ code }) => code)]);
    if (broken.length > 0) return this.#judgeBroken(broken, options.policy);
    const outages = run.outages.map(({ code }) => code).sort();
    const { text, records } = await this.#judge(options.policy);
    const verified = await this.verified();
    this.#run.outcome(`${text}, ${verified} by lockstep verify, ${incidentsOf([...codes, ...outages])}`);
    return records;
  }

  async #judgeBroken(incidents: readonly Incident[], policy: Partial<MirrorPolicy> = {}): Promise<number> {
    const {
      ends,
      records,
      told: outcome,
    } = await expectStoppedAtRepeatedEnds(this.pair, {
      incidents,
      topics: this.topics,
      policy: { transactions: 'preserve', timestamps: 'equal', ...policy },
    });
    const { partitions } = await runVerify(this.#openLink(), [], VERIFIED_WITHIN_MS);
    for (const { topic, partition, verdict, provenThrough } of partitions) {
      const end = ends.find((each) => each.topic === topic && each.partition === partition);
      // Where the source has an end too in the place of the second one, readers see the same up to there.
      const isSo = end ? verdict !== 'identical' || (provenThrough ?? 0) <= end.offset + 1 : verdict === 'identical';
      expect(isSo, `lockstep verify calls ${topic}/${partition} ${verdict}, proven through ${provenThrough}`).toBe(
        true,
      );
    }
    this.#run.outcome(outcome);
    return records;
  }

  async #judge(policy: Partial<MirrorPolicy> = {}): Promise<{ text: string; records: number }> {
    const { transactions = 'preserve', offsets } = this.#options.spec ?? {};
    if (offsets === 'mapped') {
      const records = await expectDenseCopies(this.pair, this.topics);
      return { text: `all ${records} committed records once and in order`, records };
    }
    const { recordsEqual: records } = await expectIdentical({
      source: this.pair.source.bootstrap,
      target: this.pair.target.bootstrap,
      topics: this.topics.map((topic) => ({ source: topic, target: topic })),
      policy: { transactions, ...policy },
    });
    return { text: `identical, ${records} records`, records };
  }

  /** By a process of its own, which knows nothing of what was done to the mirror, past proxies and by the open door. */
  async verified(): Promise<number> {
    return expectVerified(this.#openLink(), { timeoutMs: VERIFIED_WITHIN_MS });
  }

  #openLink(): Link {
    const { source, target } = this.pair;
    return { source: source.bootstrap, target: target.bootstrap, mirrors: this.#link.mirrors };
  }
}

/** As `beginMirror`, and waits until every partition is copied with less than 2 s of traffic to go. */
export async function startMirror(run: FaultRun, pair: ClusterPair, options: MirrorOptions): Promise<MirrorUnderTest> {
  const mirror = await beginMirror(run, pair, options);
  await untilLive(mirror, options);
  return mirror;
}

/** Makes the topics, starts traffic and mirror. */
async function beginMirror(run: FaultRun, pair: ClusterPair, options: MirrorOptions): Promise<MirrorUnderTest> {
  const { name, kinds = ['plain', 'transactional'], partitions = 3, recordsPerSecond = 75 } = options;
  const { source, target } = pair;
  await createKinds(source, { ...options, kinds, partitions });
  const topics = kinds.map((kind) => topicOf(name, kind));
  const streams = kinds.map((kind) => ({
    ...streamOf(kind, topicOf(name, kind), { partitions, recordsPerSecond }),
    ...options.stream,
  }));
  const seed = options.seed ?? Date.now() % 1_000_000;
  process.stdout.write(`fault ${run.id}: seed ${seed}\n`);
  const traffic = recordsPerSecond > 0 ? await spawnLiveTraffic(source.bootstrap, streams, { seed }) : null;
  onTestFinished(async () => {
    const stopped = traffic?.stop().catch(() => {}); // a fault that failed may have left it without brokers
    await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, 10_000))]);
  });
  const link: Link = {
    source: source.bootstrap,
    target: target.bootstrap,
    mirrors: {
      [name]: {
        topics: topics.map((match) => ({ match })),
        ...(options.replicationFactor ? { targetReplicationFactor: options.replicationFactor } : {}),
        ...options.spec,
      },
    },
    ...options.link,
  };
  return new MirrorUnderTest({ run, pair, options, topics, link, traffic });
}

/** Waits until every partition is copied with less than 2 s of traffic to go. */
async function untilLive(mirror: MirrorUnderTest, options: MirrorOptions): Promise<void> {
  const { kinds = ['plain', 'transactional'], partitions = 3, recordsPerSecond = 75 } = options;
  const isLive = (): boolean => {
    const lag = mirror.lagRecords();
    const isCopying = mirror.shards().every(({ state }) => state === 'copying');
    const isComplete = mirror.shards().length === kinds.length * partitions && isCopying;
    return isComplete && lag !== null && lag < 2 * kinds.length * Math.max(1, recordsPerSecond);
  };
  await mirror.until(isLive, 'the mirror copies every partition', 300_000);
}

/** Incidents, errors and warnings, that were opened and have not ended. One that opened twice ends twice. */
export function openIncidents(events: readonly RunEvent[]): Incident[] {
  const open: Incident[] = [];
  for (const event of events) {
    if (event.event === 'incident') open.push(event.incident);
    if (event.event !== 'incident-ended') continue;
    const key = JSON.stringify(event.incident);
    const at = open.findIndex((incident) => JSON.stringify(incident) === key);
    if (at !== -1) open.splice(at, 1);
  }
  return open;
}

function incidentsOf(codes: readonly string[]): string {
  if (codes.length === 0) return 'no incident';
  if (codes.length === 1) return `one incident that ended by itself: ${codes.join()}`;
  return `${codes.length} incidents that ended by themselves: ${codes.join(', ')}`;
}

function topicOf(name: string, kind: Kind): string {
  return `${name}.${kind}`;
}

async function createKinds(
  source: KafkaCluster,
  options: Pick<MirrorOptions, 'name' | 'configs' | 'replicationFactor'> & {
    kinds: readonly Kind[];
    partitions: number;
  },
): Promise<void> {
  const { name, kinds, partitions, configs = {}, replicationFactor = source.brokers.length } = options;
  const plain = kinds.filter((kind) => kind !== 'compacted');
  const topics = plain.map((kind) => ({ name: topicOf(name, kind), partitions, replicationFactor, configs }));
  if (topics.length > 0) await createTopics(source.bootstrap, topics);
  if (!kinds.includes('compacted')) return;
  const compacted = workloads.compacted(topicOf(name, 'compacted'), { partitions, records: 6_000 });
  await writeWorkload(source.bootstrap, {
    ...compacted,
    topics: compacted.topics.map((topic) => ({
      ...topic,
      replicationFactor,
      configs: { ...topic.configs, ...configs },
    })),
  });
}

function streamOf(kind: Kind, topic: string, options: { partitions: number; recordsPerSecond: number }): RecordStream {
  const shared = { name: kind, topic, partitions: partitionsUpTo(options.partitions), valueBytes: 400 };
  const paced = { ...shared, recordsPerSecond: options.recordsPerSecond, headers: 'plain' as const };
  if (kind === 'plain') return { ...paced, codec: 'lz4' };
  if (kind === 'compacted') return { ...paced, keys: { cycle: 997 } };
  return { ...paced, transactions: { producers: 2, abortRate: 0.2, records: [1, 20], plainRate: 0.2 } };
}

async function readEnds(bootstrap: readonly string[], topics: readonly string[]): Promise<Map<string, number>> {
  const logs = await LogEnds.open(bootstrap, topics);
  try {
    return new Map([...(await logs.read())].map(([place, { end }]) => [place, end]));
  } finally {
    logs.close();
  }
}
