import { expect, test } from 'vitest';
import type { OptionKey } from '#contract/options.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';

const file = (perSecond: number, burst: number) =>
  new Map<OptionKey, unknown>([
    ['server.requestsPerSecond', perSecond],
    ['server.requestBurst', burst],
  ]);

test('an address may ask as often as the options say, and what they say anew holds at once', async () => {
  const plane = await playControlPlane({ given: { file: file(10, 20) } });
  const ask = async (times: number, remoteAddress = '203.0.113.7') => {
    const answers = [];
    for (let i = 0; i < times; i++) answers.push(await plane.http.inject({ url: '/health', remoteAddress }));
    return answers;
  };
  expect((await ask(20)).every(({ statusCode }) => statusCode === 200)).toBe(true);
  const [refused] = await ask(1);
  expect(refused?.json()).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
  expect(refused?.headers['retry-after']).toBe('1');
  expect((await ask(1, '203.0.113.8'))[0]?.statusCode).toBe(200);

  plane.options.given = { file: file(100, 200) };
  await plane.server.reloadOptions();
  await plane.clock.advance(1_000);
  expect((await ask(101)).map(({ statusCode }) => statusCode).indexOf(429)).toBe(100);
});
