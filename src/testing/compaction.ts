import { assert } from '#util/assert.ts';
import { RawReader } from './raw-reader.ts';
import { runAdmin } from './topic-admin.ts';
import { partitionsUpTo, writeStreams } from './workload.ts';

const deadlineMs = 60_000;
const dayMs = 86_400_000;

/**
 * Has the cleaner of a running cluster compact a topic whose `segment.ms` is small: hurries the cleaner, rolls the
 * segments with one more record in each partition, and waits until every partition has lost records. Then holds the
 * cleaner off for a day, and waits until nothing changes any more.
 */
export async function waitForHoles(
  bootstrap: readonly string[],
  topic: string,
  options: { partitions: number },
): Promise<void> {
  const partitions = partitionsUpTo(options.partitions);
  await runAdmin(bootstrap, [{ setBrokerConfigs: { 'log.cleaner.backoff.ms': '100' } }]);
  await writeStreams(
    bootstrap,
    partitions.map((partition) => ({ name: `roll-${partition}`, topic, partitions: [partition], records: 1 })),
  );
  await waitUntil(`${topic} is compacted`, async () =>
    (await missingRecords(bootstrap, topic, partitions)).every((count) => count > 0),
  );
  const configs = { 'min.compaction.lag.ms': String(dayMs), 'segment.ms': String(dayMs) };
  await runAdmin(bootstrap, [{ setConfigs: { topic, configs } }]);
  let before: number[] = [];
  await waitUntil(`the cleaner has left ${topic}`, async () => {
    const now = await missingRecords(bootstrap, topic, partitions);
    const isStill = before.length > 0 && now.every((count, index) => count === before[index]);
    before = now;
    return isStill;
  });
}

/** How many offsets of each partition, control records aside, hold nothing. */
async function missingRecords(
  bootstrap: readonly string[],
  topic: string,
  partitions: readonly number[],
): Promise<number[]> {
  const reader = new RawReader(bootstrap);
  try {
    const counts: number[] = [];
    for (const partition of partitions) {
      const { logStart, highWatermark } = await reader.bounds(topic, partition);
      let missing = highWatermark - logStart;
      for await (const batch of reader.batches(topic, partition, { from: logStart, to: highWatermark })) {
        missing -= batch.recordCount;
      }
      counts.push(missing);
    }
    return counts;
  } finally {
    reader.close();
  }
}

async function waitUntil(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    assert(performance.now() < deadline, `not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
