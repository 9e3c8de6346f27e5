import { describe, expect, test } from 'vitest';
import { failoverSteps, type FailoverStep } from '#contract/failover.ts';
import type { FailoverRecord } from '../state-records.ts';
import { nextStep, runFailover, type FailoverPort } from './procedure.ts';

class Crash extends Error {}

/** Two clusters as far as a failover sees them, and a process that dies at a chosen moment. */
class World {
  stored: FailoverRecord | null = null;
  readonly source = { denied: [] as string[], end: 120 };
  readonly target = { end: 100, open: 2, writers: 1, groupsAt: 40, markers: 0 };
  readonly ran: FailoverStep[] = [];
  /** How many moments until it dies; each effect and each save is two. */
  crashIn = Infinity;
  clock = 0;

  #moment(): void {
    if (this.crashIn-- <= 0) throw new Crash();
  }

  #do(effect: () => void): void {
    this.#moment();
    effect();
    this.#moment();
  }

  port(): FailoverPort {
    return {
      now: () => this.clock++,
      load: async () => this.stored,
      save: async (record) => this.#do(() => (this.stored = structuredClone(record))),
      onBegin: (step) => this.ran.push(step),
      onEnd: () => {},
      run: async (step, record, save) => {
        const changes = await this.#steps[step](record, save);
        return { said: [step], changes };
      },
    };
  }

  /** Each finds for itself what an earlier attempt has left, as those in steps.ts do. */
  readonly #steps: Record<
    FailoverStep,
    (
      record: FailoverRecord,
      save: (changes: Partial<FailoverRecord>) => Promise<unknown>,
    ) => Promise<Partial<FailoverRecord>>
  > = {
    fence: async (record, save) => {
      const missing = ['a', 'b'].filter((topic) => !this.source.denied.includes(topic));
      const fence = { topics: [...new Set([...(record.fence?.topics ?? []), ...missing])], why: null };
      await save({ fence });
      for (const topic of missing) this.#do(() => this.source.denied.push(topic));
      return { fence };
    },
    drain: async () => {
      this.#do(() => (this.target.end = this.source.end));
      return {};
    },
    stop: async (_, save) => {
      await save({ phase: 'stopping' });
      this.#do(() => (this.target.writers = 0));
      return {};
    },
    verify: async () => ({}),
    cut: async (record, save) => {
      const topic = { sourceTopic: 'a', sourceTopicId: 'A', targetTopic: 'a', targetTopicId: 'B' };
      const at = record.cut?.[0]?.partitions[0]?.[0] ?? this.target.end;
      const before = [{ ...topic, mode: 'identical' as const, partitions: [[at, at] as [number, number]] }];
      await save({ cut: before });
      while (this.target.open > 0)
        this.#do(() => {
          this.target.open--;
          this.target.markers++;
          this.target.end++;
        });
      return { cut: [{ ...before[0]!, partitions: [[at, this.target.end]] }] };
    },
    groups: async () => {
      this.#do(() => (this.target.groupsAt = 120));
      return {};
    },
    promote: async () => ({ phase: 'promoted' }),
  };
}

const mirror = { name: 'link', isSourceLost: false };
const shape = (world: World): object => ({
  source: world.source,
  target: world.target,
  phase: world.stored?.phase,
  cut: world.stored?.cut,
  fence: world.stored?.fence,
  done: world.stored?.steps.map(({ step }) => step),
});

describe('a failover', () => {
  test('does every step once, in its order, and keeps when', async () => {
    const world = new World();
    const record = await runFailover(world.port(), mirror);
    expect(world.ran).toEqual(failoverSteps);
    expect(record).toEqual(world.stored);
    expect(record.steps.map(({ step }) => step)).toEqual(failoverSteps);
    expect(record.steps.every(({ startedAt, endedAt }) => endedAt > startedAt)).toBe(true);
    expect(nextStep(record)).toBeNull();
  });

  test('ends the same wherever it was interrupted, when the same command is given again', async () => {
    const whole = new World();
    await runFailover(whole.port(), mirror);
    let crashes = 0;
    for (let at = 0; ; at++) {
      const world = new World();
      world.crashIn = at;
      const failed = await runFailover(world.port(), mirror).then(
        () => null,
        (error: unknown) => error,
      );
      if (failed === null) break;
      expect(failed).toBeInstanceOf(Crash);
      crashes++;
      world.crashIn = Infinity;
      await runFailover(world.port(), mirror);
      expect(shape(world), `interrupted at moment ${at}`).toEqual(shape(whole));
      expect(world.stored?.cut?.[0]?.partitions).toEqual([[120, 122]]);
    }
    expect(crashes).toBeGreaterThan(25);
  });

  test('that is done does nothing when the command is given again', async () => {
    const world = new World();
    const first = await runFailover(world.port(), mirror);
    world.ran.length = 0;
    expect(await runFailover(world.port(), { ...mirror, isSourceLost: true })).toEqual(first);
    expect(world.ran).toEqual([]);
  });
});
