/** How often a cluster that refuses our login is asked, whoever looks at it. */
import { describe, expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { createRandom } from '#util/random.ts';
import { RefusedLogins } from './refused-logins.ts';

const refusal = new AppError('CLUSTER_AUTHENTICATION_FAILED', 'wrong', { nextStep: 'Correct it.' });

class Asked {
  readonly clock = new ManualClock();
  readonly logins = new RefusedLogins(this.clock, createRandom(1));
  /** When a broker was asked. */
  readonly atMs: number[] = [];
  answer: () => Promise<string> = () => Promise.reject(refusal);

  ask(cluster: string, secret: string | null = 'a'): Promise<unknown> {
    const connect = (): Promise<string> => {
      this.atMs.push(this.clock.monotonic());
      return this.answer();
    };
    return this.logins.attempt(cluster, secret, connect).catch((error: unknown) => error);
  }
}

describe('a refused login', () => {
  test('is told to who asks again, with when the cluster is asked next', async () => {
    const asked = new Asked();
    expect(await asked.ask('east')).toBe(refusal);
    const told = (await asked.ask('east')) as AppError;
    expect(asked.atMs).toEqual([0]);
    expect(told).toMatchObject({ code: 'CLUSTER_AUTHENTICATION_FAILED', message: 'wrong' });
    expect(told.nextStep).toMatch(/^Correct it\. .* again in [345] s/);
    expect(told.details['retryAfterMs']).toBeLessThanOrEqual(5_000);
  });

  test('is tried again after a distance that grows to a minute', async () => {
    const asked = new Asked();
    for (let passed = 0; passed < 600_000; passed += 500) {
      await asked.ask('east');
      await asked.clock.advance(500);
    }
    const distances = asked.atMs.slice(1).map((at, i) => at - asked.atMs[i]!);
    expect(distances[0]).toBeLessThanOrEqual(5_000);
    expect(distances.length).toBeLessThan(25);
    expect(Math.min(...distances)).toBeGreaterThanOrEqual(2_500);
    expect(Math.min(...distances.slice(4))).toBeGreaterThanOrEqual(30_000);
    expect(Math.max(...distances)).toBeLessThanOrEqual(60_500);
  });

  test('is tried at once with another secret, of another cluster, and after one was taken', async () => {
    const asked = new Asked();
    await asked.ask('east');
    await asked.ask('west');
    asked.answer = async () => 'connected';
    expect(await asked.ask('east', 'b')).toBe('connected');
    asked.answer = () => Promise.reject(refusal);
    expect(await asked.ask('east', 'b')).toBe(refusal);
    expect(asked.atMs).toHaveLength(4);
  });

  test('is none where the cluster was not reached', async () => {
    const asked = new Asked();
    const down = new AppError('CLUSTER_UNREACHABLE', 'down');
    asked.answer = () => Promise.reject(down);
    expect([await asked.ask('east'), await asked.ask('east')]).toEqual([down, down]);
    expect(asked.atMs).toHaveLength(2);
  });

  test('is kept of the last thousand clusters', async () => {
    const asked = new Asked();
    for (let i = 0; i <= 1_000; i++) await asked.ask(`c${i}`);
    await asked.ask('c1');
    expect(asked.atMs).toHaveLength(1_001);
    await asked.ask('c0');
    expect(asked.atMs).toHaveLength(1_002);
  });
});
