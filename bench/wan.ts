/**
 * How fast one partition is copied from far away: a proxy on the source's side holds what passes for half of the round trip
 * each way, the mirror stands beside the target. Prints lines of JSON:
 *
 *     node bench/wan.ts [MB [CHECKOUT …]]
 *
 * With other checkouts they and this one take turns. The proxy ends TCP on both sides, so that windows of TCP and buffers
 * of brokers do not count: what is measured is how often the mirror waits for a round trip.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { latency } from '#testing/fault-kinds.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { writeWorkload } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { writeLink } from '../test/acceptance/link-file.ts';
import { LockstepProcess, told } from '../test/acceptance/lockstep-process.ts';
import { LogEnds, type Bounds } from '../test/acceptance/log-ends.ts';

const ROUND_TRIPS_MS = [0, 80, 250];
const VALUE_BYTES = 1_000;
const POLL_MS = 10;
const TOPIC = 'far';
const [megabytes = '200', ...others] = process.argv.slice(2);
const RECORDS = Math.round((Number(megabytes) * 1e6) / VALUE_BYTES);

function endOf(bounds: Bounds): number {
  return must([...bounds.values()][0], 'partition').end;
}

const source = await startCluster({ name: 'source', proxied: true });
const target = await startCluster({ name: 'target' });

/** From the first record on the target to the last. */
async function measure(roundTripMs: number, checkout: string, to: string): Promise<void> {
  const ends = { source: source.proxiedBootstrap, target: target.bootstrap };
  await createTopics(target.bootstrap, [{ name: to, partitions: 1 }]);
  const logs = await LogEnds.open(target.bootstrap, [to]);
  const file = writeLink({ ...ends, mirrors: { [to]: { topics: [{ match: TOPIC, to }] } } });
  const lockstep = LockstepProcess.run(file, ['--until', 'caught-up'], { script: join(checkout, 'bin/lockstep.js') });
  let [beganMs, began] = [0, 0];
  for (let now = 0; now < RECORDS; await sleep(POLL_MS)) {
    now = endOf(await logs.read());
    if (now > 0 && beganMs === 0) [beganMs, began] = [performance.now(), now];
  }
  const seconds = (performance.now() - beganMs) / 1000;
  logs.close();
  const result = await lockstep.ended();
  if (result.code !== 0) throw new Error(told(result));
  const mbPerSecond = Math.round(((RECORDS - began) * VALUE_BYTES) / seconds / 1e5) / 10;
  const load = must(loadavg()[0], 'load');
  process.stdout.write(`${JSON.stringify({ roundTripMs, checkout, load, mbPerSecond })}\n`);
}

try {
  const stream = { name: 'far', topic: TOPIC, partitions: [0], records: RECORDS, valueBytes: VALUE_BYTES };
  await writeWorkload(source.bootstrap, {
    topics: [{ name: TOPIC, partitions: 1 }],
    streams: [{ ...stream, batchBytes: 65_536, lingerMs: 20 }],
  });
  const checkouts = [...others, join(import.meta.dirname, '..')];
  for (const roundTripMs of ROUND_TRIPS_MS) {
    const rules = source.proxies.map((proxy) => proxy.inject({ match: {}, fault: latency(roundTripMs / 2) }));
    for (const [turn, checkout] of checkouts.entries())
      await measure(roundTripMs, checkout, `far-${roundTripMs}-${turn}`);
    for (const rule of rules) rule.end();
  }
} finally {
  await Promise.all([source.stop(), target.stop()]);
}
