/** What the demo runs, what can be done to it, and what is known about it at a moment. */
import { formatCount, formatNumberOf } from '#cli/format.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { spawnLiveCompare } from '#testing/live-compare.ts';
import type { Comparison, LiveCompare } from '#testing/live-compare.ts';
import { waitUntil } from '#testing/process-stat.ts';
import type { LiveTraffic } from '#testing/workload.ts';
import {
  createEastTopics,
  partitionCount,
  recordsPerSecond,
  startClusters,
  startTraffic,
  topicNames,
  topics,
  writeLinkFile,
} from './estate.ts';
import { MirrorRun } from './mirror-run.ts';
import { plantDifference, type Planted } from './plant.ts';
import { describeField, formatPlace } from './words.ts';
import { RateMeter } from './rate-meter.ts';
import type { Ending, Snapshot, TopicRow } from './snapshot.ts';

/** The topic with uncompressed batches, in which a character can be changed. */
const PLANT_TOPIC = 'payments.authorised';

export class Demo {
  readonly mirror: MirrorRun;
  readonly #startedAtMs = performance.now();
  readonly #east: KafkaCluster;
  readonly #west: KafkaCluster;
  readonly #traffic: LiveTraffic;
  readonly #reader: LiveCompare;
  readonly #linkFile: string;
  readonly #rates = new RateMeter();
  readonly #events: { atMs: number; text: string }[] = [];
  #planted: Planted | null = null;
  #foundAnnounced = false;
  #mirrorEndAnnounced = false;
  #incidentAnnounced: string | null = null;

  constructor(parts: {
    east: KafkaCluster;
    west: KafkaCluster;
    traffic: LiveTraffic;
    reader: LiveCompare;
    mirror: MirrorRun;
    linkFile: string;
  }) {
    this.#east = parts.east;
    this.#west = parts.west;
    this.#traffic = parts.traffic;
    this.#reader = parts.reader;
    this.mirror = parts.mirror;
    this.#linkFile = parts.linkFile;
    this.note(`clusters, traffic, mirror (pid ${this.mirror.pid}) and reader are running`);
  }

