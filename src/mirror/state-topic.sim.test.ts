/** The state topic between a mirror and a cluster played in memory. */
import { expect, test } from 'vitest';
import { KafkaError } from '#kafka/errors.ts';
import { FramePool } from '#kafka/frame.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { PlayedCluster } from '#testing/played-cluster.ts';
import { must } from '#util/assert.ts';
import { STATE_TOPIC, StateTopic } from './state-topic.ts';

test('what was sent without an answer stays without one when the leave to write is taken back before it is sent again', async () => {
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: 1024 * 1024 });
  const log = new ModelLog();
  const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
  const played = new PlayedCluster({ name: 'target', topic: STATE_TOPIC, topicId, clock, pool, log });
  let isGiven = true;
  played.onProduce = () => {
    isGiven = false;
    return { lose: true, isAppended: false, landsAfterMs: 5_000 };
  };
  let error: unknown;
  const written = (async () => {
    const state = must(await StateTopic.look(played.cluster), 'state topic');
    const value = { targetTopicId: topicId, transactions: [] };
    await state.putOpenTransactions('copy', 0, value, { timeoutMs: 10_000, isGiven: () => isGiven });
  })().catch((thrown: unknown) => (error = thrown));
  for (let i = 0; i < 400 && error === undefined; i++) await clock.advance(10);
  await written;
  expect(error).toBeInstanceOf(KafkaError);
  expect(error).toMatchObject({ definite: false });
});
