import { deleteRecords } from '#kafka/offsets.ts';
import { fillLogStart } from '#mirror/log-start.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo } from '#testing/workload.ts';

/** Creates a topic whose partitions are empty and begin at `logStart`, as after years of retention. */
export async function createRaisedTopic(
  bootstrap: readonly string[],
  topic: string,
  options: { partitions: number; logStart: number },
): Promise<void> {
  const { partitions, logStart } = options;
  await createTopics(bootstrap, [{ name: topic, partitions }]);
  const cluster = openCluster(bootstrap);
  await cluster.connect();
  try {
    await cluster.refresh([topic]);
    for (const partition of partitionsUpTo(partitions)) {
      const port = { target: cluster, topic, partition, dataProducerId: -1, markerProducerId: -1, sequenceOffset: 0 };
      const signal = new AbortController().signal;
      await fillLogStart(port, { offset: 0, sequence: -1 }, { logStart, signal, onProgress() {} });
      await deleteRecords(cluster, { topic, partition, offset: logStart });
    }
  } finally {
    cluster.close();
  }
}
