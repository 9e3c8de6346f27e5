/** One connection against a far end that is played byte by byte, on a clock that stands still. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork, type ScriptedPeer } from '#testing/scripted-network.ts';
import type { Api } from './api.ts';
import { openConnection, type Connection, type RawResponse } from './connection.ts';
import { BrokerError, type ConnectionError, UnsupportedApiError } from './errors.ts';
import { FramePool } from './frame.ts';
import { errorOf } from './protocol/error-codes.ts';
import { Writer } from './protocol/writer.ts';

/** A request with a number; its response has the same number and a throttle time. */
const echo: Api<{ value: number }, { throttleTimeMs: number; value: number }> = {
  key: 99,
  name: 'Echo',
  minVersion: 1,
  maxVersion: 4,
  flexibleVersion: 2,
  writeRequest: (writer, { value }) => writer.int32(value),
  readResponse: (reader) => ({ throttleTimeMs: reader.int32(), value: reader.int32() }),
};

describe('thousands of requests at once', () => {
  test('256 are on the wire, the others follow as answers come, and their deadline begins when they are sent', async () => {
    const { connection, peer, clock } = await open();
    const answers = Array.from({ length: 300 }, (_, i) => ask(connection, 1_000, i));
    expect([peer.takeRequests().length, connection.inFlightCount]).toEqual([256, 300]);
    await clock.advance(999);
    for (let i = 0; i < 256; i++) peer.send(frame(2 + i, echoBody(i)));
    expect([peer.takeRequests().length, connection.inFlightCount]).toEqual([44, 44]);
    await clock.advance(999);
    for (let i = 256; i < 300; i++) peer.send(frame(2 + i, echoBody(i)));
    expect((await Promise.all(answers)).map(({ value }) => value)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect(connection.isOpen).toBe(true);
  });

  test('one whose leave is taken back while it waits is not sent, and those behind it are', async () => {
    const { connection, peer } = await open();
    let mayLeave = true;
    const before = Array.from({ length: 256 }, (_, i) => ask(connection, 1_000, i));
    const withheld = Array.from({ length: 3 }, () =>
      rejection(connection.call(echo, { value: 0 }, { timeoutMs: 1_000, mayLeave: () => mayLeave })),
    );
    const after = ask(connection, 1_000, 7);
    peer.takeRequests();
    mayLeave = false;
    for (let i = 0; i < 256; i++) peer.send(frame(2 + i, echoBody(i)));
    expect(await Promise.all(withheld)).toEqual(
      withheld.map(() => expect.objectContaining({ name: 'WithheldError', definite: true }) as unknown),
    );
    await Promise.all(before);
    expect(peer.takeRequests()).toHaveLength(1);
    peer.send(frame(2 + 256, echoBody(7)));
    expect(await after).toMatchObject({ value: 7 });
  });

  test('those that wait when the connection is lost certainly had no effect', async () => {
    const { connection, peer } = await open();
    const outcomes = Array.from({ length: 300 }, () => rejection(ask(connection, 1_000)));
    peer.close(null);
    const definite = (await Promise.all(outcomes)).map((error) => (error as ConnectionError).definite);
    expect(definite.filter(Boolean)).toHaveLength(44);
  });
});

describe('a length that is only a claim', () => {
  test('takes no memory for bytes that have not come, and grows with those that do', async () => {
    const { connection, peer, pool } = await open();
    const size = 20 * 1024 * 1024;
    const response = frame(2, body(size, 1), { isFlexible: true });
    let isWhole = false;
    let largestExcess = 0;
    send(connection, {
      rawBytesExpected: 1024 * 1024,
      onResponse: ({ buffer, start, end }) => (isWhole = buffer.subarray(start, end).equals(body(size, 1))),
    });
    peer.takeRequests();
    for (let at = 0, step = 64 * 1024; at < response.length; at += step) {
      peer.send(response.subarray(at, at + step));
      largestExcess = Math.max(largestExcess, pool.bytesInUse - Math.max(1024 * 1024, 2 * (at + step)));
    }
    expect(largestExcess).toBeLessThanOrEqual(0);
    expect(isWhole).toBe(true);
    expect(pool.bytesInUse).toBe(0);
  });

  test.each([
    ['when no request is under way', 99, 'response 99 where none was expected', false],
    ['when another answer is due', 99, 'response 99 where 2 was expected', true],
    ['when it is longer than any answer that is decoded', 2, 'a length of 33554433 bytes', true],
  ] as const)('ends the connection at once %s', async (_, correlationId, message, isAsked) => {
    const { connection, peer, pool } = await open();
    const asked = isAsked ? rejection(ask(connection, 100)) : null;
    const claim = frame(correlationId, Buffer.alloc(4));
    claim.writeInt32BE(correlationId === 2 ? 32 * 1024 * 1024 + 1 : 30_000_000, 0);
    const closed = new Promise<ConnectionError>((resolve) => connection.onClose(resolve));
    peer.send(claim);
    expect((await closed).message).toContain(message);
    expect(asked ? await asked : { failure: 'closed' }).toMatchObject({ failure: 'closed' });
    expect(pool.bytesInUse).toBe(0);
  });
});

describe('opening', () => {
  test('learns what the broker speaks and uses the highest version of both', async () => {
    const { connection, peer } = await open();

    void ask(connection, 100, 7);

    const [request] = peer.takeRequests();
    expect([request?.readInt16BE(0), request?.readInt16BE(2)]).toEqual([99, 3]);
    expect(request?.toString('latin1', 8)).toBe('\0\x04test\0\0\0\0\x07'); // client id, no tagged fields, body
    expect(connection.offered(99)).toEqual({ min: 0, max: 3 });
    expect(connection.offered(98)).toBeUndefined();
  });

  test('names API and broker when there is no common version', async () => {
    const { connection } = await open();
    const late = { ...echo, key: 18, name: 'Late', minVersion: 9, maxVersion: 9 };

    expect(() => connection.versionOf(late)).toThrow(UnsupportedApiError);
    expect(() => connection.versionOf(late)).toThrow(
      'broker broker:9092 offers versions 0 to 3 of Late (key 18); Lockstep needs one of 9 to 9',
    );
    expect(() => connection.versionOf({ ...late, key: 77 })).toThrow('offers no version of Late');
  });

  test.each([
    ['TLS alert', Buffer.from([0x15, 3, 3, 0, 2, 2, 80]), 'not-kafka', 'TLS'],
    ['TLS handshake', Buffer.from([0x16, 3, 3, 0, 90, 2, 0, 0]), 'not-kafka', 'TLS'],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'not-kafka', 'HTTP'],
    [
      'a length beyond any response',
      Buffer.from([0x7f, 0, 0, 0, 0, 0, 0, 0]),
      'not-kafka',
      'a length of 2130706432 bytes',
    ],
    ['a negative length', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), 'not-kafka', 'a length of -1 bytes'],
  ] as const)('says that %s is no Kafka', async (_, bytes, failure, words) => {
    const { opening, peer } = start();
    peer.accept();
    await settle();
    peer.send(bytes);

    const error = await rejection(opening);
    expect(error).toMatchObject({ failure, definite: true, address: 'broker:9092' });
    expect((error as Error).message).toContain(words);
  });

  test.each([
    ['ECONNREFUSED', 'refused'],
    ['ENOTFOUND', 'unresolved'],
    ['EHOSTUNREACH', 'unreachable'],
    ['ETIMEDOUT', 'timeout'],
    ['ECONNRESET', 'not-kafka'],
  ])('tells %s apart', async (code, failure) => {
    const { opening, peer } = start();
    peer.close(Object.assign(new Error(`connect ${code}`), { code }));
    expect(await rejection(opening)).toMatchObject({ failure, definite: true });
  });

  test('ends at its deadline, whether nobody accepts or nobody answers', async () => {
    for (const accepts of [false, true]) {
      const { opening, peer, clock } = start();
      if (accepts) peer.accept();
      await settle();
      await clock.advance(1_001);
      expect(await rejection(opening)).toMatchObject({ failure: 'timeout', definite: true });
      expect([peer.isDestroyed, clock.pending]).toEqual([true, 0]);
    }
  });

  test('is given up by a signal', async () => {
    const abort = new AbortController();
    const { opening, peer } = start(abort.signal);
    abort.abort();
    expect(await rejection(opening)).toMatchObject({ failure: 'local' });
    expect(peer.isDestroyed).toBe(true);
  });

  test('survives an error code that nobody knows', async () => {
    const { opening, peer } = start();
    peer.accept();
    await settle();
    peer.takeRequests();
    peer.send(frame(1, apiVersionsBody(999)));
    const error = await rejection(opening);
    expect(error).toBeInstanceOf(BrokerError);
    expect(error).toMatchObject({ code: 999, codeName: 'UNKNOWN_ERROR_CODE_999', retryable: false, definite: false });
    expect(errorOf(6)).toMatchObject({ name: 'NOT_LEADER_OR_FOLLOWER', retryable: true });
  });
});

