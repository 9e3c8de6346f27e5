import { assert } from '#util/assert.ts';

const FRAME_BYTES_SMALL = 64 * 1024;
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
 * Buffers of responses, reused, and the bound on all bytes in flight of the process (design §8 rule 2): a fetcher
 * reserves what it asks for before it asks, and waits for `onFree` when there is no room. One reservation is always
 * granted when nothing is out, so a response larger than the bound cannot block for ever.
 */
export class FramePool {
  readonly #idle: Frame[] = [];
  readonly #bytesMax: number;
  readonly #idleBytesMax: number;
  readonly #freeListeners = new Set<() => void>();
  #idleBytes = 0;
  #bytesInUse = 0;
  #bytesReserved = 0;

  constructor(options: { bytesMax: number; idleBytesMax: number }) {
    this.#bytesMax = options.bytesMax;
    this.#idleBytesMax = options.idleBytesMax;
  }

  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** Takes `bytes` of the bound for a response to come. False: none is left, `onFree` will tell. */
  reserve(bytes: number): boolean {
    const taken = this.#bytesInUse + this.#bytesReserved;
    if (taken > 0 && taken + bytes > this.#bytesMax) return false;
    this.#bytesReserved += bytes;
    return true;
  }

  /** The response came, or will not come. */
  unreserve(bytes: number): void {
    this.#bytesReserved -= bytes;
    assert(this.#bytesReserved >= 0, 'no more is given back than was reserved');
    this.#tellFree();
  }

  /** Counts bytes that were made from fetched ones (batches written anew) until they are discharged. */
  charge(bytes: number): void {
    this.#bytesInUse += bytes;
  }

  discharge(bytes: number): void {
    this.#bytesInUse -= bytes;
    this.#tellFree();
  }

  /** Called whenever bytes become free. Returns the function that ends it. */
  onFree(listener: () => void): () => void {
    this.#freeListeners.add(listener);
    return () => void this.#freeListeners.delete(listener);
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
    if (this.#idleBytes + frame.buffer.length <= this.#idleBytesMax) {
      this.#idle.push(frame);
      this.#idleBytes += frame.buffer.length;
    }
    this.#tellFree();
  }

  #tellFree(): void {
    for (const listener of this.#freeListeners) listener();
  }

  /** The smallest idle one that fits without wasting more than half; there are few, so a scan is cheaper than an index. */
  #reuse(length: number): Frame | null {
    let best = -1;
    const sizeMax = Math.max(FRAME_BYTES_STEP, roundUp(length) * 2);
    for (let i = 0; i < this.#idle.length; i++) {
      const size = this.#idle[i]!.buffer.length;
      if (size >= length && size <= sizeMax && (best === -1 || size < this.#idle[best]!.buffer.length)) best = i;
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
  return length <= FRAME_BYTES_SMALL ? FRAME_BYTES_SMALL : Math.ceil(length / FRAME_BYTES_STEP) * FRAME_BYTES_STEP;
}
