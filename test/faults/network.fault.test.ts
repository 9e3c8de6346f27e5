/** What a network does to the connections of a mirror, and what brokers say when they are in trouble, under live load. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { errorCode, flipRecordBit, moveLeader } from '#testing/answer-faults.ts';
import { bandwidth, blackHole, capture, drop, halfOpen, latency, reset, slice } from '#testing/fault-kinds.ts';
import type { ApiName } from '#testing/fault-rule.ts';
import type { Direction } from '#testing/frame-splitter.ts';
import { Reader } from '#kafka/protocol/reader.ts';
import { decodeProduce } from '#kafka/produce.ts';
import { must } from '#util/assert.ts';
import { fault } from './fault.ts';
import type { FaultRun } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import type { MirrorUnderTest, Side } from './mirror-under-test.ts';
import { injectInto, startProxied } from './network.ts';
import type { NetworkFault } from './network.ts';
import { readBounds, TwoTopics } from './two-topics.ts';

const pair = clusterPair({ source: { proxied: true }, target: { brokers: 3, proxied: true } });
const sides = ['source', 'target'] as const;
/** What is written in transactions, and what has holes. */
const everyKind = ['plain', 'transactional', 'compacted'] as const;

/** Says what took effect, waits until every partition goes on, and holds the mirror to its promise. */
async function heals(run: FaultRun, mirror: MirrorUnderTest, faults: readonly NetworkFault[]): Promise<void> {
  for (const each of faults) {
    each.end();
    expect(each.count).toBeGreaterThan(0);
    run.tookEffect(each.evidence());
  }
  run.figure('all partitions went on within s', (await mirror.advances('the network is well again')) / 1000);
  await mirror.expectIdenticalAfterwards();
}

// ---- nothing passes

/** Past the deadline of every request (30 s). */
const holeMs = 35_000;

for (const side of sides)
  for (const direction of ['request', 'response'] as const) {
    const way = direction === 'request' ? `to the ${side}` : `from the ${side}`;
    fault(
      {
        id: `black-hole-${direction === 'request' ? 'to' : 'from'}-${side}`,
        title: `nothing passes ${way} for 35 s; what was held arrives late`,
      },
      async (run) => {
        const mirror = await startProxied(run, await pair());
        const hole = injectInto(mirror.pair, side, { match: { direction }, fault: blackHole() });
        await hole.fired(mirror);
        await mirror.lasts(holeMs);
        await heals(run, mirror, [hole]);
      },
    );
  }

for (const closed of ['client', 'broker'] as const)
  fault(
    { id: `half-open-${closed}`, title: `connections of which only the ${closed}'s side is closed, on both legs` },
    async (run) => {
      const mirror = await startProxied(run, await pair());
      const legs = [
        injectInto(mirror.pair, 'source', { match: { api: 'Fetch' }, fault: halfOpen(closed), times: 1 }),
        injectInto(mirror.pair, 'target', { match: { api: 'Produce' }, fault: halfOpen(closed), times: 1 }),
      ];
      for (const leg of legs) await leg.fired(mirror);
      const ms = await mirror.advances('on new connections, while the old ones stand');
      run.figure('went on beside the old connections within s', ms / 1000);
      await heals(run, mirror, legs);
    },
  );

// ---- less passes, or slowly

fault({ id: 'reset-mid-frame', title: 'connections reset within frames, on both legs and both ways' }, async (run) => {
  const mirror = await startProxied(run, await pair());
  const cut = (side: Side, api: ApiName, direction: Direction): NetworkFault =>
    injectInto(mirror.pair, side, {
      match: { api, direction, nth: Array.from({ length: 100 }, (_, i) => (i + 1) * 40) },
      fault: reset({ midFrame: true }),
      name: `reset within ${direction}s`,
    });
  const legs = [
    cut('source', 'Fetch', 'response'),
    cut('target', 'Produce', 'request'),
    cut('target', 'Produce', 'response'),
  ];
  for (const leg of legs) await leg.fired(mirror, 5);
  const { connections } = must(mirror.pair.source.proxies[0], 'proxy');
  expect(connections, 'connections to the source that are open').toBeLessThan(10);
  await heals(run, mirror, legs);
});

