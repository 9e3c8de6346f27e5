/**
 * A failover, step by step. What was done stands in the state topic of the target before the next step begins, and each step
 * finds for itself what an earlier attempt has left: whoever gives the same command again goes on where it stopped.
 */
import { failoverSteps, type FailoverStep } from '#contract/failover.ts';
import type { FailoverRecord } from '../state-records.ts';

export interface StepOutcome {
  /** For people. */
  readonly said: readonly string[];
  /** What holds from now on. */
  readonly changes: Partial<FailoverRecord>;
}

export interface FailoverPort {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Null where none was begun. */
  load(): Promise<FailoverRecord | null>;
  save(record: FailoverRecord): Promise<void>;
  /** One attempt; `save` keeps what has to be known before the step goes on. Throws what keeps it from being done. */
  run(
    step: FailoverStep,
    record: FailoverRecord,
    save: (changes: Partial<FailoverRecord>) => Promise<FailoverRecord>,
  ): Promise<StepOutcome>;
  onBegin(step: FailoverStep): void;
  onEnd(step: FailoverStep, said: readonly string[], tookMs: number): void;
}

/** The step that an earlier attempt has not finished; null when all are done. */
export function nextStep({ steps }: Pick<FailoverRecord, 'steps'>): FailoverStep | null {
  const done = new Set(steps.map(({ step }) => step));
  return failoverSteps.find((step) => !done.has(step)) ?? null;
}

/** Goes on to the end, and returns what stands in the state topic then. Throws what a step throws. */
export async function runFailover(
  port: FailoverPort,
  mirror: { readonly name: string; readonly isSourceLost: boolean },
): Promise<FailoverRecord> {
  let record = (await port.load()) ?? begin(mirror, port.now());
  const save = async (changes: Partial<FailoverRecord>): Promise<FailoverRecord> => {
    record = { ...record, ...changes };
    await port.save(record);
    return record;
  };
  if (nextStep(record) === null) return record;
  await save(record.cut === null ? { isSourceLost: mirror.isSourceLost } : {}); // what was cut was cut as it was then
  for (let step = nextStep(record); step !== null; step = nextStep(record)) {
    const startedAt = port.now();
    port.onBegin(step);
    const { said, changes } = await port.run(step, record, save);
    const endedAt = port.now();
    await save({ ...changes, steps: [...record.steps, { step, startedAt, endedAt, said: [...said] }] });
    port.onEnd(step, said, endedAt - startedAt);
  }
  return record;
}

function begin({ name, isSourceLost }: { name: string; isSourceLost: boolean }, now: number): FailoverRecord {
  return {
    mirrorName: name,
    phase: 'draining',
    startedAt: now,
    isSourceLost,
    steps: [],
    fence: null,
    cut: null,
    transactions: [],
    loss: null,
    verified: null,
    failback: null,
  };
}
