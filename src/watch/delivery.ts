import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';

/** What a receiver made of a batch: taken, refused for good (the same batch will never do), or to be tried again. */
export type Reception = 'taken' | 'refused' | 'again';

export interface DeliveryOptions<Item> {
  /** For metrics and messages. */
  readonly receiver: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Beyond it the oldest are thrown away. */
  readonly queueBytesMax: number;
  /** Of one request; a single item may be larger. */
  readonly batchBytesMax: number;
  /** Beyond it the oldest are thrown away; where only the newest counts, 1. */
  readonly itemsMax: number;
  /** What comes within it goes together; absent: what is there goes at once. Less than the grace of `close`. */
  readonly lingerMs?: number;
  /** Of one request. */
  readonly deadlineMs: number;
  /** Must end when `signal` aborts. What it throws is as if it had answered 'again'. */
  readonly send: (
    items: readonly Item[],
    signal: AbortSignal,
  ) => Promise<{ readonly reception: Reception; readonly why: string }>;
  /** Told when a receiver begins to fail or to refuse things, once until it takes something. */
  readonly onTrouble: (receiver: string, why: string) => void;
}

interface Queued<Item> {
  readonly item: Item;
  readonly bytes: number;
}

export interface DeliveryCounts {
  readonly sent: number;
  readonly refused: number;
  readonly dropped: number;
  readonly failures: number;
  readonly queueBytes: number;
}

const RETRY = { baseMs: 1_000, maxMs: 60_000 };

/**
 * Brings items to one receiver, in their order, in the background: whoever offers one never waits. A receiver that hangs,
 * fails or is slow costs its queue, and then the oldest items in it, which are counted; never more.
 */
export class Delivery<Item> {
  readonly #options: DeliveryOptions<Item>;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  #queue: Queued<Item>[] = [];
  #queueBytes = 0;
  #working: Promise<void> | null = null;
  #isTold = false;
  #sent = 0;
  #refused = 0;
  #dropped = 0;
  #failures = 0;

  constructor(options: DeliveryOptions<Item>) {
    this.#options = options;
    this.#backoff = new Backoff(options.random, RETRY);
  }

  get receiver(): string {
    return this.#options.receiver;
  }

  counts(): DeliveryCounts {
    return {
      sent: this.#sent,
      refused: this.#refused,
      dropped: this.#dropped,
      failures: this.#failures,
      queueBytes: this.#queueBytes,
    };
  }

  offer(item: Item, bytes: number): void {
    if (this.#closing.signal.aborted) return void this.#dropped++;
    this.#queue.push({ item, bytes });
    this.#queueBytes += bytes;
    this.#dropOldest();
    this.#working ??= this.#work().finally(() => (this.#working = null));
  }

  /** Tries for up to `graceMs` to bring away what is left; then it is thrown away. */
  async close(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    const late = new AbortController();
    const working = this.#working ?? Promise.resolve();
    await Promise.race([working.then(() => late.abort()), sleep(clock, graceMs, late.signal)]);
    this.#closing.abort();
    await this.#working;
    this.#dropped += this.#queue.length;
    this.#queue = [];
    this.#queueBytes = 0;
  }

  #isOver(): boolean {
    const { queueBytesMax, itemsMax } = this.#options;
    return this.#queueBytes > queueBytesMax || this.#queue.length > itemsMax;
  }

  async #work(): Promise<void> {
    const { clock, lingerMs = 0 } = this.#options;
    while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      if (lingerMs > 0) await sleep(clock, lingerMs, this.#closing.signal);
      const batch = this.#nextBatch();
      const { reception, why } = await this.#attempt(batch.map(({ item }) => item));
      if (reception === 'again') {
        this.#failures++;
        this.#tell(why);
        this.#putBack(batch);
        await sleep(clock, this.#backoff.next(), this.#closing.signal);
        continue;
      }
      this.#backoff.reset();
      this.#queueBytes -= bytesOf(batch);
      if (reception === 'taken') {
        this.#sent += batch.length;
        this.#isTold = false;
      } else {
        this.#refused += batch.length;
        this.#tell(why);
      }
    }
  }

  #nextBatch(): Queued<Item>[] {
    let [count, bytes] = [0, 0];
    for (const { bytes: next } of this.#queue) {
      if (count > 0 && bytes + next > this.#options.batchBytesMax) break;
      bytes += next;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** Before what has come meanwhile; the bound holds for all of it. */
  #putBack(batch: readonly Queued<Item>[]): void {
    this.#queue.unshift(...batch);
    this.#dropOldest();
  }

  #dropOldest(): void {
    while (this.#isOver()) {
      const oldest = this.#queue.shift();
      if (!oldest) return; // the rest is on its way
      this.#queueBytes -= oldest.bytes;
      this.#dropped++;
    }
  }

  async #attempt(items: readonly Item[]): Promise<{ reception: Reception; why: string }> {
    const { clock, deadlineMs, send } = this.#options;
    const attempt = new AbortController();
    const cancel = clock.schedule(deadlineMs, () =>
      attempt.abort(new Error(`no answer within ${deadlineMs / 1000} s`)),
    );
    const signal = AbortSignal.any([attempt.signal, this.#closing.signal]);
    try {
      return await send(items, signal);
    } catch (error) {
      return { reception: 'again', why: error instanceof Error ? error.message : String(error) };
    } finally {
      cancel();
    }
  }

  #tell(why: string): void {
    if (this.#isTold || this.#closing.signal.aborted) return;
    this.#isTold = true;
    this.#options.onTrouble(this.receiver, why);
  }
}

function bytesOf(batch: readonly Queued<unknown>[]): number {
  return batch.reduce((sum, { bytes }) => sum + bytes, 0);
}
