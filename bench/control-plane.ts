/**
 * What the control plane costs: `node bench/control-plane.ts [idle] [reads] [audit] [verify] [topics] [beside]` (all of them
 * without a name). Prints a line of JSON for each:
 *
 *     idle     memory of `lockstep serve` on SQLite, 15 s after somebody has signed in
 *     reads    authenticated reads a second, over 16 connections of one program, and how long they take
 *     audit    entries a second that the audit log takes, and how long each waits until it cannot be lost
 *     verify   `lockstep log verify` of 10 million entries
 *     topics   10,000 topics of a cluster listed, searched and sorted through the API
 *     beside   a job of the server that copies 50 MB/s, alone and beside 2,000 reads a second
 */
import { Agent, request } from 'node:http';
import { mkdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AuditLog } from '#prove/log/audit-log.ts';
import { event, entryOf, LOG_KEY, writeLog } from '#testing/audit-events.ts';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { processCpuSeconds, processMemory } from '#testing/process-stat.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { assert, must } from '#util/assert.ts';
import { canonicalJson } from '#util/canonical-json.ts';
import { systemClock, systemDisk } from '#util/host.ts';
import { ControlServer, type Call } from '../test/acceptance/control-server.ts';
import { LogEnds } from '../test/acceptance/log-ends.ts';
import { partitionsUpTo, spawnLiveTraffic, type LiveTraffic } from '#testing/workload.ts';
import { measureCommand } from './measured-command.ts';
import { quantiles, type Weighted } from './statistics.ts';

const CONNECTIONS = 16;
/** One for each: the server takes 2,000 requests a second of an address. */
const ADDRESSES = Array.from({ length: CONNECTIONS }, (_, i) => `127.0.0.${i + 1}`);
const READS_MS = 20_000;
const WARM_UP_MS = 3_000;
const AUDIT_MS = 10_000;
/** As of so many requests at the same time. */
const AUDIT_WAITING = 200;
const ENTRIES = 10_000_000;
const TOPICS = 10_000;
const BESIDE_MS = 30_000;
const BESIDE_MB_PER_S = 50;
const RECORD_BYTES = 1_000;
const PARTITIONS = 8;

function tell(what: string, figures: object): void {
  const load = loadavg()[0]?.toFixed(1);
  process.stdout.write(`${JSON.stringify({ what, ...figures, load, date: new Date().toISOString().slice(0, 10) })}\n`);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}

async function served<T>(work: (server: ControlServer, call: Call) => Promise<T>): Promise<T> {
  const server = await ControlServer.create();
  await server.start();
  try {
    return await work(server, await server.setUp());
  } finally {
    if (server.isRunning) await server.stop();
  }
}

async function idle(): Promise<void> {
  await served(async ({ pid }) => {
    await sleep(15_000);
    const { rssBytes, peakRssBytes } = processMemory(pid);
    tell('idle', { rssMb: megabytes(rssBytes), peakRssMb: megabytes(peakRssBytes) });
  });
}

/** Keeps its connections; as a program does that was given a token. */
class Reader {
  readonly #agents = ADDRESSES.map((localAddress) => new Agent({ keepAlive: true, maxSockets: 1, localAddress }));
  readonly #url: string;
  readonly #token: string;
  readonly samples: Weighted[] = [];

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  /** Milliseconds until the last byte of the answer was there. */
  async read(path: string, connection: number): Promise<number> {
    const beganMs = performance.now();
    const status = await new Promise<number>((resolve, reject) => {
      const options = {
        agent: must(this.#agents[connection], 'agent of the connection'),
        headers: { authorization: `Bearer ${this.#token}` },
      };
      const asked = request(`${this.#url}${path}`, options, (response) => {
        response.on('data', () => {}).on('end', () => resolve(response.statusCode ?? 0));
      });
      asked.on('error', reject).end();
    });
    assert(status === 200, `${path}: ${status}`);
    return performance.now() - beganMs;
  }

  /** Reads on every connection until `untilMs`, at most `perSecond` of them in all; the first seconds do not count. */
  async readAll(
    paths: readonly string[],
    { ms, perSecond = Infinity }: { ms: number; perSecond?: number },
  ): Promise<number> {
    const startedMs = performance.now();
    const pauseMs = (CONNECTIONS / perSecond) * 1000;
    let counted = 0;
    const lane = async (connection: number): Promise<void> => {
      for (let i = connection; ; i++) {
        const elapsedMs = performance.now() - startedMs;
        if (elapsedMs > ms + WARM_UP_MS) return;
        const took = await this.read(must(paths[i % paths.length], 'path'), connection);
        if (elapsedMs > WARM_UP_MS) {
          counted++;
          this.samples.push({ value: took, weight: 1 });
        }
        const restMs = pauseMs - took;
        if (restMs > 0) await sleep(restMs);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, connection) => lane(connection)));
    return counted / (ms / 1000);
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }
}

