/** Which brokers of a cluster are asked to log us in, and when: several refusals lock users out. */
import { describe, expect, test } from 'vitest';
import {
  API_VERSIONS,
  apiVersionsBody,
  METADATA,
  metadataBody,
  parseRequest,
  responseFrame,
  SASL_AUTHENTICATE,
  SASL_HANDSHAKE,
  saslAuthenticateBody,
  saslHandshakeBody,
  type RequestFrame,
} from '#testing/broker-frames.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork, type ScriptedPeer } from '#testing/scripted-network.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { Cluster } from './cluster.ts';
import { openConnection, type Connection } from './connection.ts';
import type { ConnectionError } from './errors.ts';
import { FramePool } from './frame.ts';
import { LoginTurns } from './login-turns.ts';
import type { Sasl } from './security.ts';

const SPOKEN = [
  [SASL_HANDSHAKE, 0, 1],
  [METADATA, 0, 12],
  [18, 0, 4],
  [SASL_AUTHENTICATE, 0, 2],
] as const;
const STEP_MS = 10;

/** `unoffered`: the mechanism is refused, before credentials are shown. */
type Verdict = 'refused' | 'taken' | 'lost' | 'none' | 'unoffered';
type Judge = (host: string, password: string) => Verdict;

interface Settings {
  readonly addresses?: readonly string[];
  /** Until an answer is here. */
  readonly wayMs?: number;
  /** How long a broker thinks about a login, on top of the way. */
  readonly loginMs?: number;
  readonly credentialsMs?: number;
  readonly connectTimeoutMs?: number;
  /** Where nothing comes back. */
  readonly silent?: readonly string[];
  /** Where nobody listens. */
  readonly dead?: readonly string[];
  readonly verdict?: Judge;
  /** Instead of a password: another one each time. */
  readonly tokens?: boolean;
}

/** Brokers that answer after `wayMs`, and what they were asked. */
class Played {
  readonly network = new ScriptedNetwork();
  readonly clock = new ManualClock();
  readonly cluster: Cluster;
  /** In their order. */
  readonly logins: { readonly host: string; readonly atMs: number }[] = [];
  /** The most that were without an answer at the same time. */
  atOnce = 0;
  password = 'canary-Zx81';
  verdict: Judge;
  silent: readonly string[];
  readonly #settings: Settings;
  readonly #turns: LoginTurns;
  readonly #unanswered = new Set<ScriptedPeer>();
  readonly #known = new Set<ScriptedPeer>();
  readonly #sasl: Sasl;
  #tokens = 0;

  constructor(settings: Settings = {}) {
    this.#settings = settings;
    this.verdict = settings.verdict ?? (() => 'refused');
    this.silent = settings.silent ?? [];
    const { clock, network } = this;
    this.#sasl = {
      mechanism: settings.tokens ? 'OAUTHBEARER' : 'PLAIN',
      credentials: async () => {
        const { password } = this;
        await new Promise<void>((resolve) => clock.schedule(settings.credentialsMs ?? 0, resolve));
        if (settings.tokens) return { token: `token-${++this.#tokens}`, extensions: {} };
        return { username: 'mirror', password };
      },
      refused: () => {},
      nonce: () => 'nonce',
      random: { next: () => 0.5 },
      onTrouble: () => {},
    };
    this.#turns = new LoginTurns(clock, createRandom(1));
    this.cluster = new Cluster({
      name: 'east',
      bootstrap: (settings.addresses ?? ['a', 'b', 'c', 'd']).map((host) => `${host}:1`),
      network,
      clock,
      random: createRandom(1),
      pool: new FramePool({ bytesMax: 2 ** 20 }),
      connectTimeoutMs: settings.connectTimeoutMs ?? 10_000,
      security: { tls: null, sasl: this.#sasl },
    });
  }

  /** The broker ends its connections. */
  restart(host: string): void {
    for (const peer of this.network.peers) if (peer.host === host) peer.close(null);
  }

