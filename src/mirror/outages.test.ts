/** When trouble of partitions becomes an incident of a cluster, and when that is over. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { RunEvent } from '#contract/status.ts';
import { BrokerError, ConnectionError, type KafkaError } from '#kafka/errors.ts';
import { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ScriptedNetwork } from '#testing/scripted-network.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { Outages } from './outages.ts';
import type { Waiting } from './shard-trouble.ts';

const clock = new ManualClock();
const pool = new FramePool({ bytesMax: 1024 * 1024 });
const network = new ScriptedNetwork();
const cluster = (name: string) =>
  new Cluster({ name, bootstrap: [`${name}:9092`], network, clock, random: createRandom(1), pool });
const source = cluster('source');
const target = cluster('target');
const notEnough = new BrokerError({ code: 19, name: 'NOT_ENOUGH_REPLICAS', retryable: true }, 'Produce', 'orders/0');
const lost = (address: string) => new ConnectionError('closed', address, `${address}: reset`, { definite: false });

let events: RunEvent[];
let outages: Outages;
let shards: { topic: string; partition: number; position: number | null; waiting: Waiting | null }[];

beforeEach(() => {
  events = [];
  outages = new Outages({ mirror: 'm', source, target, clock, onEvent: (event) => events.push(event) });
  shards = [0, 1, 2].map((partition) => ({ topic: 'orders', partition, position: 7, waiting: null }));
});

/** These partitions begin to wait now, or are told another cause. */
function wait(error: KafkaError, ...partitions: number[]): void {
  for (const shard of shards)
    if (partitions.includes(shard.partition)) {
      const toldMs = clock.monotonic();
      shard.waiting = { error, sinceMs: shard.waiting?.sinceMs ?? toldMs, toldMs };
    }
}

/** They are told the same all the time, unless they wait for an answer (`isSilent`). */
async function pass(ms: number, { isSilent = false } = {}): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    await clock.advance(Math.min(1_000, left));
    for (const shard of shards)
      if (shard.waiting && !isSilent) shard.waiting = { ...shard.waiting, toldMs: clock.monotonic() };
    outages.check(shards);
  }
}

const told = () => events.map((each) => `${each.event} ${'incident' in each ? each.incident.code : ''}`);

