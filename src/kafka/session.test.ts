/** Logins of one connection against a far end that is played, on a clock that stands still. */
import { describe, expect, test } from 'vitest';
import {
  apiVersionsBody,
  parseRequest,
  responseFrame,
  SASL_AUTHENTICATE,
  SASL_HANDSHAKE,
  saslAuthenticateBody,
  saslHandshakeBody,
  type RequestFrame,
} from '#testing/broker-frames.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork } from '#testing/scripted-network.ts';
import { assert, must } from '#util/assert.ts';
import type { Api } from './api.ts';
import { openConnection, type Connection } from './connection.ts';
import { type ConnectionError, SecretError } from './errors.ts';
import { FramePool } from './frame.ts';
import type { Sasl, SaslCredentials } from './security.ts';

const SPOKEN = [
  [SASL_HANDSHAKE, 0, 1],
  [18, 0, 4],
  [SASL_AUTHENTICATE, 0, 2],
  [99, 1, 1],
] as const;
const ECHO = 99;
const PASSWORD = 'canary-Zx81';

const echo: Api<{ value: number }, { value: number }> = {
  key: ECHO,
  name: 'Echo',
  minVersion: 1,
  maxVersion: 1,
  flexibleVersion: 1,
  writeRequest: (writer, { value }) => writer.int32(value),
  readResponse: (reader) => ({ value: reader.int32() }),
};

/** A connection that is being opened, the broker behind it, and what the login was given and told. */
class Played {
  readonly network = new ScriptedNetwork();
  readonly clock = new ManualClock();
  readonly troubles: string[] = [];
  readonly abort = new AbortController();
  refusals = 0;
  credentials: () => Promise<SaslCredentials> = () => Promise.resolve({ username: 'mirror', password: PASSWORD });
  readonly opening: Promise<Connection>;

  constructor(options: { plain?: true; failing?: Error; waiting?: true } = {}) {
    const { failing } = options;
    if (failing) this.credentials = () => Promise.reject(failing);
    if (options.waiting) this.credentials = () => new Promise(() => {});
    const sasl: Sasl = {
      mechanism: 'PLAIN',
      credentials: () => this.credentials(),
      refused: () => void this.refusals++,
      nonce: () => 'nonce',
      random: { next: () => 0.5 },
      onTrouble: (error) => void this.troubles.push(error.message),
    };
    this.opening = openConnection(
      {
        network: this.network,
        clock: this.clock,
        pool: new FramePool({ bytesMax: 2 ** 20 }),
        host: 'broker',
        port: 9092,
        clientId: 'test',
        connectTimeoutMs: 1_000,
        ...(options.plain ? {} : { security: { tls: null, sasl } }),
      },
      this.abort.signal,
    );
    this.opening.catch(() => {});
  }

  /** Up to the login. */
  async accept(): Promise<void> {
    await settle();
    this.network.peer.accept();
    await settle();
    this.answer(this.take(), apiVersionsBody(SPOKEN));
    await settle();
  }

  /** Open, with a session of `lifetimeMs`. */
  static async open(lifetimeMs: number): Promise<{ broker: Played; connection: Connection }> {
    const broker = new Played();
    await broker.accept();
    await broker.logIn(lifetimeMs);
    return { broker, connection: await broker.opening };
  }

  /** The next login, to its end. */
  async logIn(lifetimeMs: number): Promise<void> {
    this.answer(this.take(SASL_HANDSHAKE), saslHandshakeBody(0, ['PLAIN']));
    await settle();
    this.answer(this.take(SASL_AUTHENTICATE), saslAuthenticateBody(0, null, lifetimeMs));
    await settle();
  }

  readonly #unread: RequestFrame[] = [];

  get keys(): number[] {
    this.#unread.push(...this.network.peer.takeRequests().map((frame) => parseRequest(frame)));
    return this.#unread.map(({ apiKey }) => apiKey);
  }

