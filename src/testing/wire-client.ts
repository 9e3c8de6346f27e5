/**
 * The few requests that the raw reader needs, written apart from src/kafka on purpose: what judges the mirror's wire
 * layer shares no code with it. Old, non-flexible versions that Kafka 2.1 to 4.3 all speak: ApiVersions is not asked.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { must } from '#util/assert.ts';

/** A client whose broker does not answer is given up on after this. */
const requestTimeoutMs = 30_000;

/** Appends big-endian fields. Fields of at most `bytesMax` (4 KB) in all: these are requests, not data. */
export class FieldWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytesMax = 4096) {
    this.#bytes = Buffer.alloc(bytesMax);
  }

  int8(value: number): this {
    this.#at = this.#bytes.writeInt8(value, this.#at);
    return this;
  }

  int16(value: number): this {
    this.#at = this.#bytes.writeInt16BE(value, this.#at);
    return this;
  }

  int32(value: number): this {
    this.#at = this.#bytes.writeInt32BE(value, this.#at);
    return this;
  }

  int64(value: number): this {
    this.#at = this.#bytes.writeBigInt64BE(BigInt(value), this.#at);
    return this;
  }

  string(value: string): this {
    this.int16(Buffer.byteLength(value));
    this.#at += this.#bytes.write(value, this.#at);
    return this;
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
}

/** Reads the same fields. A read beyond the end throws RangeError. */
export class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int8(): number {
    this.#at += 1;
    return this.#bytes.readInt8(this.#at - 1);
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  int64(): number {
    this.#at += 8;
    return Number(this.#bytes.readBigInt64BE(this.#at - 8));
  }

  string(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.#take(length).toString();
  }

  bytes(): Buffer {
    return this.#take(Math.max(0, this.int32()));
  }

  /** An array with a length of four bytes; null counts as empty. */
  array<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, read);
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError(`response ends ${length} bytes early`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** One connection, one request at a time. */
export class WireClient {
  readonly #socket: Socket;
  #pending: { resolve: (frame: Buffer) => void; reject: (error: Error) => void } | null = null;
  #frame: Buffer | null = null;
  #filled = 0;
  #lengthBytes = Buffer.alloc(0);
  #failure: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  /** `address` is host:port. */
  static connect(address: string): Promise<WireClient> {
    const [host, port] = splitAddress(address);
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new WireClient(socket));
      });
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends one request and returns the body of its response. */
  async call(apiKey: number, version: number, body: Buffer): Promise<FieldReader> {
    if (this.#failure) throw this.#failure;
    const header = new FieldWriter().int16(apiKey).int16(version).int32(1).string('raw-reader').done();
    const length = new FieldWriter().int32(header.length + body.length).done();
    const answered = new Promise<Buffer>((resolve, reject) => {
      this.#pending = { resolve, reject };
    });
    const timer = setTimeout(() => this.#socket.destroy(new Error('no answer within 30 s')), requestTimeoutMs);
    this.#socket.write(Buffer.concat([length, header, body]));
    try {
      const reader = new FieldReader(await answered);
      reader.int32(); // correlation id: one request at a time
      return reader;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Copies into a frame of known size: fetches of 64 MB come in thousands of chunks. */
  #read(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (!this.#frame) {
        const missing = 4 - this.#lengthBytes.length;
        this.#lengthBytes = Buffer.concat([this.#lengthBytes, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (this.#lengthBytes.length < 4) return;
        this.#frame = Buffer.allocUnsafe(this.#lengthBytes.readInt32BE(0));
        this.#filled = 0;
      }
      const part = Math.min(rest.length, this.#frame.length - this.#filled);
      rest.copy(this.#frame, this.#filled, 0, part);
      this.#filled += part;
      rest = rest.subarray(part);
      if (this.#filled < this.#frame.length) continue;
      const [frame, pending] = [this.#frame, must(this.#pending, 'request of a response')];
      this.#frame = null;
      this.#lengthBytes = Buffer.alloc(0);
      this.#pending = null;
      pending.resolve(frame);
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#pending?.reject(error);
    this.#pending = null;
  }
}

function splitAddress(address: string): [string, number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
}
