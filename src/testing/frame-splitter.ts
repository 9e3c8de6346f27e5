/** Cuts one direction of a connection into Kafka frames: a length of four bytes, then so many bytes. */

/** No request or response of a test comes near. A TLS record, read as a length, is far beyond. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024;

/** What stands behind the length: the correlation id of a response, and api and version before that of a request. */
const HEAD_BYTES = { request: 12, response: 8 } as const;

export type Direction = keyof typeof HEAD_BYTES;

export interface Piece<Head> {
  /** A whole frame with its length, or bytes of which this cannot be said. */
  readonly bytes: Buffer;
  /** What was read from the first bytes of a whole frame; else null. */
  readonly head: Head | null;
}

export class FrameSplitter<Head> {
  readonly #headBytes: number;
  readonly #readHead: (bytes: Buffer) => Head | null;
  #frameHead: Head | null = null;
  #head = Buffer.alloc(0);
  /** Of the present frame, with its length; Infinity while that is not known. */
  #size = Infinity;
  #seen = 0;
  /** What `collect` has of the present frame. */
  #kept: Buffer[] = [];
  /** The beginning of the present frame has left already. */
  #hasLeft = false;
  #isOpaque = false;

  /** Calls `readHead` once for each frame, with its first bytes, the length among them. */
  constructor(direction: Direction, readHead: (bytes: Buffer) => Head | null) {
    this.#headBytes = HEAD_BYTES[direction];
    this.#readHead = readHead;
  }

  /** Nothing of a frame is kept back. */
  get isEmpty(): boolean {
    return this.#kept.length === 0;
  }

  /** For bytes that go on as they are: keeps the place in the stream, and nothing else. */
  follow(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0 && !this.#isOpaque;) {
      const part = this.#advance(rest);
      rest = rest.subarray(part.length);
      this.#hasLeft = true;
      if (this.#seen === this.#size) this.#begin();
    }
  }

  /** Returns what is complete; the beginning of an incomplete frame is kept back, unless some of it has left already. */
  collect(chunk: Buffer): Piece<Head>[] {
    const pieces: Piece<Head>[] = [];
    let rest = chunk;
    while (rest.length > 0 && !this.#isOpaque) {
      const part = this.#advance(rest);
      rest = rest.subarray(part.length);
      if (this.#hasLeft) {
        pieces.push({ bytes: part, head: null });
      } else {
        this.#kept.push(part);
        if (this.#seen === this.#size) pieces.push({ bytes: this.#takeKept(), head: this.#frameHead });
      }
      if (this.#seen === this.#size) this.#begin();
    }
    if (this.#isOpaque) pieces.push(...this.rest(), { bytes: rest, head: null });
    return pieces;
  }

  /** The incomplete frame that was kept back, for a stream that has ended. */
  rest(): Piece<Head>[] {
    return this.isEmpty ? [] : [{ bytes: this.#takeKept(), head: null }];
  }

  /** Takes from `bytes` what still belongs to the present frame, at most its head while its size is not known. */
  #advance(bytes: Buffer): Buffer {
    const known = this.#size === Infinity ? this.#headBytes : this.#size;
    const part = bytes.subarray(0, known - this.#seen);
    this.#seen += part.length;
    if (this.#size === Infinity) this.#learn(part);
    return part;
  }

  #learn(part: Buffer): void {
    this.#head = Buffer.concat([this.#head, part]);
    if (this.#head.length < this.#headBytes) return;
    const length = this.#head.readInt32BE(0);
    this.#isOpaque = length < this.#headBytes - 4 || length > FRAME_BYTES_MAX;
    if (this.#isOpaque) return;
    this.#size = 4 + length;
    this.#frameHead = this.#readHead(this.#head);
  }

  #begin(): void {
    this.#head = Buffer.alloc(0);
    this.#size = Infinity;
    this.#seen = 0;
    this.#hasLeft = false;
  }

  #takeKept(): Buffer {
    const [first] = this.#kept;
    const bytes = this.#kept.length === 1 && first !== undefined ? first : Buffer.concat(this.#kept);
    this.#kept = [];
    return bytes;
  }
}
