/** Two single-node clusters on this machine, as an operator would set them for throughput. */
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { createTopics, deleteTopics } from '#testing/topic-admin.ts';
import { must } from '#util/assert.ts';
import { writeDataSet } from './data-writer.ts';
import type { DataSet } from './data-set.ts';
import type { TlsDoor } from './system.ts';

/** The rest is Kafka's default. */
const BROKER_PROPERTIES = {
  'message.max.bytes': '10485760',
  'socket.send.buffer.bytes': '1048576',
  'socket.receive.buffer.bytes': '1048576',
  'num.network.threads': '2',
  'num.io.threads': '4',
  // The files of an emptied target are gone before the next run begins.
  'log.segment.delete.delay.ms': '1000',
};
/** Written to the target first, so that the first run does not meet a cold JVM there. */
const WARM_UP_GB = 0.1;
const WARM_UP_PARTITIONS = 8;

export interface Estate {
  readonly source: KafkaCluster;
  readonly target: KafkaCluster;
}

export async function startEstate(options: {
  readonly hasTls: boolean;
  readonly isProxied?: boolean;
}): Promise<Estate> {
  const { hasTls, isProxied = false } = options;
  const start = (name: string): Promise<KafkaCluster> =>
    startCluster({
      name,
      profile: 'plain',
      heapMb: 1024,
      properties: BROKER_PROPERTIES,
      proxied: isProxied,
      ...(hasTls ? { secure: { authorizer: false } } : {}),
    });
  const [source, target] = await Promise.allSettled([start('source'), start('target')]);
  if (source.status === 'fulfilled' && target.status === 'fulfilled')
    return { source: source.value, target: target.value };
  for (const each of [source, target]) if (each.status === 'fulfilled') await each.value.stop();
  throw source.status === 'rejected' ? source.reason : (target as PromiseRejectedResult).reason;
}

export async function stopEstate({ source, target }: Estate): Promise<void> {
  await Promise.all([source.stop(), target.stop()]);
}

/** Not more than is copied afterwards. */
export async function warmUp({ target }: Estate, dataSet: DataSet, gigabytes: number): Promise<void> {
  const options = { topic: 'warm-up', gigabytes: Math.min(gigabytes, WARM_UP_GB), partitions: WARM_UP_PARTITIONS };
  await writeDataSet(target.bootstrap, dataSet, options);
}

/** Takes every topic away, also those in which the systems keep their own state; then there is `topic`, where wanted. */
export async function emptyCluster(
  cluster: KafkaCluster,
  topic: { readonly name: string; readonly partitions: number } | null = null,
): Promise<void> {
  const client = openCluster(cluster.bootstrap);
  await client.connect();
  try {
    const topics = async (): Promise<string[]> =>
      (await client.refresh('all')).filter(({ isInternal }) => !isInternal).map(({ name }) => name);
    const names = await topics();
    if (names.length > 0) await deleteTopics(cluster.bootstrap, names);
    await waitUntil(async () => (await topics()).length === 0, 'the target is empty', {
      timeoutMs: 60_000,
      everyMs: 50,
    });
  } finally {
    client.close();
  }
  if (topic) await createTopics(cluster.bootstrap, [topic]);
}

/** Null without encrypted listeners. */
export function tlsDoorOf(cluster: KafkaCluster): TlsDoor | null {
  return cluster.doors.ssl.length === 0 ? null : { bootstrap: cluster.doors.ssl, caFile: cluster.pki.caFile };
}

/** Process id of the only broker. */
export function brokerPid({ brokers }: KafkaCluster): number {
  return must(brokers[0], 'broker').pid;
}

export function addressOf({ bootstrap }: KafkaCluster): string {
  return must(bootstrap[0], 'address of the broker');
}
