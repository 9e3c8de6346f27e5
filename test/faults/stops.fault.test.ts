/** A graceful stop, in every state that a mirror can be in: shown to hold when the signal is sent, and over within the deadline. */
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { blackHole, latency } from '#testing/fault-kinds.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeWorkload } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRaisedTopic } from '../acceptance/raised-start.ts';
import { writeLink, type Link } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, startMirror, type ClusterPair, type MirrorUnderTest } from './mirror-under-test.ts';
import { readLeaders } from './leaders.ts';
import { injectInto, startProxied } from './network.ts';
import { onSmallDisk } from './small-disk.ts';

const properties = { 'quota.window.num': '2', 'quota.window.size.seconds': '1' };
const pair = clusterPair({ source: { proxied: true, properties }, target: { proxied: true, properties } });
const toThree = clusterPair({
  source: {},
  target: { brokers: 3, properties: { 'broker.session.timeout.ms': '6000' } },
});
/** Whoever comes through the proxy of the target logs in. */
const user = 'mirror';
const toGuarded = clusterPair({
  source: {},
  target: { proxied: true, secure: { users: { [user]: 'first' }, authorizer: false } },
});

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

for (const [id, side, direction] of [
  ['stop-target-black-hole', 'target', 'response'],
  ['stop-black-hole-to-target', 'target', 'request'],
  ['stop-black-hole-from-source', 'source', 'response'],
  ['stop-black-hole-to-source', 'source', 'request'],
] as const)
  fault(
    {
      id,
      title: `SIGTERM while nothing ${direction === 'response' ? 'comes back from' : 'arrives at'} the ${side}`,
    },
    async (run) => {
      const mirror = await startProxied(run, await pair());
      const hole = injectInto(mirror.pair, side, { match: { direction }, fault: blackHole() });
      await hole.fired(mirror);
      if (side === 'target') await mirror.until(() => (mirror.lagRecords() ?? 0) > 300, 'the lag grows');
      else await standsStill(mirror);
      await stops(run, mirror.process, hole.evidence());
    },
  );

/** Nothing has been copied for 5 s, although the source is written to. */
async function standsStill(mirror: MirrorUnderTest): Promise<void> {
  let [copied, since] = [-1, 0];
  const isStill = (): boolean => {
    if (mirror.offsetsCopied() !== copied) [copied, since] = [mirror.offsetsCopied(), performance.now()];
    return performance.now() - since > 5_000;
  };
  await mirror.until(isStill, 'nothing is copied any more');
}