fault({ id: 'slices', title: 'everything in slices of 1 to 7 bytes, on both legs' }, async (run) => {
  const mirror = await startProxied(run, await pair(), { recordsPerSecond: 15 });
  const legs = sides.map((side) => injectInto(mirror.pair, side, { match: {}, fault: slice(1, 7) }));
  await mirror.advances('in slices');
  await mirror.lasts(10_000);
  await mirror.advances('in slices');
  await heals(run, mirror, legs);
});

for (const [ms, jitterMs] of [
  [80, 20],
  [250, 0],
] as const)
  fault({ id: `latency-${ms}`, title: `answers ${ms}±${jitterMs} ms later on both legs, for 20 s` }, async (run) => {
    const mirror = await startProxied(run, await pair());
    const match = { direction: 'response' } as const;
    const legs = sides.map((side) => injectInto(mirror.pair, side, { match, fault: latency(ms, jitterMs) }));
    await mirror.lasts(20_000);
    run.figure('all partitions advance within s', (await mirror.advances('with latency')) / 1000);
    run.figure('lag then, in records', mirror.lagRecords() ?? 'unknown');
    await heals(run, mirror, legs);
  });

fault({ id: 'bandwidth', title: '1 Mbit/s each way on both legs, for 20 s' }, async (run) => {
  const mirror = await startProxied(run, await pair());
  const legs = sides.flatMap((side) =>
    (['request', 'response'] as const).map((direction) =>
      injectInto(mirror.pair, side, {
        match: { direction },
        fault: bandwidth(125_000),
        name: `1 Mbit/s, ${direction}s`,
      }),
    ),
  );
  await mirror.lasts(20_000);
  run.figure('all partitions advance within s', (await mirror.advances('at 1 Mbit/s')) / 1000);
  await heals(run, mirror, legs);
});

// ---- what passes is damaged

for (const [side, match] of [
  ['source', { api: 'Fetch', direction: 'response' }],
  ['target', { api: 'Produce', direction: 'request' }],
] as const)
  fault(
    {
      id: `bit-flips-${side}`,
      title: `bits of records flip now and then on the way ${side === 'source' ? 'from' : 'to'} the ${side}`,
    },
    async (run) => {
      // So many that the next one is not the same batch again.
      const mirror = await startProxied(run, await pair(), { recordsPerSecond: 150 });
      // So far apart that a batch is fetched again, some 200 ms later, between two: of one that is damaged twice in a row a
      // person is told.
      const nth = Array.from({ length: 1_000 }, (_, i) => 60 * (i + 1));
      const flips = injectInto(mirror.pair, side, { match: { ...match, nth }, fault: flipRecordBit() });
      await flips.fired(mirror, 10, 120_000);
      await heals(run, mirror, [flips]);
    },
  );

fault({ id: 'bit-flips-always', title: 'a bit of every answer with records flips for some seconds' }, async (run) => {
  const mirror = await startProxied(run, await pair(), { kinds: ['plain'], partitions: 1 });
  const match = { api: 'Fetch', direction: 'response' } as const;
  const flips = injectInto(mirror.pair, 'source', { match, fault: flipRecordBit() });
  await mirror.until(() => mirror.incidents().length > 0, 'the incident is told');
  flips.end();
  run.tookEffect(flips.evidence());
  await mirror.advances('the line is sound again');
  await mirror.expectIdenticalAfterwards({ incidents: ['SHARD_BATCH_CORRUPT'] });
});

// ---- answers are lost: what was asked has been done

