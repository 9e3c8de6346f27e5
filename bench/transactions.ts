/**
 * How fast transactions are preserved: 1 KB records, 100 a transaction, 50 producers, 8 partitions, between two single brokers
 * on this machine; each transaction in one partition, and spread over all. Prints lines of JSON:
 *
 *     node bench/transactions.ts [RECORDS [CHECKOUT …]]
 *
 * With other checkouts they and this one take turns, twice: brokers become faster as they run.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCluster } from '#testing/kafka-cluster.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo, writeWorkload, type RecordStream, type Workload } from '#testing/workload.ts';
import { writeLink } from '../test/acceptance/link-file.ts';
import { LockstepProcess, told } from '../test/acceptance/lockstep-process.ts';
import { LogEnds, type Bounds } from '../test/acceptance/log-ends.ts';

const PARTITIONS = 8;
const PRODUCERS = 50;
const [records = '100000', ...others] = process.argv.slice(2);
const RECORDS = Number(records);
const VALUE_BYTES = 1_000;
const POLL_MS = 20;

const transactions = { abortRate: 0, records: [100, 100] } as const;

/** As many producers to each partition as make 50 in all. */
function alone(topic: string): Workload {
  const streams = partitionsUpTo(PARTITIONS).map((partition): RecordStream => {
    const producers = Math.floor(PRODUCERS / PARTITIONS) + (partition < PRODUCERS % PARTITIONS ? 1 : 0);
    const common = { topic, valueBytes: VALUE_BYTES, transactions: { ...transactions, producers } };
    return { ...common, name: `alone-${partition}`, partitions: [partition], records: RECORDS / PARTITIONS };
  });
  return { topics: [{ name: topic, partitions: PARTITIONS }], streams, parallel: true };
}

function spread(topic: string): Workload {
  const partitions = partitionsUpTo(PARTITIONS);
  const common = { topic, valueBytes: VALUE_BYTES, transactions: { ...transactions, producers: PRODUCERS } };
  return {
    topics: [{ name: topic, partitions: PARTITIONS }],
    streams: [{ ...common, name: 'spread', partitions, records: RECORDS }],
  };
}

function sumOf(bounds: Bounds): number {
  return [...bounds.values()].reduce((sum, { end }) => sum + end, 0);
}

interface Run {
  readonly checkout: string;
  readonly topic: string;
  /** On the target. */
  readonly to: string;
}

/** From the first record on the target to the last. */
async function measure(
  what: string,
  ends: { source: readonly string[]; target: readonly string[] },
  { checkout, topic, to }: Run,
) {
  const sourceLogs = await LogEnds.open(ends.source, [topic]);
  const goal = sumOf(await sourceLogs.read());
  sourceLogs.close();
  await createTopics(ends.target, [{ name: to, partitions: PARTITIONS }]);
  const logs = await LogEnds.open(ends.target, [to]);
  const file = writeLink({ ...ends, mirrors: { [to]: { topics: [{ match: topic, to }] } } });
  const lockstep = LockstepProcess.run(file, ['--until', 'caught-up'], { script: join(checkout, 'bin/lockstep.js') });
  let beganMs = 0;
  let began = 0;
  for (let now = 0; now < goal; await sleep(POLL_MS)) {
    now = sumOf(await logs.read());
    if (now > 0 && beganMs === 0) [beganMs, began] = [performance.now(), now];
  }
  const seconds = (performance.now() - beganMs) / 1000;
  logs.close();
  const result = await lockstep.ended();
  if (result.code !== 0) throw new Error(told(result));
  const share = (goal - began) / goal;
  const mbPerSecond = (RECORDS * VALUE_BYTES * share) / seconds / 1e6;
  const transactionsPerSecond = ((RECORDS / 100) * share) / seconds;
  process.stdout.write(
    `${JSON.stringify({ what, checkout, load: loadavg()[0], records: RECORDS, seconds: round(seconds), mbPerSecond: round(mbPerSecond), transactionsPerSecond: round(transactionsPerSecond) })}\n`,
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

const clusters = await Promise.all(['source', 'target'].map((name) => startCluster({ name })));
try {
  const [source = [], target = []] = clusters.map(({ bootstrap }) => bootstrap);
  await writeWorkload(source, alone('alone'));
  await writeWorkload(source, spread('spread'));
  const own = join(import.meta.dirname, '..');
  const checkouts = others.length > 0 ? [...others, own, ...others, own] : [own];
  for (const [turn, checkout] of checkouts.entries()) {
    const run = (topic: string): Run => ({ checkout, topic, to: `${topic}-${turn}` });
    await measure('each transaction in one partition', { source, target }, run('alone'));
    await measure('each transaction over 8 partitions', { source, target }, run('spread'));
  }
} finally {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
}
