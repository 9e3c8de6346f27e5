import { expect, test } from 'vitest';
import { createRandom } from '#util/random.ts';
import { drop, hold, latency, slice } from './fault-kinds.ts';
import { FaultRule, apiKeys } from './fault-rule.ts';
import type { ApiName, FaultScene, Passage } from './fault-rule.ts';

function passage(api: ApiName | null, more: Partial<Passage> = {}): Passage {
  return {
    connection: 1,
    direction: 'request',
    head: api === null ? null : { apiKey: apiKeys[api], apiVersion: 9, correlationId: 7 },
    isEnd: false,
    bytes: Buffer.from('....orders..'),
    delayMs: 0,
    gates: [],
    pieceBytes: null,
    pieceDelayMs: null,
    after: null,
    ...more,
  };
}

function scene(seed = 1): FaultScene {
  const nothing = (): void => {};
  return { random: createRandom(seed), ended: new Promise(nothing), reset: nothing, silence: nothing, close: nothing };
}

test('everything that a match names must fit', () => {
  const match = { connection: 2, api: ['Fetch', 'Produce'], direction: 'response', topic: 'orders' } as const;
  const rule = new FaultRule({ match, fault: latency(1) });
  const fits = { connection: 2, direction: 'response' } as const;
  const apply = (each: Passage): boolean => rule.apply(each, scene());
  expect(apply(passage('Produce', fits))).toBe(true);
  expect(apply(passage('Produce', { ...fits, connection: 1 }))).toBe(false);
  expect(apply(passage('Produce', { ...fits, direction: 'request' }))).toBe(false);
  expect(apply(passage('Metadata', fits))).toBe(false);
  expect(apply(passage(null, fits))).toBe(false);
  expect(apply(passage('Produce', { ...fits, bytes: Buffer.from('payments') }))).toBe(false);
  expect(rule.count).toBe(1);
});

test('a topic is also found by its id', () => {
  const id = Buffer.from('000102030405060708090a0b0c0d0eff', 'hex');
  const rule = new FaultRule({ match: { topic: id.toString('base64url') }, fault: latency(1) });
  expect(rule.apply(passage('Fetch', { bytes: Buffer.concat([Buffer.from('xx'), id]) }), scene())).toBe(true);
  expect(rule.apply(passage('Fetch'), scene())).toBe(false);
});

test('the n-th is counted among those that fit', () => {
  const rule = new FaultRule({ match: { api: 'Produce', nth: [2, 3] }, fault: drop() });
  const applied = (['Produce', 'Fetch', 'Produce', 'Produce', 'Produce'] as const).map((api) =>
    rule.apply(passage(api), scene()),
  );
  expect(applied).toEqual([false, false, true, true, false]);
});

test('after its times a rule takes no effect any more, and lets go only when it ends', async () => {
  const rule = new FaultRule({ match: {}, fault: hold(), times: 1 });
  expect([rule.apply(passage('Fetch'), scene()), rule.apply(passage('Fetch'), scene())]).toEqual([true, false]);
  expect(rule.isActive).toBe(false);
  let hasEnded = false;
  void rule.ended.then(() => (hasEnded = true));
  await Promise.resolve();
  expect(hasEnded).toBe(false);
  rule.end();
  await rule.ended;
});

test('it ends when what it waits for has come, or has failed', async () => {
  for (const until of [Promise.resolve(), Promise.reject(new Error('late'))]) {
    const rule = new FaultRule({ match: {}, fault: hold(), until });
    await rule.ended;
    expect(rule.isActive).toBe(false);
  }
});

test('a test can wait for its effects, and fails when there are none', async () => {
  const rule = new FaultRule({ match: {}, fault: latency(1), name: 'slow' });
  const both = rule.fired(2);
  rule.apply(passage('Fetch'), scene());
  rule.apply(passage('Fetch'), scene());
  await both;
  await rule.fired(1);
  await expect(rule.fired(3, { timeoutMs: 1 })).rejects.toThrow('fault "slow" took effect 2 times in 1 ms, not 3');
});

test('a fault that does not fit the bytes has taken no effect', () => {
  const rule = new FaultRule({ match: {}, fault: drop() });
  expect(rule.apply(passage(null), scene())).toBe(false);
  expect(rule.count).toBe(0);
});

test('the same seed draws the same, another one differs', () => {
  const drawn = (seed: number): unknown => {
    const rule = new FaultRule({ match: { probability: 0.5 }, fault: slice(1, 7) });
    const common = scene(seed);
    const hit = Array.from({ length: 30 }, () => {
      const each = passage('Fetch');
      return rule.apply(each, common) ? each.pieceBytes?.() : 0;
    });
    expect(Math.max(...hit.map(Number))).toBeLessThanOrEqual(7);
    return hit;
  };
  expect(drawn(5)).toEqual(drawn(5));
  expect(drawn(5)).not.toEqual(drawn(6));
});
