/** What the processes of a campaign copy: topics of each kind, with what is in them before, what is written meanwhile, and the Mirror. */
import { waitForHoles } from '#testing/compaction.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import type { RecordStream, Workload } from '#testing/workload.ts';
import { partitionsUpTo, writeStreams } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import type { MirrorSpec } from '../acceptance/link-file.ts';

/**
 * `holes`: a compacted topic, and one with aborted transactions, of which committed records are copied. `started`: its log
 * starts behind 0. `transactions`: of four producers that interleave, preserved. `bare`: plain, without ownership.
 */
export type Kind = 'plain' | 'holes' | 'started' | 'transactions' | 'mapped' | 'bare';
/** Of the records: `old` is 40 days, so that brokers forget who wrote them (producer.id.expiration.ms, 1 day). */
export type Age = 'current' | 'old';

export const ownedKinds = ['plain', 'holes', 'started', 'transactions', 'mapped'] as const satisfies readonly Kind[];
export const PARTITIONS = 2;

const OLD_DAYS = 40;
const DAY_MS = 86_400_000;
const TEN_YEARS_MS = 3_650 * DAY_MS;
const partitions = partitionsUpTo(PARTITIONS);

export interface KindTopics {
  /** The names on both sides. */
  readonly topics: readonly string[];
  readonly spec: Omit<MirrorSpec, 'topics'>;
  /** The topics, and what is in them before the first process starts. */
  readonly before: readonly Workload[];
  /** What is written while processes work. */
  readonly streams: readonly RecordStream[];
}

export interface TopicOptions {
  readonly age: Age;
  readonly replicationFactor: number;
  /** Of each stream. */
  readonly recordsPerSecond: number;
}

/** `name` begins the names of the topics. */
export function topicsOf(name: string, kind: Kind, options: TopicOptions): KindTopics {
  const { age, replicationFactor, recordsPerSecond } = options;
  const old = age === 'old' ? ({ timestamps: { mode: 'age', days: OLD_DAYS } } as const) : {};
  const configs = age === 'old' ? { 'retention.ms': '-1' } : {};
  const live = (topic: string, more: Partial<RecordStream> = {}): RecordStream => ({
    name: topic,
    topic,
    partitions,
    valueBytes: 300,
    lingerMs: 20,
    recordsPerSecond,
    ...old,
    ...more,
  });
  const empty = (topic: string): Workload => ({
    topics: [{ name: topic, partitions: PARTITIONS, replicationFactor, configs }],
    streams: [],
  });
  /** What a ready workload writes, as old as it is to be. */
  const aged = ({ topics, streams, ...rest }: Workload): Workload => ({
    ...rest,
    topics: topics.map((topic) => ({ ...topic, replicationFactor, configs: { ...topic.configs, ...configs } })),
    streams: streams.map((stream) => ({ ...stream, ...old })),
  });
  const topic = `${name}.${kind}`;
  switch (kind) {
    case 'plain':
      return { topics: [topic], spec: {}, before: [empty(topic)], streams: [live(topic, { codec: 'lz4' })] };
    case 'bare': // many small batches, whose boundaries are others in each process
      return {
        topics: [topic],
        spec: {},
        before: [empty(topic)],
        streams: [live(topic, { oneRecordBatches: true, recordsPerSecond: 4 * recordsPerSecond })],
      };
    case 'started':
      return {
        topics: [topic],
        spec: {},
        before: [aged(workloads.logStart(topic, { records: 4_000, partitions: PARTITIONS }))],
        streams: [live(topic)],
      };
    case 'transactions': {
      const transactions = { producers: 4, abortRate: 0.25, records: [1, 12], plainRate: 0.1 } as const;
      return { topics: [topic], spec: {}, before: [empty(topic)], streams: [live(topic, { transactions })] };
    }
    case 'mapped': {
      const transactions = { producers: 2, abortRate: 0.25, records: [1, 12], plainRate: 0.3 } as const;
      return {
        topics: [topic],
        spec: { offsets: 'mapped' },
        before: [empty(topic)],
        streams: [live(topic, { transactions })],
      };
    }
    case 'holes': {
      const [compacted, aborted] = [`${topic}.compacted`, `${topic}.aborted`];
      const transactions = { producers: 2, abortRate: 0.3, records: [1, 8], plainRate: 0.1 } as const;
      return {
        topics: [compacted, aborted],
        spec: { transactions: 'committed-only' },
        before: [withHoles(compacted, { age, replicationFactor }), empty(aborted)],
        streams: [live(compacted, { keys: { cycle: 97 } }), live(aborted, { transactions })],
      };
    }
  }
}

/** What is left of 6,000 records with 97 keys; the cleaner is then held off for good, whatever the records' time. */
function withHoles(topic: string, options: Pick<TopicOptions, 'age' | 'replicationFactor'>): Workload {
  const shared = { topic, partitions, keys: { cycle: 97 }, valueBytes: 200 } as const;
  // Segments are rolled by the times of records (LogSegment.shouldRoll): a step between them.
  const baseMs = Date.now() - OLD_DAYS * DAY_MS;
  const times = (at: number) =>
    options.age === 'old' ? ({ timestamps: { mode: 'fixed', baseMs: baseMs + at, stepMs: 1 } } as const) : {};
  return {
    topics: [
      {
        name: topic,
        partitions: PARTITIONS,
        replicationFactor: options.replicationFactor,
        configs: {
          'cleanup.policy': 'compact',
          'segment.ms': '500',
          'min.cleanable.dirty.ratio': '0.01',
          'min.compaction.lag.ms': '0',
        },
      },
    ],
    streams: [{ ...shared, ...times(0), name: 'early', records: 6_000, codec: 'lz4' }],
    async after(bootstrap) {
      await waitForHoles(bootstrap, topic, { partitions: PARTITIONS });
      const heldOff = { 'min.compaction.lag.ms': String(TEN_YEARS_MS) };
      await runAdmin(bootstrap, [{ setConfigs: { topic, configs: heldOff } }]);
      await writeStreams(bootstrap, [{ ...shared, ...times(10_000), name: 'late', records: 500 }]);
    },
  };
}
