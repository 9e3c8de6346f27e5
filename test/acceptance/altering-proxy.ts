/**
 * A TCP proxy before one broker that alters its responses: what a damaged network sends, or a broker that knows errors
 * which we do not. The broker must advertise the proxy's port (broker-doors.ts), so that every connection goes through.
 */
import { createServer, connect } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { must } from '#util/assert.ts';

export interface ProxiedResponse {
  readonly apiKey: number;
  readonly apiVersion: number;
  /** Behind the length: correlation id, header, response. Altered in place, or replaced by what `Alter` returns. */
  readonly frame: Buffer;
  /** Where the response begins behind its header. */
  readonly start: number;
}

/** Returns true for what it has altered in place, other bytes to be sent instead, or null for what it leaves alone. */
export type Alter = (response: ProxiedResponse) => boolean | Buffer | null;

const API_VERSIONS = 18;
const HEADER_BYTES = 5; // correlation id and no tagged fields: every API that we speak is flexible

export class AlteringProxy {
  /** Responses that were altered: a fault that never took effect shows nothing. */
  altered = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #alter: Alter | null = null;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(port: number, brokerPort: number): Promise<AlteringProxy> {
    const server = createServer();
    const proxy = new AlteringProxy(server);
    server.on('connection', (client) => proxy.#join(client, connect(brokerPort, '127.0.0.1')));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on responses go through `alter`. Null passes them. */
  set(alter: Alter | null): void {
    this.#alter = alter;
    this.altered = 0;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #join(client: Socket, broker: Socket): void {
    const asked = new Map<number, { apiKey: number; apiVersion: number }>();
    const requests = new FrameSplitter();
    const responses = new FrameSplitter();
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (bytes) => {
      for (const frame of requests.add(bytes)) {
        asked.set(frame.readInt32BE(4), { apiKey: frame.readInt16BE(0), apiVersion: frame.readInt16BE(2) });
      }
      broker.write(bytes);
    });
    broker.on('data', (bytes) => {
      for (const frame of responses.add(bytes)) {
        const request = must(asked.get(frame.readInt32BE(0)), 'request of a response');
        client.write(this.#altered({ ...request, frame, start: request.apiKey === API_VERSIONS ? 4 : HEADER_BYTES }));
      }
    });
  }

  #altered(response: ProxiedResponse): Buffer {
    const result = this.#alter?.(response) ?? null;
    if (result !== null && result !== false) this.altered++;
    return Buffer.isBuffer(result) ? result : withLength(response.frame);
  }
}

/** A frame as it goes over the wire. */
export function withLength(frame: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}

/** Cuts a stream of bytes into what stands behind each length. */
class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  add(bytes: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Buffer[] = [];
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readInt32BE(0)) {
      const end = 4 + this.#rest.readInt32BE(0);
      frames.push(this.#rest.subarray(4, end));
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}
