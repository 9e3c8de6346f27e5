/**
 * The last line of `npm test`: `N passed, N failed`, with `, N skipped` when there are any. A test that does not run
 * proves nothing, so it counts as failed unless test/skips.json lists it with the reason.
 */
import { readFileSync } from 'node:fs';
import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** One entry of test/skips.json. */
interface Skip {
  /** `path/of.test.ts > describe > test` */
  readonly test: string;
  readonly reason: string;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Skipped without an entry in test/skips.json; included in `failed`. */
  readonly unlisted: readonly string[];
}

export interface Outcome {
  /** As in Skip. */
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending';
}

/** `extraFailures`: errors that belong to no test, such as a file that does not load. */
export function count(outcomes: readonly Outcome[], extraFailures: number, skips: readonly Skip[]): Counts {
  const reasons = new Map(skips.map((skip) => [skip.test, skip.reason]));
  const idle = outcomes.filter((outcome) => outcome.state === 'skipped' || outcome.state === 'pending');
  const unlisted = idle.map((outcome) => outcome.name).filter((name) => !reasons.get(name));
  const failed = outcomes.filter((outcome) => outcome.state === 'failed').length;
  return {
    passed: outcomes.filter((outcome) => outcome.state === 'passed').length,
    failed: failed + extraFailures + unlisted.length,
    skipped: idle.length - unlisted.length,
    unlisted,
  };
}

export function summaryLine(counts: Pick<Counts, 'passed' | 'failed' | 'skipped'>): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}

export default class Summary implements Reporter {
  /** Stays when the run ends before its tests do, as when the set-up fails or no file matches. */
  #line = summaryLine({ passed: 0, failed: 1, skipped: 0 });
  #isFiltered = false;

  onInit(vitest: Vitest): void {
    this.#isFiltered = vitest.config.testNamePattern !== undefined;
    // On exit, so that nothing is printed after it.
    process.on('exit', () => process.stdout.write(`${this.#line}\n`));
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    if (modules.length === 0 && errors.length === 0) return;
    const outcomes = modules.flatMap(outcomesOf).filter((outcome) => !this.#isFiltered || outcome.state !== 'skipped');
    const unloaded = modules.filter((module) => module.state() === 'failed' && module.errors().length > 0);
    const skips = JSON.parse(readFileSync(new URL('skips.json', import.meta.url), 'utf8')) as Skip[];
    const counts = count(outcomes, errors.length + unloaded.length, skips);
    this.#line = summaryLine(counts);
    for (const name of counts.unlisted) process.stdout.write(`skipped without a reason in test/skips.json: ${name}\n`);
    if (counts.failed > 0) process.exitCode = 1;
  }
}

function outcomesOf(module: TestModule): Outcome[] {
  return [...module.children.allTests()].map((test) => ({
    name: `${module.relativeModuleId} > ${test.fullName}`,
    state: test.result().state,
  }));
}
