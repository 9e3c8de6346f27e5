/**
 * Mirrors over secure listeners on both sides, under live traffic: copied identically, with logins repeated on the same
 * connections, and with passwords, certificates and authorities replaced while they run.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import type { RunEvent } from '#contract/status.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { OAuthServer } from '#testing/oauth-server.ts';
import { concatenate, Pki } from '#testing/pki.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics, describeTopics } from '#testing/topic-admin.ts';
import type { LiveTraffic } from '#testing/workload.ts';
import { spawnLiveTraffic, writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { systemHost as host, systemNetwork } from '#util/host.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';
import { describeClusters, runMirrors } from '../../src/main.ts';
import { lockstep as command } from './command.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, statusOf, told } from './lockstep-process.ts';

/** Stands in every secret, and so in no output. */
const CANARY = 'Canary9x';
/** A session is renewed 1.5 s before its end at the latest: on a busy machine a process may stand still for as long. */
const REAUTH_MS = 15_000;
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const directory = temporaryDirectory('secure');

let oauth: OAuthServer;
let source: KafkaCluster;
let target: KafkaCluster;

beforeAll(async () => {
  oauth = await OAuthServer.start({ clients: { mirror: `${CANARY} client` } });
  const secure = {
    users: { mirror: `${CANARY} first` },
    authorizer: false,
    reauthMs: REAUTH_MS,
    oauth: oauth.forBrokers,
  };
  [source, target] = await Promise.all([
    startCluster({ name: 'source', secure }),
    startCluster({ name: 'target', secure }),
  ]);
  process.stdout.write(`secure: seed ${seed}\n`);
}, 180_000);

afterAll(async () => {
  await Promise.all([source.stop(), target.stop()]);
  await oauth.down();
});

/** Replaced as a whole, as whoever rotates secrets does it. */
function put(name: string, content: string): { file: string } {
  const path = join(directory, name);
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
  return { file: path };
}

const scram = (cluster: KafkaCluster, password: { file: string }) => ({
  protocol: 'SASL_SSL',
  mechanism: 'SCRAM-SHA-512',
  username: 'mirror',
  password,
  ca: { file: cluster.pki.caFile },
});

const byToken = (cluster: KafkaCluster) => ({
  protocol: 'SASL_SSL',
  mechanism: 'OAUTHBEARER',
  token: {
    endpoint: oauth.tokenUrl,
    clientId: 'mirror',
    clientSecret: put('client-secret', `${CANARY} client`),
  },
  ca: { file: cluster.pki.caFile },
});

/** Records that come for as long as the test runs, and the topic that they go to. */
async function liveTraffic(topic: string): Promise<LiveTraffic> {
  await createTopics(source.bootstrap, [{ name: topic, partitions: 4 }]);
  const stream = { name: 'live', topic, partitions: [0, 1, 2, 3], valueBytes: 400, lingerMs: 5, recordsPerSecond: 400 };
  const traffic = await spawnLiveTraffic(source.bootstrap, [stream], { seed });
  onTestFinished(() => traffic.stop().then(() => {}));
  return traffic;
}

const positionOf = (events: readonly RunEvent[], mirror: string): number =>
  (statusOf(events, mirror)?.shards ?? []).reduce((sum, { position }) => sum + (position ?? 0), 0);

/** By partition, where the source's log ends. */
const endsOf = async (topic: string): Promise<readonly number[]> =>
  must((await describeTopics(source.bootstrap, [topic]))[0], 'topic').partitions.map(({ latest }) => latest);

const hasCopied = (events: readonly RunEvent[], mirror: string, ends: readonly number[]): boolean => {
  const shards = statusOf(events, mirror)?.shards ?? [];
  return ends.every((end, partition) =>
    shards.some((shard) => shard.partition === partition && shard.position === end),
  );
};

const warned = (events: readonly RunEvent[], words: string): boolean =>
  events.some((event) => event.event === 'warning' && `${event.code}: ${event.message}`.includes(words));

const identical = (topic: string) =>
  expectIdentical({ source: source.bootstrap, target: target.bootstrap, topics: [{ source: topic, target: topic }] });

test('copies over SASL_SSL on both sides, identically, and says no secret', async () => {
  await writeWorkload(source.bootstrap, workloads.mixed('secure.copy', { records: 40_000 }), { seed });
  const file = writeLink({
    source: source.doors.saslSsl,
    target: target.doors.saslSsl,
    sourceSecurity: scram(source, put('password', `${CANARY} first\n`)),
    targetSecurity: byToken(target),
    mirrors: { copy: { topics: [{ match: 'secure.copy' }] } },
  });
  const run = await runUntilCaughtUp(file);
  expect(run.code, told(run)).toBe(0);
  expect(`${JSON.stringify(run.events)}${run.stderr}`).not.toContain(CANARY);
  const { recordsEqual } = await identical('secure.copy');
  expect(recordsEqual).toBe(40_000);
}, 240_000);