function latency(samples: Weighted[]): object {
  const [p50, p99, p999] = quantiles(samples, [0.5, 0.99, 0.999]).map((ms) => Number(ms.toFixed(2)));
  return { p50Ms: p50, p99Ms: p99, p999Ms: p999 };
}

const READ_PATHS = ['/auth/me', '/api/v1/jobs', '/api/v1/clusters', '/api/v1/version'];

/** A program with a token of its own, as they are made for programs. */
async function readerOf(server: ControlServer, call: Call): Promise<Reader> {
  const made = await call('POST', '/api/v1/tokens', {
    name: 'bench',
    scopes: null,
    expiresInDays: 1,
  });
  assert(made.status === 201, `token: ${made.status} ${JSON.stringify(made.body)}`);
  return new Reader(server.url, (made.body as { token: string }).token);
}

async function reads(): Promise<void> {
  await served(async (server, call) => {
    const reader = await readerOf(server, call);
    const before = processCpuSeconds(server.pid);
    const perSecond = await reader.readAll(READ_PATHS, { ms: READS_MS });
    const cpuSeconds = processCpuSeconds(server.pid) - before;
    reader.close();
    const { peakRssBytes } = processMemory(server.pid);
    const cores = Number((cpuSeconds / ((READS_MS + WARM_UP_MS) / 1000)).toFixed(2));
    tell('reads', {
      perSecond: Math.round(perSecond),
      ...latency(reader.samples),
      cores,
      peakRssMb: megabytes(peakRssBytes),
    });
  });
}

async function audit(): Promise<void> {
  const directory = join(temporaryDirectory('audit'), 'log');
  mkdirSync(directory, { recursive: true });
  const failed = (error: Error): never => {
    throw error;
  };
  const log = await AuditLog.open({ disk: systemDisk, directory, clock: systemClock, key: LOG_KEY, onFailure: failed });
  const samples: Weighted[] = [];
  const endsMs = performance.now() + AUDIT_MS;
  const lane = async (): Promise<void> => {
    while (performance.now() < endsMs) {
      const beganMs = performance.now();
      await log.record(event('topics.view'));
      samples.push({ value: performance.now() - beganMs, weight: 1 });
    }
  };
  await Promise.all(Array.from({ length: AUDIT_WAITING }, lane));
  tell('audit', {
    perSecond: Math.round(samples.length / (AUDIT_MS / 1000)),
    waiting: AUDIT_WAITING,
    ...latency(samples),
  });
  await log.close();
}

async function verify(): Promise<void> {
  const directory = join(temporaryDirectory('audit'), 'log');
  function* entries(): Generator<Buffer> {
    for (let seq = 0; seq < ENTRIES; seq++) yield Buffer.from(canonicalJson(entryOf(seq)));
  }
  await writeLog(systemDisk, entries(), { directory });
  const { seconds, peakRssBytes } = await measureCommand([
    'log',
    'verify',
    directory,
    '--vkey',
    LOG_KEY.verifier.text,
    '--json',
  ]);
  tell('verify', { entries: ENTRIES, seconds: Number(seconds.toFixed(1)), peakRssMb: megabytes(peakRssBytes) });
}

