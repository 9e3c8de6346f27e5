/**
 * A TCP proxy before one broker that knows Kafka's frames and damages what passes, as rules say. The broker must
 * advertise the proxy's port (`proxied` of the launcher), so that every connection goes through. Without rules bytes
 * pass as they come; what has happened to the others is in the journal, so that a test can show that its fault took
 * effect.
 *
 *     const lost = proxy.inject({ match: { api: 'Produce', direction: 'response', nth: 1 }, fault: drop() });
 *     await lost.fired();
 *
 * When the broker is down, a client is accepted and then reset; `down` refuses it as a host does on which nobody listens.
 */
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createRandom } from '#util/random.ts';
import type { Random } from '#util/random.ts';
import { FaultRule, apiKeys } from './fault-rule.ts';
import type { FaultScene, Passage, RuleOptions } from './fault-rule.ts';
import { FrameSplitter } from './frame-splitter.ts';
import type { Direction } from './frame-splitter.ts';
import { ProxiedConnection } from './proxied-connection.ts';

/** More entries are counted by their rules and not kept: a latency hits every frame. */
const JOURNAL_ENTRIES_MAX = 10_000;
const replayTimeoutMs = 30_000;

export interface FaultProxyOptions {
  /** Where clients come. */
  readonly port: number;
  readonly brokerPort: number;
  /** Of everything random. Default: 1. */
  readonly seed?: number;
}

/** One fault that took effect. */
export interface Injected {
  /** Milliseconds since the proxy was created. */
  readonly atMs: number;
  readonly rule: string;
  /** 0 where no single one is meant. */
  readonly connection: number;
  readonly direction: Direction | null;
  /** The request's name, its key where this page does not know it, null for bytes that are no whole frame. */
  readonly api: string | null;
  readonly correlationId: number | null;
}

export class FaultProxy {
  readonly address: string;
  readonly brokerPort: number;
  /** The first 10,000 faults that took effect, in order. */
  readonly journal: Injected[] = [];
  readonly #options: FaultProxyOptions;
  #random: Random;
  readonly #startMs = performance.now();
  readonly #connections = new Map<number, ProxiedConnection>();
  #accepted = 0;
  #server: Server | null = null;
  #rules: FaultRule[] = [];

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#random = createRandom(options.seed ?? 1);
    this.brokerPort = options.brokerPort;
    this.address = `127.0.0.1:${options.port}`;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that were accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Begins all randomness anew. */
  reseed(seed: number): void {
    this.#random = createRandom(seed);
  }

  /** Listens. */
  up(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#join(client));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#options.port, '127.0.0.1', resolve);
    });
  }

  /** Resets every connection and refuses new ones, until `up`. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const refused = new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
    this.#note('down', null);
    const connections = [...this.#connections.values()];
    for (const connection of connections) connection.reset();
    await Promise.all([refused, ...connections.map((connection) => connection.closed)]);
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.clear();
    await this.down();
  }

  /** From now on, matching bytes meet the fault. Rules apply in the order in which they were set. */
  inject(options: RuleOptions): FaultRule {
    const rule = new FaultRule(options);
    this.#rules.push(rule);
    void rule.ended.then(() => {
      this.#rules = this.#rules.filter((other) => other !== rule);
    });
    return rule;
  }

  /** Ends every rule: the network is well again. What is held arrives. */
  clear(): void {
    for (const rule of this.#rules) rule.end();
    this.#rules = [];
  }

  /**
   * Sends a request that `capture` has kept to the broker, on a connection of its own: a packet that the network had
   * delayed. Returns the response behind its length.
   */
  replay(frame: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: this.#options.brokerPort, noDelay: true });
      const responses = new FrameSplitter('response', () => true);
      socket.setTimeout(replayTimeoutMs, () =>
        socket.destroy(new Error('no answer to a replayed request within 30 s')),
      );
      socket.on('connect', () => socket.write(frame));
      socket.on('data', (chunk) => {
        const [response] = responses.collect(chunk);
        if (response === undefined) return;
        this.#note('replay', null);
        resolve(response.bytes.subarray(4));
        socket.destroy();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the broker closed the connection of a replayed request')));
    });
  }

  #join(client: Socket): void {
    const id = ++this.#accepted;
    const connection = new ProxiedConnection({
      id,
      client,
      brokerPort: this.#options.brokerPort,
      isQuiet: () => !this.#rules.some((rule) => rule.isActive),
      onPassage: (passage, via) => this.#apply(passage, via),
    });
    this.#connections.set(id, connection);
    void connection.closed.then(() => this.#connections.delete(id));
  }

  #apply(passage: Passage, connection: ProxiedConnection): void {
    for (const rule of this.#rules) {
      const scene: FaultScene = {
        random: this.#random,
        ended: rule.ended,
        reset: () => connection.reset(),
        silence: () => connection.silence(passage.direction),
        close: (side) => connection.close(side),
      };
      if (rule.apply(passage, scene)) this.#note(rule.name, passage);
    }
  }

  #note(rule: string, passage: Passage | null): void {
    if (this.journal.length >= JOURNAL_ENTRIES_MAX) return;
    this.journal.push({
      atMs: performance.now() - this.#startMs,
      rule,
      connection: passage?.connection ?? 0,
      direction: passage?.direction ?? null,
      api: passage?.head ? nameOf(passage.head.apiKey) : null,
      correlationId: passage?.head?.correlationId ?? null,
    });
  }
}

function nameOf(apiKey: number): string {
  return Object.entries(apiKeys).find(([, key]) => key === apiKey)?.[0] ?? String(apiKey);
}
