/**
 * Passwords, authorities, client certificates and client secrets that are replaced while a mirror works, in each order:
 * it goes on by itself, and waits only while cluster and file disagree.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { OAuthServer } from '#testing/oauth-server.ts';
import { concatenate, Pki } from '#testing/pki.ts';
import type { Certificate } from '#testing/pki.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemHost } from '#util/host.ts';
import { describeClusters } from '../../src/main.ts';
import { lockstep as command } from '../acceptance/command.ts';
import { linkText } from '../acceptance/link-file.ts';
import type { Link } from '../acceptance/link-file.ts';
import { LogEnds } from '../acceptance/log-ends.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, startMirror, type ClusterPair, type MirrorUnderTest, type Side } from './mirror-under-test.ts';

/** Stands in every secret, and so in no output. */
const CANARY = 'Canary9x';
/** A session is renewed 1.5 s before its end at the latest: on a busy machine a process may stand still for as long. */
const REAUTH_MS = 15_000;
const SIDES = ['source', 'target'] as const;
const SLOW_MS = 120_000;
/** Of a certificate: for a restart of the source, beside other work. */
const LIVES_MS = 45_000;
const directory = temporaryDirectory('rotation');

const oauth = await OAuthServer.start({ clients: { mirror: `${CANARY} one` } });
afterAll(() => oauth.down()); // the last of all: brokers ask it for keys
const secure = { users: { mirror: `${CANARY} one` }, authorizer: false, reauthMs: REAUTH_MS, oauth: oauth.forBrokers };
const pair = clusterPair({ source: { secure }, target: { secure } });

/** Replaced as a whole, as whoever rotates secrets does it. */
function put(name: string, content: string): { file: string } {
  const file = join(directory, name);
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
  return { file };
}

const read = (path: string): string => readFileSync(path, 'utf8');
const bothSides = <T>(action: (side: Side) => Promise<T>): Promise<T[]> => Promise.all(SIDES.map(action));

/** The door and `security` of each side. */
function linkOf(
  clusters: ClusterPair,
  door: keyof KafkaCluster['doors'],
  security: (side: Side) => object,
): Pick<Link, 'source' | 'target' | 'sourceSecurity' | 'targetSecurity'> {
  return {
    source: clusters.source.doors[door],
    target: clusters.target.doors[door],
    sourceSecurity: security('source'),
    targetSecurity: security('target'),
  };
}

function start(run: FaultRun, clusters: ClusterPair, link: Partial<Link>): Promise<MirrorUnderTest> {
  return startMirror(run, clusters, { name: run.id, partitions: 2, recordsPerSecond: 60, link });
}

/** The code with which a new client is refused; null where it is let in. */
async function refusalOf(bootstrap: readonly string[], security: object): Promise<string | null> {
  const text = linkText({ source: bootstrap, target: bootstrap, sourceSecurity: security, mirrors: {} });
  const { clusters } = parseDocuments([{ path: 'clusters.yaml', text }]);
  const [view] = await describeClusters({ clusters: clusters.slice(0, 1), mirrors: [], verifications: [] }, systemHost);
  return must(view, 'view').error?.code ?? null;
}

/** How many warnings so far say this. */
const told = (mirror: MirrorUnderTest, words: string): number =>
  mirror.warnings().filter((text) => text.includes(words)).length;

async function tellsAgain(mirror: MirrorUnderTest, words: string, change: () => unknown): Promise<void> {
  const before = told(mirror, words);
  await change();
  await mirror.until(() => told(mirror, words) > before, `it tells again: ${words}`, SLOW_MS);
}

/** The target's logs, watched from the plain listener: how long none of the records of a partition arrived. */
class Gaps {
  readonly #last = new Map<string, { end: number; atMs: number }>();
  #longestMs = 0;

  /** Ends with the test. */
  static async watch({ pair: { target }, topics }: MirrorUnderTest): Promise<Gaps> {
    const gaps = new Gaps();
    const ends = await LogEnds.open(target.bootstrap, topics);
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const bounds = await ends.read().catch(() => null); // while the target starts again
        for (const [place, { end }] of bounds ?? []) gaps.#see(place, end);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    onTestFinished(async () => {
      isOver = true;
      ends.close();
      await watching;
    });
    return gaps;
  }

  #see(place: string, end: number): void {
    const [now, last] = [performance.now(), this.#last.get(place)];
    if (last !== undefined) this.#longestMs = Math.max(this.#longestMs, now - last.atMs);
    if (last === undefined || end > last.end) this.#last.set(place, { end, atMs: now });
  }

  /** Of any partition, since the last call. */
  take(): number {
    const longest = this.#longestMs;
    this.#longestMs = 0;
    return Math.round(longest);
  }
}