describe('responses', () => {
  test('of any size in reads of any size reach their requests, and no frame is kept', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.integer({ min: 0, max: 300 }),
            fc.integer({ min: 65_500, max: 65_560 }),
            fc.integer({ min: 0, max: 400_000 }),
          ),
          { maxLength: 8 },
        ),
        fc.integer({ min: 1, max: 200_000 }),
        async (sizes, readBytesMax) => {
          const { connection, peer, pool } = await open();
          const received = sizes.map(() => receive(connection));
          const frames = sizes.map((size, i) => frame(i + 2, body(size, i), { isFlexible: true }));
          peer.send(Buffer.concat(frames), readBytesMax);

          for (const [i, size] of sizes.entries()) expect((await received[i]!).equals(body(size, i))).toBe(true);
          expect([connection.inFlightCount, pool.bytesInUse, connection.isOpen]).toEqual([0, 0, true]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('that are large are read where they stay, as long as somebody holds them', async () => {
    const { connection, peer, pool } = await open();
    let held: RawResponse | null = null;
    send(connection, {
      onResponse(response) {
        response.frame?.retain();
        held = response;
      },
    });
    peer.send(frame(2, body(200_000, 3), { isFlexible: true }));

    const { buffer, start: at, end, frame: kept } = held as unknown as RawResponse;
    expect(buffer.subarray(at, end).equals(body(200_000, 3))).toBe(true);
    expect(pool.bytesInUse).toBeGreaterThan(200_000);
    kept?.release();
    expect(pool.bytesInUse).toBe(0);
  });

  test('out of order end the connection and everything in flight', async () => {
    const { connection, peer } = await open();
    const calls = [1, 2].map(() => ask(connection, 1_000));
    peer.send(frame(3, Buffer.alloc(8), { isFlexible: true }));

    for (const call of calls) expect(await rejection(call)).toMatchObject({ failure: 'closed', definite: false });
    expect(peer.isDestroyed).toBe(true);
  });

  test('that are cut short within end the connection', async () => {
    const { connection, peer } = await open();
    const call = ask(connection, 1_000);
    peer.send(frame(2, Buffer.alloc(3), { isFlexible: true }));
    expect(await rejection(call)).toMatchObject({ name: 'MalformedFrameError', definite: false });
    expect(connection.isOpen).toBe(false);
  });

  test.each([10, 300_000])('of %i bytes that never arrive whole leave an unknown outcome', async (size) => {
    const { connection, peer, pool, clock } = await open();
    const call = receive(connection);
    const later = receive(connection);
    peer.send(frame(2, body(size, 0), { isFlexible: true }).subarray(0, size));
    peer.close(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));

    for (const each of [call, later])
      expect(await rejection(each)).toMatchObject({ failure: 'closed', definite: false });
    expect([pool.bytesInUse, clock.pending]).toEqual([0, 0]);
    expect(await rejection(receive(connection))).toMatchObject({ definite: true }); // was never sent
  });

  test('that nobody asked for end the connection', async () => {
    const { connection, peer } = await open();
    peer.send(frame(2, Buffer.alloc(4)));
    expect(connection.isOpen).toBe(false);
  });
});

