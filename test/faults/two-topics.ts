/**
 * The scene of most faults in data: one mirror copies two topics under live load. Something happens to `hit`; `other` has to
 * go on. Both are judged by the raw checker, and by Kafka's own consumer where they are whole.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { Incident } from '#contract/status.ts';
import { checkReplication } from '#testing/checker/check-replication.ts';
import type { Finding, MirrorPolicy } from '#testing/checker/check-replication.ts';
import { Entries, HistoryBuilder } from '#testing/checker/history.ts';
import type { PartitionHistory } from '#testing/checker/history.ts';
import { expectIdentical, verifyMirror } from '#testing/checker/verify-mirror.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { RawReader } from '#testing/raw-reader.ts';
import type { PartitionBounds } from '#testing/raw-reader.ts';
import { describeTopics, runAdmin } from '#testing/topic-admin.ts';
import type { AdminStep, TopicDescription } from '#testing/topic-admin.ts';
import type { LiveTraffic, RecordStream, WorkloadSummary } from '#testing/workload.ts';
import { partitionsUpTo, spawnLiveTraffic, writeStreams } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import type { MirrorSpec } from '../acceptance/link-file.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, runUntilCaughtUp, statusOf, told } from '../acceptance/lockstep-process.ts';
import type { ProcessOptions, RunResult } from '../acceptance/lockstep-process.ts';
import { expectVerified } from '../acceptance/verified.ts';
import type { FaultRun } from './fault.ts';
import { expectOutages, openIncidents } from './mirror-under-test.ts';
import type { ClusterPair, Side, Waits } from './mirror-under-test.ts';

export interface SceneOptions {
  /** Of each topic. Default: 1. */
  readonly partitions?: number;
  readonly replicationFactor?: number;
  /** Of `hit` on the source. */
  readonly configs?: Readonly<Record<string, string>>;
  /** Written to each topic before the mirror starts. Default: 500. */
  readonly records?: number;
  /** How the records of `hit` are, also under load. */
  readonly shape?: Partial<RecordStream>;
  readonly spec?: Partial<MirrorSpec>;
  /** How `hit` is judged. */
  readonly policy?: Partial<MirrorPolicy>;
}

/** How long a person may wait for what a mirror does by itself: generous, since the machine is shared. */
const waitMs = 90_000;
const endMs = 5_000;

/** Of a partition, without what is between it and a mirror. */
export async function readBounds(
  { bootstrap }: Pick<KafkaCluster, 'bootstrap'>,
  topic: string,
  partition = 0,
): Promise<PartitionBounds> {
  const reader = new RawReader(bootstrap);
  try {
    return await reader.bounds(topic, partition);
  } finally {
    reader.close();
  }
}

export class TwoTopics {
  readonly hit: string;
  readonly other: string;
  readonly mirror: string;
  readonly file: string;
  readonly #run: FaultRun;
  readonly #ends: ClusterPair;
  readonly #options: SceneOptions;
  #load: LiveTraffic | null = null;
  #written = 0;

  private constructor(run: FaultRun, ends: ClusterPair, options: SceneOptions) {
    this.#run = run;
    this.#ends = ends;
    this.#options = options;
    this.mirror = run.id;
    this.hit = `${run.id}.hit`;
    this.other = `${run.id}.other`;
    this.file = this.linkFile();
  }

  /** Creates both topics on the source with their first records. */
  static async open(run: FaultRun, ends: ClusterPair, options: SceneOptions = {}): Promise<TwoTopics> {
    const scene = new TwoTopics(run, ends, options);
    const { partitions = 1, replicationFactor, configs = {}, records = 500 } = options;
    const shared = { partitions, ...(replicationFactor === undefined ? {} : { replicationFactor }) };
    await scene.admin('source', [
      {
        create: [
          { name: scene.hit, ...shared, configs },
          { name: scene.other, ...shared },
        ],
      },
    ]);
    if (records > 0) await scene.write(records);
    return scene;
  }

