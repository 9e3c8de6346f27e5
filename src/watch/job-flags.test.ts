import { expect, test } from 'vitest';
import { flagsOf, type FlagLimits, type JobFigures } from './job-flags.ts';

const limits: FlagLimits = {
  criticalLag: 200,
  highErrorRate: 10,
  stallMs: 60_000,
  spikeErrors: 0,
  spikeMs: 30_000,
  severity: { mediumLag: 5_000, highLag: 10_000, mediumErrorRate: 1, highErrorRate: 5 },
};

const NOW = 1_000_000;

/** A job of a hundred partitions that copies what comes. */
const flags = (figures: Partial<JobFigures> = {}) =>
  flagsOf(
    {
      now: NOW,
      since: 0,
      hasFailed: false,
      lagRecords: 10,
      partitions: 100,
      standing: 0,
      sourceHeardAt: [NOW - 500],
      copied: 50,
      lags: [10, 10],
      errorsBegun: 0,
      ...figures,
    },
    limits,
  );

const quiet = {
  errorRate: 0,
  criticalLag: false,
  highErrorRate: false,
  sourceStalled: false,
  targetStalled: false,
  errorSpike: false,
  severity: 'none',
};

test('nothing stands out in a job that copies what comes, nor in one to which nothing comes', () => {
  expect(flags()).toEqual(quiet);
  expect(flags({ lagRecords: 0, lags: [0, 0], copied: 0 })).toEqual(quiet);
});

test('reg-M-334: lag is critical for as long as it is, each time that it is', () => {
  const seen = [200, 201, 200, 201].map((lagRecords) => flags({ lagRecords }).criticalLag);
  expect(seen).toEqual([false, true, false, true]);
  expect(flags({ lagRecords: null })).toMatchObject({ criticalLag: null, severity: null });
});

test('reg-M-335: a job without partitions has no rate of errors, and nothing is divided by zero', () => {
  expect(flags({ partitions: 0, standing: 0 })).toMatchObject({ errorRate: null, highErrorRate: null });
  expect(flags({ standing: 10 })).toMatchObject({ errorRate: 0.1, highErrorRate: false });
  expect(flags({ standing: 11 })).toMatchObject({ errorRate: 0.11, highErrorRate: true });
  expect(flags({ since: null, hasFailed: true, partitions: 0 })).toMatchObject({ errorRate: 1, highErrorRate: true });
});

test('reg-M-336: a target stands still when nothing arrives any more, however much has arrived before', () => {
  const stalled = { copied: 0, lags: [10, 12], lagRecords: 12 };
  expect(flags(stalled).targetStalled).toBe(true);
  // It has ended, and comes again.
  expect(flags({ ...stalled, copied: 1 }).targetStalled).toBe(false);
  expect(flags(stalled).targetStalled).toBe(true);
  // The target was up to date within that time; control records were passed over; it has just been started.
  expect(flags({ ...stalled, lags: [10, 0, 12] }).targetStalled).toBe(false);
  expect(flags({ ...stalled, lags: [10, 12], lagRecords: 9 }).targetStalled).toBe(false);
  expect(flags({ ...stalled, since: NOW - 60_000 }).targetStalled).toBe(false);
  // What was not measured is not known.
  expect(flags({ ...stalled, copied: null, lags: [] }).targetStalled).toBeNull();
  expect(flags({ ...stalled, lagRecords: null }).targetStalled).toBeNull();
});

test('reg-M-336: a source stands still when it says nothing any more, and of the target nothing is known then', () => {
  const heard = (...sourceHeardAt: (number | null)[]) =>
    flags({ sourceHeardAt, copied: 0, lags: [10], lagRecords: 10 });
  expect(heard(NOW - 60_000).sourceStalled).toBe(false);
  expect(heard(NOW, NOW - 60_001)).toMatchObject({ sourceStalled: true, targetStalled: null });
  expect(heard(null).sourceStalled).toBe(true);
  expect(flags({ sourceHeardAt: [null], since: NOW - 1_000 }).sourceStalled).toBe(false);
  // Another process copies all of it.
  expect(heard().sourceStalled).toBeNull();
});

test('reg-M-337: errors that begin are a spike, each time anew', () => {
  expect([0, 1, 0, 2].map((errorsBegun) => flags({ errorsBegun }).errorSpike)).toEqual([false, true, false, true]);
});

test.each([
  [{ lagRecords: 10_001 }, 'high'],
  [{ lagRecords: 10_000 }, 'medium'],
  [{ lagRecords: 5_001 }, 'medium'],
  [{ lagRecords: 5_000 }, 'low'], // critical, though
  [{ standing: 6 }, 'high'],
  [{ standing: 5 }, 'medium'],
  [{ standing: 2 }, 'medium'],
  [{ standing: 1 }, 'none'],
  [{ errorsBegun: 1 }, 'low'],
  [{ lagRecords: null, standing: 6 }, 'high'],
  [{ lagRecords: null, errorsBegun: 1 }, 'low'],
] as const)('reg-M-340: of %j the severity is %s', (figures, severity) => {
  expect(flags(figures).severity).toBe(severity);
});

test('of a job that does not run only its failure and its incidents are known', () => {
  expect(flags({ since: null, lagRecords: 20_000 })).toEqual({
    errorRate: null,
    criticalLag: null,
    highErrorRate: null,
    sourceStalled: null,
    targetStalled: null,
    errorSpike: false,
    severity: null,
  });
});