describe('deadlines', () => {
  test('close the connection, and what waits behind fails as unknown', async () => {
    const { connection, clock, peer } = await open();
    const closed: ConnectionError[] = [];
    connection.onClose((error) => closed.push(error));
    const calls = [500, 9_000].map((timeoutMs) => ask(connection, timeoutMs));

    await clock.advance(499);
    expect(connection.isOpen).toBe(true);
    await clock.advance(2);

    for (const call of calls) expect(await rejection(call)).toMatchObject({ failure: 'timeout', definite: false });
    expect(closed).toMatchObject([{ failure: 'timeout' }]);
    expect([peer.isDestroyed, clock.pending]).toEqual([true, 0]);
  });

  test('hold for a short one behind a long one', async () => {
    const { connection, clock } = await open();
    const calls = [9_000, 500].map((timeoutMs) => ask(connection, timeoutMs));
    await clock.advance(501);
    for (const call of calls) expect(await rejection(call)).toMatchObject({ failure: 'timeout' });
  });

  test('are over when the answer is there', async () => {
    const { connection, clock, peer } = await open();
    const call = ask(connection, 500);
    peer.send(frame(2, echoBody(1)));
    expect(await call).toEqual({ throttleTimeMs: 0, value: 1 });
    await clock.advance(10_000);
    expect(connection.isOpen).toBe(true);
  });
});