test.each([
  [{ password: put('wrong', `${CANARY} wrong`) }, 4, 'CLUSTER_AUTHENTICATION_FAILED'],
  [{ password: { file: '/nowhere/password' } }, 1, 'SECRET_UNAVAILABLE'],
  [{ serverName: 'elsewhere.test' }, 1, 'CLUSTER_TLS_FAILED'],
])('a run that is refused at its start ends with its code: %j', async (changed, code, words) => {
  const file = writeLink({
    source: source.doors.saslSsl,
    target: target.doors.saslSsl,
    sourceSecurity: { ...scram(source, put('password', `${CANARY} first`)), ...changed },
    targetSecurity: scram(target, put('password', `${CANARY} first`)),
    mirrors: { refused: { topics: [{ match: 'any' }] } },
  });
  const ended = await command('run', '-f', file);
  expect([ended.code, ended.err]).toEqual([code, expect.stringContaining(words)]);
  expect(ended.out + ended.err).not.toContain(CANARY);
});

/** What went over each connection and when; the bytes are seen before they are encrypted. */
class JournalNetwork implements Network {
  readonly connections: {
    readonly port: number;
    readonly log: { api: number; atMs: number }[];
    isOpen: boolean;
  }[] = [];

  connect(options: ConnectOptions): Socket {
    const journal: (typeof this.connections)[number] = { port: options.port, log: [], isOpen: true };
    this.connections.push(journal);
    const socket = systemNetwork.connect({
      ...options,
      onRead(bytes) {
        journal.log.push({ api: READ, atMs: performance.now() });
        options.onRead(bytes);
      },
      onClose(error) {
        journal.isOpen = false;
        options.onClose(error);
      },
    });
    return {
      ...socket,
      write(chunks) {
        // One call a request, its header first.
        journal.log.push({ api: Buffer.from(must(chunks[0], 'header')).readInt16BE(4), atMs: performance.now() });
        return socket.write(chunks);
      },
    };
  }
}

/** In the log of a connection: bytes came. Everything else is the key of a request. */
const READ = -1;
const SASL_HANDSHAKE = 17;
const SASL_AUTHENTICATE = 36;
const DATA = [0, 1]; // Produce, Fetch

test('repeats logins on the same connections while it copies, and loses none', async () => {
  const traffic = await liveTraffic('secure.sessions');
  const file = writeLink({
    source: source.doors.saslSsl,
    target: target.doors.saslSsl,
    sourceSecurity: byToken(source),
    targetSecurity: scram(target, put('password', `${CANARY} first`)),
    mirrors: { sessions: { topics: [{ match: 'secure.sessions' }] } },
  });
  const network = new JournalNetwork();
  const events: RunEvent[] = [];
  const end = new AbortController();
  const run = runMirrors(
    parseDocuments([{ path: file, text: readFileSync(file, 'utf8') }]),
    { ...host, network },
    { progressMs: 200, signal: end.signal, onEvent: (event) => void events.push(event) },
  );
  run.catch(() => {});
  const loginsOf = ({ log }: JournalNetwork['connections'][number]) =>
    log.filter(({ api }) => api === SASL_HANDSHAKE).length;
  const carriesData = ({ log }: JournalNetwork['connections'][number]) => log.some(({ api }) => DATA.includes(api));
  // Two control connections, two of data, and the group's: each has logged in again twice.
  await waitUntil(
    () =>
      network.connections.filter(carriesData).length >= 2 && network.connections.every((each) => loginsOf(each) >= 3),
    () => JSON.stringify(network.connections.map((each) => [each.port, loginsOf(each), each.isOpen])),
    { timeoutMs: 120_000 },
  );
  const opened = network.connections.map(({ isOpen }) => isOpen);
  await traffic.stop();
  const ends = await endsOf('secure.sessions');
  await waitUntil(
    () => hasCopied(events, 'sessions', ends),
    () => JSON.stringify(statusOf(events, 'sessions')),
    { timeoutMs: 120_000 },
  );
  end.abort();
  await run;

  expect(opened, 'every connection that was ever opened').toEqual(Array.from({ length: 5 }, () => true));
  expect(events.filter(({ event }) => event === 'warning' || event === 'incident')).toEqual([]);
  await identical('secure.sessions');
  const held = network.connections.flatMap(({ log }) => holdsOf(log)).toSorted((a, b) => a - b);
  const logins = network.connections.reduce((sum, each) => sum + loginsOf(each), 0);
  const [median = 0, longest = 0] = [held[held.length >> 1], held.at(-1)].map((ms) => Math.round(ms ?? 0));
  process.stdout.write(
    `secure: ${logins} logins on ${network.connections.length} connections, 0 lost; requests were held for ${median} ms (median), ${longest} ms (longest)\n`,
  );
}, 240_000);

