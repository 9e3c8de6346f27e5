/** A continuous verification between two played clusters: how far it says it is, and what it says of what differs. */
import { afterEach, expect, test } from 'vitest';
import { DispositionLedger } from '#contract/disposition-ledger.ts';
import { OffsetMap } from '#contract/offset-map.ts';
import { resolveVerify, verifySchema } from '#contract/resources.ts';
import type { RunEvent } from '#contract/status.ts';
import { FramePool } from '#kafka/frame.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { PlayedCluster } from '#testing/played-cluster.ts';
import { sourceBatch } from '#testing/source-batches.ts';
import { assert, must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import type { MappedExport } from './compare-mapped.ts';
import type { CopyRecord } from './copy-record.ts';
import { Evidence } from './evidence.ts';
import { VerifyJob, type VerifyJobOutcome } from './verify-job.ts';

const IDS = { source: 'AAAAAAAAAAAAAAAAAAAAAQ', target: 'AAAAAAAAAAAAAAAAAAAAAg' };
const ANEW = 'AAAAAAAAAAAAAAAAAAAAAw';
const DENIED = 29;

class World {
  readonly clock = new ManualClock();
  readonly pool = new FramePool({ bytesMax: 16 * 1024 * 1024 });
  readonly logs = { source: new ModelLog(), target: new ModelLog() };
  readonly source = this.#cluster('source');
  readonly target = this.#cluster('target');
  readonly events: RunEvent[] = [];
  readonly files = new Map<string, string>();
  /** What the mirror has written down. */
  topicIds: { source: string; target: string } | null = null;
  mapped: MappedExport | null = null;
  /** As it was read last. */
  #mapped: MappedExport | null = null;
  outcome: VerifyJobOutcome | null = null;
  #stop = new AbortController();
  #job!: VerifyJob;
  #ended: Promise<void> = Promise.resolve();

  #cluster(side: 'source' | 'target'): PlayedCluster {
    const { clock, pool } = this;
    const log = this.logs[side];
    const played = new PlayedCluster({ name: side, topic: 'orders', topicId: IDS[side], clock, pool, log });
    const policy = { name: 'cleanup.policy', value: 'delete', configSource: 1, isSensitive: false, readOnly: false };
    const described = { errorCode: 0, errorMessage: null, resourceName: 'orders', configs: [policy] };
    played.onCall = (api) => (api === 'DescribeConfigs' ? { results: [described] } : undefined);
    return played;
  }

  /** Records with these values, one batch each. */
  write(side: 'source' | 'target', ...values: string[]): void {
    for (const value of values) {
      const batch = sourceBatch({ baseOffset: 0, records: [{ timestamp: 7, key: null, value: Buffer.from(value) }] });
      assert(this.logs[side].append(batch).errorCode === 0, 'appended');
    }
  }

  writeBoth(from: number, to: number): void {
    for (const side of ['source', 'target'] as const) for (let i = from; i < to; i++) this.write(side, `value ${i}`);
  }

  start(goal: 'caught-up' | null = null): void {
    const { source, target, clock, pool } = this;
    const stated = verifySchema.parse({
      apiVersion: 'lockstep/v1',
      kind: 'Verify',
      metadata: { name: 'proof' },
      spec: {
        mirror: { name: 'link', source: 'source', target: 'target', topics: [{ match: 'orders' }] },
        windowOffsets: 1_000,
      },
    });
    const record: CopyRecord = {
      denied: null,
      refresh: async () => void (this.#mapped = this.mapped),
      topicIdsOf: () => this.topicIds,
      mapOf: async () => this.#mapped,
    };
    const disk = {
      createSecret: () => {},
      makeDirectory: () => {},
      writeText: (path: string, text: string) => void this.files.set(path, text),
    };
    const names = { mirror: 'link', sourceClusterId: 's', targetClusterId: 't' };
    this.outcome = null;
    this.#stop = new AbortController();
    this.#job = new VerifyJob({
      resource: must(resolveVerify(stated, []), 'resource'),
      clusters: { source: source.cluster, target: target.cluster, pool, clock },
      record,
      withoutReturns: async (plan) => plan,
      evidence: new Evidence(disk, 'kept', names),
      random: createRandom(1),
      progressMs: 1_000,
      onEvent: (event) => void this.events.push(event),
    });
    this.#ended = this.#job.run(this.#stop.signal, goal && Promise.resolve(goal)).then((outcome) => {
      this.outcome = outcome;
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    while (this.outcome === null) await this.clock.advance(100);
    await this.#ended;
  }

  get proven() {
    return must(this.#job.status().partitions[0], 'partition');
  }

  /** So that what is at most every 30 s has come. */
  async pass(ms = 35_000): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) await this.clock.advance(100);
  }

  incidents(): string[] {
    return this.events.flatMap((event) =>
      event.event === 'incident' || event.event === 'incident-ended'
        ? [`${event.event} ${event.incident.code} ${event.incident.offsets?.from}`]
        : [],
    );
  }
}