fault(
  {
    id: 'lost-answers',
    title:
      'the answers of the first, second and third request of every kind lost with their connections, from the start',
    share: true,
  },
  async (run) => {
    const clusters = await pair();
    const lose = (side: Side, api: ApiName): NetworkFault =>
      injectInto(clusters, side, {
        match: { api, direction: 'response', nth: [1, 2, 3] },
        fault: drop(),
        name: `lost ${api}`,
      });
    const onTarget = ['CreateTopics', 'InitProducerId', 'Produce', 'EndTxn'] as const;
    const lost = onTarget.map((api) => lose('target', api));
    lost.push(lose('source', 'Fetch'));
    const mirror = await startProxied(run, clusters, { spec: { refreshMs: 1_000 } });
    lost.push(lose('source', 'Metadata')); // before: a cluster that cannot be reached at the start ends the command
    for (const each of lost) await each.fired(mirror, 3);
    await heals(run, mirror, lost);
  },
);

/** While data flow. */
for (const [side, api] of [
  ['target', 'Produce'],
  ['target', 'WriteTxnMarkers'],
  ['source', 'Fetch'],
  ['source', 'Metadata'],
  ['target', 'Metadata'],
] as const)
  fault(
    {
      id: `lost-answer-${kebab(api)}${api === 'Metadata' ? `-${side}` : ''}`,
      title: `the answers of the first, second and third ${api} of the ${side} lost with their connections`,
    },
    async (run) => {
      // Metadata is asked every second, and whenever a leader is in doubt; the ends of transactions are holes.
      const spec = { refreshMs: 1_000, transactions: 'committed-only' } as const;
      const mirror = await startProxied(run, await pair(), { spec });
      const lost = injectInto(mirror.pair, side, {
        match: { api, direction: 'response', nth: [1, 2, 3] },
        fault: drop(),
      });
      await lost.fired(mirror, 3);
      await heals(run, mirror, [lost]);
    },
  );

/** Before anything flows. */
for (const api of ['InitProducerId', 'CreateTopics'] as const)
  fault(
    {
      id: `lost-answer-${kebab(api)}`,
      title: `the answers of the first, second and third ${api} lost with their connections`,
    },
    async (run) => {
      const lost = injectInto(await pair(), 'target', {
        match: { api, direction: 'response', nth: [1, 2, 3] },
        fault: drop(),
      });
      const mirror = await startProxied(run, await pair());
      expect(lost.count).toBeGreaterThanOrEqual(3);
      await heals(run, mirror, [lost]);
    },
  );

fault(
  {
    id: 'lost-answer-delete-records',
    title: 'the answers of up to three DeleteRecords lost with their connections, at the start of a log',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), {
      replicationFactor: 1,
      spec: { targetReplicationFactor: 1 },
    });
    await scene.admin('source', [{ deleteRecords: { topic: scene.hit, before: { 0: 300 } } }]);
    const { source, target } = await pair();
    const match = { api: 'DeleteRecords', direction: 'response', nth: [1, 2, 3] } as const;
    const lost = injectInto({ source, target }, 'target', { match, fault: drop() });
    const mirror = await scene.start(
      scene.linkFile({}, { source: source.proxiedBootstrap, target: target.proxiedBootstrap }),
    );
    expect(lost.count).toBeGreaterThanOrEqual(1);
    run.tookEffect(lost.evidence());
    expect((await scene.bounds('target')).logStart).toBe(300);
    await scene.finish(mirror, []);
    await scene.expectSame();
  },
);

for (const [side, api] of [
  ['target', 'Produce'],
  ['source', 'Fetch'],
] as const)
  fault(
    {
      id: `silent-after-${kebab(api)}`,
      title: `the answer of one ${api} lost, and its connection silent from then on`,
    },
    async (run) => {
      const mirror = await startProxied(run, await pair());
      const match = { api, direction: 'response' } as const;
      const lost = injectInto(mirror.pair, side, { match, fault: drop('silence'), times: 1 });
      await lost.fired(mirror);
      await heals(run, mirror, [lost]);
    },
  );

// ---- ghosts

type Moment = 'at once' | 'after a look' | 'at the end';