function expectNoSecretTold({ process: { events, stderr } }: MirrorUnderTest): void {
  expect(`${JSON.stringify(events)}${stderr}`).not.toContain(CANARY);
}

fault(
  {
    id: 'password-rotated',
    title: 'the SCRAM password is changed on clusters and in files: at once, either first, and long before the file',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const login = (side: Side, password: { file: string }) => ({
      protocol: 'SASL_SSL',
      mechanism: 'SCRAM-SHA-512',
      username: 'mirror',
      password,
      ca: { file: clusters[side].pki.caFile },
    });
    const setFile = (side: Side, word: string) => put(`${side}.password`, `${CANARY} ${word}\n`);
    const setFiles = (word: string) => SIDES.forEach((side) => setFile(side, word));
    const setBrokers = (word: string) => bothSides((side) => clusters[side].setUser('mirror', `${CANARY} ${word}`));
    const refused = 'SASL_AUTHENTICATION_FAILED';
    const isRefused = async (word: string): Promise<void> => {
      const password = put('stale.password', `${CANARY} ${word}`);
      const codes = await bothSides((side) => refusalOf(clusters[side].doors.saslSsl, login(side, password)));
      expect(codes).toEqual(['CLUSTER_AUTHENTICATION_FAILED', 'CLUSTER_AUTHENTICATION_FAILED']);
      // What logged in with it logs in again, or is cut, by then.
      await mirror.lasts(REAUTH_MS);
      await mirror.advances(`the password "${word}" is refused`);
    };

    const mirror = await start(
      run,
      clusters,
      linkOf(clusters, 'saslSsl', (side) => login(side, setFile(side, 'one'))),
    );
    const gaps = await Gaps.watch(mirror);
    await mirror.lasts(2 * REAUTH_MS);
    run.figure('longest gap of a partition, in ms: logins repeated', gaps.take());

    await setBrokers('two');
    setFiles('two');
    await isRefused('one');
    run.figure('changed at once', gaps.take());

    await tellsAgain(mirror, refused, () => setFiles('three'));
    await setBrokers('three');
    await isRefused('two');
    run.figure('file first', gaps.take());

    await tellsAgain(mirror, refused, () => setBrokers('four'));
    setFiles('four');
    await isRefused('three');
    run.figure('clusters first', gaps.take());
    expect(mirror.process.outages, 'bridged without an incident').toEqual([]);
    run.tookEffect(
      `three passwords were refused by both clusters; the mirror was refused ${told(mirror, refused)} times`,
    );

    // Longer than a mirror bridges in silence, on one side.
    await clusters.source.setUser('mirror', `${CANARY} five`);
    await mirror.until(() => mirror.process.outages.length > 0, 'the incident', SLOW_MS);
    expect(mirror.process.outages[0]).toMatchObject({ code: 'CLUSTER_AUTHENTICATION_FAILED', endsByItself: true });
    setFile('source', 'five');
    await mirror.advances('the file has the password too');
    await mirror.expectIdenticalAfterwards({ outages: ['CLUSTER_AUTHENTICATION_FAILED'] });
    expectNoSecretTold(mirror);
    await setBrokers('one');
  },
);

/** Makes every connection to a cluster new. */
const restart = (cluster: KafkaCluster): Promise<void> => must(cluster.brokers[0], 'broker').restart();

