/**
 * How much of a partition one fetch asks for. Requests for a partition go one after the other, since only the answer says
 * where the next one begins: over a long way each waits a round trip, and carries more so that the way is full
 * (bandwidth × delay). It asks for twice as much as long as that makes answers come faster by the byte. Over a slow way it
 * does not, and over a short one there is nothing to gain: both stay at what partitions ask for themselves.
 */
const FACTOR_MAX = 16;
/** Answers in a shorter time come fast enough. */
const SHORT_MS = 10;
/** One that takes longer keeps other partitions waiting: half as much is asked for. */
const LONG_MS = 2_000;
/** Full answers that are taken together for a rate. */
const SAMPLES = 4;
/** Twice as much has to come so much faster. */
const GAIN = 1.2;
/** Full answers after which it begins anew: the way may have become another one. */
const KEPT_FOR = 512;

export class FetchWindow {
  #factor = 1;
  #samples = 0;
  #bytes = 0;
  #ms = 0;
  /** Bytes in a millisecond with half as much; null where that was not measured. */
  #rateBefore: number | null = null;
  /** For so many full answers it stays; 0 while it is tried out. */
  #keptFor = 0;

  /** 1 to 16: what a partition asks for is multiplied by it. */
  get factor(): number {
    return this.#factor;
  }

  /** An answer of `bytes` that held all that was asked for came after `ms`. */
  onFull(bytes: number, ms: number): void {
    if (ms > LONG_MS && this.#factor > 1) return this.#keep(this.#factor / 2);
    if (this.#keptFor > 0) {
      if (--this.#keptFor === 0) this.#factor = 1;
      return;
    }
    this.#bytes += bytes;
    this.#ms += ms;
    if (++this.#samples < SAMPLES) return;
    const rate = this.#bytes / Math.max(this.#ms, Number.MIN_VALUE);
    const isShort = this.#ms < SAMPLES * SHORT_MS;
    const isGain = this.#rateBefore === null || rate >= GAIN * this.#rateBefore;
    this.#forget();
    if (!isGain) return this.#keep(this.#factor / 2);
    if (isShort || this.#factor === FACTOR_MAX) return this.#keep(this.#factor);
    this.#rateBefore = rate;
    this.#factor *= 2;
  }

  #keep(factor: number): void {
    this.#forget();
    this.#factor = factor;
    this.#keptFor = KEPT_FOR;
  }

  #forget(): void {
    [this.#samples, this.#bytes, this.#ms, this.#rateBefore] = [0, 0, 0, null];
  }
}