  /** What asking for a connection comes to within `ms`. */
  async opened(host: string, ms: number): Promise<{ at: string } | ConnectionError | 'waits'> {
    const opening = this.open(host);
    await this.passes(ms, ms > 200 ? STEP_MS : 1); // each answer takes a step
    return stateOf(opening);
  }

  get hosts(): string[] {
    return this.logins.map(({ host }) => host);
  }

  /** Asks the cluster for any connection. */
  ask(): Promise<{ at: string } | ConnectionError> {
    return this.cluster.connection('any').then(whereOf, errorOf);
  }

  /** A connection outside of the cluster above; all of them share their turns. */
  open(host: string, signal?: AbortSignal): Promise<{ at: string } | ConnectionError> {
    const { network, clock } = this;
    const options = { network, clock, host, port: 1, clientId: 'test', connectTimeoutMs: 10_000, logins: this.#turns };
    const pool = new FramePool({ bytesMax: 2 ** 20 });
    return openConnection({ ...options, pool, security: { tls: null, sasl: this.#sasl } }, signal).then(
      whereOf,
      errorOf,
    );
  }

  async passes(ms: number, stepMs = STEP_MS): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await this.#look();
      await this.clock.advance(stepMs);
    }
    await this.#look();
  }

  /** What was written since is answered when its way is over. */
  async #look(): Promise<void> {
    await settle();
    for (const peer of this.network.peers) {
      if (peer.isDestroyed) this.#unanswered.delete(peer);
      else if (!this.silent.includes(peer.host)) this.#serve(peer);
    }
  }