describe('trouble', () => {
  test('of less than 30 s is none', async () => {
    wait(notEnough, 0);
    await pass(29_000);
    shards[0]!.waiting = null;
    await pass(29_000);
    wait(notEnough, 0);
    await pass(29_000);
    expect(events).toEqual([]);
  });

  test('of many partitions is one incident, over with the last of them, and another one later', async () => {
    wait(notEnough, 0, 1);
    await pass(20_000);
    wait(notEnough, 2);
    await pass(100_000);
    expect(told()).toEqual(['incident SHARD_WAITING']);
    expect(events[0]).toMatchObject({
      incident: { severity: 'warning', topic: null, offsets: null, endsByItself: true },
    });
    shards[0]!.waiting = shards[1]!.waiting = null;
    await pass(10_000);
    expect(told().length).toBe(1);
    shards[2]!.waiting = null;
    await pass(1_000);
    expect(told()).toEqual(['incident SHARD_WAITING', 'incident-ended SHARD_WAITING']);
    wait(notEnough, 1);
    await pass(31_000);
    expect(told().at(-1)).toBe('incident SHARD_WAITING');
  });

  test('is told by its cause of now, not by what partitions were told at its beginning', async () => {
    wait(new BrokerError({ code: 74, name: 'FENCED_LEADER_EPOCH', retryable: true }, 'Fetch', 'orders/0'), 0, 1, 2);
    await pass(31_000, { isSilent: true });
    wait(new ConnectionError('tls', 'source:9092', 'source:9092: its certificate', { definite: true }), 1);
    await pass(1_000, { isSilent: true });
    expect(told()).toEqual(['incident CLUSTER_TLS_FAILED']);
    expect(events[0]).toMatchObject({ incident: { cause: expect.stringContaining('its certificate') } });
  });

  test('is told by a refusal rather than by an answer that did not come', async () => {
    wait(new ConnectionError('timeout', 'target:9092', 'target:9092 did not answer', { definite: false }), 0, 2);
    wait(notEnough, 1);
    await pass(31_000);
    expect(told()).toEqual(['incident SHARD_WAITING']);
    expect(events[0]).toMatchObject({
      incident: { cause: expect.stringMatching(/^3 partitions .*NOT_ENOUGH_REPLICAS/) },
    });
  });

  test('of both clusters is one incident each, whichever of them partitions were told of last', async () => {
    const clusters = ['source:9092', 'target:9092'];
    for (let second = 0; second < 40; second += 1) {
      wait(lost(must(clusters[second % 2], 'cluster')), 0);
      await pass(1_000);
    }
    expect(told()).toEqual(['incident CLUSTER_UNREACHABLE', 'incident CLUSTER_UNREACHABLE']);
    shards[0]!.waiting = null;
    await pass(1_000);
    expect(told().slice(2)).toEqual(['incident-ended CLUSTER_UNREACHABLE', 'incident-ended CLUSTER_UNREACHABLE']);
  });

  test('of a cluster ends while partitions wait on for the other, whose own 30 s begin with the first word of it', async () => {
    wait(lost('source:9092'), 0);
    await pass(40_000);
    expect(told()).toEqual(['incident CLUSTER_UNREACHABLE']);
    wait(notEnough, 0);
    await pass(29_000);
    expect(told().length).toBe(1);
    await pass(2_000);
    expect(told().slice(1)).toEqual(['incident SHARD_WAITING']);
    expect(events[1]).toMatchObject({ incident: { cause: expect.stringContaining('waited for 30 s') } });
    await pass(30_000);
    expect(told().slice(2)).toEqual(['incident-ended CLUSTER_UNREACHABLE']);
    shards[0]!.waiting = null;
    await pass(1_000);
    expect(told().slice(3)).toEqual(['incident-ended SHARD_WAITING']);
  });

  test('ends with its partitions, also where another begins to wait for the other cluster', async () => {
    wait(lost('source:9092'), 0);
    await pass(31_000);
    shards[0]!.waiting = null;
    wait(lost('target:9092'), 1);
    await pass(1_000);
    expect(told()).toEqual(['incident CLUSTER_UNREACHABLE', 'incident-ended CLUSTER_UNREACHABLE']);
  });

  test('is told after 60 s where partitions are told nothing more', async () => {
    wait(notEnough, 0);
    await pass(59_000, { isSilent: true });
    expect(events).toEqual([]);
    await pass(1_000, { isSilent: true });
    expect(told()).toEqual(['incident SHARD_WAITING']);
  });

  test('of one partition names it and its offset', async () => {
    wait(notEnough, 1);
    await pass(31_000);
    expect(events[0]).toMatchObject({ incident: { topic: 'orders', partition: 1, offsets: { from: 7, to: 7 } } });
  });

  test('is of the cluster that was asked, where both are asked the same', async () => {
    const noLeader = new BrokerError(
      { code: 5, name: 'LEADER_NOT_AVAILABLE', retryable: true },
      'Metadata',
      'orders/0',
    );
    noLeader.cluster = 'source';
    wait(noLeader, 0);
    await pass(31_000);
    expect(events[0]).toMatchObject({ incident: { cause: expect.stringContaining('cluster "source"') } });
  });

  test('of either cluster is an incident of its own, whatever a cluster answers meanwhile', async () => {
    wait(lost('source:9092'), 0);
    await pass(31_000);
    wait(new BrokerError({ code: 6, name: 'NOT_LEADER_OR_FOLLOWER', retryable: true }, 'Fetch', 'orders/0'), 0);
    await pass(31_000);
    expect(told()).toEqual(['incident CLUSTER_UNREACHABLE']);
    wait(notEnough, 1);
    await pass(31_000);
    expect(told()).toEqual(['incident CLUSTER_UNREACHABLE', 'incident SHARD_WAITING']);
  });

  test('of a cluster that partitions wait for without asking is told by its last attempt, and beside that of the other', async () => {
    wait(lost('target:9092'), 0, 1, 2);
    const waiting = source.untilReachable(new AbortController().signal);
    const refuseAll = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second += 1) {
        for (const peer of network.peers.filter(({ isDestroyed }) => !isDestroyed))
          peer.close(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
        await pass(1_000, { isSilent: true });
      }
    };
    await refuseAll(65);
    expect(told()).toEqual(['incident CLUSTER_UNREACHABLE', 'incident CLUSTER_UNREACHABLE']);
    expect(events).toMatchObject([
      { incident: { cause: expect.stringContaining('no address of cluster "source" answers') } },
      { incident: { cause: expect.stringContaining('target:9092: reset') } },
    ]);
    source.close();
    await waiting;
    for (const shard of shards) shard.waiting = null;
    await pass(1_000);
    expect(told().slice(2)).toEqual(['incident-ended CLUSTER_UNREACHABLE', 'incident-ended CLUSTER_UNREACHABLE']);
  });
});
