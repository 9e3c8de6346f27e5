import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Documents } from '#contract/resources.ts';
import type { JobText, StoredJob } from '#store/jobs.ts';
import { openMigrated } from '#store/location.ts';
import { createLocalStore } from '#store/open-store.ts';
import type { Store } from '#store/store.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { JobSupervisor } from './job-supervisor.ts';

const LOOK_MS = 1_000;

interface Run {
  readonly documents: Documents;
  readonly signal: AbortSignal;
}

let store: Store;
let clock: ManualClock;
let runs: Run[];
let troubles: string[];
let supervisor: JobSupervisor;

beforeEach(async () => {
  clock = new ManualClock();
  const disk = { look: () => null, createAppendFile: () => Promise.reject(new Error('in memory')) };
  const database = await openMigrated({ engine: 'sqlite', path: ':memory:' }, disk);
  store = createLocalStore(database, { clock, random: createRandom(1) });
  runs = [];
  troubles = [];
  supervisor = new JobSupervisor({
    store,
    clock,
    random: createRandom(1),
    process: 'test 1',
    run: (documents, { signal, onEvent }) => {
      runs.push({ documents, signal });
      const [mirror] = documents.mirrors;
      const at = clock.now();
      if (mirror)
        onEvent({ event: 'started', mirror: mirror.metadata.name, sourceClusterId: 'E', targetClusterId: 'W', at });
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve('interrupted'), { once: true });
      });
    },
    observers: {
      onEvent: () => {},
      onState: () => {},
      onJobs: () => {},
      onTrouble: (message) => void troubles.push(message),
    },
  });
  for (const name of ['east', 'west']) await store.clusters.create({ name, document: clusterDocument(name) });
});

afterEach(async () => {
  await supervisor.close();
  await store.close(0);
});

function clusterDocument(name: string, port = 9092) {
  const spec = { bootstrap: [`${name}:${port}`] };
  return { apiVersion: 'lockstep/v1', kind: 'Cluster', metadata: { name }, spec };
}

function mirrorText(name: string, topic = 'orders'): JobText {
  const spec = { source: 'east', target: 'west', topics: [{ match: topic }] };
  const document = { apiVersion: 'lockstep/v1', kind: 'Mirror', metadata: { name }, spec };
  return { name, kind: 'Mirror', source: 'east', target: 'west', document };
}

function create(name: string, desired: StoredJob['desired'] = 'started'): Promise<StoredJob> {
  return store.jobs.create({ ...mirrorText(name), desired });
}

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    expect(turns, 'turns until it holds').toBeLessThan(10_000);
    await settle();
  }
}

async function look(): Promise<void> {
  supervisor.nudge();
  await supervisor.stopped('nobody', LOOK_MS);
}

function alive(): string[] {
  const running = runs.filter(({ signal }) => !signal.aborted);
  return running.map(({ documents }) => must(documents.mirrors[0], 'mirror').metadata.name).toSorted();
}

test('at the start jobs come back as they were wanted', async () => {
  await create('a');
  const paused = await create('b', 'paused');
  const stopped = await create('c', 'stopped');
  supervisor.start();
  await until(() => alive().length === 1);
  await look();
  expect(alive()).toEqual(['a']);
  expect(supervisor.job(paused.id).state).toBe('paused');
  expect(supervisor.job(stopped.id).state).toBe('stopped');
});

test('a changed job begins anew, and no other', async () => {
  const a = await create('a');
  await create('b');
  supervisor.start();
  await until(() => alive().length === 2);
  await store.jobs.replace(a.id, mirrorText('a', 'payments'), { ifVersion: null });
  await look();
  await until(() => runs.length === 3);
  expect(alive()).toEqual(['a', 'b']);
  expect(must(runs[2], 'third run').documents.mirrors[0]?.spec.topics).toMatchObject([{ match: 'payments' }]);
});

test('a changed cluster begins its jobs anew; an identity that becomes known does not, and is held to from then on', async () => {
  const a = await create('a');
  supervisor.start();
  await until(() => alive().length === 1);
  await look();
  expect(runs).toHaveLength(1);
  expect(await store.clusters.get('east')).toMatchObject({ pinnedId: 'E' });
  await store.clusters.replace('east', clusterDocument('east', 9093), { ifVersion: null });
  await look();
  await until(() => runs.length === 2);
  const [east] = must(runs[1], 'second run').documents.clusters;
  expect(east?.spec).toMatchObject({ bootstrap: ['east:9093'], id: 'E' });
  await store.jobs.requestRestart(a.id, { by: null });
  await look();
  await until(() => runs.length === 3);
  expect(alive()).toEqual(['a']);
});

test('what another process has changed is seen within a second', async () => {
  const a = await create('a');
  supervisor.start();
  await until(() => alive().length === 1);
  await look();
  await store.jobs.setDesired(a.id, 'stopped', { by: null });
  await clock.advance(LOOK_MS);
  await until(() => alive().length === 0);
  expect(runs).toHaveLength(1);
});

test('a job is stopped before it is deleted, and gone afterwards', async () => {
  const a = await create('a');
  supervisor.start();
  await until(() => alive().length === 1);
  await store.jobs.setDesired(a.id, 'stopped', { by: null });
  await supervisor.stopped(a.id, 10_000);
  expect(alive()).toEqual([]);
  await store.jobs.delete(a.id, { ifVersion: null });
  await look();
  expect(supervisor.job(a.id).state).toBe('stopped');
});

test('a store that does not answer leaves everything as it is, and is told once', async () => {
  await create('a');
  supervisor.start();
  await until(() => alive().length === 1);
  await store.close(0);
  for (let rounds = 0; rounds < 5; rounds++) await clock.advance(LOOK_MS);
  await until(() => troubles.length > 0);
  expect(alive()).toEqual(['a']);
  expect(troubles).toEqual(['what is wanted of jobs cannot be read; they go on as they are']);
});

test('a verification names the mirror of another job, whose text is part of its own', async () => {
  const a = await create('a', 'stopped');
  const document = { apiVersion: 'lockstep/v1', kind: 'Verify', metadata: { name: 'v' }, spec: { mirror: 'a' } };
  await store.jobs.create({ name: 'v', kind: 'Verify', source: 'east', target: 'west', document, desired: 'started' });
  supervisor.start();
  await until(() => runs.length === 1);
  expect(must(runs[0], 'run').documents.verifications[0]?.spec.mirror.metadata.name).toBe('a');
  await store.jobs.replace(a.id, mirrorText('a', 'payments'), { ifVersion: null });
  await look();
  await until(() => runs.length === 2);
  expect(must(runs[0], 'run').signal.aborted).toBe(true);
});

test('closing ends all jobs, and leaves what is wanted of them', async () => {
  const a = await create('a');
  supervisor.start();
  await until(() => alive().length === 1);
  await supervisor.close();
  expect(alive()).toEqual([]);
  expect(supervisor.isAlive()).toBe(false);
  expect(await store.jobs.get(a.id)).toMatchObject({ desired: 'started' });
});