  #serve(peer: ScriptedPeer): void {
    const { wayMs = 0, dead } = this.#settings;
    if (!this.#known.has(peer)) {
      this.#known.add(peer);
      const refused = Object.assign(new Error('nobody listens'), { code: 'ECONNREFUSED' });
      this.clock.schedule(wayMs, () => (dead?.includes(peer.host) ? peer.close(refused) : peer.accept()));
    }
    for (const request of peer.takeRequests().map((bytes) => parseRequest(bytes))) {
      if (request.apiKey === API_VERSIONS) this.#answer(peer, request, apiVersionsBody(SPOKEN));
      if (request.apiKey === METADATA) this.#answer(peer, request, metadataBody('id'));
      if (request.apiKey === SASL_HANDSHAKE) this.#offer(peer, request);
      if (request.apiKey === SASL_AUTHENTICATE) this.#judge(peer, request);
    }
  }

  #offer(peer: ScriptedPeer, request: RequestFrame): void {
    const isOffered = this.verdict(peer.host, '') !== 'unoffered';
    this.#answer(peer, request, saslHandshakeBody(isOffered ? 0 : 33, ['PLAIN']));
  }

  #answer(peer: ScriptedPeer, request: RequestFrame, body: Buffer, { moreMs = 0 } = {}): void {
    const delayMs = (this.#settings.wayMs ?? 0) + moreMs;
    this.clock.schedule(delayMs, () => peer.send(responseFrame(request, body)));
  }

  #judge(peer: ScriptedPeer, request: RequestFrame): void {
    const password = must(request.reader.compactBytes().toString().split('\0').at(-1), 'password');
    const verdict = this.verdict(peer.host, password);
    const moreMs = this.#settings.loginMs ?? 0;
    this.logins.push({ host: peer.host, atMs: this.clock.monotonic() });
    this.#unanswered.add(peer);
    this.atOnce = Math.max(this.atOnce, this.#unanswered.size);
    if (verdict === 'none') return;
    this.clock.schedule((this.#settings.wayMs ?? 0) + moreMs, () => this.#unanswered.delete(peer));
    if (verdict === 'lost') this.clock.schedule(moreMs, () => peer.close(new Error('reset')));
    else if (verdict === 'taken') this.#answer(peer, request, saslAuthenticateBody(0, null), { moreMs });
    else this.#answer(peer, request, saslAuthenticateBody(58, 'no'), { moreMs });
  }
}

const whereOf = (connection: Connection) => ({ at: connection.address });
const errorOf = (error: unknown) => error as ConnectionError;

/** What `promise` has come to by now; 'waits' where that is open. */
async function stateOf<T>(promise: Promise<T>): Promise<T | 'waits'> {
  await settle();
  return Promise.race([promise, Promise.resolve('waits' as const)]);
}

const REFUSED = { name: 'ClusterUnreachableError', failures: [{ failure: 'authentication' }] };

describe('the login to a cluster of which several addresses answer', () => {
  test.each<[string, Settings]>([
    ['at once', { loginMs: 1_500 }],
    ['over a slow network', { wayMs: 150, loginMs: 100 }],
    ['with credentials that are long on their way', { wayMs: 10, credentialsMs: 600, loginMs: 500 }],
  ])('is tried at one of them, %s, and its refusal is that of all', async (_, settings) => {
    const broker = new Played(settings);
    const asking = broker.ask();
    await broker.passes(3_000);
    expect(await stateOf(asking)).toMatchObject(REFUSED);
    expect(broker.hosts).toEqual(['a']);
  });

  test('is refused for all who ask at once, also where another address says nothing', async () => {
    const broker = new Played({ silent: ['a'], loginMs: 250 });
    const asking = [broker.ask(), broker.ask()];
    await broker.passes(2_000);
    for (const each of asking) expect(await stateOf(each)).toMatchObject(REFUSED);
    expect(broker.hosts).toEqual(['b']);
  });

  test('stays one when a silent address is given up beside it', async () => {
    const broker = new Played({ wayMs: 10, silent: ['a'], connectTimeoutMs: 1_000, loginMs: 900 });
    const asking = broker.ask();
    await broker.passes(3_000);
    expect(await stateOf(asking)).toMatchObject({ failures: [{ failure: 'timeout' }, { failure: 'authentication' }] });
    expect(broker.hosts).toEqual(['b']);
  });

  test('stays one when an address fails late', async () => {
    const broker = new Played({ wayMs: 200, dead: ['a'], loginMs: 400 });
    const asking = broker.ask();
    await broker.passes(3_000);
    expect(await stateOf(asking)).toMatchObject({ failures: [{ failure: 'refused' }, { failure: 'authentication' }] });
    expect(broker.hosts).toEqual(['b']);
  });

  test('that is refused is tried again after a growing distance, however many addresses and askers there are', async () => {
    const broker = new Played({ wayMs: 5, loginMs: 50, addresses: Array.from({ length: 12 }, (_, i) => `h${i}`) });
    const others = Array.from({ length: 20 }, async () => {
      while (!broker.cluster.closed.aborted) await broker.ask();
    });
    void broker.cluster.untilReachable(new AbortController().signal);
    await broker.passes(60_000, 50);
    const distances = broker.logins.slice(1).map(({ atMs }, i) => atMs - broker.logins[i]!.atMs);
    expect(broker.atOnce).toBe(1);
    expect(distances[0]).toBeLessThan(500);
    expect(Math.min(...distances.slice(6))).toBeGreaterThan(2_500);
    expect(Math.max(...distances)).toBeLessThan(5_500);
    expect(broker.network.peers.length, 'connections that were only made to be dropped').toBeLessThan(
      2 * broker.logins.length,
    );
    broker.cluster.close();
    expect(await stateOf(Promise.all(others))).not.toBe('waits');
  });

  test('is tried at the next when one hangs in it for 5 s', async () => {
    const broker = new Played({ wayMs: 5, verdict: (host) => (host === 'a' ? 'none' : 'taken') });
    const asking = broker.ask();
    await broker.passes(4_900);
    expect(broker.hosts).toEqual(['a']);
    await broker.passes(300);
    expect(await stateOf(asking)).toEqual({ at: 'b:1' });
    expect(broker.hosts.slice(0, 2)).toEqual(['a', 'b']);
  });
});

describe('the turn of a login', () => {
  test('comes one after the other for credentials that no broker has taken, then for all at once', async () => {
    const broker = new Played({ loginMs: 200, verdict: () => 'taken' });
    const opening = ['a', 'b', 'c', 'd'].map((host) => broker.open(host));
    await broker.passes(150);
    expect(broker.hosts).toEqual(['a']);
    await broker.passes(150);
    expect(broker.hosts).toEqual(['a', 'b', 'c', 'd']);
    expect(broker.atOnce).toBe(3);
    await broker.passes(300);
    expect(await stateOf(Promise.all(opening))).toEqual(['a', 'b', 'c', 'd'].map((host) => ({ at: `${host}:1` })));
    expect(broker.clock.pending, 'nothing is left of the turns but deadlines of what was answered').toBeLessThan(17);
  });

  test('is not waited for with credentials that a broker has taken', async () => {
    const broker = new Played({ verdict: (host) => (host === 'a' ? 'taken' : 'none') });
    void broker.open('a');
    await broker.passes(100);
    for (const host of ['b', 'c', 'd']) void broker.open(host);
    await broker.passes(100);
    expect(broker.hosts).toEqual(['a', 'b', 'c', 'd']);
  });

  test('is waited for with credentials that were changed since', async () => {
    const broker = new Played({ loginMs: 200, verdict: () => 'taken' });
    void broker.open('a');
    await broker.passes(300);
    broker.password = 'rotated';
    for (const host of ['b', 'c', 'd']) void broker.open(host);
    await broker.passes(150);
    expect(broker.hosts).toEqual(['a', 'b']);
    await broker.passes(150);
    expect(broker.hosts).toEqual(['a', 'b', 'c', 'd']);
  });

  test('is waited for with credentials that were taken once and refused by two addresses since', async () => {
    const broker = new Played({ loginMs: 200, verdict: (host) => ('bc'.includes(host) ? 'refused' : 'taken') });
    for (const host of ['a', 'b', 'c']) {
      void broker.open(host);
      await broker.passes(300);
    }
    await broker.passes(200);
    for (const host of ['d', 'e', 'f']) void broker.open(host);
    await broker.passes(150);
    expect(broker.hosts).toEqual(['a', 'b', 'c', 'd']);
  });

  test('is waited for where an address has refused what others take', async () => {
    const broker = new Played({ loginMs: 200, verdict: (host) => (host === 'b' ? 'refused' : 'taken') });
    for (const host of ['a', 'b']) await broker.opened(host, 400);
    const opening = ['b', 'b', 'b', 'b'].map((host) => broker.open(host));
    await broker.passes(600);
    for (const each of opening) expect(await stateOf(each)).toMatchObject({ failure: 'authentication' });
    expect(broker.hosts).toEqual(['a', 'b', 'b']);
    expect(broker.atOnce).toBe(1);
    broker.verdict = () => 'taken';
    expect(await broker.opened('b', 600)).toEqual({ at: 'b:1' });
    for (const host of ['b', 'b']) void broker.open(host);
    await broker.passes(150);
    expect(broker.atOnce).toBe(2);
  });

  test('goes to the next when the connection of a login is lost', async () => {
    const broker = new Played({ loginMs: 200, verdict: (host) => (host === 'a' ? 'lost' : 'none') });
    const first = broker.open('a');
    for (const host of ['b', 'c']) void broker.open(host);
    await broker.passes(500);
    expect(await stateOf(first)).toMatchObject({ failure: 'closed' });
    expect(broker.hosts).toEqual(['a', 'b']);
  });

  test('is not had, and not kept from others, by who was given up or lost while waiting', async () => {
    const broker = new Played({ loginMs: 300, verdict: (host) => (host === 'a' ? 'lost' : 'none') });
    const abort = new AbortController();
    void broker.open('a');
    await broker.passes(50);
    const given = broker.open('b', abort.signal);
    const lost = broker.open('c');
    void broker.open('d');
    await broker.passes(50);
    abort.abort();
    broker.network.peers.find(({ host }) => host === 'c')?.close(new Error('reset'));
    expect(await stateOf(given)).toMatchObject({ failure: 'local', address: 'b:1' });
    expect(await stateOf(lost)).toMatchObject({ failure: 'closed', address: 'c:1' });
    void broker.open('e');
    await broker.passes(50);
    expect(broker.hosts).toEqual(['a']);
    await broker.passes(500);
    expect(broker.hosts).toEqual(['a', 'd']);
  });

  test('is not waited for beyond the close of a cluster', async () => {
    const broker = new Played({ verdict: () => 'none' });
    const asking = broker.ask();
    await broker.passes(1_500);
    broker.cluster.close();
    expect(await stateOf(asking)).toMatchObject({ failure: 'local' });
    expect([broker.hosts, broker.clock.pending]).toEqual([['a'], 0]);
  });
});

describe('a login that was refused', () => {
  test('is told to each with its own address, and without the password', async () => {
    const broker = new Played({ loginMs: 200 });
    const opening = ['a', 'b'].map((host) => broker.open(host));
    await broker.passes(500);
    const errors = (await stateOf(Promise.all(opening))) as ConnectionError[];
    const message =
      'a:1: the login of user "mirror" by PLAIN failed: the broker answered SASL_AUTHENTICATION_FAILED (58): no';
    expect(errors).toMatchObject([
      { failure: 'authentication', definite: true, address: 'a:1', message },
      { failure: 'authentication', definite: true, address: 'b:1', message },
    ]);
    expect(JSON.stringify(errors.map((error) => [error, String(error.stack)]))).not.toContain('canary');
    expect(broker.hosts).toEqual(['a']);
  });

  test('is that of who began before it and comes later, however much later', async () => {
    const broker = new Played({ silent: ['b'] });
    const slow = broker.open('b');
    await broker.passes(100);
    void broker.open('a');
    await broker.passes(5_000);
    const peer = broker.network.peers.find(({ host }) => host === 'b')!;
    peer.accept();
    await settle();
    for (const bytes of peer.takeRequests()) peer.send(responseFrame(parseRequest(bytes), apiVersionsBody(SPOKEN)));
    expect(await stateOf(slow)).toMatchObject({ failure: 'authentication', address: 'b:1' });
    expect(broker.hosts).toEqual(['a']);
  });

  test('holds back the next, which reads its credentials only then, until one is taken', async () => {
    const broker = new Played();
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      const startedMs = broker.clock.monotonic();
      const opening = broker.open('a');
      while ((await stateOf(opening)) === 'waits') await broker.passes(STEP_MS);
      waits.push(broker.clock.monotonic() - startedMs);
    }
    for (const [i, cap] of [0, 100, 200, 400, 800].entries()) {
      expect(waits[i]).toBeGreaterThanOrEqual(cap / 2);
      expect(waits[i]).toBeLessThanOrEqual(cap + 10 * STEP_MS);
    }
    const opening = broker.open('a');
    await settle();
    broker.password = 'corrected';
    broker.verdict = () => 'taken';
    await broker.passes(2_000);
    expect(await stateOf(opening)).toEqual({ at: 'a:1' });

    broker.verdict = () => 'refused';
    for (let i = 0; i < 2; i++) {
      void broker.open('a');
      await broker.passes(200);
    }
    expect(broker.logins, 'the distance is small again').toHaveLength(8);
  });

  test('counts once where several brokers refuse at once what one had taken', async () => {
    const broker = new Played({ verdict: (host) => (host === 'a' ? 'taken' : 'refused') });
    void broker.open('a');
    await broker.passes(50);
    const opening = ['b', 'c', 'd', 'e', 'f'].map((host) => broker.open(host));
    await broker.passes(50);
    expect(await stateOf(Promise.all(opening))).not.toBe('waits');
    void broker.open('g');
    await broker.passes(150);
    expect(broker.hosts.at(-1)).toBe('g');
  });

  test('is not waited out by who is given up meanwhile', async () => {
    const broker = new Played();
    void broker.open('a');
    await broker.passes(50);
    const abort = new AbortController();
    const given = broker.open('b', abort.signal);
    await settle();
    abort.abort();
    expect(await stateOf(given)).toMatchObject({ failure: 'local', address: 'b:1' });
    expect(broker.network.peers.map(({ host }) => host)).toEqual(['a']);
  });
});

