import { assert, must } from '#util/assert.ts';

const SLAB_BYTES_MAX = 16 * 1024 * 1024;
/** Room is given out in pages. */
const PAGE_BYTES = 4 * 1024;
/** No smaller reads for lack of room: with more readers than have room for so much, they take turns. */
const SHARE_BYTES_MIN = 256 * 1024;

/**
 * The bytes of one response, shared by the batches that are slices of it. Whoever keeps a slice retains the frame, and
 * releases it once the target has acknowledged the slice; the last release gives its room back to the pool.
 */
export class Frame {
  readonly buffer: Buffer;
  /** Bytes in use, from 0. */
  readonly length: number;
  #references = 1;
  readonly #onFree: () => void;

  /** Retained once for the caller. */
  constructor(buffer: Buffer, length: number, onFree: () => void) {
    this.buffer = buffer;
    this.length = length;
    this.#onFree = onFree;
  }

  retain(): void {
    assert(this.#references > 0, 'a frame that was given back is not used any more');
    this.#references++;
  }

  release(): void {
    assert(this.#references > 0, 'a frame is released no more often than it was retained');
    this.#references--;
    if (this.#references === 0) this.#onFree();
  }
}

/**
 * Room for responses, and the bound on all bytes in flight of the process (STYLE.md 5): a fetcher reserves what it
 * asks for before it asks, and waits for `onFree` when there is no room. One reservation is always granted when nothing
 * is out, so a response larger than the bound cannot block for ever.
 *
 * Frames are cut from a few slabs that stay: a buffer allocated for each response, and reused where its size fits, made
 * V8 collect garbage every 32 MB (external memory counts), which was 40 % of the time of copying 64 KB batches.
 */
export class FramePool {
  readonly #slabs: Slab[] = [];
  readonly #baseBytesMax: number;
  #bytesMax: number;
  readonly #freeListeners = new Set<() => void>();
  #slabBytes = 0;
  #bytesInUse = 0;
  #bytesReserved = 0;

  constructor(options: { bytesMax: number }) {
    this.#baseBytesMax = options.bytesMax;
    this.#bytesMax = options.bytesMax;
  }

  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** What each of those who listen to `onFree` may reserve so that all have room: one that waits for news holds what it reserved. */
  get shareBytes(): number {
    return Math.max(SHARE_BYTES_MIN, Math.floor(this.#baseBytesMax / Math.max(1, this.#freeListeners.size)));
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

  /**
   * Raises the bound by what is in use, at most by the bound that the pool was made with, until the function that it
   * returns is called. So n holders that stand still take no more than n + 1 times that bound, and the others have all of
   * it: who stands still holds at most what is in use now, which is at most the bound before this call.
   */
  extend(): () => void {
    const bytes = Math.min(this.#bytesInUse, this.#baseBytesMax);
    this.#bytesMax += bytes;
    this.#tellFree();
    return () => {
      this.#bytesMax -= bytes;
      this.#tellFree();
    };
  }

  /** Counts bytes that were made from fetched ones (batches written anew) until they are discharged. */
  charge(bytes: number): void {
    this.#bytesInUse += bytes;
  }

  discharge(bytes: number): void {
    this.#bytesInUse -= bytes;
    this.#tellFree();
  }

  /** Called whenever bytes become free, in the order in which they began to listen. Returns the function that ends it. */
  onFree(listener: () => void): () => void {
    this.#freeListeners.add(listener);
    return () => void this.#freeListeners.delete(listener);
  }

  /** A frame of `length` bytes, retained once for the caller. */
  take(length: number): Frame {
    const bytes = wholePages(length);
    this.#bytesInUse += bytes;
    for (const slab of this.#slabs) {
      const start = slab.take(bytes);
      if (start >= 0) return this.#frameAt(slab, start, length);
    }
    const slab = new Slab(Math.max(bytes, wholePages(Math.min(this.#bytesMax, SLAB_BYTES_MAX))));
    this.#slabs.push(slab);
    this.#slabBytes += slab.buffer.length;
    return this.#frameAt(slab, slab.take(bytes), length);
  }

  #frameAt(slab: Slab, start: number, length: number): Frame {
    const end = start + wholePages(length);
    return new Frame(slab.buffer.subarray(start, end), length, () => {
      this.#bytesInUse -= end - start;
      slab.give(start, end);
      if (slab.isEmpty && this.#slabBytes > this.#bytesMax) this.#drop(slab);
      this.#tellFree();
    });
  }

  #drop(slab: Slab): void {
    this.#slabs.splice(this.#slabs.indexOf(slab), 1);
    this.#slabBytes -= slab.buffer.length;
  }

  #tellFree(): void {
    for (const listener of this.#freeListeners) listener();
  }
}

interface Stretch {
  start: number;
  end: number;
}

/** A buffer of which stretches are taken and given back. There are few at a time, so a scan is cheaper than an index. */
class Slab {
  readonly buffer: Buffer;
  /** What is free, by position; neighbours are one entry. */
  readonly #free: Stretch[];

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.#free = [{ start: 0, end: bytes }];
  }

  get isEmpty(): boolean {
    const first = this.#free[0];
    return first !== undefined && first.end - first.start === this.buffer.length;
  }

  /**
   * Where `bytes` bytes begin, or −1. The first stretch that is large enough: so what is used lies together, and memory
   * at the end that was never needed is never touched.
   */
  take(bytes: number): number {
    const index = this.#free.findIndex(({ start, end }) => end - start >= bytes);
    if (index === -1) return -1;
    const stretch = must(this.#free[index], 'free stretch');
    const start = stretch.start;
    stretch.start += bytes;
    if (stretch.start === stretch.end) this.#free.splice(index, 1);
    return start;
  }

  give(start: number, end: number): void {
    const found = this.#free.findIndex((stretch) => stretch.start >= end);
    const index = found === -1 ? this.#free.length : found;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    if (before?.end === start && after?.start === end) {
      before.end = after.end;
      this.#free.splice(index, 1);
    } else if (before?.end === start) before.end = end;
    else if (after?.start === end) after.start = start;
    else this.#free.splice(index, 0, { start, end });
  }
}

function wholePages(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / PAGE_BYTES)) * PAGE_BYTES;
}
