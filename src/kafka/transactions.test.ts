/** Who is asked which broker coordinates an id, where the one that it was may have been replaced. */
import { expect, test } from 'vitest';
import { ManualClock } from '#testing/manual-clock.ts';
import { createRandom } from '#util/random.ts';
import type { Cluster } from './cluster.ts';
import { ConnectionError } from './errors.ts';
import { describeTransactions } from './transactions.ts';

const REPLACED = 1;
const SUCCESSOR = 2;
const ID = 'lockstep-1';

/**
 * Three brokers, of which the first coordinated the id, still takes itself for that, and is the one that `any` comes to;
 * `lost` do not answer. Returns whose answers came, and how long brokers were waited for that were named.
 */
function start(seed: number, lost: readonly number[] = []) {
  const waitsMs: number[] = [];
  const answer = (api: { readonly name: string }, broker: number | 'any'): object => {
    const asks = broker === 'any' ? REPLACED : broker;
    if (lost.includes(asks))
      throw new ConnectionError('refused', `${asks}:1`, `${asks}:1: connect ECONNREFUSED`, { definite: true });
    if (api.name === 'FindCoordinator')
      return { coordinators: [{ errorCode: 0, nodeId: asks === REPLACED ? REPLACED : SUCCESSOR, errorMessage: null }] };
    const state = {
      transactionalId: ID,
      errorCode: 0,
      producerId: asks,
      producerEpoch: 0,
      transactionState: 'Ongoing',
    };
    return { transactionStates: [{ ...state, transactionTimeoutMs: 0, transactionStartTimeMs: 0, topics: [] }] };
  };
  const cluster = {
    name: 'east',
    clock: new ManualClock(),
    random: createRandom(seed),
    requestTimeoutMs: 30_000,
    brokers: () => [1, 2, 3].map((id) => ({ id, host: `${id}`, port: 1, rack: null })),
    call: async (api: { name: string }, _: object, how: { broker: number | 'any'; timeoutMs?: number }) => {
      if (api.name === 'FindCoordinator' && how.broker !== 'any') waitsMs.push(how.timeoutMs ?? Infinity);
      return answer(api, how.broker);
    },
  } as unknown as Cluster;
  const whose = async (isAnew: boolean): Promise<number | undefined> =>
    (await describeTransactions(cluster, [ID], { isAnew }))[0]?.producerId;
  return { whose, waitsMs };
}

const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

test('anew, it is not the one that was asked last, wherever another answers', async () => {
  for (const seed of seeds) {
    const { whose } = start(seed);
    expect(await whose(false)).toBe(REPLACED);
    expect(await whose(true), `seed ${seed}`).toBe(SUCCESSOR);
    expect(await whose(false)).toBe(SUCCESSOR);
  }
});

test('what was replaced does not answer twice in a row, though it may be asked again', async () => {
  for (const seed of seeds) {
    const { whose } = start(seed);
    const answers: (number | undefined)[] = [];
    for (let i = 0; i < 20; i++) answers.push(await whose(true));
    expect(answers.join('')).not.toContain(`${REPLACED}${REPLACED}`);
    expect(answers.join(''), `seed ${seed}`).toContain(`${SUCCESSOR}${SUCCESSOR}`);
  }
});

test('another that is lost is passed over', async () => {
  for (const seed of seeds) {
    const { whose, waitsMs } = start(seed, [3]);
    await whose(false);
    expect(await whose(true), `seed ${seed}`).toBe(SUCCESSOR);
    expect(Math.max(...waitsMs), 'it may hang').toBeLessThan(5_000);
  }
});

test('where no other answers, the one that does is believed', async () => {
  const { whose } = start(1, [2, 3]);
  await whose(false);
  expect(await whose(true)).toBe(REPLACED);
});
