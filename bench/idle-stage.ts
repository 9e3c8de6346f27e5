/** Cells in which nothing is written: what many partitions cost that are only watched. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openCluster } from '#testing/open-cluster.ts';
import { processCpuSeconds, processMemory, processState, waitUntil } from '#testing/process-stat.ts';
import { removeDirectory, temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { must } from '#util/assert.ts';
import type { Cell, Condition } from './cell.ts';
import { taskOf, toldBy } from './copy-stage.ts';
import * as estates from './estate.ts';
import type { Figures } from './figure.ts';
import type { Found, Stage, StageOptions } from './stage.ts';
import type { Copy, System } from './system.ts';

/** Of topics that have 100 each. */
const PARTITIONS_OF_TOPIC = 100;
const TOPIC_PREFIX = 'idle-';
/** Created by one call, so that none takes longer than a client waits. */
const TOPICS_AT_ONCE = 10;
const READY_TIMEOUT_MS = 900_000;
/** It has come to rest when it takes less than this part of a core for so long. */
const RESTING_SHARE = 0.3;
const RESTING_MS = 5_000;

export async function openIdleStage(condition: Condition, options: StageOptions): Promise<Stage> {
  const estate = await estates.startEstate({ ...options, isProxied: true });
  try {
    const count = Math.ceil(condition.partitions / PARTITIONS_OF_TOPIC);
    const topics = Array.from({ length: count }, (_, i) => ({
      name: `${TOPIC_PREFIX}${i}`,
      partitions: Math.min(PARTITIONS_OF_TOPIC, condition.partitions - i * PARTITIONS_OF_TOPIC),
    }));
    for (let i = 0; i < count; i += TOPICS_AT_ONCE)
      await createTopics(estate.source.bootstrap, topics.slice(i, i + TOPICS_AT_ONCE));
    return { run: (cell, system) => runIdle(estate, cell, system), close: () => estates.stopEstate(estate) };
  } catch (error) {
    await estates.stopEstate(estate);
    throw error;
  }
}

/** The mirror goes through a proxy on either side, which counts its requests. */
async function runIdle(estate: estates.Estate, cell: Cell, system: System): Promise<Found> {
  const { source, target } = estate;
  await estates.emptyCluster(target);
  const directory = temporaryDirectory(`${system.name}-${cell.run}`);
  const proxied = { source: source.proxiedBootstrap, target: target.proxiedBootstrap };
  const sides = { source: sideOf(source), target: sideOf(target) };
  let copy: Copy | null = null;
  try {
    const startedMs = performance.now();
    const task = { ...taskOf(estate, system), ...proxied, topic: `/${TOPIC_PREFIX}.*/`, codec: 'none' as const };
    copy = await system.start({ ...task, directory, runId: `idle${cell.run}` }, { isLive: true });
    await ready(copy, target, cell.partitions);
    const startSeconds = (performance.now() - startedMs - RESTING_MS) / 1_000;
    const rates = await watch(copy, must(cell.seconds, 'seconds'), sides);
    return { figures: { startSeconds, ...rates } };
  } catch (error) {
    throw new Error(toldBy(copy, error), { cause: error });
  } finally {
    for (const { proxies } of [source, target]) for (const proxy of proxies) proxy.clear();
    await copy?.end(0);
    removeDirectory(directory);
  }
}

/** What a mirror does at one cluster, as its proxies see it. */
interface Side {
  /** So far. */
  requests(): number;
  /** That are open. */
  connections(): number;
}

function sideOf({ proxies }: KafkaCluster): Side {
  const rules = proxies.map((proxy) =>
    proxy.inject({
      match: { direction: 'request' },
      fault: { name: 'is counted', apply: ({ head, isEnd }) => head !== null && !isEnd },
    }),
  );
  return {
    requests: () => rules.reduce((sum, { count }) => sum + count, 0),
    connections: () => proxies.reduce((sum, { connections }) => sum + connections, 0),
  };
}

/** All topics are there, and the work of the start is done. */
async function ready(copy: Copy, target: KafkaCluster, partitions: number): Promise<void> {
  const client = openCluster(target.bootstrap);
  await client.connect();
  const count = async (): Promise<number> =>
    (await client.refresh('all'))
      .filter(({ name }) => name.startsWith(TOPIC_PREFIX))
      .reduce((sum, topic) => sum + topic.partitions.length, 0);
  const options = { timeoutMs: READY_TIMEOUT_MS, everyMs: 1_000 };
  try {
    await waitUntil(async () => (await count()) === partitions, 'all partitions are on the target', options);
  } finally {
    client.close();
  }
  await waitUntil(() => isResting(copy), 'the mirror has come to rest', options);
}

async function isResting({ pid }: Copy): Promise<boolean> {
  if (processState(pid) === null) throw new Error('the mirror has ended');
  const before = processCpuSeconds(pid);
  await sleep(RESTING_MS);
  return (processCpuSeconds(pid) - before) * 1_000 < RESTING_SHARE * RESTING_MS;
}

async function watch(
  { pid }: Copy,
  seconds: number,
  { source, target }: { readonly source: Side; readonly target: Side },
): Promise<Figures> {
  const [fromMs, fromCpu] = [performance.now(), processCpuSeconds(pid)];
  const [fromSource, fromTarget] = [source.requests(), target.requests()];
  await sleep(seconds * 1_000);
  const passed = (performance.now() - fromMs) / 1_000;
  const { rssBytes, peakRssBytes } = processMemory(pid);
  const toSource = (source.requests() - fromSource) / passed;
  const toTarget = (target.requests() - fromTarget) / passed;
  return {
    cpuPercent: ((processCpuSeconds(pid) - fromCpu) / passed) * 100,
    rssMb: rssBytes / 1e6,
    peakRssMb: peakRssBytes / 1e6,
    sourceRequestsPerSecond: toSource,
    targetRequestsPerSecond: toTarget,
    requestsPerConnection: Math.max(toSource / source.connections(), toTarget / target.connections()),
  };
}