  take(apiKey?: number): RequestFrame {
    const [first] = this.keys;
    assert(apiKey === undefined || first === apiKey, `the next request is ${apiKey}, not ${first}`);
    return must(this.#unread.shift(), 'a request');
  }

  answer(request: RequestFrame, body: Buffer): void {
    this.network.peer.send(responseFrame(request, body));
  }
}

function int32Body(value: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeInt32BE(value);
  return body;
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error as ConnectionError,
  );
const ask = (connection: Connection, value: number) => connection.call(echo, { value }, { timeoutMs: 120_000 });

describe('the first login', () => {
  test('comes before anybody has the connection', async () => {
    const broker = new Played();
    await broker.accept();
    let isOpen = false;
    void broker.opening.then(() => (isOpen = true));
    const handshake = broker.take(SASL_HANDSHAKE);
    expect(handshake.reader.string()).toBe('PLAIN');
    broker.answer(handshake, saslHandshakeBody(0, ['PLAIN']));
    await settle();
    const authenticate = broker.take(SASL_AUTHENTICATE);
    expect(authenticate.reader.compactBytes().toString()).toBe(`\0mirror\0${PASSWORD}`);
    expect(isOpen).toBe(false);
    broker.answer(authenticate, saslAuthenticateBody(0, null));
    await settle();
    expect(isOpen).toBe(true);
    await broker.clock.advance(2_000); // the deadlines of what was answered
    expect(broker.clock.pending, 'a session without an end is not renewed').toBe(0);
  });

  test.each([
    [saslHandshakeBody(33, ['GSSAPI', 'SCRAM-SHA-512']), 'the broker offers only GSSAPI, SCRAM-SHA-512'],
    [saslHandshakeBody(33, []), 'the broker offers no mechanism'],
    [saslHandshakeBody(34, []), 'this listener takes no login'],
  ])('that the handshake refuses says why', async (body, message) => {
    const broker = new Played();
    await broker.accept();
    broker.answer(broker.take(SASL_HANDSHAKE), body);
    const error = await failureOf(broker.opening);
    expect(error).toMatchObject({ failure: 'authentication', definite: true, address: 'broker:9092' });
    expect(error?.message).toContain(message);
    expect(broker.refusals, 'no credentials were').toBe(0);
    expect(broker.network.peer.isDestroyed).toBe(true);
  });

  test('that is refused has the user and what the broker says, never the password', async () => {
    const broker = new Played();
    await broker.accept();
    broker.answer(broker.take(SASL_HANDSHAKE), saslHandshakeBody(0, ['PLAIN']));
    await settle();
    broker.answer(broker.take(SASL_AUTHENTICATE), saslAuthenticateBody(58, `wrong:\n${PASSWORD} is not it`));
    const error = must(await failureOf(broker.opening), 'error');
    expect(error.failure).toBe('authentication');
    expect(error.message).toBe(
      'broker:9092: the login of user "mirror" by PLAIN failed: the broker answered SASL_AUTHENTICATION_FAILED (58): wrong: (hidden) is not it',
    );
    expect(JSON.stringify([error, error.stack, error.cause])).not.toContain(PASSWORD);
    expect(broker.refusals).toBe(1);
  });

  test('is not tried without credentials: no broker is asked', async () => {
    const broker = new Played({ failing: new SecretError('file pw is not there') });
    expect(await failureOf(broker.opening)).toMatchObject({
      failure: 'secret',
      message: 'broker:9092: file pw is not there',
      address: 'broker:9092',
    });
    expect(broker.network.peers).toEqual([]);
  });

  test('is given up by a signal while credentials are on their way', async () => {
    const broker = new Played({ waiting: true });
    await settle();
    broker.abort.abort();
    expect(await failureOf(broker.opening)).toMatchObject({ failure: 'local', definite: true });
    expect(broker.network.peers).toEqual([]);
  });

  test('ends at its deadline', async () => {
    const broker = new Played();
    await broker.accept();
    await broker.clock.advance(1_001);
    expect(await failureOf(broker.opening)).toMatchObject({ failure: 'timeout' });
  });

  test('is no reason for a connection that is closed because nothing was asked', async () => {
    const broker = new Played({ plain: true });
    await broker.accept();
    const connection = await broker.opening;
    broker.network.peer.close(null);
    expect(await failureOf(ask(connection, 1))).toMatchObject({ failure: 'closed' });
  });

  test('that is missing shows as a close at the first request', async () => {
    const broker = new Played({ plain: true });
    await broker.accept();
    const asked = failureOf(ask(await broker.opening, 1));
    broker.network.peer.close(null);
    expect(await asked).toMatchObject({ failure: 'authentication' });
  });
});

describe('the repeated login', () => {
  test('waits for what is in flight, holds what comes, and lets it go in its order', async () => {
    const { broker, connection } = await Played.open(10_000);
    const early = ask(connection, 1);
    const first = broker.take(ECHO);
    await broker.clock.advance(8_499);
    expect(broker.keys).toEqual([]);
    await broker.clock.advance(1); // 80 to 90 %: half of the jitter
    const held = [ask(connection, 2), ask(connection, 3)];
    expect(broker.keys, 'nothing while a request is in flight').toEqual([]);
    expect(connection.inFlightCount).toBe(3);

    broker.answer(first, int32Body(1));
    expect(await early).toEqual({ value: 1 });
    await settle();
    expect(broker.keys).toEqual([SASL_HANDSHAKE]);
    await broker.logIn(10_000);
    expect(broker.keys).toEqual([ECHO, ECHO]);
    broker.answer(broker.take(), int32Body(2));
    broker.answer(broker.take(), int32Body(3));
    expect(await Promise.all(held)).toEqual([{ value: 2 }, { value: 3 }]);

    await broker.clock.advance(8_500);
    await broker.logIn(10_000);
    expect([connection.isOpen, broker.troubles]).toEqual([true, []]);
    connection.close();
    expect(broker.clock.pending).toBe(0);
  });

  test('asks for credentials anew and holds nothing meanwhile', async () => {
    const { broker, connection } = await Played.open(10_000);
    const arrived = Promise.withResolvers<SaslCredentials>();
    broker.credentials = () => arrived.promise;
    await broker.clock.advance(8_500);
    void ask(connection, 1).catch(() => {});
    expect(broker.keys).toEqual([ECHO]);
    broker.answer(broker.take(), int32Body(1));

    arrived.resolve({ username: 'mirror', password: 'rotated' });
    await settle();
    broker.answer(broker.take(SASL_HANDSHAKE), saslHandshakeBody(0, ['PLAIN']));
    await settle();
    expect(broker.take(SASL_AUTHENTICATE).reader.compactBytes().toString()).toBe('\0mirror\0rotated');
    connection.close();
  });

  test('looks again for credentials that are gone, and says so once', async () => {
    const { broker, connection } = await Played.open(60_000);
    const { credentials } = broker;
    broker.credentials = () => Promise.reject(new SecretError('file pw is not there'));
    await broker.clock.advance(52_000);
    expect(connection.isOpen).toBe(true);
    expect(broker.keys).toEqual([]);
    broker.credentials = credentials;
    while (broker.keys.length === 0) await broker.clock.advance(100);
    await broker.logIn(60_000);
    expect(broker.troubles).toEqual(['broker:9092: file pw is not there']);
    expect(connection.isOpen).toBe(true);
    connection.close();
  });

  test('that cannot come about ends the connection in order before the session does', async () => {
    const { broker, connection } = await Played.open(60_000);
    broker.credentials = () => Promise.reject(new SecretError('file pw is not there'));
    const asked = ask(connection, 7);
    const request = broker.take();
    await broker.clock.advance(58_300);
    expect(connection.isOpen, 'what is in flight is answered first').toBe(true);
    const held = failureOf(ask(connection, 8));
    broker.answer(request, int32Body(7));
    expect(await asked).toEqual({ value: 7 });
    expect(await held).toMatchObject({ failure: 'secret', definite: true });
    expect([connection.isOpen, broker.clock.pending]).toEqual([false, 0]);
  });

  test('that is refused ends the connection; what was held was certainly not done', async () => {
    const { broker, connection } = await Played.open(10_000);
    await broker.clock.advance(8_500);
    const held = failureOf(ask(connection, 1));
    broker.answer(broker.take(SASL_HANDSHAKE), saslHandshakeBody(0, ['PLAIN']));
    await settle();
    broker.answer(broker.take(SASL_AUTHENTICATE), saslAuthenticateBody(58, 'rotated'));
    expect(await held).toMatchObject({ failure: 'authentication', definite: true });
    await settle();
    expect(broker.troubles).toHaveLength(1);
    expect([connection.isOpen, broker.refusals, broker.clock.pending]).toEqual([false, 1, 0]);
  });

  test('of a connection that is lost meanwhile tells the held requests', async () => {
    const { broker, connection } = await Played.open(10_000);
    await broker.clock.advance(8_500);
    const held = failureOf(ask(connection, 1));
    broker.network.peer.close(new Error('reset'));
    expect(await held).toMatchObject({ failure: 'closed', definite: true });
    await settle();
    expect(broker.clock.pending).toBe(0);
    expect(broker.troubles, 'those who use it are told').toEqual([]);
  });

  test('keeps to what timers can carry and never runs hot', async () => {
    const { broker, connection } = await Played.open(1);
    await broker.clock.advance(99);
    expect(broker.keys).toEqual([]);
    await broker.clock.advance(1);
    await broker.logIn(Number.MAX_SAFE_INTEGER);
    await broker.clock.advance(60_000);
    expect(broker.keys).toEqual([]);
    connection.close();
  });
});
