import { must } from '#util/assert.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';

/** The far end of one connection, played by a test byte by byte. */
export class ScriptedPeer {
  readonly host: string;
  readonly port: number;
  isDestroyed = false;
  readonly #options: ConnectOptions;
  #written = Buffer.alloc(0);
  #isClosed = false;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.host = options.host;
    this.port = options.port;
  }

  readonly socket: Socket = {
    write: (chunks) => {
      this.#written = Buffer.concat([this.#written, ...chunks]);
      return true;
    },
    pause: () => {},
    resume: () => {},
    destroy: () => {
      this.isDestroyed = true;
      queueMicrotask(() => this.close(null));
    },
  };

  accept(): void {
    this.#options.onConnect();
  }

  /** Sends bytes in reads of at most `readBytesMax`, and of no more than the reader has room for. */
  send(bytes: Buffer, readBytesMax = Infinity): void {
    for (let at = 0; at < bytes.length && !this.#isClosed && !this.isDestroyed;) {
      const room = this.#options.buffer();
      const size = Math.min(room.length, bytes.length - at, readBytesMax);
      room.set(bytes.subarray(at, at + size));
      this.#options.onRead(size);
      at += size;
    }
  }

  close(error: Error | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onClose(error);
  }

  /** The complete requests written so far, behind their length; they are not returned again. */
  takeRequests(): Buffer[] {
    const requests: Buffer[] = [];
    while (this.#written.length >= 4 && this.#written.length >= 4 + this.#written.readInt32BE(0)) {
      const end = 4 + this.#written.readInt32BE(0);
      requests.push(this.#written.subarray(4, end));
      this.#written = this.#written.subarray(end);
    }
    return requests;
  }
}

export class ScriptedNetwork implements Network {
  readonly peers: ScriptedPeer[] = [];

  connect(options: ConnectOptions): Socket {
    const peer = new ScriptedPeer(options);
    this.peers.push(peer);
    return peer.socket;
  }

  /** The latest connection. */
  get peer(): ScriptedPeer {
    return must(this.peers.at(-1), 'connection');
  }
}