fault(
  {
    id: 'ca-rotated',
    title: 'brokers get certificates of a new authority, then of one that the file does not have yet',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const authority = (name: string): Pki => new Pki(join(directory, name), { commonName: name });
    const trust = (side: Side, files: readonly string[]) =>
      put(`${side}.ca.pem`, read(concatenate(join(directory, `${side}.bundle`), files)));
    const isRefused = (side: Side, caFile: string) =>
      refusalOf(clusters[side].doors.ssl, { protocol: 'SSL', ca: { file: caFile } });
    const link = linkOf(clusters, 'ssl', (side) => ({
      protocol: 'SSL',
      ca: trust(side, [clusters[side].pki.caFile]),
    }));
    const mirror = await start(run, clusters, link);
    const gaps = await Gaps.watch(mirror);
    await bothSides((side) => restart(clusters[side]));
    await mirror.advances('the brokers have started again');
    run.figure('longest gap of a partition, in ms: restart of both clusters', gaps.take());

    // As it is done: both are trusted, then brokers change, then the old one is trusted no more.
    const next = { source: authority('source-next'), target: authority('target-next') };
    for (const side of SIDES) trust(side, [clusters[side].pki.caFile, next[side].caFile]);
    await bothSides((side) => clusters[side].useCertificate(next[side].issue({ commonName: 'broker' })));
    await mirror.advances('new certificates');
    run.figure('new certificates, no restart', gaps.take());
    for (const side of SIDES) trust(side, [next[side].caFile]);
    await bothSides((side) => restart(clusters[side]));
    await mirror.advances('the new authority alone is trusted, every connection is new');
    run.figure('restart with them', gaps.take());
    expect(await bothSides((side) => isRefused(side, clusters[side].pki.caFile))).toEqual([
      'CLUSTER_TLS_FAILED',
      'CLUSTER_TLS_FAILED',
    ]);
    expect(await bothSides((side) => isRefused(side, next[side].caFile))).toEqual([null, null]);
    run.tookEffect('both clusters show certificates of the new authority; whoever trusts the old one only is refused');

    // Brokers change before the file.
    const later = authority('source-later');
    await clusters.source.useCertificate(later.issue({ commonName: 'broker' }));
    await restart(clusters.source);
    // A slow machine may have been told of a restart that lasts.
    const refusals = () => mirror.process.outages.filter(({ code }) => code !== 'CLUSTER_UNREACHABLE');
    await mirror.until(() => refusals().length > 0, 'the incident', SLOW_MS);
    const [incident] = refusals();
    expect(incident, incident?.cause).toMatchObject({ code: 'CLUSTER_TLS_FAILED', endsByItself: true });
    expect(incident?.cause).toContain('is of an authority that is not trusted here');
    const stood = mirror.positions();
    const file = put(
      'refused.yaml',
      linkText({ ...link, mirrors: { [run.id]: { topics: [{ match: 'any' }] } } }).trim(),
    );
    const refused = await command('run', '-f', file.file);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('CLUSTER_TLS_FAILED')]);
    expect(mirror.positions(), 'nothing is copied meanwhile').toEqual(stood);
    run.tookEffect('without the authority in the file: the running mirror stands still, a new run is refused');
    trust('source', [later.caFile]);
    run.figure('on again after the file, in ms', await mirror.advances('the file has the authority'));
    const mayWait = SIDES.map((side) => ({ code: 'CLUSTER_UNREACHABLE', side }) as const);
    await mirror.expectIdenticalAfterwards({ outages: ['CLUSTER_TLS_FAILED'], mayWait });
    await bothSides((side) => clusters[side].useCertificate(clusters[side].pki.issue({ commonName: 'broker' })));
  },
);

fault(
  {
    id: 'client-certificate-rotated',
    title: 'the client certificate is replaced by one of another authority, the old one is trusted no more',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await pair();
    const next = new Pki(join(directory, 'clients'), { commonName: 'clients' });
    const show = ({ certificateFile, keyFile }: Certificate) => ({
      certificate: put('client.pem', read(certificateFile)),
      key: put('client.key', read(keyFile)),
    });
    const own = { source: clusters.source.pki, target: clusters.target.pki };
    const old = own.source.issue({ commonName: 'mirror' });
    const reach = (side: Side, identity: object) => ({
      protocol: 'SSL',
      ca: { file: own[side].caFile },
      ...identity,
    });
    await bothSides((side) => clusters[side].trustClientsOf([own.source.caFile]));
    const first = show(old);
    const mirror = await start(
      run,
      clusters,
      linkOf(clusters, 'mtls', (side) => reach(side, first)),
    );
    const gaps = await Gaps.watch(mirror);
    await bothSides((side) => restart(clusters[side]));
    await mirror.advances('the brokers have started again');
    run.figure('longest gap of a partition, in ms: restart of both clusters', gaps.take());

    await bothSides((side) => clusters[side].trustClientsOf([own.source.caFile, next.caFile]));
    show(next.issue({ commonName: 'mirror' }));
    await bothSides((side) => clusters[side].trustClientsOf([next.caFile]));
    await mirror.advances('connections that stand go on');
    run.figure('certificates exchanged', gaps.take());
    await bothSides((side) => restart(clusters[side]));
    await mirror.advances('every connection is new');
    run.figure('restart with them', gaps.take());
    const stale = { certificate: { file: old.certificateFile }, key: { file: old.keyFile } };
    const codes = await bothSides((side) => refusalOf(clusters[side].doors.mtls, reach(side, stale)));
    expect(codes).toEqual(['CLUSTER_TLS_FAILED', 'CLUSTER_TLS_FAILED']);
    run.tookEffect('both clusters started again and refuse the old client certificate');
    await mirror.expectIdenticalAfterwards();
    await bothSides((side) => clusters[side].trustClientsOf([own[side].caFile]));
  },
);

