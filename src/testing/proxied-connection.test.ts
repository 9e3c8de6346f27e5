import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { reset } from './proxied-connection.ts';

test.each([true, false])(
  'a socket that is reset closes, also in the turn in which it has ended: %s',
  async (hasEnded) => {
    const server = createServer((peer) => peer.on('error', () => {})).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, allowHalfOpen: true });
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    await once(socket, 'connect');
    const closed = once(socket, 'close');
    if (hasEnded) socket.end();
    reset(socket);
    await closed;
    server.close();
    expect(errors).toEqual([]);
  },
);