  /** A resource file for the mirror; `changes` over the settings of the scene, and other addresses or another name. */
  linkFile(
    changes: Partial<MirrorSpec> = {},
    link: Partial<Record<Side, readonly string[]>> & { readonly name?: string } = {},
  ): string {
    const spec = { topics: [{ match: this.hit }, { match: this.other }], refreshMs: 1_000, ...this.#options.spec };
    return writeLink({
      source: link.source ?? this.#ends.source.bootstrap,
      target: link.target ?? this.#ends.target.bootstrap,
      mirrors: { [link.name ?? this.mirror]: { ...spec, ...changes } },
    });
  }

  admin(side: Side, steps: readonly AdminStep[]): Promise<unknown[]> {
    return runAdmin(this.#ends[side].bootstrap, steps);
  }

  async described(side: Side, topic = this.hit): Promise<TopicDescription> {
    return must((await describeTopics(this.#ends[side].bootstrap, [topic]))[0], 'description');
  }

  bounds(side: Side, topic = this.hit, partition = 0): Promise<PartitionBounds> {
    return readBounds(this.#ends[side], topic, partition);
  }

  async end(side: Side, topic = this.hit, partition = 0): Promise<number> {
    return (await this.bounds(side, topic, partition)).highWatermark;
  }

  // ---- writing

  #stream(topic: string, more: Partial<RecordStream> = {}): RecordStream {
    const shape = topic === this.hit ? this.#options.shape : {};
    const partitions = partitionsUpTo(this.#options.partitions ?? 1);
    return { name: `${topic}-${this.#written++}`, topic, partitions, valueBytes: 200, ...shape, ...more };
  }

  /** Writes records to both topics of the source, or to those that are named. */
  async write(
    records: number,
    topics: readonly string[] = [this.hit, this.other],
    more: Partial<RecordStream> = {},
  ): Promise<WorkloadSummary> {
    return this.writeTo(
      'source',
      topics.map((topic) => ({ topic, records, ...more })),
    );
  }

  async writeTo(
    side: Side,
    streams: readonly (Partial<RecordStream> & { readonly topic: string })[],
  ): Promise<WorkloadSummary> {
    return writeStreams(
      this.#ends[side].bootstrap,
      streams.map((stream) => this.#stream(stream.topic, stream)),
    );
  }

  /** Starts live traffic; it has begun when this returns. */
  async load(
    topics: readonly string[] = [this.hit, this.other],
    more: Partial<RecordStream> = {},
  ): Promise<LiveTraffic> {
    const streams = topics.map((topic) => this.#stream(topic, { recordsPerSecond: 100, ...more }));
    const load = await spawnLiveTraffic(this.#ends.source.bootstrap, streams, { run: this.mirror });
    this.#load = load;
    onTestFinished(async () => {
      // The clusters of a fault that failed are gone by now, and its producers would wait for them.
      if (this.#load === load) await Promise.race([load.stop().catch(() => {}), sleep(endMs)]);
    });
    await Promise.race([
      load.failed,
      waitUntil(() => load.progress.records > 0, 'the load has begun', { timeoutMs: waitMs }),
    ]);
    return load;
  }

  async stopLoad(): Promise<void> {
    const load = this.#load;
    this.#load = null;
    await load?.stop();
  }

  // ---- the mirror

  /** Starts the command, and waits until these topics are copied without lag. */
  async start(
    file = this.file,
    topics: readonly string[] = [this.hit, this.other],
    options: ProcessOptions = {},
  ): Promise<LockstepProcess> {
    const lockstep = LockstepProcess.run(file, [], options);
    onTestFinished(() => lockstep.kill());
    await this.upToDate(lockstep, topics);
    return lockstep;
  }

  /** Both topics, or those named, have no lag in a status that was told after now. */
  async upToDate(lockstep: LockstepProcess, topics: readonly string[] = [this.hit, this.other]): Promise<void> {
    const since = lockstep.events.length;
    const isThere = (): boolean => {
      const status = statusOf(lockstep.events.slice(since), this.mirror);
      return topics.every((topic) => {
        const shards = status?.shards.filter((shard) => shard.topic === topic) ?? [];
        return shards.length > 0 && shards.every((shard) => shard.state === 'copying' && shard.lagRecords === 0);
      });
    };
    await lockstep.until(isThere, `${topics.join(' and ')} are up to date`, waitMs);
  }

  position(lockstep: LockstepProcess, topic = this.hit, partition = 0): number {
    const shards = lockstep.status(this.mirror)?.shards ?? [];
    return shards.find((shard) => shard.topic === topic && shard.partition === partition)?.position ?? -1;
  }

  /** The target has what the source has in these topics; with live load, what it had a moment ago. */
  async caughtUp(lockstep: LockstepProcess, topics: readonly string[] = [this.hit, this.other]): Promise<void> {
    for (const topic of topics) {
      for (const partition of partitionsUpTo(this.#options.partitions ?? 1)) {
        const { lastStable } = await this.bounds('source', topic, partition);
        const isThere = async (): Promise<boolean> => (await this.end('target', topic, partition)) >= lastStable;
        await lockstep.until(isThere, `${topic}/${partition} has reached ${lastStable}`, waitMs);
      }
    }
  }

  /** Waits for the first incident, and holds it to code and topic. */
  async incident(
    lockstep: LockstepProcess,
    code: Incident['code'],
    options: { topic?: string | null; after?: number } = {},
  ): Promise<Incident> {
    const { topic = this.hit, after = 0 } = options;
    await lockstep.until(() => lockstep.incidents.length > after, `an incident ${code}`, waitMs);
    const incident = must(lockstep.incidents[after], 'incident');
    expect({ code: incident.code, topic: incident.topic }, lockstep.describe()).toEqual({ code, topic });
    return incident;
  }

  async incidentEnded(lockstep: LockstepProcess, code: Incident['code']): Promise<void> {
    const hasEnded = (): boolean =>
      lockstep.events.some((event) => event.event === 'incident-ended' && event.incident.code === code);
    await lockstep.until(hasEnded, `the incident ${code} has ended`, waitMs);
  }

  /**
   * Ends load and mirror, and holds it to the incidents, by code, that it has told: each exactly once. Outages that it has
   * told must have ended by themselves, also where an incident stops a partition.
   */
  async finish(lockstep: LockstepProcess, codes: readonly Incident['code'][], waits: Waits = {}): Promise<RunResult> {
    await this.stopLoad();
    const lasting = (): Incident[] => openIncidents(lockstep.events).filter(({ severity }) => severity === 'warning');
    if (lockstep.isRunning) await lockstep.until(() => lasting().length === 0, 'every outage has ended', waitMs);
    const run = lockstep.isRunning ? await lockstep.interrupt() : await lockstep.ended();
    expect(
      run.incidents.map(({ code }) => code),
      told(run),
    ).toEqual(codes);
    expectOutages(run, waits);
    expect(run.stderr, told(run)).not.toContain('    at ');
    return run;
  }

  /** Runs the mirror of a file until it has caught up, without any incident. */
  async catchUp(file = this.file): Promise<RunResult> {
    const run = await runUntilCaughtUp(file);
    expect([run.code, run.incidents], told(run)).toEqual([0, []]);
    expectOutages(run);
    return run;
  }

  /** Writes more, and has a mirror that is started anew copy it: both topics are identical then. */
  async copiesMore(): Promise<void> {
    await this.write(100);
    await this.catchUp();
    await this.expectSame();
  }

  // ---- the judgement

  /** Whole topics, by both checkers, and where both topics are meant by `lockstep verify` too; their sources must be quiet. */
  async expectSame(topics: readonly string[] = [this.hit, this.other], policy = this.#options.policy): Promise<number> {
    let records = 0;
    for (const topic of topics) {
      const report = await expectIdentical({
        source: this.#ends.source.bootstrap,
        target: this.#ends.target.bootstrap,
        topics: [{ source: topic, target: topic }],
        policy: topic === this.hit ? { ...policy } : {},
      });
      records += report.recordsEqual;
    }
    const isWhole = topics.includes(this.hit) && topics.includes(this.other);
    const mayBeUnverified = policy?.logStart === 'any';
    const verified = isWhole ? await expectVerified(this.file, { mayBeUnverified, timeoutMs: waitMs }) : null;
    this.#run.outcome(`identical, ${records} records${verified === null ? '' : `, ${verified} by lockstep verify`}`);
    return records;
  }

  /** What one side holds in [from, below): for logs that end differently, or of which one is about to go. */
  async history(side: Side, range: { partition?: number; from?: number; below: number }): Promise<PartitionHistory> {
    const { partition = 0, below } = range;
    const reader = new RawReader(this.#ends[side].bootstrap);
    try {
      const { logStart } = await reader.bounds(this.hit, partition);
      const from = Math.max(logStart, range.from ?? logStart);
      const builder = new HistoryBuilder({ from, to: below });
      for await (const batch of reader.batches(this.hit, partition, { from, to: below })) builder.add(batch);
      const bounds = { logStart: from, lastStable: below, highWatermark: below };
      return builder.finish({ topic: this.hit, partition, ...bounds });
    } finally {
      reader.close();
    }
  }

  /** `hit` below an offset: the target against the source as it is now, or as it was read before. */
  async expectSameBelow(below: number, source?: PartitionHistory): Promise<void> {
    const target = await this.history('target', { below, ...(source ? { partition: source.partition } : {}) });
    const from = target.logStart;
    const whole = source ?? (await this.history('source', { below, from }));
    const entries = new Entries();
    for (let at = 0; at < whole.entries.length && whole.entries.offset(at) < below; at++)
      entries.push(whole.entries.at(at));
    const original = { ...whole, entries, lastStable: below, highWatermark: below };
    const { findings, recordsEqual } = checkReplication({
      source: [original],
      target: [target],
      policy: { transactions: 'committed-only', timestamps: 'equal', logStart: 'any', ...this.#options.policy },
    });
    expect(findings.filter(({ count }) => count > 0)).toEqual([]);
    expect(recordsEqual, 'records were compared').toBeGreaterThan(0);
    this.#run.outcome(`identical below offset ${below}, ${recordsEqual} records`);
  }

  /** What the raw checker finds in `hit`: for logs that Java's comparison has no notion of. */
  async compare(): Promise<{ findings: readonly Finding[] }> {
    const report = await verifyMirror({
      source: this.#ends.source.bootstrap,
      target: this.#ends.target.bootstrap,
      topics: [{ source: this.hit, target: this.hit }],
      policy: { ...this.#options.policy },
    });
    const { findings, recordsEqual } = must(report.topics[0], 'report of the topic');
    this.#run.outcome(`identical, ${recordsEqual} records that both sides still have`);
    return { findings: findings.filter(({ count }) => count > 0) };
  }

  /** Says how it stopped, for the report. */
  stopped({ code, offsets }: Incident): void {
    this.#run.outcome(`stopped by ${code}${offsets ? ` at offsets ${offsets.from} to ${offsets.to}` : ''}`);
  }
}
