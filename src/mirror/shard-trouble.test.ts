/** What a shard waits for before it tries again. */
import { expect, test } from 'vitest';
import { ClusterUnreachableError, ConnectionError } from '#kafka/errors.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { createRandom } from '#util/random.ts';
import { ShardTrouble } from './shard-trouble.ts';

const refused = new ConnectionError('refused', 'source:9092', 'source:9092: refused', { definite: true });

/** `west` stays away. */
function start() {
  const clock = new ManualClock();
  const returned = Promise.withResolvers<void>();
  const cluster = (name: string, untilReachable: () => Promise<void>) => ({ name, untilReachable }) as never;
  const trouble = new ShardTrouble({
    source: cluster('east', () => returned.promise),
    target: cluster('west', () => new Promise(() => {})),
    mirrorName: 'm',
    sourceTopic: 'orders',
    partition: 0,
    clock,
    random: createRandom(1),
    onTrouble: () => {},
    onIncident: () => {},
    onIncidentEnded: () => {},
  });
  return { clock, trouble, returned };
}

test('a connection that is lost is asked for again after a pause', async () => {
  const { clock, trouble } = start();
  let isOver = false;
  const waited = trouble.waitOut(refused, new AbortController().signal).then(() => (isOver = true));
  await clock.advance(20);
  expect(isOver).toBe(false);
  await clock.advance(30);
  expect(isOver).toBe(true);
  await waited;
});

test('a cluster of which no address answers is not asked again before it does, whether the other one does or not', async () => {
  const { clock, trouble, returned } = start();
  let isOver = false;
  const error = new ClusterUnreachableError('east', [refused]);
  const waited = trouble.waitOut(error, new AbortController().signal).then(() => (isOver = true));
  await clock.advance(3_600_000);
  expect([isOver, trouble.waiting?.error]).toEqual([false, error]);
  returned.resolve();
  await settle();
  expect(isOver).toBe(true);
  await waited;
});
