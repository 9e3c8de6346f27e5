/**
 * How long a round of group offsets takes: 1,000 groups with commits on 20 partitions each, between two single brokers on
 * this machine. Prints lines of JSON; `npm run bench` is not needed for it: `node bench/group-sync.ts`.
 */
import { GroupMemory } from '#mirror/group-memory.ts';
import { GroupSync } from '#mirror/group-sync.ts';
import { StateTopic } from '#mirror/state-topic.ts';
import { commitGroupOffsets, type GroupCommit } from '#kafka/groups.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { partitionsUpTo, writeWorkload } from '#testing/workload.ts';
import { systemClock } from '#util/host.ts';

const GROUPS = 1_000;
const PARTITIONS = 20;
const RECORDS = 1_000 * PARTITIONS;
const TOPIC = 'orders';

/** The first commit waits until the coordinator's own topic has been created. */
async function commit(source: Cluster, offset: number, groups = GROUPS): Promise<void> {
  const outcomes = await commitGroupOffsets(source, commitsAt(offset, groups));
  const error = outcomes.flatMap(({ failed }) => failed)[0]?.error;
  if (error) throw error;
}

const commitsAt = (offset: number, groups = GROUPS): GroupCommit[] =>
  Array.from({ length: groups }, (_, group) => ({
    groupId: `group-${group}`,
    offsets: partitionsUpTo(PARTITIONS).map((partition) => ({ topic: TOPIC, partition, offset, metadata: '' })),
  }));

async function measure(source: Cluster, target: Cluster): Promise<void> {
  const [[sourceTopic], [targetTopic]] = await Promise.all([source.refresh([TOPIC]), target.refresh([TOPIC])]);
  const topic = {
    sourceTopic: TOPIC,
    sourceTopicId: sourceTopic?.topicId ?? '',
    targetTopic: TOPIC,
    targetTopicId: targetTopic?.topicId ?? '',
    copyStarts: partitionsUpTo(PARTITIONS).map(() => 0),
  };
  let inPlace = 0;
  const state = await StateTopic.open(target);
  const sync = new GroupSync({
    mirror: 'bench',
    settings: { match: ['/.*/'], exclude: [], everyMs: 5_000, deleted: 'keep', checkpoints: false },
    source,
    target,
    clock: systemClock,
    memory: new GroupMemory(state, { mirrorId: 'bench', clock: systemClock }),
    isLeader: () => true,
    readTopics: () => Promise.resolve([topic]),
    onEvent: (event) => {
      inPlace = event.inPlace;
    },
    onFailure: (error) => {
      throw error;
    },
  });
  const round = async (what: string): Promise<void> => {
    const startedMs = systemClock.monotonic();
    await sync.pass();
    const ms = Math.round(systemClock.monotonic() - startedMs);
    process.stdout.write(`${JSON.stringify({ what, groups: GROUPS, partitions: PARTITIONS, inPlace, ms })}\n`);
  };
  await commit(source, 100);
  await round('none is on the target');
  await round('nothing has moved');
  await commit(source, 200, GROUPS / 10);
  await round('a tenth has moved');
  await commit(source, 300);
  await round('all have moved');
  await commit(source, 10);
  await round('all have moved back');
}

const clusters = await Promise.all(['source', 'target'].map((name) => startCluster({ name })));
const open = clusters.map(({ bootstrap }) => openCluster(bootstrap));
try {
  const streams = [{ name: 'orders', topic: TOPIC, partitions: partitionsUpTo(PARTITIONS), records: RECORDS }];
  for (const { bootstrap } of clusters)
    await writeWorkload(bootstrap, { topics: [{ name: TOPIC, partitions: PARTITIONS }], streams });
  for (const cluster of open) await cluster.connect();
  const [source, target] = open;
  if (source && target) await measure(source, target);
} finally {
  for (const cluster of open) cluster.close();
  await Promise.all(clusters.map((cluster) => cluster.stop()));
}
