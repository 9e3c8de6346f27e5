/** What a server does for its jobs, whichever database it has. */
import { expect, onTestFinished } from 'vitest';
import { LATEST, listOffsets } from '#kafka/offsets.ts';
import { appendRecords } from '#kafka/simple-log.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createRandom } from '#util/random.ts';
import { must } from '#util/assert.ts';
import { lockstep } from './command.ts';
import { ControlServer, type Call, type ControlServerOptions } from './control-server.ts';
import { expectSameRecords } from './same-records.ts';

export interface Sides {
  readonly source: KafkaCluster;
  readonly target: KafkaCluster;
}

/** The clusters of a test file, which every test of it shares. */
export function sharedSides(): () => Sides {
  const cluster = sharedClusters({ source: {}, target: {} });
  return () => ({ source: cluster('source'), target: cluster('target') });
}

/** Not started yet; it does not outlive the test. */
export async function createServer(options: ControlServerOptions = {}): Promise<ControlServer> {
  const server = await ControlServer.create(options);
  onTestFinished(async () => {
    if (server.isRunning) await server.kill();
  });
  return server;
}

export interface JobView {
  readonly desired: string;
  readonly state: string;
  readonly failedReason: string | null;
  readonly partitions: readonly { readonly position: number | null; readonly lagRecords: number | null }[];
  readonly incidents: readonly object[];
}

export async function appendTo(cluster: KafkaCluster, topic: string, count: number): Promise<void> {
  const opened = openCluster(cluster.bootstrap);
  try {
    const value = Buffer.alloc(200, 'x');
    const records = Array.from({ length: count }, (_, i) => ({
      key: Buffer.from(`key ${i}`),
      value,
      timestamp: Date.now(),
    }));
    await appendRecords(opened, { topic, partition: 0, records });
  } finally {
    opened.close();
  }
}

/** Where the topic's one partition ends. */
export async function endOf(cluster: KafkaCluster, topic: string): Promise<number> {
  const opened = openCluster(cluster.bootstrap);
  try {
    const [end] = await listOffsets(opened, [{ topic, partition: 0, timestamp: LATEST }]);
    return must(end, 'end').offset;
  } finally {
    opened.close();
  }
}

export function expectSame({ source, target }: Sides, topic: string): Promise<void> {
  const topics = [{ source: topic, target: topic }];
  return expectSameRecords({ source: source.bootstrap, target: target.bootstrap, topics });
}

export async function addClusters(call: Call, { source, target }: Sides): Promise<void> {
  for (const [name, cluster] of [
    ['east', source],
    ['west', target],
  ] as const) {
    const added = await call('POST', '/api/v1/clusters', { name, bootstrap: cluster.bootstrap });
    expect(added.status, JSON.stringify(added.body)).toBe(201);
  }
}

/** Returns its id. */
export async function addJob(call: Call, name: string, topic: string): Promise<string> {
  const body = { name, source: 'east', target: 'west', topics: [{ match: topic }] };
  const added = await call('POST', '/api/v1/jobs', body);
  expect(added.status, JSON.stringify(added.body)).toBe(201);
  return (added.body as { id: string }).id;
}

export async function jobOf(call: Call, id: string): Promise<JobView> {
  const answer = await call('GET', `/api/v1/jobs/${id}/status`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body as JobView;
}

export async function act(call: Call, id: string, action: string): Promise<void> {
  const answer = await call('POST', `/api/v1/jobs/${id}/${action}`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(202);
}

/** The job has copied so many records of its one partition, as its own figures say. */
export async function untilCopied(
  server: ControlServer,
  { call, id, end }: { readonly call: Call; readonly id: string; readonly end: number },
): Promise<void> {
  let last: JobView | null = null;
  const isThere = async (): Promise<boolean> => {
    last = await jobOf(call, id);
    return last.state === 'running' && last.partitions[0]?.position === end;
  };
  await server.until(isThere, `the job is at ${end}`).catch((error: Error) => {
    throw new Error(`${error.message}\n${JSON.stringify(last)}`);
  });
}

export async function untilState(
  server: ControlServer,
  { call, id, state }: { readonly call: Call; readonly id: string; readonly state: string },
): Promise<void> {
  await server.until(async () => (await jobOf(call, id)).state === state, `the job is ${state}`);
}

/** The log as it lies there, by the command that needs no server. */
export async function expectWholeLog(server: ControlServer): Promise<void> {
  const ended = await lockstep('log', 'verify', server.auditDirectory, '--vkey', server.verifierKey);
  expect(ended.code, `${ended.out}${ended.err}`).toBe(0);
}

/**
 * Kills the server again and again in the middle of changes, until so many kills are done and one of them has left an intent
 * without an outcome. After each start the jobs are wanted and do what they were wanted to do before.
 */
export async function surviveKills(
  server: ControlServer,
  {
    call,
    sides,
    topic,
    running,
    paused,
    kills,
  }: {
    readonly call: Call;
    readonly sides: Sides;
    readonly topic: string;
    /** Ids: of a job that copies `topic`, and of one that is paused. */
    readonly running: string;
    readonly paused: string;
    readonly kills: number;
  },
): Promise<void> {
  const seed = Date.now() % 1_000_000;
  const random = createRandom(seed);
  const offsets = async (): Promise<number> => must((await jobOf(call, running)).partitions[0]?.position, 'position');
  let end = await offsets();
  for (let done = 0; done < kills || (server.dangling === 0 && done < 4 * kills); done++) {
    await appendTo(sides.source, topic, 50);
    end += 50;
    const changing = changeUntilGone(call, paused);
    await new Promise((resolve) => setTimeout(resolve, 20 + random.next() * 400));
    await server.kill();
    await changing;
    await server.start();
    expect((await jobOf(call, paused)).desired, `seed ${seed}`).toBe('paused');
    await untilState(server, { call, id: paused, state: 'paused' });
    await untilCopied(server, { call, id: running, end });
  }
  expect(server.dangling, `intents without an outcome; seed ${seed}`).toBeGreaterThan(0);
  await expectSame(sides, topic);
}

/** Many changes at a time, none of which changes what the job is wanted to do, until nobody answers. */
async function changeUntilGone(call: Call, id: string): Promise<void> {
  const one = async (): Promise<void> => {
    for (;;) {
      try {
        await call('POST', `/api/v1/jobs/${id}/pause`);
      } catch {
        return; // killed
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, one));
}
