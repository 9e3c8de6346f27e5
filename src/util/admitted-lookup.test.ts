/** The system's network with `admit`, against a server that must not be reached. */
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemNetwork } from './host.ts';
import { AddressDeniedError, type ConnectOptions } from './network.ts';

let server: Server;
let accepted = 0;

beforeAll(async () => {
  server = createServer((socket) => {
    accepted++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => void server.close());

/** What comes first: 'connected', or the error of onClose. */
function connect(host: string, admit: NonNullable<ConnectOptions['admit']>): Promise<unknown> {
  return new Promise((resolve) => {
    const socket = systemNetwork.connect({
      host,
      port: (server.address() as AddressInfo).port,
      admit,
      buffer: () => Buffer.alloc(1),
      onRead: () => {},
      onConnect: () => {
        resolve('connected');
        socket.destroy();
      },
      onDrain: () => {},
      onClose: resolve,
    });
  });
}

test.each(['127.0.0.1', 'localhost', '0x7f.1', '2130706433', '::ffff:127.0.0.1'])(
  '%s is not connected to when its address is not admitted, however it is written',
  async (host) => {
    const asked: string[] = [];
    const before = accepted;
    const refuse = (address: string): string => {
      asked.push(address);
      return `not ${address}`;
    };
    const outcome = await connect(host, refuse);
    expect(outcome).toBeInstanceOf(AddressDeniedError);
    expect(asked[0]).toMatch(/^(::ffff:)?127\.0\.0\.1$|^::1$/);
    expect((outcome as Error).message).toBe(`not ${asked[0]}`);
    expect(accepted).toBe(before);
  },
);

test('a name that is admitted is looked up once, and its address is what is connected to', async () => {
  const asked: string[] = [];
  const admit = (address: string): null => {
    asked.push(address);
    return null;
  };
  expect(await connect('localhost', admit)).toBe('connected');
  expect(asked).toContain('127.0.0.1');
});

test('a name without an address is reported as such', async () => {
  expect(await connect('no-such-host.invalid', () => null)).toMatchObject({
    code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
  });
});
