/**
 * What a shard has read and not written yet, in offset order. The bytes of a batch count until it is released, which is
 * after the answer to its write: so much of a partition is held in memory.
 */
import type { FramePool } from '#kafka/frame.ts';
import type { DataItem, HoleItem, WalkItem } from './batch-walk.ts';

const BYTES_MAX = 2 * 1024 * 1024;
/** The front of the array is cut off when so many items of it are gone. */
const GONE_MAX = 64;

export class ItemQueue<Item extends WalkItem = WalkItem> {
  readonly #pool: FramePool;
  #items: Item[] = [];
  #head = 0;
  #bytes = 0;

  constructor(pool: FramePool) {
    this.#pool = pool;
  }

  /** Nothing more should be read until something is released; fetches over a long way ask for `factor` times as much. */
  isFull(factor = 1): boolean {
    return this.#bytes >= BYTES_MAX * Math.max(1, factor / 4);
  }

  get isEmpty(): boolean {
    return this.#head === this.#items.length;
  }

  get first(): Item | undefined {
    return this.#items[this.#head];
  }

  get firstData(): DataItem | undefined {
    return this.#items.slice(this.#head).find((item): item is Item & DataItem => item.kind === 'data');
  }

  push(item: Item): void {
    this.#items.push(item);
    if (item.kind === 'hole') return;
    this.#bytes += item.end - item.start;
    if (!item.frame) this.#pool.charge(item.end - item.start);
  }

  /** Takes the first one out; a batch has to be released when its bytes are not needed any more. */
  shift(): void {
    this.#head++;
    if (this.isEmpty) this.#reset();
    else if (this.#head >= GONE_MAX && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  drop(): void {
    for (const item of this.#items.slice(this.#head)) if (item.kind === 'data') this.release(item);
    this.#reset();
  }

  release(item: DataItem): void {
    this.#bytes -= item.end - item.start;
    if (item.frame) item.frame.release();
    else this.#pool.discharge(item.end - item.start);
  }

  /** The holes from the first item on, which is one, with at most `countMax` offsets behind it; `isEnd` is none of them. */
  holes(first: HoleItem, options: { readonly countMax: number; isEnd(item: HoleItem): boolean }): HoleItem[] {
    const holes = [first];
    let { count } = first;
    for (let at = this.#head + 1; at < this.#items.length; at++) {
      const item = this.#items[at];
      if (item?.kind !== 'hole' || options.isEnd(item)) break;
      count += item.count;
      if (count > options.countMax) break;
      holes.push(item);
    }
    return holes;
  }

  #reset(): void {
    this.#items = [];
    this.#head = 0;
  }
}