  /** Rejects when something that has to run until the end ends before. */
  get failed(): Promise<never> {
    return Promise.race([this.#traffic.failed, this.#reader.failed]);
  }

  get comparison(): Comparison | null {
    return this.#reader.latest;
  }

  async killMirror(): Promise<void> {
    if (this.mirror.state !== 'running') return;
    const pid = this.mirror.pid;
    await this.mirror.kill();
    this.note(`mirror killed with kill -9, pid ${pid}`);
  }

  startMirror(): void {
    if (this.mirror.pid !== null) return;
    this.mirror.start();
    this.#mirrorEndAnnounced = false;
    this.note(`mirror started again, pid ${this.mirror.pid}: it reads its position from west`);
  }

  /** Alters a record on west, once. False while there is none that it could alter. */
  plant(): boolean {
    if (this.#planted !== null) {
      this.note('one record is altered already; end the demo to begin anew');
      return true;
    }
    this.#planted = plantDifference(this.#west.brokers[0]?.dataDir ?? '', PLANT_TOPIC, partitionsOf(PLANT_TOPIC));
    if (this.#planted === null) return false;
    this.note(`altered on west's disk: ${formatPlace(this.#planted)}`);
    return true;
  }

  /**
   * Ends the traffic, waits for the mirror to have copied the rest, and has the reader compare everything once more.
   * The clusters go on running.
   */
  async finish(): Promise<Ending> {
    this.note('traffic stopped; waiting for the mirror, then everything is compared once more');
    const traffic = await this.#traffic.stop();
    const comparison = await this.#reader.finish();
    return { traffic, comparison, kills: this.mirror.kills };
  }

  /** Ends the mirror and both clusters; what else runs ends with this process. */
  async close(): Promise<void> {
    await this.mirror.close();
    await Promise.all([this.#east.stop(), this.#west.stop()]);
  }

  snapshot(): Snapshot {
    const now = Date.now();
    const latest = this.#reader.latest;
    this.#announce(latest);
    const ago = (at: number | null | undefined): number | null => (at ? Math.max(0, now - at) : null);
    const rows = topics.map(({ name, partitions }) => this.#row(name, partitions, latest));
    const { mirror } = this;
    return {
      elapsedMs: this.#elapsedMs(),
      linkFile: this.#linkFile,
      topics: rows,
      total: totalOf(rows),
      traffic: this.#traffic.progress,
      mirror: {
        state: mirror.state,
        inStateMs: mirror.inStateMs,
        pid: mirror.pid,
        kills: mirror.kills,
        copied: mirror.status?.recordsCopied ?? null,
        incident: incidentOf(mirror),
        ending: mirror.ending,
      },
      proof: {
        compared: latest?.compared ?? 0,
        comparedAgoMs: ago(latest?.comparedAt),
        rounds: latest?.rounds ?? 0,
        roundAgoMs: ago(latest?.roundEndedAt),
        differences: latest?.differences ?? 0,
        first: latest?.first ?? null,
      },
      planted: this.#planted,
      events: this.#events,
    };
  }

  /** What happens without anybody asking for it is told once. */
  #announce(latest: Comparison | null): void {
    const incident = incidentOf(this.mirror);
    if (incident !== null && incident !== this.#incidentAnnounced) this.note(`incident of the mirror: ${incident}`);
    this.#incidentAnnounced = incident;
    if (latest?.first && !this.#foundAnnounced) {
      this.#foundAnnounced = true;
      this.note(`found ${formatPlace(latest.first)}: ${describeField(latest.first)}`);
    }
    if (this.mirror.state === 'ended' && !this.#mirrorEndAnnounced) {
      this.#mirrorEndAnnounced = true;
      this.note(`mirror ended by itself: ${this.mirror.ending}`);
    }
  }

  #row(name: string, partitions: number, latest: Comparison | null): TopicRow {
    const topic = latest?.topics?.[name];
    if (!latest || !topic) {
      return { name, partitions, position: null, lag: null, behindMs: null, perSecond: null };
    }
    const behind = topic.oldest === null ? null : Math.max(0, latest.at - topic.oldest);
    return {
      name,
      partitions,
      position: topic.targetEnd,
      lag: topic.lag,
      behindMs: topic.lag === 0 ? 0 : behind,
      perSecond: this.#rates.add(name, { at: latest.at, count: topic.targetEnd }),
    };
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  /** Adds to what has happened. */
  note(text: string): void {
    this.#events.push({ atMs: this.#elapsedMs(), text });
  }
}

/** Starts everything, a line for each step. */
export async function startDemo(say: (name: string, text: string) => void): Promise<Demo> {
  const { east, west } = await startClusters();
  for (const [name, cluster] of [
    ['east', east],
    ['west', west],
  ] as const) {
    say(name, `Apache Kafka ${cluster.version} at ${cluster.bootstrap.join()}`);
  }
  await createEastTopics(east);
  say('topics', `${topics.length} on east with ${formatNumberOf(partitionCount, 'partition')}; west is empty`);
  // At the same time: two of them are JVMs, which take a second or two.
  const linkFile = writeLinkFile(east, west);
  const mirror = new MirrorRun(linkFile);
  mirror.start();
  const clusters = { source: east.bootstrap, target: west.bootstrap };
  const [traffic, reader] = await Promise.all([startTraffic(east), spawnLiveCompare(clusters, topicNames)]);
  say('mirror', `lockstep run -f ${linkFile}`);
  const hasBegun = waitUntil(() => traffic.progress.records > 0, 'the traffic has begun', { timeoutMs: 60_000 });
  await Promise.race([traffic.failed, reader.failed, hasBegun]);
  say('traffic', `${formatCount(recordsPerSecond)} records/s by Kafka's Java producer, aborts among them`);
  say('proof', "a separate reader, Kafka's Java consumer, compares both");
  return new Demo({ east, west, traffic, reader, mirror, linkFile });
}

function partitionsOf(name: string): number {
  return topics.find((topic) => topic.name === name)?.partitions ?? 0;
}

function totalOf(rows: readonly TopicRow[]): TopicRow {
  const sum = (value: (row: TopicRow) => number | null): number | null =>
    rows.reduce<number | null>((total, row) => {
      const part = value(row);
      return total === null || part === null ? null : total + part;
    }, 0);
  const behind = rows.map((row) => row.behindMs);
  return {
    name: 'total',
    partitions: rows.reduce((total, row) => total + row.partitions, 0),
    position: sum((row) => row.position),
    lag: sum((row) => row.lag),
    behindMs: behind.includes(null) ? null : Math.max(...behind.map((ms) => ms ?? 0)),
    perSecond: sum((row) => row.perSecond),
  };
}

function incidentOf({ incident }: MirrorRun): string | null {
  return incident === null ? null : `${incident.code}: ${incident.cause}`;
}