/** Takes one Produce away with its connection, lets it arrive at a moment, and returns what the broker said to it. */
async function meetGhost(run: FaultRun, mirror: MirrorUnderTest, moment: Moment): Promise<string> {
  const topic = mirror.topic('plain');
  const ghost = capture({ take: true });
  const name = `${mirror.name}: taken, to arrive ${moment}`;
  const match = { api: 'Produce', direction: 'request', topic } as const;
  const taken = injectInto(mirror.pair, 'target', { match, fault: ghost, times: 1, name });
  await taken.fired(mirror);
  const proxies = mirror.pair.target.proxies.filter(({ journal }) => journal.some(({ rule }) => rule === name));
  const endOf = async (): Promise<number> => (await readBounds(mirror.pair.target, topic)).highWatermark;
  const before = await endOf();
  if (moment === 'after a look') {
    const look = { api: 'ListOffsets', direction: 'response', topic } as const;
    await injectInto(mirror.pair, 'target', { match: look, fault: latency(0), times: 1 }).fired(mirror);
  }
  if (moment === 'at the end') await mirror.until(async () => (await endOf()) > before, 'it is written again');
  const end = await endOf();
  const answer = await must(proxies[0], 'proxy').replay(must(ghost.frames[0], 'captured request'));
  run.tookEffect(taken.evidence());
  taken.end();
  return resultOf(answer, end);
}

