/**
 * The one control connection to an address: opened when somebody needs it, shared by all, opened anew after it was
 * lost. Those who ask at the same time share one attempt, and attempts after a failure keep a growing, jittered distance,
 * so a broker that is down is not hammered by everyone who waits for it.
 */
import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { openConnection, type Connection, type ConnectionOptions } from './connection.ts';
import { ConnectionError } from './errors.ts';

/** Between attempts: quick enough for a broker that restarts, slow enough for one that is gone. */
const RECONNECT_BASE_MS = 100;
const RECONNECT_MAX_MS = 5_000;

export class SharedConnection {
  /** `host:port` */
  readonly address: string;
  readonly #options: ConnectionOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #closed = new AbortController();
  #connection: Connection | null = null;
  #opening: Promise<Connection> | null = null;
  #notBeforeMs = 0;

  constructor(options: ConnectionOptions, random: Random) {
    this.address = `${options.host}:${options.port}`;
    this.#options = options;
    this.#clock = options.clock;
    this.#backoff = new Backoff(random, { baseMs: RECONNECT_BASE_MS, maxMs: RECONNECT_MAX_MS });
  }

  get isOpen(): boolean {
    return this.#connection?.isOpen ?? false;
  }

  /** How long the next attempt has to wait, in milliseconds; 0 when it may start now or the connection is open. */
  get waitMs(): number {
    return this.isOpen ? 0 : Math.max(0, this.#notBeforeMs - this.#clock.monotonic());
  }

  /** The open connection, or the outcome of the attempt under way. Throws what openConnection throws. */
  get(): Promise<Connection> {
    if (this.#connection?.isOpen) return Promise.resolve(this.#connection);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  /** Closes it for good; whoever waits for it is told so at once. */
  close(): void {
    this.#closed.abort();
    this.#connection?.close();
  }

  async #open(): Promise<Connection> {
    if (this.waitMs > 0) await sleep(this.#clock, this.waitMs, this.#closed.signal);
    if (this.#closed.signal.aborted) {
      throw new ConnectionError('local', this.address, `the connection to ${this.address} was closed by us`, {
        definite: true,
      });
    }
    try {
      this.#connection = await openConnection(this.#options, this.#closed.signal);
      this.#backoff.reset();
      return this.#connection;
    } catch (error) {
      this.#notBeforeMs = this.#clock.monotonic() + this.#backoff.next();
      throw error;
    }
  }
}
