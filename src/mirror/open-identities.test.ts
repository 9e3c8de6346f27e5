import { expect, test } from 'vitest';
import { ConnectionError } from '#kafka/errors.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { OpenIdentities } from './open-identities.ts';

const open = (...offsets: number[]) =>
  offsets.map((firstOffset, slot) => ({ slot, firstOffset, producerId: 100 + firstOffset }));

function newScene() {
  const clock = new ManualClock();
  const saved: [number, number][][] = [];
  const is = { lost: false };
  const identities = new OpenIdentities({
    clock,
    save: async (transactions) => {
      if (is.lost) throw new ConnectionError('closed', 'target', 'lost', { definite: false });
      saved.push([...transactions]);
    },
  });
  return { clock, saved, is, identities };
}

test('what is open for long is recorded once, with all that is open then; what ends soon never', async () => {
  const { clock, saved, identities } = newScene();
  await identities.look(open(1, 2));
  await clock.advance(4_000);
  await identities.look(open(2, 3));
  await clock.advance(1_000);
  await identities.look(open(2, 3));
  await identities.look(open(2, 3));
  expect(saved).toEqual([
    [
      [2, 102],
      [3, 103],
    ],
  ]);
  await clock.advance(10_000);
  await identities.look(open(3));
  await identities.look(open(3, 4));
  expect(saved).toHaveLength(1);
});

test('a record that fails is written with the next look', async () => {
  const { clock, saved, is, identities } = newScene();
  await identities.look(open(1));
  await clock.advance(5_000);
  is.lost = true;
  await identities.look(open(1));
  is.lost = false;
  await identities.look(open(1));
  expect(saved).toEqual([[[1, 101]]]);
});

test('at a stop all is recorded that is not yet', async () => {
  const { saved, identities } = newScene();
  await identities.save([]);
  await identities.save(open(1));
  await identities.save(open(1));
  expect(saved).toEqual([[[1, 101]]]);
});