/** Of each repeated login, the time in ms from its first request to its last answer: what comes in between is held. */
function holdsOf(log: readonly { api: number; atMs: number }[]): number[] {
  const starts = log.flatMap(({ api }, index) => (api === SASL_HANDSHAKE ? [index] : []));
  return starts.slice(1).flatMap((start) => {
    const after = log.slice(start + 1).findIndex(({ api }) => api !== SASL_AUTHENTICATE && api !== READ);
    const login = after < 0 ? [] : log.slice(start, start + 1 + after); // the last one may not have ended
    return login.map(({ atMs }) => atMs - must(log[start], 'handshake').atMs).slice(-1);
  });
}

test('goes on when a password is changed on the broker and in its file, and when the file was gone meanwhile', async () => {
  const traffic = await liveTraffic('secure.passwords');
  const password = put('rotated', `${CANARY} first`);
  const file = writeLink({
    source: source.doors.saslSsl,
    target: target.doors.saslSsl,
    sourceSecurity: scram(source, password),
    targetSecurity: { ...scram(target, password), mechanism: 'PLAIN' },
    mirrors: { passwords: { topics: [{ match: 'secure.passwords' }] } },
  });
  const lockstep = LockstepProcess.run(file);
  onTestFinished(() => lockstep.kill());
  const goesOn = async (what: string): Promise<void> => {
    const before = positionOf(lockstep.events, 'passwords');
    await lockstep.until(() => positionOf(lockstep.events, 'passwords') > before + 400, what, 120_000);
  };
  await goesOn('the first password works');

  rmSync(password.file);
  await lockstep.until(
    () => warned(lockstep.events, 'SECRET_UNAVAILABLE: cluster "'),
    'the file that is gone is told',
    120_000,
  );
  expect(warned(lockstep.events, `file ${password.file} is not there`)).toBe(true);
  put('rotated', `${CANARY} first`);
  await goesOn('the file is back');

  // Broker first: what still has the old password is refused, waits, and comes back with the new one.
  await Promise.all([source.setUser('mirror', `${CANARY} second`), target.setUser('mirror', `${CANARY} second`)]);
  await lockstep.until(
    () => warned(lockstep.events, 'CLUSTER_AUTHENTICATION_FAILED'),
    'the old password is refused',
    120_000,
  );
  const isRefusal = (event: RunEvent) =>
    event.event === 'incident' && event.incident.code === 'CLUSTER_AUTHENTICATION_FAILED';
  await lockstep.until(() => lockstep.events.some(isRefusal), 'what lasts becomes an incident', 120_000);
  put('rotated', `${CANARY} second\n`);
  await goesOn('the new password works');
  const hasEnded = () => lockstep.events.some(({ event }) => event === 'incident-ended');
  await lockstep.until(hasEnded, 'the incident has ended by itself', 120_000);

  await traffic.stop();
  const ends = await endsOf('secure.passwords');
  await lockstep.until(() => hasCopied(lockstep.events, 'passwords', ends), 'all is copied', 120_000);
  const run = await lockstep.interrupt();
  await Promise.all([source.setUser('mirror', `${CANARY} first`), target.setUser('mirror', `${CANARY} first`)]);
  expect(run.code, told(run)).toBe(130);
  expect(run.incidents, told(run)).toEqual([]);
  expect(`${JSON.stringify(run.events)}${run.stderr}`).not.toContain(CANARY);
  await identical('secure.passwords');
}, 400_000);

