import { expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import type { Documents } from '#contract/resources.ts';
import type { RunEvent } from '#contract/status.ts';
import type { StoredJob } from '#store/jobs.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { playedIncident, playedStatus } from '#testing/played-control-plane.ts';
import { createRandom } from '#util/random.ts';
import { must } from '#util/assert.ts';
import { SupervisedJob, type RunJob } from './supervised-job.ts';

const NONE: Documents = { clusters: [], mirrors: [], verifications: [] };

function storedJob(of: Partial<StoredJob> = {}): StoredJob {
  return {
    id: 'job-1',
    name: 'orders',
    kind: 'Mirror',
    source: 'east',
    target: 'west',
    document: {},
    desired: 'started',
    desiredChangedAt: 0,
    desiredChangedBy: null,
    restarts: 0,
    version: 1,
    createdAt: 0,
    updatedAt: 0,
    ...of,
  };
}

/** Runs that a test ends, or that end by their signal. */
function played() {
  const clock = new ManualClock();
  const runs: {
    readonly signal: AbortSignal;
    readonly say: (event: RunEvent) => void;
    readonly end: (outcome: Awaited<ReturnType<RunJob>>) => void;
    readonly fail: (error: unknown) => void;
  }[] = [];
  const states: string[] = [];
  const bugs: unknown[] = [];
  const run: RunJob = (_, { signal, onEvent }) => {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<RunJob>>>();
    runs.push({ signal, say: onEvent, end: resolve, fail: reject });
    return promise;
  };
  const job: SupervisedJob = new SupervisedJob(storedJob({ desired: 'stopped' }), {
    clock,
    random: createRandom(1),
    run,
    onEvent: () => {},
    onChange: () => {
      const { state } = job.running;
      if (states.at(-1) !== state) states.push(state);
    },
    onBug: (_, error) => void bugs.push(error),
  });
  const want = (of: Partial<StoredJob>, key = 'text'): void =>
    job.want(storedJob(of), () => ({ documents: NONE, key }));
  const last = () => must(runs.at(-1), 'run');
  return { clock, job, runs, states, bugs, want, last };
}

const started: RunEvent = { event: 'started', mirror: 'orders', sourceClusterId: 'a', targetClusterId: 'b', at: 0 };

test('runs once, however often it is said that it shall, and ends when it shall not', async () => {
  const { job, runs, states, want, last } = played();
  want({});
  want({});
  last().say(started);
  expect(runs).toHaveLength(1);
  want({ desired: 'paused' });
  expect(last().signal.aborted).toBe(true);
  last().end('interrupted');
  await job.ended();
  expect(states).toEqual(['starting', 'running', 'stopping', 'paused']);
  want({ desired: 'stopped' });
  expect(job.running).toMatchObject({ state: 'stopped', since: null, failedReason: null });
});

test('with another text it begins anew only when the run before has ended', async () => {
  const { runs, want, last } = played();
  want({}, 'first');
  want({}, 'second');
  want({}, 'third');
  expect(runs).toHaveLength(1);
  last().end('interrupted');
  await settle();
  expect(runs).toHaveLength(2);
  expect(last().signal.aborted).toBe(false);
});

test('what can pass by itself is tried again, later each time', async () => {
  const { clock, job, runs, want, last } = played();
  want({});
  last().fail(new AppError('CLUSTER_UNREACHABLE', 'No broker answers.', { nextStep: 'Look at it.' }));
  await settle();
  expect(job.running).toMatchObject({
    state: 'failed',
    failedReason: 'CLUSTER_UNREACHABLE: No broker answers.',
    failure: { code: 'CLUSTER_UNREACHABLE', endsByItself: true, nextStep: 'Look at it.' },
  });
  want({}); // nothing has changed
  expect(runs).toHaveLength(1);
  await clock.advance(2_000);
  expect(runs).toHaveLength(2);
  last().fail(new AppError('CLUSTER_UNREACHABLE', 'No broker answers.'));
  await clock.advance(1_900);
  expect(runs).toHaveLength(2);
  await clock.advance(2_200);
  expect(runs).toHaveLength(3);
});

test('reg-M-338: a job whose partitions stopped has failed with that reason, and nothing of it runs until somebody restarts or changes it', async () => {
  const { clock, job, runs, want, last } = played();
  want({}, 'text');
  last().say(started);
  const incident = playedIncident();
  last().say({ event: 'progress', status: playedStatus({ incident }) });
  last().end('incidents');
  await settle();
  expect(job.running).toMatchObject({ state: 'failed', failure: incident, status: { mirror: 'a' } });
  await clock.advance(3_600_000);
  expect(runs).toHaveLength(1);
  want({}, 'restarted');
  expect(runs).toHaveLength(2);
  expect(job.running).toMatchObject({ state: 'starting', failedReason: null, status: null });
});

test('a document that cannot be used fails the job, and what is corrected runs', async () => {
  const { job, runs, want } = played();
  job.want(storedJob(), () => {
    throw new AppError('CONFIG_INVALID', 'It cannot be used.');
  });
  await settle();
  expect(job.running).toMatchObject({ state: 'failed', failedReason: 'CONFIG_INVALID: It cannot be used.' });
  expect(runs).toHaveLength(0);
  want({});
  expect(runs).toHaveLength(1);
});

test('a bug fails the job and is told, and the others of the process go on', async () => {
  const { job, bugs, want, last } = played();
  want({});
  last().fail(new TypeError('x is not a function'));
  await settle();
  expect(job.running).toMatchObject({ state: 'failed', failure: { code: 'INTERNAL', endsByItself: false } });
  expect(bugs).toHaveLength(1);
});

test('a run that fails while it is being ended has not failed', async () => {
  const { job, want, last } = played();
  want({});
  want({ desired: 'stopped' });
  last().fail(new AppError('CLUSTER_UNREACHABLE', 'No broker answers.'));
  await job.ended();
  expect(job.running).toMatchObject({ state: 'stopped', failedReason: null });
});