async function topics(): Promise<void> {
  const cluster = await startCluster({ heapMb: 1_000 });
  const all = Array.from({ length: TOPICS }, (_, i) => ({ name: `topic-${i}`, partitions: 1 }));
  for (let at = 0; at < TOPICS; at += 500) await createTopics(cluster.bootstrap, all.slice(at, at + 500));
  await served(async (server, call) => {
    await addCluster(call, 'east', cluster);
    const reader = await readerOf(server, call);
    for (const path of [
      'topics?limit=100',
      'topics?limit=100&search=99',
      'topics?limit=100&sort=-name',
      'topic-details?limit=100&sort=-partitions',
    ]) {
      const samples: Weighted[] = [];
      for (let i = 0; i < 110; i++) {
        const took = await reader.read(`/api/v1/clusters/east/${path}`, 0);
        if (i >= 10) samples.push({ value: took, weight: 1 });
      }
      tell('topics', { topics: TOPICS, asked: path, ...latency(samples) });
    }
    reader.close();
  });
  await cluster.stop();
}

async function addCluster(call: Call, name: string, { bootstrap }: KafkaCluster): Promise<void> {
  const { status, body } = await call('POST', '/api/v1/clusters', { name, bootstrap });
  assert(status === 201, `cluster: ${status} ${JSON.stringify(body)}`);
}

async function beside(): Promise<void> {
  const [source, target] = await Promise.all([startCluster({ heapMb: 768 }), startCluster({ heapMb: 768 })]);
  await createTopics(source.bootstrap, [{ name: 'orders', partitions: PARTITIONS }]);
  const traffic = await startTraffic(source);
  await served(async (server, call) => {
    await addCluster(call, 'east', source);
    await addCluster(call, 'west', target);
    const added = await call('POST', '/api/v1/jobs', {
      name: 'orders',
      source: 'east',
      target: 'west',
      topics: [{ match: 'orders' }],
    });
    assert(added.status === 201, `job: ${added.status} ${JSON.stringify(added.body)}`);
    const started = await call('POST', `/api/v1/jobs/${(added.body as { id: string }).id}/start`);
    assert(started.status === 202, `start: ${started.status}`);
    await sleep(15_000);
    const reader = await readerOf(server, call);
    const alone = await copied(target, () => sleep(BESIDE_MS));
    let perSecond = 0;
    const busy = await copied(target, async () => {
      perSecond = await reader.readAll(READ_PATHS, { ms: BESIDE_MS - WARM_UP_MS, perSecond: 2_000 });
    });
    reader.close();
    const { peakRssBytes } = processMemory(server.pid);
    const figures = { aloneMbPerS: alone, besideMbPerS: busy, readsPerSecond: Math.round(perSecond) };
    tell('beside', { ...figures, ...latency(reader.samples), peakRssMb: megabytes(peakRssBytes) });
  });
  await traffic.stop();
  await Promise.all([source.stop(), target.stop()]);
}

function startTraffic(source: KafkaCluster): Promise<LiveTraffic> {
  const partitions = partitionsUpTo(PARTITIONS);
  const recordsPerSecond = (BESIDE_MB_PER_S * 1e6) / RECORD_BYTES;
  const stream = { name: 'orders', topic: 'orders', partitions, valueBytes: RECORD_BYTES - 50, recordsPerSecond };
  return spawnLiveTraffic(source.bootstrap, [{ ...stream, batchBytes: 65_536, lingerMs: 5, partitionRuns: true }]);
}

/** MB a second that arrive on the target meanwhile. */
async function copied(target: KafkaCluster, meanwhile: () => Promise<void>): Promise<number> {
  const logs = await LogEnds.open(target.bootstrap, ['orders']);
  const total = async (): Promise<number> => [...(await logs.read()).values()].reduce((sum, { end }) => sum + end, 0);
  const [before, beganMs] = [await total(), performance.now()];
  await meanwhile();
  const mbPerS = (((await total()) - before) * RECORD_BYTES) / 1e6 / ((performance.now() - beganMs) / 1000);
  logs.close();
  return Number(mbPerS.toFixed(1));
}

const measurements = { idle, reads, audit, verify, topics, beside };
const named = process.argv.slice(2);
for (const name of named) assert(Object.hasOwn(measurements, name), `unknown: ${name}`);
for (const [name, measure] of Object.entries(measurements))
  if (named.length === 0 || named.includes(name)) await measure();
