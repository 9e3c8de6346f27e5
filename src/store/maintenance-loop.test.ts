import { expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import type { Store } from './store.ts';
import { defaultRetention } from './maintenance.ts';
import { maintain } from './maintenance-loop.ts';

const MINUTE = 60_000;

/** Notes what it is asked for; `leased` says whether this server has the lease, `more` how often there is more to delete. */
function aStore(state: { leased: boolean; more: number; failing: boolean }) {
  const done: string[] = [];
  const store = {
    leases: { hold: () => Promise.resolve(state.leased ? { term: 1 } : null) },
    maintenance: {
      rollUp: () => {
        if (state.failing) return Promise.reject(new AppError('STORE_FULL', 'full'));
        done.push('roll up');
        return Promise.resolve();
      },
      prune: () => {
        done.push('prune');
        return Promise.resolve(state.more-- > 0);
      },
      tidy: () => {
        done.push('tidy');
        return Promise.resolve();
      },
    },
  } as unknown as Store;
  return { store, done };
}

async function start(store: Store) {
  const clock = new ManualClock();
  const abort = new AbortController();
  const troubles: string[] = [];
  const ended = maintain(store, {
    clock,
    retention: () => defaultRetention,
    holder: 'me',
    onTrouble: ({ code }) => void troubles.push(code),
    signal: abort.signal,
  });
  await clock.advance(0);
  return { clock, troubles, end: () => (abort.abort(), ended) };
}

test('each minute sums are made and what is old goes; each hour it is tidied', async () => {
  const { store, done } = aStore({ leased: true, more: 2, failing: false });
  const { clock, end } = await start(store);
  await clock.advance(1000);
  expect(done).toEqual(['roll up', 'prune', 'prune', 'prune', 'tidy']);
  done.length = 0;
  for (let minute = 0; minute < 60; minute++) await clock.advance(MINUTE);
  expect(done.filter((what) => what === 'roll up')).toHaveLength(60);
  expect(done.filter((what) => what === 'tidy')).toHaveLength(1);
  await end();
});

test('a server without the lease leaves it to the one that has it', async () => {
  const state = { leased: false, more: 0, failing: false };
  const { store, done } = aStore(state);
  const { clock, end } = await start(store);
  await clock.advance(5 * MINUTE);
  expect(done).toEqual([]);
  state.leased = true;
  await clock.advance(MINUTE);
  expect(done).toContain('roll up');
  await end();
});

test('a store that cannot be kept is told of, and tried again', async () => {
  const state = { leased: true, more: 0, failing: true };
  const { store, done } = aStore(state);
  const { clock, troubles, end } = await start(store);
  await clock.advance(MINUTE);
  expect(troubles).toEqual(['STORE_FULL', 'STORE_FULL']);
  state.failing = false;
  await clock.advance(MINUTE);
  expect(done).toContain('prune');
  await end();
});
