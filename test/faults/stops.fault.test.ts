/** A graceful stop, in every state that a mirror can be in: shown to hold when the signal is sent, and over within the deadline. */
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { blackHole } from '#testing/fault-kinds.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeWorkload } from '#testing/workload.ts';
import { createRaisedTopic } from '../acceptance/raised-start.ts';
import { writeLink, type Link } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, startMirror } from './mirror-under-test.ts';
import { injectInto, startProxied } from './network.ts';

const properties = { 'quota.window.num': '2', 'quota.window.size.seconds': '1' };
const pair = clusterPair({ source: {}, target: { proxied: true, properties } });

/** docs/operating/limits.md: what is in flight gets 10 s, then its connections are closed; the rest is for the machine. */
const STOP_MS = 10_000;
const MARGIN_MS = 5_000;

/** Sends the signal, and holds the process to the deadline. `state` says what was seen of the state it is in. */
async function stops(
  run: FaultRun,
  lockstep: LockstepProcess,
  state: string,
  signal: NodeJS.Signals = 'SIGTERM',
): Promise<void> {
  run.tookEffect(`${signal} while ${state}`);
  const startedAt = performance.now();
  lockstep.signal(signal);
  const ended = await lockstep.ended(STOP_MS + MARGIN_MS);
  run.figure('stopped within s', (performance.now() - startedAt) / 1000);
  expect(ended.code, told(ended)).toBe(130);
  run.outcome('ended with 130 within the deadline');
}