/** One kind of request at a time is never answered, from the start on. */
for (const [side, api] of [
  ['source', 'Metadata'],
  ['source', 'Fetch'],
  ['target', 'CreateTopics'],
  ['target', 'InitProducerId'],
  ['target', 'Produce'],
  ['target', 'WriteTxnMarkers'],
] as const)
  fault(
    {
      id: `stop-without-answer-of-${api.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}`,
      title: `SIGTERM while the ${side} has answered no ${api}${api === 'Produce' ? ' of data' : ''} since the start`,
    },
    async (run) => {
      const { source, target } = await pair();
      const transactions = { producers: 1, abortRate: 0, records: [1, 1] as const };
      const stream = { name: 'short', topic: run.id, partitions: [0, 1], records: 200, transactions };
      await writeWorkload(source.bootstrap, { topics: [{ name: run.id, partitions: 2 }], streams: [stream] });
      // The first Produce of all is the state topic's, and what data is on its way is another state to stop in.
      const ofData = api === 'Produce' ? { topic: run.id } : {};
      const match = { api, direction: 'response', ...ofData } as const;
      const held = injectInto({ source, target }, side, { match, fault: blackHole() });
      const ends = { source: source.proxiedBootstrap, target: target.proxiedBootstrap };
      const spec = { topics: [{ match: run.id }], transactions: 'committed-only' } as const;
      const lockstep = LockstepProcess.run(writeLink({ ...ends, mirrors: { [run.id]: spec } }));
      onTestFinished(() => lockstep.kill());
      await held.fired(lockstep);
      await stops(run, lockstep, held.evidence());
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

fault({ id: 'stop-throttled-by-source', title: 'SIGTERM while the source throttles the mirror' }, async (run) => {
  const mirror = await startMirror(run, await pair(), { name: run.id, kinds: ['plain'] });
  const { bootstrap } = mirror.pair.source;
  onTestFinished(async () => void (await runAdmin(bootstrap, [{ setQuotas: { consumer_byte_rate: null } }])));
  await runAdmin(bootstrap, [{ setQuotas: { consumer_byte_rate: 2_000 } }]);
  const traffic = must(mirror.traffic, 'traffic');
  const lag = (): number => traffic.progress.records - mirror.offsetsCopied();
  await mirror.until(() => lag() > 1_000, 'the lag grows under the quota', 120_000);
  await stops(run, mirror.process, `a quota of 2 kB/s held it ${lag()} records behind`);
});

fault({ id: 'stop-target-disk-full', title: "SIGTERM while the disk of the target's broker is full" }, async (run) => {
  const clusters = await pair();
  const broker = must(clusters.target.brokers[0], 'broker');
  const disk = await onSmallDisk(broker, 96_000_000);
  onTestFinished(() => disk.remove());
  const mirror = await startMirror(run, clusters, { name: run.id, kinds: ['plain'] });
  const said = disk.fill();
  await mirror.until(() => !broker.isRunning(), 'the broker has found its disk full and ended');
  await mirror.until(() => mirror.warnings().some((text) => text.startsWith('SHARD_WAITING')), 'partitions wait');
  await stops(run, mirror.process, `${disk.kind}: ${said}; its broker had ended, and partitions waited for it`);
});

fault(
  { id: 'stop-isr-below-minimum', title: 'SIGTERM while the target has fewer replicas in sync than it asks for' },
  async (run) => {
    const spec = { targetReplicationFactor: 3 };
    const mirror = await startMirror(run, await toThree(), { name: run.id, kinds: ['plain'], spec });
    const { target } = mirror.pair;
    const topic = mirror.topic('plain');
    await runAdmin(target.bootstrap, [{ setConfigs: { topic, configs: { 'min.insync.replicas': '2' } } }]);
    for (const broker of target.brokers.slice(1)) await broker.stop();
    const isr = (await readLeaders(target, topic)).map((partition) => partition.isr.length);
    expect(isr).toEqual([1, 1, 1]);
    await standsStill(mirror);
    const waits = (): string | undefined => mirror.warnings().findLast((text) => text.startsWith('SHARD_WAITING'));
    await mirror.until(() => waits() !== undefined, 'partitions wait', 120_000);
    await stops(run, mirror.process, `${isr.join(', ')} of 3 replicas were in sync, and 2 asked for; ${waits()}`);
  },
);

// ---- logins

const password = 'LOCKSTEP_STOP_PASSWORD';

/** Through the proxy of the target, with a login. */
function loginOptions(run: FaultRun, { source, target }: ClusterPair) {
  const login = { protocol: 'SASL_PLAINTEXT', mechanism: 'SCRAM-SHA-512', username: user, password: { env: password } };
  return {
    name: run.id,
    kinds: ['plain'],
    link: { source: source.bootstrap, target: target.proxiedBootstrap, targetSecurity: login },
    process: { env: { [password]: 'first' } },
  } as const;
}

/** Takes every connection to the target away; new ones may come at once. */
async function reconnect({ target }: ClusterPair): Promise<void> {
  for (const proxy of target.proxies) {
    await proxy.down();
    await proxy.up();
  }
}

for (const api of ['SaslHandshake', 'SaslAuthenticate'] as const)
  fault(
    {
      id: `stop-login-${api === 'SaslHandshake' ? 'begun' : 'half-way'}`,
      title: `SIGTERM while the target does not answer a ${api}, once at the start and once in the middle of the run`,
    },
    async (run) => {
      const clusters = await toGuarded();
      const { process: options, name, link } = loginOptions(run, clusters);
      const silence = { match: { api, direction: 'response' }, fault: blackHole() } as const;

      const before = injectInto(clusters, 'target', { ...silence, name: `${api}, at the start` });
      const first = LockstepProcess.run(
        writeLink({ ...link, mirrors: { [name]: { topics: [{ match: 'x' }] } } }),
        [],
        options,
      );
      onTestFinished(() => first.kill());
      await before.fired(first);
      await stops(run, first, before.evidence());
      expect(first.events.filter(({ event }) => event === 'started')).toEqual([]);
      before.end();

      const mirror = await startMirror(run, clusters, loginOptions(run, clusters));
      const later = injectInto(clusters, 'target', { ...silence, name: `${api}, while it runs` });
      await reconnect(clusters);
      await later.fired(mirror);
      await mirror.until(() => (mirror.lagRecords() ?? 0) > 300, 'the lag grows');
      await stops(run, mirror.process, later.evidence());
    },
  );

fault(
  { id: 'stop-login-refused', title: 'SIGTERM while the target refuses one login after the other' },
  async (run) => {
    const clusters = await toGuarded();
    const mirror = await startMirror(run, clusters, loginOptions(run, clusters));
    onTestFinished(() => clusters.target.setUser(user, 'first'));
    await clusters.target.setUser(user, 'second');
    const match = { api: 'SaslAuthenticate', direction: 'response' } as const;
    const answers = injectInto(clusters, 'target', { match, fault: latency(0), name: 'answers to logins' });
    await reconnect(clusters);
    const refused = (): string[] =>
      mirror.warnings().filter((text) => /SaslAuthenticate|SASL_AUTHENTICATION_FAILED/.test(text));
    await mirror.until(() => refused().length > 0, 'a login is refused');
    await answers.fired(mirror, 8); // two a login
    await stops(run, mirror.process, `${answers.evidence()}; ${refused().at(-1)}`);
  },
);

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
