/**
 * A fault as a test: something bad is done to brokers, network or settings while a mirror works, it is shown that it
 * really happened, and what came of it is held to the promise.
 */
import { killsSoFar } from '#testing/kills.ts';
import { assert } from '#util/assert.ts';
import { test } from 'vitest';
import { relative } from 'node:path';
import { currentVersion, root, selectionVariable, sourcesDigest, writeResult } from './results.ts';
import type { FaultResult } from './results.ts';

export interface Fault {
  /** Kebab-case and unique: names the result, and the fault on the command line. */
  readonly id: string;
  /** What is done, in a line. */
  readonly title: string;
  /** Whether `npm test` runs it too: the quick and telling ones. Default: false. */
  readonly share?: boolean;
  /** Default: 10 minutes, for a machine that does other things too. */
  readonly timeoutMs?: number;
}

export interface FaultRun {
  readonly id: string;
  /** Says how it was seen that the fault happened. A fault that nobody has seen fails its test. */
  tookEffect(evidence: string): void;
  /** A measured number, or a few in a text, with its unit in the name: `recovered in s`. */
  figure(name: string, value: number | string): void;
  /** Says which incidents have to be told, each as often. Without it those that its outcomes name. */
  expects(codes: readonly string[]): void;
  /** Says what came of it: identical, or stopped with which incident. The checks of mirror-under-test.ts say it themselves. */
  outcome(text: string): void;
}

/**
 * Registers a fault where it is selected: by LOCKSTEP_FAULTS (`all`, or ids with commas between), without it the share.
 * The body throws when the promise is broken. Its result is kept for `npm run test:faults -- --report`.
 */
export function fault(spec: Fault, body: (run: FaultRun) => Promise<void>): void {
  assert(/^[a-z0-9]+(-[a-z0-9]+)*$/.test(spec.id), `the id of a fault is kebab-case: ${spec.id}`);
  if (!isSelected(spec, process.env[selectionVariable])) return;
  test(
    `${spec.id}: ${spec.title}`,
    { timeout: spec.timeoutMs ?? 600_000 },
    async ({ onTestFinished, task: { file } }) => {
      const record = new Recorder(spec, relative(root, file.filepath));
      // Registered first, so it runs last: after what the body cleans up, and also when the body never ends.
      onTestFinished(({ task }) =>
        record.end(task.result?.state === 'fail', task.result?.errors?.[0]?.message ?? null),
      );
      await body(record);
      record.complete();
    },
  );
}

/** `selection` is the value of LOCKSTEP_FAULTS. */
export function isSelected({ id, share = false }: Pick<Fault, 'id' | 'share'>, selection: string | undefined): boolean {
  if (selection === undefined || selection === '') return share;
  return selection === 'all' || selection.split(',').includes(id);
}

/** Why a body that has returned has shown nothing, or null. */
export function whatIsMissing(evidence: readonly string[], outcomes: readonly string[]): string | null {
  if (evidence.length === 0) return 'the fault took no effect: nothing was told by run.tookEffect()';
  if (outcomes.length === 0) return 'nobody looked what came of the fault: nothing was told by run.outcome()';
  return null;
}

class Recorder implements FaultRun {
  readonly id: string;
  readonly #evidence: string[] = [];
  readonly #outcomes: string[] = [];
  readonly #figures: [string, number | string][] = [];
  readonly #startedAt = performance.now();
  readonly #killsBefore = killsSoFar();
  #kills = 0;
  #expected: readonly string[] | null = null;
  readonly #head: Pick<FaultResult, 'id' | 'title' | 'isShared' | 'startedAt' | 'sources' | 'version' | 'commit'>;
  #isComplete = false;

  constructor({ id, title, share = false }: Fault, file: string) {
    this.id = id;
    this.#head = {
      id,
      title,
      isShared: share,
      startedAt: new Date().toISOString(),
      sources: sourcesDigest([file]),
      ...currentVersion(),
    };
    this.#write('started', null);
    process.stdout.write(`fault ${id}: ${title}\n`);
  }

  tookEffect(evidence: string): void {
    this.#evidence.push(evidence);
  }

  figure(name: string, value: number | string): void {
    this.#figures.push([name, typeof value === 'number' ? Number(value.toPrecision(4)) : value]);
  }

  expects(codes: readonly string[]): void {
    this.#expected = [...(this.#expected ?? []), ...codes];
  }

  outcome(text: string): void {
    this.#outcomes.push(text);
  }

  /** The body has returned. */
  complete(): void {
    const missing = whatIsMissing(this.#evidence, this.#outcomes);
    assert(missing === null, missing ?? '');
    this.#kills = killsSoFar() - this.#killsBefore; // what cleans up kills too
    this.#isComplete = true;
  }

  end(hasFailed: boolean, error: string | null): void {
    const passed = this.#isComplete && !hasFailed;
    this.#write(passed ? 'passed' : 'failed', passed ? null : (error ?? 'did not come to its end'));
    const figures = this.#figures.map(([name, value]) => `${name} ${value}`);
    const told = [...this.#evidence, ...this.#outcomes, ...figures].join('; ');
    process.stdout.write(`fault ${this.id}: ${passed ? 'passed' : 'FAILED'} in ${this.#seconds()} s: ${told}\n`);
  }

  #seconds(): number {
    return Math.round((performance.now() - this.#startedAt) / 100) / 10;
  }

  #write(state: FaultResult['state'], error: string | null): void {
    writeResult({
      ...this.#head,
      state,
      evidence: this.#evidence,
      outcomes: this.#outcomes,
      figures: this.#figures,
      kills: this.#kills,
      ...(this.#expected === null ? {} : { expected: this.#expected }),
      error: error === null || error.length < 6_000 ? error : `${error.slice(0, 3_000)} … ${error.slice(-3_000)}`,
      seconds: this.#seconds(),
    });
  }
}
