import { MalformedBatchError } from '../errors.ts';

const FIRST_BYTES_MIN = 1024;

/**
 * What the blocks of a compressed batch unpack to, end to end, with a bound. Not a list of blocks: a hostile batch has one for
 * every few of its bytes, and a Buffer object takes a hundred.
 */
export class ByteSink {
  readonly #bytesMax: number;
  #buffer: Buffer | null = null;
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Throws MalformedBatchError when `bytes` more would be too many. */
  checkRoom(bytes: number): void {
    if (this.#length + bytes > this.#bytesMax)
      throw new MalformedBatchError(`they hold more than ${this.#bytesMax} bytes`);
  }

  /** The first block is kept as it is, not copied. Throws MalformedBatchError beyond the bound. */
  append(block: Buffer): void {
    this.checkRoom(block.length);
    const needed = this.#length + block.length;
    if (this.#buffer === null) this.#buffer = block;
    else {
      if (needed > this.#buffer.length) this.#grow(needed);
      block.copy(this.#buffer, this.#length);
    }
    this.#length = needed;
  }

  finish(): Buffer {
    return this.#buffer?.subarray(0, this.#length) ?? Buffer.alloc(0);
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES_MIN, needed * 2));
    this.#buffer?.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}
