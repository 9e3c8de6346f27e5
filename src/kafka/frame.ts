import { assert } from '#util/assert.ts';

const FRAME_BYTES_STEP = 256 * 1024;

/**
 * The bytes of one response, shared by the batches that are slices of it. Whoever keeps a slice retains the frame, and
 * releases it once the target has acknowledged the slice; the last release gives the buffer back to its pool.
 */
export class Frame {
  readonly buffer: Buffer;
  /** Bytes in use, from 0. */
  length = 0;
  #references = 0;
  readonly #pool: FramePool;

  constructor(pool: FramePool, buffer: Buffer) {
    this.#pool = pool;
    this.buffer = buffer;
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    assert(this.#references > 0, 'a frame is released no more often than it was retained');
    this.#references--;
    if (this.#references === 0) this.#pool.give(this);
  }
}

/**
 * Buffers of responses, reused. It keeps at most `idleBytesMax` for later use and knows how many bytes are out, so that
 * the fetcher can stop asking before the bound of the whole process is passed (design §8 rule 2).
 */
export class FramePool {
  readonly #idle: Frame[] = [];
  readonly #idleBytesMax: number;
  #idleBytes = 0;
  #bytesInUse = 0;

  constructor(options: { idleBytesMax: number }) {
    this.#idleBytesMax = options.idleBytesMax;
  }

  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** A frame of at least `length` bytes, retained once for the caller. */
  take(length: number): Frame {
    const frame = this.#reuse(length) ?? new Frame(this, Buffer.allocUnsafeSlow(roundUp(length)));
    frame.length = length;
    frame.retain();
    this.#bytesInUse += frame.buffer.length;
    return frame;
  }

  give(frame: Frame): void {
    this.#bytesInUse -= frame.buffer.length;
    if (this.#idleBytes + frame.buffer.length > this.#idleBytesMax) return;
    this.#idle.push(frame);
    this.#idleBytes += frame.buffer.length;
  }

  /** The smallest idle one that fits; there are few, so a scan is cheaper than an index. */
  #reuse(length: number): Frame | null {
    let best = -1;
    for (let i = 0; i < this.#idle.length; i++) {
      const size = this.#idle[i]!.buffer.length;
      if (size >= length && (best === -1 || size < this.#idle[best]!.buffer.length)) best = i;
    }
    if (best === -1) return null;
    const frame = this.#idle[best]!;
    const last = this.#idle.pop()!;
    if (best < this.#idle.length) this.#idle[best] = last;
    this.#idleBytes -= frame.buffer.length;
    return frame;
  }
}

function roundUp(length: number): number {
  return Math.max(1, Math.ceil(length / FRAME_BYTES_STEP)) * FRAME_BYTES_STEP;
}
