/** Who leads which partition, and how often that has changed: what faults of brokers show as evidence. */
import type { Cluster } from '#kafka/cluster.ts';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { runJava } from '#testing/java.ts';
import { must } from '#util/assert.ts';

/** A cluster, or those of its brokers that can be asked. */
interface Brokers {
  readonly brokers: readonly KafkaBroker[];
}

interface Leadership {
  readonly partition: number;
  /** −1: none. */
  readonly leader: number;
  /** Rises with each change of leader. */
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

/** As one of the live brokers says, asked anew each time over a connection of its own: any of them may die. */
export async function readLeaders(cluster: Brokers, topic: string): Promise<readonly Leadership[]> {
  const live = cluster.brokers.filter((broker) => broker.isRunning()).map(({ port }) => `127.0.0.1:${port}`);
  const client: Cluster = openCluster(live, { requestTimeoutMs: 5_000, connectTimeoutMs: 2_000 });
  try {
    await client.connect();
    return must((await client.refresh([topic]))[0], 'metadata').partitions;
  } finally {
    client.close();
  }
}

export async function leaderOf(cluster: Brokers, topic: string, partition = 0): Promise<KafkaBroker> {
  const { leader } = must((await readLeaders(cluster, topic))[partition], 'partition');
  return must(
    cluster.brokers.find(({ id }) => id === leader),
    'leader',
  );
}

/** Waits until another broker than this one leads the partition; returns its id. */
export async function waitForOther(
  cluster: Brokers,
  topic: string,
  options: { than: number; partition?: number },
): Promise<number> {
  const { than, partition = 0 } = options;
  let leader = than;
  const hasMoved = async (): Promise<boolean> => {
    const now = await readLeaders(cluster, topic).catch(() => []); // the broker that was asked may be the dead one
    leader = now[partition]?.leader ?? -1;
    return leader !== -1 && leader !== than;
  };
  await waitUntil(hasMoved, `another broker than ${than} leads ${topic}`, { timeoutMs: 60_000, everyMs: 50 });
  return leader;
}

/** Waits until each partition of the topics has all its replicas in sync. */
export async function waitForInSync(cluster: Brokers, topics: readonly string[]): Promise<void> {
  const isInSync = async (): Promise<boolean> => {
    for (const topic of topics) {
      const partitions = await readLeaders(cluster, topic).catch(() => null);
      if (!partitions?.every(({ leader, isr, replicas }) => leader !== -1 && isr.length === replicas.length))
        return false;
    }
    return true;
  };
  await waitUntil(isInSync, `the replicas of ${topics.join(', ')} are in sync`, { timeoutMs: 90_000, everyMs: 100 });
}

/** The sum over the partitions: the difference of two is the number of changes. */
export async function leaderEpochs(cluster: Brokers, topics: readonly string[]): Promise<number> {
  let sum = 0;
  for (const topic of topics) for (const { leaderEpoch } of await readLeaders(cluster, topic)) sum += leaderEpoch;
  return sum;
}

/** The broker that is the active controller (the leader of the metadata quorum; Metadata names any broker as it). */
export async function controllerOf(cluster: Brokers): Promise<KafkaBroker> {
  const live = cluster.brokers.filter((broker) => broker.isRunning()).map(({ port }) => `127.0.0.1:${port}`);
  const argv = ['--bootstrap-server', live.join(','), 'describe', '--status'];
  const { stdout, stderr } = await runJava('org.apache.kafka.tools.MetadataQuorumCommand', argv);
  const id = Number(/^LeaderId:\s+(\d+)$/m.exec(stdout)?.[1]);
  return must(
    cluster.brokers.find((broker) => broker.id === id),
    `controller among the brokers\n${stdout}${stderr}`,
  );
}