fault(
  {
    id: 'ghost-produce',
    title:
      'Produce requests lost with their connections arrive later on others: at once, between a look and a write, and at the end',
    share: true,
  },
  async (run) => {
    const mirror = await startProxied(run, await pair(), { partitions: 1, kinds: ['plain'] });
    const answers: string[] = [];
    for (const moment of ['at once', 'after a look', 'at the end'] as const) {
      answers.push(`${moment}: ${await meetGhost(run, mirror, moment)}`);
      await mirror.advances('after the ghost');
    }
    run.tookEffect(`answers to the ghosts: ${answers.join(', ')}`);
    expect(answers.at(-1), 'what has been written since is in the way of the last one').toMatch(/error 45|already/);
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  {
    id: 'ghost-without-sequences',
    title: 'a Produce request arrives late, and the mirror has its sequence rule switched off: the fault can do harm',
  },
  async (run) => {
    const script = join(import.meta.dirname, '..', 'acceptance', 'unguarded-run.ts');
    const options = {
      partitions: 1,
      kinds: ['plain'],
      process: { script, env: { LOCKSTEP_UNGUARDED: 'sequence' } },
    } as const;
    const mirror = await startProxied(run, await pair(), options);
    const answer = await meetGhost(run, mirror, 'at the end');
    run.tookEffect(`answer to the ghost: ${answer}`);
    expect(answer).toMatch(/^appended/);
    await mirror.until(() => mirror.incidents().length > 0, 'it finds what it has not written');
    expect(mirror.incidents().map(({ code }) => code)).toEqual(['SHARD_DIVERGED']);
    run.outcome('a record twice, and stopped with SHARD_DIVERGED: the sequence rule is what keeps ghosts out');
  },
);

/** What a broker said to a replayed request when the log ended there. */
function resultOf(response: Buffer, end: number): string {
  const { results } = decodeProduce(new Reader(response, 5, response.length));
  const { errorCode: code, baseOffset } = must(results[0], 'result');
  if (code !== 0) return `error ${code}`;
  return `${baseOffset < end ? 'already' : 'appended'} at offset ${baseOffset}`;
}

// ---- brokers in trouble

/** Each code over all partitions of some answers, one code after the other. */
async function errors(
  run: FaultRun,
  spec: { side: Side; api: ApiName; codes: readonly number[]; topic?: string },
): Promise<void> {
  const mirror = await startProxied(run, await pair());
  for (const code of spec.codes) {
    const match = { api: spec.api, direction: 'response' as Direction, ...(spec.topic ? { topic: spec.topic } : {}) };
    const rewritten = injectInto(mirror.pair, spec.side, { match, fault: errorCode(code), times: 3 });
    await rewritten.fired(mirror, 3);
    rewritten.end();
    run.tookEffect(rewritten.evidence());
    const ms = await mirror.advances(`after error ${code} of ${spec.api}`);
    run.figure(`all partitions went on after error ${code} within s`, ms / 1000);
  }
  await mirror.expectIdenticalAfterwards();
}

fault(
  {
    id: 'errors-of-produce',
    title: 'Produce is answered with 7, 19, 20, 56, 6 and −1, each three times, although the records were appended',
    timeoutMs: 400_000,
  },
  (run) => errors(run, { side: 'target', api: 'Produce', codes: [7, 19, 20, 56, 6, -1] }),
);

fault(
  { id: 'errors-of-fetch', title: 'Fetch is answered with 6, 74 and 78, each three times', timeoutMs: 400_000 },
  (run) => errors(run, { side: 'source', api: 'Fetch', codes: [6, 74, 78] }),
);

fault(
  {
    id: 'errors-of-others',
    title:
      'ListOffsets, Metadata, WriteTxnMarkers, InitProducerId and CreateTopics answered with errors that pass, from the start',
  },
  async (run) => {
    const clusters = await pair();
    const answered = (side: Side, api: ApiName, code: number): NetworkFault => {
      const match = { api, direction: 'response' } as const;
      return injectInto(clusters, side, { match, fault: errorCode(code), times: 2, name: `${api} answered ${code}` });
    };
    const faults = [
      answered('target', 'CreateTopics', 41), // NOT_CONTROLLER
      answered('target', 'InitProducerId', 14), // COORDINATOR_LOAD_IN_PROGRESS
      answered('target', 'InitProducerId', 16), // NOT_COORDINATOR
      answered('target', 'WriteTxnMarkers', 6), // NOT_LEADER_OR_FOLLOWER
      answered('target', 'WriteTxnMarkers', 7), // REQUEST_TIMED_OUT
      answered('target', 'ListOffsets', 78), // OFFSET_NOT_AVAILABLE
      answered('source', 'ListOffsets', 5), // LEADER_NOT_AVAILABLE
      answered('source', 'Metadata', 5),
    ];
    const mirror = await startProxied(run, clusters, { kinds: everyKind, spec: { refreshMs: 1_000 } });
    for (const each of faults) await each.fired(mirror);
    await heals(run, mirror, faults);
  },
);

for (const side of sides)
  fault(
    {
      id: `stale-leaders-${side}`,
      title: `Metadata of the ${side} names ${side === 'target' ? 'other leaders' : 'no leaders'}, or the right ones, by turns of 2 s, while leaders are in doubt`,
    },
    async (run) => {
      const mirror = await startProxied(run, await pair(), { spec: { refreshMs: 1_000 } });
      const wrong = moveLeader((leader) => (side === 'source' ? -1 : (leader % 3) + 1));
      const match = { api: 'Metadata', direction: 'response' } as const;
      const turns: NetworkFault[] = [];
      const positions = mirror.positions();
      for (let turn = 0; turn < 8; turn++) {
        const moved = injectInto(mirror.pair, side, { match, fault: wrong, name: `wrong leaders, turn ${turn + 1}` });
        // A client that has no doubt does not ask: NOT_LEADER_OR_FOLLOWER raises it.
        const doubt = { api: side === 'source' ? 'Fetch' : 'Produce', direction: 'response' } as const;
        injectInto(mirror.pair, side, { match: doubt, fault: errorCode(6), times: 1 });
        await mirror.lasts(2_000);
        moved.end();
        turns.push(moved);
        await mirror.lasts(2_000);
      }
      const copied = [...mirror.positions()].reduce((sum, [place, at]) => sum + at - (positions.get(place) ?? 0), 0);
      const took = turns.filter(({ count }) => count > 0);
      expect(took.length).toBeGreaterThan(3);
      expect(copied, 'it goes on while leaders are in doubt').toBeGreaterThan(0);
      run.figure('offsets copied meanwhile', copied);
      for (const turn of took.slice(0, 1))
        run.tookEffect(`in ${took.length} of 8 turns; in the first: ${turn.evidence()}`);
      run.figure('all partitions went on within s', (await mirror.advances('leaders are as told')) / 1000);
      await mirror.expectIdenticalAfterwards();
    },
  );

function kebab(api: string): string {
  return api.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
}