fault(
  {
    id: 'client-certificate-expires',
    title:
      'the client certificate expires while the mirror runs: what stands goes on, then it is refused, then replaced',
    timeoutMs: 600_000,
  },
  async (run) => {
    const clusters = await pair();
    const { pki, doors } = clusters.source;
    const show = ({ certificateFile, keyFile }: Certificate) => ({
      certificate: put('expiring.pem', read(certificateFile)),
      key: put('expiring.key', read(keyFile)),
    });
    const security = { protocol: 'SSL', ca: { file: pki.caFile }, ...show(pki.issue({ commonName: 'mirror' })) };
    const mirror = await start(run, clusters, { source: doors.mtls, sourceSecurity: security });
    const ends = new Date(Date.now() + LIVES_MS);
    const short = pki.issue({ commonName: 'mirror', notAfter: ends });
    show(short);
    await restart(clusters.source);
    await mirror.advances('every connection is new');
    const shown = { ...security, certificate: { file: short.certificateFile }, key: { file: short.keyFile } };
    const isOver = async (): Promise<boolean> =>
      Date.now() > ends.getTime() && (await refusalOf(doors.mtls, shown)) === 'CLUSTER_TLS_FAILED';
    await mirror.until(isOver, 'the certificate has expired, and new clients are refused', SLOW_MS);
    await mirror.advances('connections that stand go on');
    expect(mirror.process.outages, mirror.process.describe()).toEqual([]);

    await restart(clusters.source);
    const refusals = () => mirror.process.outages.filter(({ code }) => code !== 'CLUSTER_UNREACHABLE');
    await mirror.until(() => refusals().length > 0, 'the incident', SLOW_MS);
    const [incident] = refusals();
    expect(incident, incident?.cause).toMatchObject({ code: 'CLUSTER_TLS_FAILED', endsByItself: true });
    expect(incident?.cause).toContain('our certificate has expired');
    run.tookEffect(
      'the certificate expired while connections stood; after a restart of the source: CLUSTER_TLS_FAILED, our certificate has expired',
    );
    show(pki.issue({ commonName: 'mirror' }));
    run.figure('on again after the file, in ms', Math.round(await mirror.advances('the file has another certificate')));
    const mayWait = [{ code: 'CLUSTER_UNREACHABLE', side: 'source' }] as const;
    await mirror.expectIdenticalAfterwards({ outages: ['CLUSTER_TLS_FAILED'], mayWait });
  },
);

fault(
  {
    id: 'oauth-secret-rotated',
    title: 'the client secret is replaced at the token endpoint and in its file, with tokens that live for 15 s',
    timeoutMs: 600_000,
  },
  async (run) => {
    const clusters = await pair();
    oauth.expiresInSeconds = REAUTH_MS / 1000;
    oauth.clients.set('mirror', [`${CANARY} one`]);
    const setFile = (word: string) => put('client-secret', `${CANARY} ${word}\n`);
    const answers = (status: number): number => oauth.requests.filter((each) => each.status === status).length;
    /** Every token of before has ended by then. */
    const asksAgain = async (mirror: MirrorUnderTest, what: string): Promise<void> => {
      const before = answers(200);
      await mirror.until(() => answers(200) >= before + 4, `tokens are granted: ${what}`, SLOW_MS);
      await mirror.advances(what);
    };
    const clientSecret = setFile('one');
    const mirror = await start(
      run,
      clusters,
      linkOf(clusters, 'saslSsl', (side) => ({
        protocol: 'SASL_SSL',
        mechanism: 'OAUTHBEARER',
        token: { endpoint: oauth.tokenUrl, clientId: 'mirror', clientSecret },
        ca: { file: clusters[side].pki.caFile },
      })),
    );
    const gaps = await Gaps.watch(mirror);
    await asksAgain(mirror, 'tokens are renewed');
    run.figure('longest gap of a partition, in ms: tokens renewed', gaps.take());

    // As it is done: both are taken, then the file changes, then the old one is taken no more.
    oauth.clients.set('mirror', [`${CANARY} one`, `${CANARY} two`]);
    setFile('two');
    oauth.clients.set('mirror', [`${CANARY} two`]);
    await asksAgain(mirror, 'with the second secret');
    run.figure('secret exchanged', gaps.take());
    expect(answers(401), 'the mirror never said the old secret').toBe(0);
    expect(mirror.warnings()).toEqual([]);

    await tellsAgain(mirror, 'answered 401', () => oauth.clients.set('mirror', [`${CANARY} three`]));
    setFile('three');
    await asksAgain(mirror, 'with the third secret');
    run.figure('endpoint first', gaps.take());
    run.tookEffect(`the endpoint refused the old secret ${answers(401)} times, and granted ${answers(200)} tokens`);
    await mirror.expectIdenticalAfterwards();
    expectNoSecretTold(mirror);
  },
);
