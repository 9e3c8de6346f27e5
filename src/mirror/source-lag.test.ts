/** Lag of partitions that are not fetched. */
import { expect, test } from 'vitest';
import { BrokerError } from '#kafka/errors.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { PlayedCluster } from '#testing/played-cluster.ts';
import { sourceBatch } from '#testing/source-batches.ts';
import { measureSource } from './source-lag.ts';

interface Ends {
  readonly stableOffset: number;
  readonly highWatermark: number;
}

const partition = { topic: 'orders', partition: 0 };

async function measured(cluster: Cluster, clock: ManualClock): Promise<Ends[]> {
  const found: Ends[] = [];
  let isDone = false;
  const measuring = measureSource(cluster, [{ ...partition, measure: (ends) => void found.push(ends) }]);
  void measuring.finally(() => (isDone = true));
  while (!isDone) await clock.advance(100);
  await measuring;
  return found;
}

const record = { timestamp: 1_700_000_000_000, key: null, value: Buffer.from('x') };

function playedSource() {
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: 1024 * 1024 });
  const log = new ModelLog();
  const source = new PlayedCluster({ name: 's', topic: 'orders', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', clock, pool, log });
  log.append(sourceBatch({ baseOffset: 0, records: [record, record, record] }));
  return { clock, log, source };
}

test('is measured by the end of the source, and left as it was where that does not answer', async () => {
  const { clock, source } = playedSource();
  expect(await measured(source.cluster, clock)).toEqual([{ stableOffset: 3, highWatermark: 3 }]);

  source.onCall = () => {
    throw new BrokerError({ code: 6, name: 'NOT_LEADER_OR_FOLLOWER', retryable: false }, 'ListOffsets', 'orders/0');
  };
  expect(await measured(source.cluster, clock)).toEqual([]);
});

test('records written between the two questions do not look held back', async () => {
  const { clock, log, source } = playedSource();
  let questions = 0;
  source.onCall = () => {
    if (++questions === 2) log.append(sourceBatch({ baseOffset: 0, records: [record] }));
  };
  expect(await measured(source.cluster, clock)).toEqual([{ stableOffset: 4, highWatermark: 4 }]);
});