test('goes on when the client secret is changed at the token endpoint and in its file', async () => {
  oauth.expiresInSeconds = REAUTH_MS / 1000;
  onTestFinished(() => {
    oauth.expiresInSeconds = 3600;
    oauth.clients.set('mirror', [`${CANARY} client`]);
  });
  const traffic = await liveTraffic('secure.secrets');
  const security = (cluster: KafkaCluster) => {
    const login = byToken(cluster);
    return { ...login, token: { ...login.token, clientSecret: put('rotated-secret', `${CANARY} client`) } };
  };
  const file = writeLink({
    source: source.doors.saslSsl,
    target: target.doors.saslSsl,
    sourceSecurity: security(source),
    targetSecurity: security(target),
    mirrors: { secrets: { topics: [{ match: 'secure.secrets' }] } },
  });
  const lockstep = LockstepProcess.run(file);
  onTestFinished(() => lockstep.kill());
  const answers = (wanted: number) => oauth.requests.filter(({ status }) => status === wanted).length;
  /** Both clusters ask twice, so what was granted before has ended; and records come. */
  const goesOn = async (what: string): Promise<void> => {
    const [granted, position] = [answers(200), positionOf(lockstep.events, 'secrets')];
    const hasCome = () => answers(200) >= granted + 4 && positionOf(lockstep.events, 'secrets') > position + 400;
    await lockstep.until(hasCome, what, 120_000);
  };
  await goesOn('the first secret works');

  // Both are taken while the file changes: the old one is never said again.
  const refusals = answers(401);
  oauth.clients.set('mirror', [`${CANARY} client`, `${CANARY} second`]);
  put('rotated-secret', `${CANARY} second\n`);
  oauth.clients.set('mirror', [`${CANARY} second`]);
  await goesOn('the second secret works');
  expect(answers(401)).toBe(refusals);

  // Endpoint first: the old one is refused and told, until the file has the new one.
  oauth.clients.set('mirror', [`${CANARY} third`]);
  await lockstep.until(
    () => warned(lockstep.events, 'answered 401: invalid_client'),
    'the old secret is refused',
    120_000,
  );
  put('rotated-secret', `${CANARY} third`);
  await goesOn('the third secret works');

  await traffic.stop();
  const ends = await endsOf('secure.secrets');
  await lockstep.until(() => hasCopied(lockstep.events, 'secrets', ends), 'all is copied', 120_000);
  const run = await lockstep.interrupt();
  expect(run.code, told(run)).toBe(130);
  expect(run.incidents, told(run)).toEqual([]);
  expect(`${JSON.stringify(run.events)}${run.stderr}`).not.toContain(CANARY);
  await identical('secure.secrets');
}, 400_000);

test('goes on when client certificate and authority are replaced, without a restart', async () => {
  const traffic = await liveTraffic('secure.certificates');
  const successor = new Pki(join(directory, 'successor'), { commonName: 'Successor' });
  const read = (path: string) => readFileSync(path, 'utf8');
  const old = source.pki.issue({ commonName: 'mirror' });
  const [ca, certificate, key] = [
    put('ca.pem', read(source.pki.caFile)),
    put('client.pem', read(old.certificateFile)),
    put('client.key', read(old.keyFile)),
  ];
  const file = writeLink({
    source: source.doors.mtls,
    target: target.doors.ssl,
    sourceSecurity: { protocol: 'SSL', ca, certificate, key },
    targetSecurity: { protocol: 'SSL', ca: { file: target.pki.caFile } },
    mirrors: { certificates: { topics: [{ match: 'secure.certificates' }] } },
  });
  const lockstep = LockstepProcess.run(file);
  onTestFinished(() => lockstep.kill());
  const goesOn = async (what: string): Promise<void> => {
    const before = positionOf(lockstep.events, 'certificates');
    await lockstep.until(() => positionOf(lockstep.events, 'certificates') > before + 400, what, 120_000);
  };
  await goesOn('the first certificate works');

  // The new authority is trusted on both sides before the old one goes.
  await source.trustClientsOf([source.pki.caFile, successor.caFile]);
  put('ca.pem', read(concatenate(join(directory, 'both.pem'), [source.pki.caFile, successor.caFile])));
  const renewed = successor.issue({ commonName: 'mirror' });
  put('client.pem', read(renewed.certificateFile));
  put('client.key', read(renewed.keyFile));
  await goesOn('connections that stand go on');
  await source.useCertificate(successor.issue({ commonName: 'broker' }));
  await source.trustClientsOf([successor.caFile]);
  put('ca.pem', read(successor.caFile));

  // What stands stands: a broker that starts again makes every connection new.
  await must(source.brokers[0], 'broker').restart();
  const who = { protocol: 'SSL', ca, certificate: { file: old.certificateFile }, key: { file: old.keyFile } };
  expect(await codeOf(source.doors.mtls, who), 'the old client certificate').toBe('CLUSTER_TLS_FAILED');
  expect(await codeOf(source.doors.ssl, { protocol: 'SSL', ca: { file: source.pki.caFile } }), 'the old CA').toBe(
    'CLUSTER_TLS_FAILED',
  );
  await goesOn('the new certificate and authority work');

  await traffic.stop();
  const ends = await endsOf('secure.certificates');
  await lockstep.until(() => hasCopied(lockstep.events, 'certificates', ends), 'all is copied', 120_000);
  const run = await lockstep.interrupt();
  expect(run.code, told(run)).toBe(130);
  expect(run.incidents, told(run)).toEqual([]);
  await identical('secure.certificates');
}, 400_000);

/** The code with which a cluster cannot be reached in this way; null where it can. */
async function codeOf(bootstrap: readonly string[], security: object): Promise<string | null> {
  const document = {
    apiVersion: 'lockstep/v1',
    kind: 'Cluster',
    metadata: { name: 'east' },
    spec: { bootstrap, security },
  };
  const [view] = await describeClusters(parseDocuments([{ path: 'c.yaml', text: JSON.stringify(document) }]), host);
  return must(view, 'view').error?.code ?? null;
}
