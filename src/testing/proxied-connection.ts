/** One connection through a fault proxy: two sockets and a lane for each direction. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { FrameSplitter } from './frame-splitter.ts';
import type { Direction } from './frame-splitter.ts';
import type { FrameHead, Passage } from './fault-rule.ts';

/** A lane that holds more than this stops reading, so that the sender feels it as it would feel the network. */
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;

export interface ConnectionOptions {
  readonly id: number;
  readonly client: Socket;
  readonly brokerPort: number;
  /** No rule is set: bytes may pass as they come. */
  isQuiet(): boolean;
  /** Lets the rules change what is about to be passed on. */
  onPassage(passage: Passage, connection: ProxiedConnection): void;
}

export class ProxiedConnection {
  readonly id: number;
  /** Settles when both sides are closed. */
  readonly closed: Promise<unknown>;
  readonly #client: Socket;
  readonly #broker: Socket;
  readonly #lanes: Readonly<Record<Direction, Lane>>;
  /** Requests without a response yet, by correlation id: a response does not say what it answers. */
  readonly #asked = new Map<number, FrameHead>();

  constructor(options: ConnectionOptions) {
    this.id = options.id;
    this.#client = options.client;
    this.#broker = connect({ host: '127.0.0.1', port: options.brokerPort, noDelay: true, allowHalfOpen: true });
    const lane = (direction: Direction, from: Socket, to: Socket): Lane =>
      new Lane({
        direction,
        from,
        to,
        connection: this.id,
        readHead: (bytes) => (direction === 'request' ? this.#requestHead(bytes) : this.#responseHead(bytes)),
        isQuiet: () => options.isQuiet(),
        onPassage: (passage) => options.onPassage(passage, this),
      });
    this.#lanes = {
      request: lane('request', this.#client, this.#broker),
      response: lane('response', this.#broker, this.#client),
    };
    for (const [socket, answers] of [
      [this.#client, this.#lanes.response],
      [this.#broker, this.#lanes.request],
    ] as const) {
      socket.on('end', () => {
        if (answers.isSilent) socket.destroy(); // nobody would end its other half
      });
    }
    const sockets = [this.#client, this.#broker];
    this.closed = Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.on('close', resolve))));
  }

  /** RST to both sides, at once. */
  reset(): void {
    for (const socket of [this.#client, this.#broker]) reset(socket);
    for (const lane of Object.values(this.#lanes)) lane.silence();
  }

  /** Closes one side; the other stays open and is read, and nobody answers. */
  close(side: 'client' | 'broker'): void {
    for (const lane of Object.values(this.#lanes)) lane.silence();
    (side === 'client' ? this.#client : this.#broker).destroy();
  }

  silence(direction: Direction): void {
    this.#lanes[direction].silence();
  }

  #requestHead(bytes: Buffer): FrameHead {
    const head = {
      apiKey: bytes.readInt16BE(4),
      apiVersion: bytes.readInt16BE(6),
      correlationId: bytes.readInt32BE(8),
    };
    this.#asked.set(head.correlationId, head);
    return head;
  }

  #responseHead(bytes: Buffer): FrameHead | null {
    const correlationId = bytes.readInt32BE(4);
    const head = this.#asked.get(correlationId) ?? null;
    this.#asked.delete(correlationId);
    return head;
  }
}

/**
 * RST, or a plain close while the socket's own end is on its way: libuv refuses a reset then (uv_tcp_close_reset: EINVAL),
 * and Node would never say 'close'.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

interface LaneOptions {
  readonly direction: Direction;
  readonly from: Socket;
  readonly to: Socket;
  readonly connection: number;
  readHead(bytes: Buffer): FrameHead | null;
  isQuiet(): boolean;
  onPassage(passage: Passage): void;
}

/**
 * Bytes in one direction, in order. While no rule is set they go straight on; otherwise each frame waits in a queue for
 * what the rules have asked for. What is held is not lost: it arrives late, also when the sender has closed meanwhile,
 * as TCP delivers what it has accepted once the network is back.
 */
class Lane {
  readonly #options: LaneOptions;
  readonly #splitter: FrameSplitter<FrameHead>;
  readonly #queue: { readonly passage: Passage; readonly dueMs: number; readonly isAbrupt: boolean }[] = [];
  #queuedBytes = 0;
  #isDraining = false;
  #isSilent = false;
  #hasEnded = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#splitter = new FrameSplitter(options.direction, (bytes) => options.readHead(bytes));
    const { from, to } = options;
    from.on('data', (chunk: Buffer) => this.#receive(chunk));
    from.on('end', () => this.#end(false));
    from.on('error', () => {}); // close follows
    from.on('close', () => this.#end(true));
    to.on('drain', () => this.#resume());
    to.on('close', () => this.silence());
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Reads on, and passes nothing more. */
  silence(): void {
    this.#isSilent = true;
    this.#options.from.resume();
  }

  #receive(chunk: Buffer): void {
    if (this.#isSilent) return;
    const { to, from } = this.#options;
    if (this.#options.isQuiet() && this.#queue.length === 0 && this.#splitter.isEmpty) {
      this.#splitter.follow(chunk);
      if (!to.write(chunk)) from.pause();
      return;
    }
    for (const { bytes, head } of this.#splitter.collect(chunk)) this.#enqueue(bytes, head);
  }

  #end(isAbrupt: boolean): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const { bytes } of this.#splitter.rest()) this.#enqueue(bytes, null);
    this.#enqueue(Buffer.alloc(0), null, isAbrupt ? 'reset' : 'close');
  }

  #enqueue(bytes: Buffer, head: FrameHead | null, end: 'close' | 'reset' | null = null): void {
    const { connection, direction } = this.#options;
    const passage: Passage = {
      connection,
      direction,
      head,
      isEnd: end !== null,
      bytes,
      delayMs: 0,
      gates: [],
      pieceBytes: null,
      pieceDelayMs: null,
      after: null,
    };
    this.#options.onPassage(passage);
    this.#queue.push({ passage, dueMs: performance.now() + passage.delayMs, isAbrupt: end === 'reset' });
    this.#queuedBytes += passage.bytes.length;
    if (this.#queuedBytes > QUEUE_BYTES_MAX) this.#options.from.pause();
    if (!this.#isDraining) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const { passage, dueMs, isAbrupt } = next;
      if (passage.gates.length > 0) await Promise.all(passage.gates);
      const waitMs = dueMs - performance.now();
      if (waitMs > 0 && passage.delayMs > 0) await sleep(waitMs);
      await this.#pass(passage, isAbrupt);
      this.#queue.shift();
      this.#queuedBytes -= passage.bytes.length;
      this.#resume();
    }
    this.#isDraining = false;
  }

  async #pass(passage: Passage, isAbrupt: boolean): Promise<void> {
    const { to } = this.#options;
    if (this.#isSilent) return;
    if (passage.isEnd && isAbrupt) reset(to);
    else if (passage.isEnd) to.end();
    else await this.#write(passage);
    passage.after?.();
  }

  async #write({ bytes, pieceBytes, pieceDelayMs }: Passage): Promise<void> {
    const { to } = this.#options;
    for (let at = 0; at < bytes.length && !this.#isSilent;) {
      const piece = bytes.subarray(at, at + (pieceBytes?.() ?? bytes.length));
      at += piece.length;
      const waitMs = pieceDelayMs?.(piece.length) ?? 0;
      if (waitMs > 0) await sleep(waitMs);
      if (!to.write(piece)) await new Promise<void>((resolve) => this.#onceWritable(resolve));
      else if (pieceBytes !== null) await nextTurn(); // what is written within one turn would leave as one
    }
  }

  #onceWritable(resolve: () => void): void {
    const { to } = this.#options;
    const end = (): void => {
      to.off('drain', end);
      to.off('close', end);
      resolve();
    };
    to.on('drain', end);
    to.on('close', end);
  }

  #resume(): void {
    const { from, to } = this.#options;
    if (this.#queuedBytes <= QUEUE_BYTES_MAX && !to.writableNeedDrain) from.resume();
  }
}