test('the longest pause that a broker asks for counts', async () => {
  const { connection, clock, peer } = await open();
  for (const throttleTimeMs of [800, 300]) {
    const call = ask(connection, 500);
    peer.send(frame(throttleTimeMs === 800 ? 2 : 3, echoBody(1, throttleTimeMs)));
    await call;
  }
  expect(connection.throttledForMs).toBe(800);
  await clock.advance(600);
  expect(connection.throttledForMs).toBe(200);
});

function start(signal?: AbortSignal) {
  const network = new ScriptedNetwork();
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: 64 * 1024 * 1024 });
  const opening = openConnection(
    { network, clock, pool, host: 'broker', port: 9092, clientId: 'test', connectTimeoutMs: 1_000 },
    signal,
  );
  opening.catch(() => {});
  return { opening, peer: network.peer, clock, pool };
}

async function open(): Promise<{ connection: Connection; peer: ScriptedPeer; clock: ManualClock; pool: FramePool }> {
  const { opening, peer, clock, pool } = start();
  peer.accept();
  await settle();
  peer.takeRequests();
  peer.send(frame(1, apiVersionsBody(0)));
  return { connection: await opening, peer, clock, pool };
}

/** Body of an ApiVersions response, version 3, that offers versions 0 to 3 of ApiVersions and of Echo. */
function apiVersionsBody(errorCode: number): Buffer {
  const writer = new Writer();
  writer.int16(errorCode);
  writer.array(true, 3, [18, 99], (to, key) => {
    to.int16(key);
    to.int16(0);
    to.int16(3);
    to.noTaggedFields();
  });
  writer.int32(0);
  writer.noTaggedFields();
  return writer.finish();
}

/** A response frame; one of a flexible version has tagged fields, none, behind the correlation id. */
function frame(correlationId: number, responseBody: Buffer, options: { isFlexible?: boolean } = {}): Buffer {
  const head = Buffer.alloc(options.isFlexible ? 9 : 8);
  head.writeInt32BE(head.length - 4 + responseBody.length, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, responseBody]);
}

function echoBody(value: number, throttleTimeMs = 0): Buffer {
  const bytes = Buffer.alloc(9); // behind the header's tagged fields, none
  bytes.writeInt32BE(throttleTimeMs, 1);
  bytes.writeInt32BE(value, 5);
  return bytes;
}

function body(size: number, seed: number): Buffer {
  return Buffer.alloc(size, `${seed}-response`);
}

function send(
  connection: Connection,
  outcome: {
    onResponse(response: RawResponse): void;
    onError?: (error: ConnectionError) => void;
    rawBytesExpected?: number;
  },
): void {
  connection.send({
    api: echo,
    version: 3,
    chunks: [Buffer.alloc(4)],
    timeoutMs: 60_000,
    onError: () => {},
    ...outcome,
  });
}

/** A call of Echo; its failure is looked at later, or not at all. */
function ask(connection: Connection, timeoutMs: number, value = 1): Promise<{ throttleTimeMs: number; value: number }> {
  const call = connection.call(echo, { value }, { timeoutMs });
  call.catch(() => {});
  return call;
}

function receive(connection: Connection): Promise<Buffer> {
  const received = new Promise<Buffer>((resolve, reject) => {
    send(connection, {
      onResponse: ({ buffer, start: at, end }) => resolve(Buffer.from(buffer.subarray(at, end))),
      onError: reject,
    });
  });
  received.catch(() => {});
  return received;
}

function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => new Error('it was fulfilled'),
    (error: unknown) => error,
  );
}
