/** How many connections a job opens, counted by played brokers. */
import { expect, test } from 'vitest';
import { FramePool } from '#kafka/frame.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { PlayedCluster } from '#testing/played-cluster.ts';
import { must } from '#util/assert.ts';
import { DataPath } from './data-path.ts';

const clock = new ManualClock();
const pool = new FramePool({ bytesMax: 64 * 1024 * 1024 });

function played(name: string): PlayedCluster {
  return new PlayedCluster({
    name,
    topic: 'orders',
    topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
    clock,
    pool,
    log: new ModelLog(),
  });
}

test('one to each broker, direction and lane, however many partitions ask, and a new one after a loss', async () => {
  const [source, target] = [played('source'), played('target')];
  const dataPath = new DataPath({ source: source.cluster, target: target.cluster, clock, pool });
  const opened = () => [source.peers.length, target.peers.length];
  const asked = Promise.all(
    Array.from({ length: 50 }, () => Promise.all([dataPath.fetcherOf(1), dataPath.producerOf(1)])),
  );
  await clock.advance(100);
  const pairs = await asked;
  expect(opened()).toEqual([1, 1]);
  expect(new Set(pairs.flat()).size).toBe(2);

  source.hangUp();
  await clock.advance(100);
  const again = Promise.all([dataPath.fetcherOf(1), dataPath.fetcherOf(1), dataPath.producerOf(1)]);
  await clock.advance(100);
  const [fetcher, same, producer] = await again;
  expect(opened()).toEqual([2, 1]);
  expect(fetcher).toBe(same);
  expect(fetcher).not.toBe(must(pairs[0], 'first pair')[0]);
  expect(producer).toBe(must(pairs[0], 'first pair')[1]);

  const inLanes = Promise.all([dataPath.producerOf(1, 1), dataPath.producerOf(1, 2), dataPath.producerOf(1, 1)]);
  await clock.advance(100);
  expect(new Set([producer, ...(await inLanes)]).size).toBe(3);
  expect(opened()).toEqual([2, 3]);
  dataPath.close();
  await clock.advance(1);
  expect(target.peers.every(({ isDestroyed }) => isDestroyed)).toBe(true);
});
