import { expect, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { newTopicSchema } from '#contract/new-topic.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { createRandom } from '#util/random.ts';
import { createWantedTopic } from './new-topics.ts';

const wanted = newTopicSchema.parse({ name: 'orders', partitions: 1 });
const ALREADY_EXISTS = 36;

/** A cluster that says so of the topic when it is to be checked, and so when it is to be created. */
function answering(checked: number, created: number): { cluster: Cluster; readonly creations: number } {
  let creations = 0;
  const cluster = {
    name: 'east',
    requestTimeoutMs: 1_000,
    clock: new ManualClock(),
    random: createRandom(1),
    closed: new AbortController().signal,
    async call(_: unknown, { validateOnly }: { validateOnly: boolean }) {
      if (!validateOnly) creations++;
      const errorCode = validateOnly ? checked : created;
      return { topics: [{ name: 'orders', errorCode, errorMessage: null, topicConfigErrorCode: 29, configs: null }] };
    },
  } as unknown as Cluster;
  return {
    cluster,
    get creations() {
      return creations;
    },
  };
}

test('what is refused before it was asked for has certainly not been done', async () => {
  const played = answering(ALREADY_EXISTS, 0);
  const error: unknown = await createWantedTopic(played.cluster, wanted).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: 'RESOURCE_CONFLICT' });
  expect((error as { details: object }).details).toEqual({});
  expect(played.creations).toBe(0);
});

test('"exists already" of a topic that was not there may be our own, whose answer was lost', async () => {
  const played = answering(0, ALREADY_EXISTS);
  await expect(createWantedTopic(played.cluster, wanted)).rejects.toMatchObject({ details: { effect: 'unknown' } });
  expect(played.creations).toBe(1);
});