/** A process of its own on a file, ended with the test. */
function start(link: Omit<Link, 'mirrors'>, name: string, topics: readonly object[]): LockstepProcess {
  const lockstep = LockstepProcess.run(writeLink({ ...link, mirrors: { [name]: { topics, refreshMs: 500 } } }));
  onTestFinished(() => lockstep.kill());
  return lockstep;
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  fault(
    {
      id: `stop-copying-${signal.toLowerCase()}`,
      title: `${signal} while records are copied`,
    },
    async (run) => {
      const mirror = await startMirror(run, await pair(), { name: run.id });
      await mirror.advances('under traffic');
      await stops(run, mirror.process, 'every partition was copying', signal);
    },
  );

fault({ id: 'stop-source-dead', title: 'SIGTERM while the source is dead' }, async (run) => {
  const mirror = await startMirror(run, await pair(), { name: run.id, recordsPerSecond: 0 });
  await Promise.all(mirror.pair.source.brokers.map((broker) => broker.kill()));
  await mirror.until(() => mirror.warnings().some((text) => text.startsWith('SHARD_WAITING')), 'partitions wait');
  await stops(run, mirror.process, 'no broker of the source ran, and partitions waited for it');
});

fault(
  { id: 'stop-target-paused', title: 'SIGTERM while the target is paused, with records on their way' },
  async (run) => {
    const mirror = await startMirror(run, await pair(), { name: run.id });
    const brokers = mirror.pair.target.brokers;
    onTestFinished(async () => void (await Promise.all(brokers.map((broker) => broker.resume()))));
    await Promise.all(brokers.map((broker) => broker.pause()));
    await mirror.until(() => (mirror.lagRecords() ?? 0) > 300, 'the lag grows');
    await stops(run, mirror.process, `the target was stopped by SIGSTOP and ${mirror.lagRecords()} records behind`);
  },
);

fault(
  { id: 'stop-target-black-hole', title: 'SIGTERM while nothing comes back from the target', share: true },
  async (run) => {
    const { source, target } = await pair();
    const link = { source: source.bootstrap, target: target.proxiedBootstrap };
    const mirror = await startProxied(run, { source, target }, { link });
    const hole = injectInto(mirror.pair, 'target', { match: { direction: 'response' }, fault: blackHole() });
    await hole.fired(mirror);
    await mirror.until(() => (mirror.lagRecords() ?? 0) > 300, 'the lag grows');
    await stops(run, mirror.process, hole.evidence());
  },
);

fault({ id: 'stop-filling-start', title: 'SIGTERM while offsets below the start are filled' }, async (run) => {
  const { source, target } = await pair();
  await createRaisedTopic(source.bootstrap, run.id, { partitions: 1, logStart: 400_000_000 });
  const lockstep = start({ source: source.bootstrap, target: target.bootstrap }, run.id, [{ match: run.id }]);
  const isAligning = (): boolean => lockstep.status(run.id)?.shards.some(({ state }) => state === 'aligning') ?? false;
  await lockstep.until(isAligning, 'the partition is aligned', 120_000);
  await stops(run, lockstep, 'the partition was filled up to offset 400,000,000');
});

fault({ id: 'stop-filling-holes', title: 'SIGTERM while holes are filled' }, async (run) => {
  const { source, target } = await pair();
  await createTopics(source.bootstrap, [{ name: run.id, partitions: 2 }]);
  const stream = {
    name: 'short',
    topic: run.id,
    partitions: [0, 1],
    records: 3_000,
    transactions: { producers: 1, abortRate: 0, records: [1, 1] as const },
  };
  await writeWorkload(source.bootstrap, { topics: [], streams: [stream] });
  const link = {
    source: source.bootstrap,
    target: target.bootstrap,
    mirrors: { [run.id]: { topics: [{ match: run.id }], transactions: 'committed-only' as const } },
  };
  const lockstep = LockstepProcess.run(writeLink(link));
  onTestFinished(() => lockstep.kill());
  const shards = () => lockstep.status(run.id)?.shards ?? [];
  const isFilling = (): boolean =>
    shards().some(({ holesFilled, lagRecords }) => holesFilled > 20 && (lagRecords ?? 0) > 300);
  await lockstep.until(isFilling, 'holes are filled', 120_000);
  await stops(
    run,
    lockstep,
    `holes were filled, ${shards()
      .map((shard) => `${shard.holesFilled} so far and ${shard.lagRecords} offsets to go`)
      .join('; ')}`,
  );
});

fault({ id: 'stop-throttled', title: 'SIGTERM while the target throttles the mirror' }, async (run) => {
  const mirror = await startMirror(run, await pair(), { name: run.id, kinds: ['plain'] });
  const { bootstrap } = mirror.pair.target;
  onTestFinished(async () => void (await runAdmin(bootstrap, [{ setQuotas: { producer_byte_rate: null } }])));
  await runAdmin(bootstrap, [{ setQuotas: { producer_byte_rate: 2_000 } }]);
  await mirror.until(() => (mirror.lagRecords() ?? 0) > 1_000, 'the lag grows under the quota', 120_000);
  await stops(run, mirror.process, `a quota of 2 kB/s held it ${mirror.lagRecords()} records behind`);
});

fault({ id: 'stop-waiting-for-topics', title: 'SIGTERM while no topic matches' }, async (run) => {
  const { source, target } = await pair();
  const lockstep = start({ source: source.bootstrap, target: target.bootstrap }, run.id, [{ match: 'no.such.topic' }]);
  const isWaiting = (): boolean =>
    lockstep.events.some((event) => event.event === 'warning' && event.code === 'TOPIC_RULE_EMPTY');
  await lockstep.until(isWaiting, 'the rule is said to be empty');
  await stops(run, lockstep, 'it waited for a topic that is not there');
});

fault(
  { id: 'stop-before-contact', title: 'SIGTERM while the bootstrap addresses swallow everything', share: true },
  async (run) => {
    const { source } = await pair();
    let bytes = 0;
    const hole = createServer((socket) => {
      socket.on('data', (data) => (bytes += data.length));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => hole.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void hole.close());
    const address = `127.0.0.1:${(hole.address() as AddressInfo).port}`;
    const lockstep = start({ source: source.bootstrap, target: [address, address, address] }, run.id, [{ match: 'x' }]);
    await lockstep.until(() => bytes > 0, 'the first request has been swallowed');
    await stops(
      run,
      lockstep,
      `${bytes} bytes had been sent to an address that answers nothing, and no mirror had started`,
    );
    expect(lockstep.events.filter(({ event }) => event === 'started')).toEqual([]);
  },
);

fault({ id: 'stop-all-stopped', title: 'SIGTERM while incidents have stopped every partition' }, async (run) => {
  const { source, target } = await pair();
  const mirror = await startMirror(
    run,
    { source, target },
    { name: run.id, kinds: ['plain'], spec: { sync: { configs: false } } },
  );
  const [topic = ''] = mirror.topics;
  await runAdmin(target.bootstrap, [{ setConfigs: { topic, configs: { 'message.timestamp.before.max.ms': '1' } } }]);
  const areStopped = (): boolean => mirror.shards().every(({ incident }) => incident?.code === 'SHARD_BATCH_REFUSED');
  await mirror.until(areStopped, 'every partition is stopped', 120_000);
  await stops(run, mirror.process, `${mirror.shards().length} partitions were stopped by SHARD_BATCH_REFUSED`);
});