describe('the refusal of one address', () => {
  test.each<[string, Settings]>([
    ['a password', {}],
    ['tokens, which are new each time', { tokens: true }],
  ])('holds up no other where those have taken %s', async (_, settings) => {
    const broker = new Played({ ...settings, loginMs: 20, verdict: () => 'taken' });
    for (const host of ['a', 'b', 'c']) expect(await broker.opened(host, 100)).toEqual({ at: `${host}:1` });
    broker.verdict = (host) => (host === 'a' ? 'refused' : 'taken');
    let isOver = false;
    const outcomes: unknown[] = [];
    const lanes = Array.from({ length: 4 }, async () => {
      while (!isOver) outcomes.push(await broker.open('a'));
    });
    for (let i = 0; i < 60; i++) {
      const host = i % 2 === 0 ? 'b' : 'c';
      broker.restart(host);
      expect(await broker.opened(host, 50)).toEqual({ at: `${host}:1` });
      await broker.passes(950, 50);
    }
    const refusedMs = broker.logins.filter(({ host }) => host === 'a').map(({ atMs }) => atMs);
    const distances = refusedMs.slice(1).map((atMs, i) => atMs - refusedMs[i]!);
    expect(Math.min(...distances.slice(10))).toBeGreaterThan(2_500);
    expect(refusedMs.length).toBeLessThan(30);
    for (const each of outcomes) expect(each).toMatchObject({ failure: 'authentication', isOfAllBrokers: false });
    isOver = true;
    broker.verdict = () => 'taken';
    await broker.passes(6_000, 50);
    expect(await stateOf(Promise.all(lanes))).not.toBe('waits');
    expect(await broker.opened('a', 50)).toEqual({ at: 'a:1' });
  });

  test('is that of all when a second one refuses too, also for who has begun before', async () => {
    const broker = new Played({ silent: ['c'], verdict: () => 'taken' });
    await broker.opened('a', 50);
    broker.verdict = () => 'refused';
    const slow = broker.open('c');
    expect(await broker.opened('a', 10)).toMatchObject({ failure: 'authentication', isOfAllBrokers: false });
    expect(await broker.opened('b', 10)).toMatchObject({ failure: 'authentication', isOfAllBrokers: true });
    expect(await broker.opened('d', 20), 'all are held off').toBe('waits');
    broker.silent = [];
    await broker.passes(10, 1);
    expect(await stateOf(slow)).toMatchObject({ failure: 'authentication', address: 'c:1', isOfAllBrokers: true });
    expect(broker.hosts).toEqual(['a', 'a', 'b']);
  });

  test('is its own again after any other has taken the same', async () => {
    const broker = new Played({ verdict: () => 'taken' });
    await broker.opened('a', 50);
    broker.verdict = (host) => ('bc'.includes(host) ? 'refused' : 'taken');
    for (const host of ['b', 'd', 'c']) await broker.opened(host, 10);
    expect(await broker.opened('e', 10)).toEqual({ at: 'e:1' });
  });

  test('stays its own with credentials that no other has seen', async () => {
    const broker = new Played({ verdict: () => 'taken' });
    await broker.opened('a', 10);
    broker.verdict = (host) => (host === 'a' ? 'refused' : 'taken');
    await broker.opened('a', 120);
    broker.password = 'rotated';
    expect(await broker.opened('a', 10)).toMatchObject({ failure: 'authentication', isOfAllBrokers: false });
    expect(await broker.opened('b', 10)).toEqual({ at: 'b:1' });
  });

  test('of the mechanism says nothing of others, and no credentials are shown for it', async () => {
    const broker = new Played({ verdict: (host) => (host === 'c' ? 'taken' : 'unoffered') });
    const asking = broker.ask();
    await broker.passes(200);
    expect(await stateOf(asking)).toEqual({ at: 'c:1' });
    for (let i = 0; i < 10; i++) await broker.opened('a', 500);
    expect(await broker.opened('d', 10)).toMatchObject({ failure: 'authentication' });
    expect(await broker.opened('c', 10)).toEqual({ at: 'c:1' });
    expect(broker.hosts).toEqual(['c', 'c']);
  });

  test('does not end the first contact, until one refuses credentials that none has taken', async () => {
    const broker = new Played({ verdict: (host) => (host === 'a' ? 'unoffered' : 'refused') });
    const connecting = broker.cluster.connect().catch(errorOf);
    await broker.passes(100);
    expect(await stateOf(connecting)).toMatchObject({ failures: [{ address: 'a:1' }, { address: 'b:1' }] });
    expect(broker.hosts).toEqual(['b']);
  });

  test('does not end an attempt at a cluster, and that of a second one does', async () => {
    const broker = new Played({ verdict: () => 'taken' });
    const asked = async (): Promise<unknown> => {
      const asking = broker.ask();
      await broker.passes(500);
      return stateOf(asking);
    };
    expect(await asked()).toEqual({ at: 'a:1' });
    broker.verdict = (host) => (host === 'a' ? 'refused' : 'taken');
    broker.restart('a');
    expect(await asked()).toEqual({ at: 'b:1' });
    broker.verdict = () => 'refused';
    broker.restart('b');
    expect(await asked()).toMatchObject({ name: 'ClusterUnreachableError', failures: [{}, {}] });
    expect(broker.hosts.slice(0, 3)).toEqual(['a', 'a', 'b']);
    expect(broker.hosts).toHaveLength(5);
  });
});

