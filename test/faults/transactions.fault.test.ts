/** Faults in the middle of preserved transactions: lost and late answers, coordinators that go, transactions that hang. */
import { expect, onTestFinished } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { encodeProduce, decodeProduce, produceApi } from '#kafka/produce.ts';
import { describeProducers, writeTxnMarkers } from '#kafka/producers.ts';
import { callRaw } from '#kafka/raw-call.ts';
import { ATTRIBUTE_CONTROL, attributesOf, baseOffsetOf, recordCountOf } from '#kafka/records/batch-header.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import { leaderOf as leaderIdOf } from '#kafka/retry.ts';
import { readTail } from '#kafka/simple-log.ts';
import { describeTransactions, initTransactionalId, listTransactions } from '#kafka/transactions.ts';
import { capture, drop, hold, latency } from '#testing/fault-kinds.ts';
import type { ApiName } from '#testing/fault-rule.ts';
import { committedBy, runGroups } from '#testing/group-client.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import type { KafkaVersion } from '#testing/kafka-home.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { must } from '#util/assert.ts';
import { runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { leaderEpochs, leaderOf, waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair, startMirror, type MirrorUnderTest } from './mirror-under-test.ts';
import { injectInto, startProxied } from './network.ts';
import { TwoTopics } from './two-topics.ts';

const toVersion = (version: KafkaVersion) =>
  clusterPair({ source: { proxied: true }, target: { proxied: true, version } });
/** A target that raises the epoch with each transaction (KIP-890), and one where partitions are added by a request. */
const protocols = [
  { name: '4-3', pair: toVersion('4.3.1'), more: [] },
  { name: '3-9', pair: toVersion('3.9.1'), more: ['AddPartitionsToTxn'] },
] as const;
const FIRST_FIVE = [1, 2, 3, 4, 5];

for (const { name, pair, more } of protocols) {
  fault(
    {
      id: `lost-answers-of-transactions-${name}`,
      title: `the first five answers of each request about transactions lost with their connections, from the start, to Kafka ${name.replace('-', '.')}`,
    },
    async (run) => {
      const clusters = await pair();
      const lose = (api: ApiName) =>
        injectInto(clusters, 'target', {
          match: { api, direction: 'response', nth: FIRST_FIVE },
          fault: drop(),
          name: `lost ${api}`,
        });
      const apis = ['InitProducerId', 'EndTxn', 'DescribeTransactions', 'DescribeProducers', ...more] as const;
      const lost = apis.map(lose);
      const mirror = await startProxied(run, clusters);
      for (const each of lost) await each.fired(mirror, 5, 240_000);
      for (const each of lost) run.tookEffect(each.evidence());
      run.figure('all partitions went on within s', (await mirror.advances('all answers arrive')) / 1000);
      await mirror.expectIdenticalAfterwards();
    },
  );

  fault(
    {
      id: `late-end-of-transaction-${name}`,
      share: name === '4-3',
      title: `EndTxn lost with its connection arrives when the next transaction is open, five times, at Kafka ${name.replace('-', '.')}`,
    },
    async (run) => {
      const transactions = { producers: 1, abortRate: 0.5, records: [1, 10] } as const;
      const stream = { transactions, recordsPerSecond: 40 };
      const mirror = await startProxied(run, await pair(), { kinds: ['transactional'], partitions: 1, stream });
      const answers: number[] = [];
      for (let round = 0; round < 5; round++) {
        answers.push(await meetLateEnd(mirror));
        await mirror.advances('after the late end');
      }
      run.tookEffect(`a transaction was open each time, and the late EndTxn was answered with ${answers.join(', ')}`);
      for (const code of answers) expect(code, 'what ended before must not end the next one').not.toBe(0);
      await mirror.expectIdenticalAfterwards();
    },
  );
}

/** Takes one EndTxn away, lets it arrive while the next transaction is open, and returns the broker's error code. */
async function meetLateEnd(mirror: MirrorUnderTest): Promise<number> {
  const proxy = must(mirror.pair.target.proxies[0], 'proxy');
  const topic = mirror.topic('transactional');
  const ghost = capture({ take: true });
  const taken = proxy.inject({ match: { api: 'EndTxn', direction: 'request', topic }, fault: ghost, times: 1 });
  await taken.fired();
  await proxy.inject({ match: { api: 'EndTxn', direction: 'response' }, fault: latency(0), times: 1 }).fired();
  // What is open now stays open until the late one has been answered, past the proxy.
  const open = proxy.inject({ match: { api: 'EndTxn', direction: 'request', topic }, fault: hold() });
  onTestFinished(() => open.end());
  await open.fired();
  const answer = await proxy.replay(must(ghost.frames[0], 'captured request'));
  open.end();
  return answer.readInt16BE(5 + 4); // behind a flexible header: the time of throttling, then the code
}

fault(
  {
    id: 'lost-answers-of-groups',
    title: 'the first five answers of each request about groups lost with their connections, while a group moves on',
  },
  async (run) => {
    const clusters = await protocols[0].pair();
    const lose = (api: ApiName) =>
      injectInto(clusters, 'target', {
        match: { api, direction: 'response', nth: FIRST_FIVE },
        fault: drop(),
        name: `lost ${api}`,
      });
    const lost = (['FindCoordinator', 'JoinGroup', 'SyncGroup', 'Heartbeat', 'OffsetFetch'] as const).map(lose);
    const commits = lose('OffsetCommit');
    const group = `${run.id}.readers`;
    const spec = { sync: { groups: { match: [group], everyMs: 500 } } };
    const mirror = await startProxied(run, clusters, { spec });
    const topic = mirror.topic('plain');
    const [source, target] = [clusters.source.bootstrap, clusters.target.bootstrap];
    let at = 0;
    while (commits.count < 5) {
      const before = commits.count;
      await mirror.until(() => (mirror.positions().get(`${topic}/0`) ?? 0) > at, 'there is more to commit');
      at = must(mirror.positions().get(`${topic}/0`), 'position');
      await runGroups(source, [{ commit: { [group]: { [topic]: { 0: at } } } }]);
      await mirror.until(() => commits.count > before, 'the answer to the commit on the target is lost');
    }
    for (const each of lost) await each.fired(mirror, 5, 240_000);
    for (const each of [...lost, commits]) run.tookEffect(each.evidence());
    run.figure('all partitions went on within s', (await mirror.advances('all answers arrive')) / 1000);
    await runGroups(source, [{ commit: { [group]: { [topic]: { 0: at + 1 } } } }]);
    const isThere = async (): Promise<boolean> =>
      (await committedBy(target, [group]))[group]?.[`${topic}/0`]?.[0] === at + 1;
    await mirror.until(isThere, 'the group has its place on the target');
    await mirror.expectIdenticalAfterwards();
  },
);

// ---- coordinators

const three = clusterPair({
  source: {},
  target: { brokers: 3, properties: { 'broker.session.timeout.ms': '6000' } }, // as in brokers.fault.test.ts
});
/** Each has one partition: its leader coordinates all transactions, or all groups. */
const coordination = ['__transaction_state', '__consumer_offsets'] as const;

fault(
  {
    id: 'coordinators-killed',
    title: 'the coordinators of transactions and of groups on the target killed with SIGKILL, five in all',
  },
  async (run) => {
    const spec = { targetReplicationFactor: 3 };
    const mirror = await startMirror(run, await three(), { name: run.id, mayRepeatEnds: true, spec });
    const { target } = mirror.pair;
    const moves: string[] = [];
    let slowestMs = 0;
    for (let round = 0; round < 5; round++) {
      const topic = must(coordination[round % 2], 'internal topic');
      await waitForInSync(target, [...coordination, ...mirror.topics]);
      const broker = await leaderOf(target, topic);
      const startedAt = performance.now();
      await broker.kill();
      const after = await waitForOther(target, topic, { than: broker.id });
      await mirror.advances(`without coordinator ${broker.id}`);
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      moves.push(`${topic} ${broker.id}→${after}`);
      await broker.start();
    }
    run.tookEffect(`another broker led after each of 5: ${moves.join(', ')}`);
    run.figure('all partitions went on within s', slowestMs / 1000);
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  { id: 'coordinators-moved', title: 'the coordinators of transactions and of groups moved every 3 s, ten times' },
  async (run) => {
    const mirror = await startMirror(run, await three(), { name: run.id, mayRepeatEnds: true });
    const { target } = mirror.pair;
    const epochs = await leaderEpochs(target, coordination);
    const copied = mirror.offsetsCopied();
    const steps = Array.from({ length: 10 }, (_, round) => {
      const [a, b, c] = [round, round + 1, round + 2].map((id) => 1 + (id % 3)) as [number, number, number];
      return [
        { at: (round + 1) * 3_000 },
        {
          reassign: [
            { topic: coordination[0], partition: 0, replicas: [a, b, c] },
            { topic: coordination[1], partition: 0, replicas: [b, c, a] },
          ],
        },
      ];
    }).flat();
    await runAdmin(target.bootstrap, steps);
    const moves = (await leaderEpochs(target, coordination)) - epochs;
    run.figure('offsets copied meanwhile', mirror.offsetsCopied() - copied);
    expect(moves).toBeGreaterThanOrEqual(18); // either may have been where the first round puts it
    expect(mirror.offsetsCopied(), 'it goes on while coordinators move').toBeGreaterThan(copied);
    run.tookEffect(`the leader epochs of both internal topics have risen by ${moves}`);
    await mirror.advances('after the last move');
    await mirror.expectIdenticalAfterwards();
  },
);

// ---- a transaction that nobody ends

/** Its leader takes batches of transactions that it was not told of, as all did before KIP-890: such a one hangs. */
const unverified = clusterPair({
  source: { properties: { 'transaction.partition.verification.enable': 'false' } },
  target: {},
});

fault(
  {
    id: 'transaction-hangs-preserved',
    title:
      'a transaction hangs on the source under load: named with its producer and for how long, until it is aborted',
  },
  async (run) => {
    const clusters = await unverified();
    const shape = { transactions: { producers: 2, abortRate: 0.2, records: [1, 20] } } as const;
    const scene = await TwoTopics.open(run, clusters, { shape, policy: { transactions: 'preserve' } });
    const lockstep = await scene.start();
    const source = await connectedTo(clusters.source);
    const hung = await hangTransaction(source, { topic: scene.hit, transactionalId: `${run.id}.orders` });
    const { lastStable, highWatermark } = await scene.bounds('source');
    expect([lastStable, highWatermark]).toEqual([hung.offset, hung.offset + 1]);
    run.tookEffect(`producer ${hung.producerId} holds the last stable offset of the source at ${hung.offset}`);
    await scene.load();

    const warned = (): string | undefined =>
      lockstep.events.flatMap((event) =>
        event.event === 'warning' && event.code === 'SHARD_TRANSACTION_OPEN' ? [event.message] : [],
      )[0];
    await lockstep.until(() => warned() !== undefined, 'the transaction is named', 150_000);
    const [, seconds] = /since (\d+) s/.exec(warned() ?? '') ?? [];
    expect(Number(seconds), 'for how long').toBeGreaterThanOrEqual(60);
    expect(warned()).toContain(`open from offset ${hung.offset} on, of producer id ${hung.producerId}`);
    expect(warned()).toMatch(new RegExp(`"${run.id}.orders" \\(it hangs`));
    run.tookEffect(warned() ?? '');
    expect(scene.position(lockstep), 'nothing is copied behind it').toBe(hung.offset);
    expect(lockstep.incidents).toEqual([]);
    await scene.caughtUp(lockstep, [scene.other]);

    // As kafka-transactions.sh abort does.
    await writeTxnMarkers(source, {
      topic: scene.hit,
      partition: 0,
      producerId: hung.producerId,
      coordinatorEpoch: 0,
      count: 1,
    });
    await scene.caughtUp(lockstep);
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    await scene.expectSame();
  },
);

/** As a broker leaves it that is told of an end before it has taken the partition over (decision 5). */
const trusting = clusterPair({
  source: {},
  target: { properties: { 'transaction.partition.verification.enable': 'false' } },
});

fault(
  {
    id: 'end-never-came',
    title:
      'a commit and an abort that the coordinator of the target has as complete never came to the partition: the mirror writes them',
  },
  async (run) => {
    const clusters = await trusting();
    const shapeOf = (abortRate: number) => ({ transactions: { producers: 1, abortRate, records: [5, 5] } }) as const;
    const scene = await TwoTopics.open(run, clusters, { shape: shapeOf(0), policy: { transactions: 'preserve' } });
    const copy = async (): Promise<void> => {
      const copied = await runUntilCaughtUp(scene.file);
      expect([copied.code, copied.incidents], told(copied)).toEqual([0, []]);
    };
    await copy();
    const source = await connectedTo(clusters.source);
    const target = await connectedTo(clusters.target);
    const place = { topic: scene.hit, partition: 0 };
    for (const abortRate of [0, 1]) {
      await scene.write(5, [scene.hit], shapeOf(abortRate));
      const { highWatermark: end } = await scene.bounds('target');
      const slots = (await listTransactions(target, { producerIds: [] })).filter(({ transactionalId }) =>
        transactionalId.includes(`${scene.hit}-0-`),
      );
      const { transactionalId } = must(slots[0], 'a slot');
      const slot = must((await describeTransactions(target, [transactionalId]))[0], 'its transaction');
      expect(slot.status).toMatch(/^Complete/);
      const known = (await describeProducers(target, place)).find(({ producerId }) => producerId === slot.producerId);
      let baseSequence = known?.producerEpoch === slot.producerEpoch ? known.lastSequence + 1 : 0;
      const { batches } = await readTail(source, { ...place, fromOffset: end, maxBytes: 1_000_000 });
      for (const { buffer, at, size } of batches) {
        const batch = Buffer.from(buffer.subarray(at, at + size));
        if ((attributesOf(batch, 0) & ATTRIBUTE_CONTROL) !== 0) break;
        const offset = baseOffsetOf(batch, 0);
        patchBatchHeader(batch, 0, { ...slot, baseSequence }, 0);
        batch.writeBigInt64BE(0n, 0);
        expect(await produceUnasked(target, { ...place, transactionalId, batch })).toBe(offset);
        baseSequence += recordCountOf(batch, 0);
      }
      const { lastStable } = await scene.bounds('target');
      expect(lastStable, 'nobody will end it').toBe(end);
      run.tookEffect(`open on the target from ${end} on, ${slot.status} for its coordinator`);
      await copy();
      expect((await scene.bounds('target')).lastStable).toBe(await scene.end('source'));
    }
    await scene.expectSame();
  },
);

async function connectedTo({ bootstrap }: KafkaCluster): Promise<Cluster> {
  const cluster = openCluster(bootstrap);
  onTestFinished(() => cluster.close());
  await cluster.connect();
  return cluster;
}

/** Writes a record in a transaction of which the coordinator never hears. */
async function hangTransaction(
  cluster: Cluster,
  { topic, transactionalId }: { readonly topic: string; readonly transactionalId: string },
): Promise<{ readonly producerId: number; readonly offset: number }> {
  const producer = await initTransactionalId(cluster, transactionalId, { timeoutMs: 60_000 });
  const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
  writer.appendRecord({ timestamp: Date.now(), key: null, value: Buffer.from('hangs') });
  const batch = writer.finish({ ...producer, baseSequence: 0 }, { isTransactional: true });
  const offset = await produceUnasked(cluster, { topic, partition: 0, transactionalId, batch });
  return { producerId: producer.producerId, offset };
}

/** Has a leader append a batch of a transaction of which the coordinator is not told; returns its offset. */
async function produceUnasked(
  cluster: Cluster,
  write: {
    readonly topic: string;
    readonly partition: number;
    readonly transactionalId: string;
    readonly batch: Buffer;
  },
): Promise<number> {
  const { topic, partition, transactionalId, batch: buffer } = write;
  const topics = [{ name: topic, partitions: [{ partition, buffer, start: 0, end: buffer.length }] }];
  await cluster.refresh([topic]);
  const connection = await cluster.connection(await leaderIdOf(cluster, topic, partition));
  const request = { api: produceApi, chunks: encodeProduce(topics, 10_000, { transactionalId }), timeoutMs: 10_000 };
  const { results } = await callRaw(connection, request, decodeProduce);
  const { errorCode, baseOffset } = must(results[0], 'result');
  expect(errorCode).toBe(0);
  return baseOffset;
}
