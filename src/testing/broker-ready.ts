/**
 * "Is this broker serving?", asked over the wire with one Metadata request written by hand: the launcher must not
 * depend on the wire layer that is tested with it. An open port says little, since a Kafka broker listens before it
 * answers.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/**
 * Metadata v1 for no topic (v1 is spoken by every version from 0.10 to 4.x), request header v1:
 * size int32, api key int16 = 3, version int16 = 1, correlation id int32, client id nullable string, topics array.
 */
function metadataRequest(): Buffer {
  const clientId = Buffer.from('launcher');
  const body = Buffer.alloc(2 + 2 + 4 + 2 + clientId.length + 4);
  body.writeInt16BE(3, 0);
  body.writeInt16BE(1, 2);
  body.writeInt32BE(1, 4);
  body.writeInt16BE(clientId.length, 8);
  clientId.copy(body, 10);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

/** Broker ids of a Metadata v1 response: correlation int32, [id int32, host string, port int32, rack nullable string]. */
function brokerIdsOf(response: Buffer): number[] {
  let at = 4;
  const ids: number[] = [];
  const count = response.readInt32BE(at);
  at += 4;
  for (let i = 0; i < count; i += 1) {
    ids.push(response.readInt32BE(at));
    at += 4 + 2 + response.readInt16BE(at + 4) + 4;
    at += 2 + Math.max(0, response.readInt16BE(at));
  }
  return ids.sort((a, b) => a - b);
}

/** The ids, in order, of the unfenced brokers that the broker at this port knows. Rejects when it does not answer in time. */
export function readBrokerIds(port: number, timeoutMs: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let received = Buffer.alloc(0);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    socket.on('connect', () => socket.write(metadataRequest()));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return;
      resolve(brokerIdsOf(received.subarray(4)));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed before the answer')));
  });
}
