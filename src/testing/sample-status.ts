/** What a mirror could say, with only what a test is about written down. */
import type { Incident, MirrorStatus, ShardStatus } from '#contract/status.ts';

export const AT = 1_700_000_000_000;

export function shard(fields: Partial<ShardStatus>): ShardStatus {
  return {
    topic: 'orders',
    targetTopic: 'orders',
    partition: 0,
    state: 'copying',
    position: 100,
    sourceLogStart: 0,
    sourceStableOffset: 110,
    sourceHighWatermark: 112,
    lagRecords: 10,
    lagMs: 250,
    measuredAt: AT - 500,
    recordsCopied: 0,
    bytesCopied: 0,
    holesFilled: 0,
    refusals: 0,
    incident: null,
    ...fields,
  };
}

export function status(shards: readonly ShardStatus[], fields: Partial<MirrorStatus> = {}): MirrorStatus {
  return {
    mirror: 'east-to-west',
    source: 'east',
    target: 'west',
    shards,
    bytes: { passedThrough: 900, reencoded: { merged: 100, split: 0, trimmed: 0, 'append-time': 0, gaps: 0 } },
    recordsCopied: shards.reduce((sum, each) => sum + each.recordsCopied, 0),
    bytesCopied: shards.reduce((sum, each) => sum + each.bytesCopied, 0),
    batchesCopied: 7,
    at: AT,
    ...fields,
  };
}

export function incident(fields: Partial<Incident> = {}): Incident {
  return {
    code: 'CLUSTER_UNREACHABLE',
    severity: 'warning',
    mirror: 'east-to-west',
    topic: null,
    partition: null,
    offsets: null,
    cause: '2 partitions have waited for 30 s: no broker answers.',
    consequence: 'They go on by themselves.',
    nextStep: '',
    endsByItself: true,
    at: AT,
    ...fields,
  };
}
