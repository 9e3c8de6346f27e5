/** Gives calls to the thread of the database (store-thread.ts), and starts another one where that has ended. */
import { Worker } from 'node:worker_threads';
import { must } from '#util/assert.ts';
import type { Clock } from '#util/clock.ts';
import type { Call, Caller } from './call.ts';
import type { StoreLocation } from './location.ts';
import { fromSent, type FromThread, type ToThread } from './thread-messages.ts';
import { storeError } from './trouble.ts';

const RESTART_MS = 1000;
const CLOSE_MS = 5000;

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Resolves when the database is open. Throws AppError when it cannot be opened. */
export async function startThread(location: StoreLocation, clock: Clock): Promise<Caller> {
  const caller = new ThreadCaller(location, clock);
  await caller.start();
  return caller;
}

class ThreadCaller implements Caller {
  readonly #location: StoreLocation;
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | null = null;
  #starting: Promise<void> | null = null;
  #startedAt = Number.NEGATIVE_INFINITY;
  #lastId = 0;
  #isClosed = false;

  constructor(location: StoreLocation, clock: Clock) {
    this.#location = location;
    this.#clock = clock;
  }

  start(): Promise<void> {
    this.#startedAt = this.#clock.monotonic();
    this.#starting = this.#open().finally(() => {
      this.#starting = null;
    });
    return this.#starting;
  }

  async call(call: Call): Promise<unknown> {
    if (this.#worker === null) await this.#restart();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = ++this.#lastId;
    this.#pending.set(id, { resolve, reject });
    this.#send({ kind: 'call', id, call });
    return promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    if (worker === null) return;
    const ended = Promise.withResolvers<void>();
    worker.once('exit', () => ended.resolve());
    // A disk that does not answer holds the thread, and must not hold whoever wants to end.
    const stopTimer = this.#clock.schedule(CLOSE_MS, () => {
      worker.unref();
      ended.resolve();
    });
    this.#send({ kind: 'close' });
    await ended.promise;
    stopTimer();
  }

  #send(message: ToThread): void {
    must(this.#worker, 'thread of the database').postMessage(message);
  }

  async #restart(): Promise<void> {
    const isSoon = this.#clock.monotonic() - this.#startedAt < RESTART_MS;
    if (this.#isClosed || (this.#starting === null && isSoon)) throw storeError('lost', null, 'none');
    await (this.#starting ?? this.start());
  }

  #open(): Promise<void> {
    const worker = new Worker(new URL('store-thread.ts', import.meta.url), {
      workerData: this.#location,
      execArgv: [],
      // What it makes is gone with each answer; without a bound it keeps 10 MB for that.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let failure: Error | null = null;
    worker.on('message', (message: FromThread) => {
      switch (message.kind) {
        case 'ready':
          this.#worker = worker;
          return resolve();
        case 'failed':
          return reject(fromSent(message.error));
        case 'answer':
          return this.#take(message.id)?.resolve(message.value);
        case 'error':
          return this.#take(message.id)?.reject(fromSent(message.error));
      }
    });
    worker.on('error', (error: Error) => {
      failure = error;
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = null;
      const error = storeError('lost', failure, 'unknown');
      reject(error); // where it has never been ready
      for (const pending of this.#pending.values()) pending.reject(error);
      this.#pending.clear();
    });
    return promise;
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
