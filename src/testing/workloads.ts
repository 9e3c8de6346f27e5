/** Ready workloads: what the acceptance runs mirror, one for each thing that a mirror could get wrong. */
import { must } from '#util/assert.ts';
import { waitForHoles } from './compaction.ts';
import { runAdmin } from './topic-admin.ts';
import type { WeightedSize, Workload } from './workload.ts';
import { codecs, partitionsUpTo, writeStreams } from './workload.ts';

const megabyte = 1 << 20;
const largeTopic = { 'max.message.bytes': String(8 * megabyte) };
const usualSizes: readonly WeightedSize[] = [
  [5, 0, 0],
  [80, 1, 400],
  [14, 400, 3000],
  [1, 10_000, 100_000],
];

/** All codecs, batches from a few hundred bytes to 1 MB, null and empty keys and values, odd headers and timestamps. */
export function mixed(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 200_000, partitions = 4 } = options;
  const batchBytes = [16_384, 65_536, 1_000, megabyte, 262_144];
  const timestamps = ['now', 'disorder', 'now', 'zero', 'now'] as const;
  return {
    topics: [{ name: topic, partitions, configs: { ...largeTopic, 'retention.ms': '-1' } }],
    parallel: true,
    streams: codecs.map((codec, index) => ({
      name: codec,
      topic,
      partitions: partitionsUpTo(partitions),
      records: Math.ceil(records / codecs.length),
      codec,
      batchBytes: must(batchBytes[index], 'batch size'),
      keys: 'mixed',
      valueBytes: usualSizes,
      nullValueRate: 0.05,
      headers: index % 2 === 0 ? 'odd' : 'plain',
      timestamps: { mode: must(timestamps[index], 'timestamps') },
      idempotent: index !== 0,
    })),
  };
}

/** Every record is a batch of its own. */
export function oneRecordBatches(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 50_000, partitions = 4 } = options;
  const streams = (['none', 'zstd'] as const).map((codec) => ({
    name: `single-${codec}`,
    topic,
    partitions: partitionsUpTo(partitions),
    records: Math.ceil(records / 2),
    codec,
    oneRecordBatches: true,
    valueBytes: 200,
    headers: 'plain' as const,
  }));
  return { topics: [{ name: topic, partitions }], streams, parallel: true };
}

/** The broker stamps the records, whose producers' times are 40 days older. */
export function logAppendTime(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 20_000, partitions = 2 } = options;
  return {
    topics: [{ name: topic, partitions, configs: { 'message.timestamp.type': 'LogAppendTime' } }],
    streams: codecs.map((codec) => ({
      name: `append-${codec}`,
      topic,
      partitions: partitionsUpTo(partitions),
      records: Math.ceil(records / codecs.length),
      codec,
      headers: 'odd',
      timestamps: { mode: 'age', days: 40 },
    })),
  };
}

/** Records of 40 days ago in a topic that keeps them: producer state expires by their timestamps. */
export function oldTimestamps(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 20_000, partitions = 2 } = options;
  return {
    topics: [{ name: topic, partitions, configs: { 'retention.ms': '-1' } }],
    streams: [
      {
        name: 'old',
        topic,
        partitions: partitionsUpTo(partitions),
        records,
        codec: 'lz4',
        timestamps: { mode: 'age', days: 40 },
      },
    ],
  };
}

/**
 * A compacted topic with holes: keys come back until the cleaner has taken most of the early records away. When it
 * returns, holes have been seen in every partition and the cleaner is held off (`min.compaction.lag.ms`), so what is
 * there stays there.
 */
export function compacted(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 20_000, partitions = 2 } = options;
  const shared = { topic, partitions: partitionsUpTo(partitions), keys: { cycle: 997 }, valueBytes: usualSizes };
  return {
    topics: [
      {
        name: topic,
        partitions,
        configs: {
          ...largeTopic,
          'cleanup.policy': 'compact',
          'segment.ms': '500',
          'min.cleanable.dirty.ratio': '0.01',
          'min.compaction.lag.ms': '0',
        },
      },
    ],
    streams: [
      { ...shared, name: 'early', records: Math.ceil(records * 0.5), codec: 'lz4', nullValueRate: 0.1 },
      { ...shared, name: 'late', records: Math.floor(records * 0.3), nullValueRate: 0.1, headers: 'odd' },
    ],
    async after(bootstrap) {
      await waitForHoles(bootstrap, topic, { partitions });
      await writeStreams(bootstrap, [{ ...shared, name: 'last', records: Math.floor(records * 0.2), codec: 'zstd' }]);
    },
  };
}

/** Four producers whose transactions interleave, a tenth of them aborted, plain records in between. */
export function transactional(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 20_000, partitions = 2 } = options;
  return {
    topics: [{ name: topic, partitions }],
    streams: [
      {
        name: 'transactions',
        topic,
        partitions: partitionsUpTo(partitions),
        records,
        codec: 'lz4',
        headers: 'plain',
        transactions: { producers: 4, abortRate: 0.1, records: [1, 150], plainRate: 0.1 },
      },
    ],
  };
}

/** The first records are deleted: log start > 0, in the middle of a batch. */
export function logStart(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 20_000, partitions = 2 } = options;
  const before = Object.fromEntries(partitionsUpTo(partitions).map((partition) => [partition, 1001 + partition]));
  return {
    topics: [{ name: topic, partitions }],
    streams: [
      { name: 'start', topic, partitions: partitionsUpTo(partitions), records, codec: 'snappy', partitionRuns: true },
    ],
    after: async (bootstrap) => void (await runAdmin(bootstrap, [{ deleteRecords: { topic, before } }])),
  };
}

/** Values from nothing to 5 MB, in every codec. */
export function large(topic: string, options: { records?: number } = {}): Workload {
  const { records = 200 } = options;
  return {
    topics: [{ name: topic, partitions: 1, configs: largeTopic }],
    streams: codecs.map((codec) => ({
      name: `large-${codec}`,
      topic,
      partitions: [0],
      records: Math.ceil(records / codecs.length),
      codec,
      batchBytes: megabyte,
      valueBytes: [
        [10, 0, 0],
        [70, 1, 20_000],
        [18, 100_000, megabyte],
        [5, 5 * megabyte, 5 * megabyte],
      ],
    })),
  };
}

/** Headers that a map would lose, keys and values of every kind, in every codec. */
export function oddHeaders(topic: string, options: { records?: number; partitions?: number } = {}): Workload {
  const { records = 5_000, partitions = 2 } = options;
  return {
    topics: [{ name: topic, partitions }],
    streams: codecs.map((codec) => ({
      name: `odd-${codec}`,
      topic,
      partitions: partitionsUpTo(partitions),
      records: Math.ceil(records / codecs.length),
      codec,
      keys: 'mixed',
      headers: 'odd',
      nullValueRate: 0.2,
      timestamps: { mode: 'disorder' },
    })),
  };
}