let world = new World();

afterEach(async () => {
  await world.stop();
  assert(world.pool.bytesInUse === 0, 'every frame is given back');
  world = new World();
});

test('window after window is proven, and what comes later too', async () => {
  world.writeBoth(0, 2_500);
  world.start();
  await world.pass(5_000);
  expect(world.proven).toMatchObject({ from: 0, provenThrough: 2_500, sourceEnd: 2_500, lag: 0, records: 2_500 });
  world.write('source', 'value 2500', 'value 2501');
  await world.pass(6_000);
  expect(world.proven).toMatchObject({ provenThrough: 2_500, lag: 2, unverifiedOffsets: 0, unverified: [] });
  world.write('target', 'value 2500', 'value 2501');
  await world.pass(6_000);
  expect(world.proven).toMatchObject({ provenThrough: 2_502, lag: 0, records: 2_502, incident: null });
  expect(world.events.filter(({ event }) => event !== 'verifying')).toEqual([]);
  await world.stop();
  expect(world.outcome).toBe('interrupted');
  expect(world.events.at(-1)).toMatchObject({ event: 'verifying-ended', job: 'proof' });
});

test('after a restart nothing is believed: it begins at the log start', async () => {
  world.writeBoth(0, 50);
  world.start('caught-up');
  await world.pass(5_000);
  expect(world.outcome).toBe('caught-up');
  world.logs.target.batches[3] = must(world.logs.target.batches[4], 'batch');
  world.start('caught-up');
  await world.pass(5_000);
  expect(world.proven).toMatchObject({ from: 0, provenThrough: 3 });
  expect(world.outcome).toBe('incidents');
});

test('a difference is one incident, which names the record, keeps both copies, and ends when it is repaired', async () => {
  world.writeBoth(0, 1_500);
  world.start();
  await world.pass(1_000);
  world.write('source', 'value 1500');
  world.write('target', 'other 1500');
  await world.pass(120_000);
  expect(world.incidents()).toEqual(['incident COPY_DIFFERENT 1500']);
  const { incident } = world.proven;
  expect(incident).toMatchObject({ mirror: 'link', topic: 'orders', partition: 0, endsByItself: true });
  expect(incident?.cause).toContain('offset 1500, changed: value differs');
  expect(incident?.cause).toContain('kept in kept/link.orders-0-1500.json');
  const kept = JSON.parse(world.files.get('kept/link.orders-0-1500.json') ?? '') as Record<
    'source' | 'target',
    { base64: string }
  >;
  expect(Buffer.from(kept.source.base64, 'base64').includes('value 1500')).toBe(true);
  expect(Buffer.from(kept.target.base64, 'base64').includes('other 1500')).toBe(true);
  expect(world.proven).toMatchObject({ provenThrough: 1_500, lag: 1, records: 1_500 });
  world.logs.target.batches[1_500] = must(world.logs.source.batches[1_500], 'batch');
  await world.pass();
  expect(world.incidents()).toEqual(['incident COPY_DIFFERENT 1500', 'incident-ended COPY_DIFFERENT 1500']);
  expect(world.proven).toMatchObject({ provenThrough: 1_501, incident: null });
});

