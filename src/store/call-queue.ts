/**
 * Between those who call the store and the database: a queue that is bounded in bytes, in which nobody waits longer than
 * until a deadline. What is given up while it waits has certainly not been done; what is under way may have been.
 *
 * While nothing that is under way has been answered for longer than a deadline, new calls are refused at once: the data
 * path and the console hear in microseconds that the store does not answer, instead of waiting for it one after another.
 */
import { AppError } from '#contract/errors.ts';
import type { Clock } from '#util/clock.ts';
import { sizeOf } from './call-size.ts';
import type { Call, Caller } from './call.ts';
import type { Engine } from './engine.ts';
import type { StoreHealth } from './store.ts';
import type { Trouble } from './trouble.ts';

export interface QueueLimits {
  /** What waits and what is under way. */
  readonly bytesMax: number;
  /** So many calls are given to the database at a time. */
  readonly concurrentMax: number;
  readonly deadlineMs: number;
  /** Of maintenance, inventory, imports and dumps, which nobody waits for. */
  readonly longDeadlineMs: number;
}

interface Entry {
  readonly call: Call;
  readonly isRead: boolean;
  readonly bytes: number;
  readonly since: number;
  readonly deadlineMs: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  stopTimer: () => void;
}

const LONG = new Set(['maintenance', 'inventory', 'imports', 'dumps']);

export class CallQueue {
  readonly #caller: Caller;
  readonly #clock: Clock;
  readonly #engine: Engine;
  readonly #limits: QueueLimits;
  readonly #waiting = new Set<Entry>();
  readonly #underWay = new Set<Entry>();
  #bytes = 0;
  #refused = 0;
  #isClosed = false;
  #state: StoreHealth['state'] = 'ok';
  #since: number;
  #lastError: StoreHealth['lastError'] = null;
  #lastAnswerAt: number | null = null;
  #onIdle: (() => void) | null = null;

  constructor(
    caller: Caller,
    options: { readonly clock: Clock; readonly engine: Engine; readonly limits: QueueLimits },
  ) {
    this.#caller = caller;
    this.#clock = options.clock;
    this.#engine = options.engine;
    this.#limits = options.limits;
    this.#since = options.clock.now();
  }

  call(call: Call, isRead: boolean): Promise<unknown> {
    const bytes = sizeOf(call.args);
    const objection = this.#objection(bytes);
    if (objection !== null) return Promise.reject(objection);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const deadlineMs = LONG.has(call.aggregate) ? this.#limits.longDeadlineMs : this.#limits.deadlineMs;
    const since = this.#clock.monotonic();
    const entry: Entry = { call, isRead, bytes, since, deadlineMs, resolve, reject, stopTimer: () => {} };
    entry.stopTimer = this.#clock.schedule(deadlineMs, () => this.#giveUp(entry));
    this.#bytes += bytes;
    this.#waiting.add(entry);
    this.#next();
    return promise;
  }

  health(): StoreHealth {
    const oldest = this.#oldest();
    return {
      engine: this.#engine,
      state: this.#state,
      since: this.#since,
      lastError: this.#lastError,
      lastAnswerAt: this.#lastAnswerAt,
      queue: {
        calls: this.#waiting.size + this.#underWay.size,
        bytes: this.#bytes,
        bytesMax: this.#limits.bytesMax,
        oldestMs: oldest && this.#clock.monotonic() - oldest.since,
        refused: this.#refused,
      },
    };
  }

  /** What waits and what is under way is finished, as far as `withinMs` allows. */
  async close(withinMs: number): Promise<void> {
    this.#isClosed = true;
    if (this.#waiting.size + this.#underWay.size > 0) {
      const idle = Promise.withResolvers<void>();
      this.#onIdle = idle.resolve;
      const stopTimer = this.#clock.schedule(withinMs, idle.resolve);
      await idle.promise;
      stopTimer();
    }
    for (const entry of this.#waiting) this.#drop(entry, 'The store is being closed.');
    this.#setState('closed');
    await this.#caller.close();
  }

  #objection(bytes: number): AppError | null {
    if (this.#isClosed) return unavailable('The store is closed.', 'none');
    const [stuck] = this.#underWay;
    const stuckMs = stuck ? this.#clock.monotonic() - stuck.since : 0;
    if (stuck && this.#underWay.size >= this.#limits.concurrentMax && stuckMs > stuck.deadlineMs) {
      this.#refused++;
      return unavailable('The database has not answered for too long.', 'none');
    }
    if (this.#bytes + bytes > this.#limits.bytesMax) {
      this.#refused++;
      this.#setState('overloaded');
      return unavailable('The database does not keep up: too much waits for it.', 'none');
    }
    return null;
  }

  #next(): void {
    for (const entry of this.#waiting) {
      if (this.#underWay.size >= this.#limits.concurrentMax) return;
      this.#waiting.delete(entry);
      this.#underWay.add(entry);
      void this.#run(entry);
    }
    if (this.#underWay.size === 0) this.#onIdle?.();
  }

  async #run(entry: Entry): Promise<void> {
    try {
      const answer = await this.#caller.call(entry.call);
      this.#noteAnswer(entry);
      entry.resolve(answer);
    } catch (error) {
      this.#noteError(error);
      entry.reject(error as Error);
    }
    entry.stopTimer();
    this.#underWay.delete(entry);
    this.#bytes -= entry.bytes;
    this.#next();
  }

  /** An entry that is under way keeps its place and its bytes until the database is done with it. */
  #giveUp(entry: Entry): void {
    if (this.#waiting.has(entry)) return this.#drop(entry, 'The database did not come to it in time.');
    const error = unavailable('The database did not answer in time.', entry.isRead ? 'none' : 'unknown');
    this.#noteError(error);
    entry.reject(error);
  }

  #drop(entry: Entry, why: string): void {
    entry.stopTimer();
    this.#waiting.delete(entry);
    this.#bytes -= entry.bytes;
    const error = unavailable(why, 'none');
    this.#noteError(error);
    entry.reject(error);
  }

  #noteAnswer({ isRead }: Entry): void {
    this.#lastAnswerAt = this.#clock.now();
    // That something can be read says nothing of a lock, or of room.
    if (!isRead || this.#state === 'lost' || this.#state === 'overloaded') this.#setState('ok');
  }

  #noteError(error: unknown): void {
    if (!(error instanceof AppError) || !error.code.startsWith('STORE_')) return;
    this.#lastError = { at: this.#clock.now(), code: error.code, message: error.message };
    this.#setState(stateOf(error.details['trouble'] as Trouble | undefined));
  }

  #setState(state: StoreHealth['state']): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#since = this.#clock.now();
  }

  #oldest(): Entry | null {
    const [first] = [...this.#underWay, ...this.#waiting].toSorted((a, b) => a.since - b.since);
    return first ?? null;
  }
}

function stateOf(trouble: Trouble | undefined): StoreHealth['state'] {
  return trouble === undefined || trouble === 'raced' ? 'lost' : trouble;
}

function unavailable(message: string, effect: 'none' | 'unknown'): AppError {
  return new AppError('STORE_UNAVAILABLE', message, {
    details: { effect },
    nextStep: 'See whether its disk or its server is there, and what else uses it. Records are copied meanwhile.',
  });
}