describe('credentials that are changed', () => {
  test('are shown although others were refused after they had been read', async () => {
    const judge: Judge = (_, password) => (password === 'new' ? 'taken' : 'refused');
    const broker = new Played({ loginMs: 200, verdict: judge });
    const old = broker.open('a');
    await broker.passes(50);
    broker.password = 'new';
    const corrected = broker.open('b');
    await broker.passes(500);
    expect(await stateOf(old)).toMatchObject({ failure: 'authentication' });
    expect(await stateOf(corrected)).toEqual({ at: 'b:1' });
  });

  test('on the brokers and then in the file end all distances with their first success', async () => {
    const judge: Judge = (_, password) => (password === 'new' ? 'taken' : 'refused');
    const broker = new Played({ loginMs: 100, verdict: judge });
    for (let i = 0; i < 10; i++) await broker.opened('a', 5_200);
    await broker.passes(5_000);
    const old = broker.open('a');
    await broker.passes(50);
    broker.password = 'new';
    const corrected = broker.open('b');
    await broker.passes(250);
    expect(await stateOf(old)).toMatchObject({ failure: 'authentication' });
    expect(await stateOf(corrected)).toEqual({ at: 'b:1' });
    for (const host of ['a', 'c']) expect(await broker.opened(host, 110)).toEqual({ at: `${host}:1` });
    broker.verdict = () => 'refused';
    for (const host of ['a', 'b']) await broker.opened(host, 110);
    expect(await broker.opened('c', 300), 'the distance is small again').toMatchObject({ failure: 'authentication' });
  });

  test('leave an address that refuses them at the distance that it had', async () => {
    const broker = new Played({ verdict: () => 'taken' });
    await broker.opened('a', 50);
    broker.verdict = (host) => (host === 'a' ? 'refused' : 'taken');
    for (let i = 0; i < 10; i++) await broker.opened('a', 5_100);
    broker.password = 'new';
    expect(await broker.opened('b', 10)).toEqual({ at: 'b:1' });
    const opening = broker.open('a');
    while ((await stateOf(opening)) === 'waits') await broker.passes(STEP_MS);
    for (const host of ['b', 'c']) expect(await broker.opened(host, 10)).toEqual({ at: `${host}:1` });
    expect(await broker.opened('a', 2_000)).toBe('waits');
  });
});