test('what expired before it could be read is unverified, not proven', async () => {
  world.writeBoth(0, 100);
  world.logs.target.batches.splice(0, 40);
  world.logs.target.logStart = 40;
  world.start('caught-up');
  await world.pass(5_000);
  expect(world.outcome).toBe('caught-up');
  expect(world.proven).toMatchObject({ from: 0, provenThrough: 100, records: 60, unverifiedOffsets: 40 });
  expect(world.proven.unverified).toEqual([{ from: 0, to: 40, reason: "the target's log begins at offset 40" }]);
});

test('a topic that is created anew is found while it is verified, and copied anew is proven anew', async () => {
  world.writeBoth(0, 20);
  world.start();
  await world.pass(5_000);
  expect(world.proven.provenThrough).toBe(20);
  world.target.topicId = ANEW;
  world.logs.target.batches.length = world.logs.target.end = 0;
  await world.pass(70_000);
  expect(world.incidents()).toEqual(['incident COPY_DIFFERENT 0']);
  expect(world.proven.incident?.cause).toContain('was created anew while it was verified');
  world.topicIds = { source: IDS.source, target: ANEW };
  for (let i = 0; i < 20; i++) world.write('target', `value ${i}`);
  await world.pass(70_000);
  expect(world.incidents()).toEqual(['incident COPY_DIFFERENT 0', 'incident-ended COPY_DIFFERENT 0']);
  expect(world.proven).toMatchObject({ from: 0, provenThrough: 20, incident: null });
});

test('a copy that goes on mapped behind another writer is no difference, when the mirror has written it down', async () => {
  world.writeBoth(0, 5);
  world.start();
  await world.pass(5_000);
  const ledger = new DispositionLedger(5);
  ledger.append({ kind: 'delivered' }, 3);
  const map = new OffsetMap();
  map.append({ source: 0, target: 0, length: 5 });
  map.append({ source: 5, target: 6, length: 3 });
  world.mapped = { map, ledger, isShared: true, isPart: true, producerId: 77 };
  world.write('target', 'theirs');
  for (const side of ['source', 'target'] as const) world.write(side, 'value 5', 'value 6', 'value 7');
  await world.pass();
  expect(world.incidents()).toEqual([]);
  expect(world.proven).toMatchObject({ from: 0, provenThrough: 8, lag: 0, records: 8, unverifiedOffsets: 0 });
});

test('a copy that was proven and is shorter now is told, after the time that an election may take', async () => {
  world.writeBoth(0, 20);
  world.start();
  await world.pass(5_000);
  world.logs.target.batches.length = world.logs.target.end = 15;
  await world.pass(8_000);
  expect(world.incidents()).toEqual([]);
  await world.pass(20_000);
  expect(world.incidents()).toEqual(['incident COPY_DIFFERENT 15']);
  expect(world.proven.incident?.cause).toContain('the target ends at offset 15 now, and was proven through offset 20');
});

test('what may not be read is told with the right, at once, and ends by itself', async () => {
  world.writeBoth(0, 20);
  world.target.onFetch = (_, answer) => ({ ...answer, errorCode: DENIED, records: null });
  world.start();
  await world.pass(20_000);
  expect(world.incidents()).toEqual(['incident PERMISSION_DENIED undefined']);
  expect(world.proven).toMatchObject({ provenThrough: null, records: 0 });
  world.target.onFetch = () => null;
  await world.pass();
  expect(world.incidents().at(-1)).toBe('incident-ended PERMISSION_DENIED undefined');
  expect(world.proven.provenThrough).toBe(20);
});
