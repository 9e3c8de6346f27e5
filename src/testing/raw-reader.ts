/**
 * Reads partitions as the broker stores them: batches with their headers, control records, holes and all, at
 * read_uncommitted up to the high watermark. The second opinion of the checker; shares no code with src/kafka.
 */
import { assert, must } from '#util/assert.ts';
import type { RawBatch } from './raw-batch.ts';
import { parseBatches } from './raw-batch.ts';
import { FieldWriter, WireClient } from './wire-client.ts';

const fetchBytes = 8 << 20;
/** Leaders move while tests kill brokers: how long to look for a new one. */
const leaderDeadlineMs = 30_000;
/** NOT_LEADER and its kin, and a topic that its broker does not know yet. */
const retriableErrors: ReadonlySet<number> = new Set([3, 5, 6, 9, 74, 75, 76, 78]);

export interface PartitionBounds {
  readonly logStart: number;
  readonly lastStable: number;
  readonly highWatermark: number;
}

/** Reads from one cluster over a connection per broker. Close it after use. */
export class RawReader {
  readonly #bootstrap: readonly string[];
  readonly #clients = new Map<string, WireClient>();
  /** topic-partition → host:port */
  readonly #leaders = new Map<string, string>();

  constructor(bootstrap: readonly string[]) {
    this.#bootstrap = bootstrap;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  /** The number of partitions of a topic. Throws when there is no such topic. */
  async partitionCount(topic: string): Promise<number> {
    const count = await this.#refresh(topic);
    assert(count > 0, `topic ${topic} does not exist on ${this.#bootstrap.join(',')}`);
    return count;
  }

  /** Log start, last stable offset and high watermark, as of now. */
  async bounds(topic: string, partition: number): Promise<PartitionBounds> {
    const offset = (timestamp: number, isolation: number): Promise<number> =>
      this.#onLeader(topic, partition, async (client) => {
        const body = new FieldWriter().int32(-1).int8(isolation).int32(1).string(topic);
        const response = await client.call(2, 2, body.int32(1).int32(partition).int64(timestamp).done());
        response.int32(); // throttle time
        const [answer] = response.array(() => {
          response.string();
          return response.array(() => {
            response.int32();
            const error = response.int16();
            response.int64();
            return { error, value: response.int64() };
          });
        });
        return must(answer?.[0], 'answer of ListOffsets');
      });
    return { logStart: await offset(-2, 0), lastStable: await offset(-1, 1), highWatermark: await offset(-1, 0) };
  }

  /** The batches of a partition from `from` up to `to`; the first may begin before and the last end behind it. */
  async *batches(topic: string, partition: number, range: { from: number; to: number }): AsyncGenerator<RawBatch> {
    for (let next = range.from; next < range.to;) {
      const batches = await this.#fetch(topic, partition, next);
      for (const batch of batches) {
        if (batch.lastOffset < next) continue;
        if (batch.baseOffset >= range.to) return;
        yield batch;
        next = batch.lastOffset + 1;
      }
      // Compaction may have removed the very last offsets of a range: then nothing is left to come.
      if (batches.length === 0 && (await this.bounds(topic, partition)).highWatermark <= next) return;
    }
  }

  async #fetch(topic: string, partition: number, offset: number): Promise<RawBatch[]> {
    const bytes = await this.#onLeader(topic, partition, async (client) => {
      const body = new FieldWriter().int32(-1).int32(500).int32(1).int32(fetchBytes).int8(0).int32(0).int32(-1);
      body.int32(1).string(topic).int32(1).int32(partition).int32(-1).int64(offset).int64(-1).int32(fetchBytes);
      const response = await client.call(1, 11, body.int32(0).string('').done());
      response.int32(); // throttle time
      response.int16(); // error of the session, of which there is none
      response.int32();
      const [answer] = response.array(() => {
        response.string();
        return response.array(() => {
          response.int32();
          const error = response.int16();
          response.int64(); // high watermark
          response.int64(); // last stable offset
          response.int64(); // log start
          response.array(() => [response.int64(), response.int64()]); // aborted transactions
          response.int32(); // preferred replica
          return { error, value: response.bytes() };
        });
      });
      return must(answer?.[0], 'answer of Fetch');
    });
    return parseBatches(bytes);
  }

  /** Calls the leader; with new metadata and a new connection as long as the leader moves or is away. */
  async #onLeader<T>(
    topic: string,
    partition: number,
    call: (client: WireClient) => Promise<{ error: number; value: T }>,
  ): Promise<T> {
    const deadline = performance.now() + leaderDeadlineMs;
    for (;;) {
      let failure: unknown;
      try {
        const { error, value } = await call(await this.#leaderClient(topic, partition));
        if (error === 0) return value;
        failure = new Error(`${topic}-${partition}: the broker answers error ${error}`);
        if (!retriableErrors.has(error)) throw new FinalError(failure as Error);
      } catch (error) {
        if (error instanceof FinalError) throw error.cause;
        failure = error;
      }
      if (performance.now() > deadline) throw failure;
      this.close();
      this.#leaders.clear();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #leaderClient(topic: string, partition: number): Promise<WireClient> {
    const name = `${topic}-${partition}`;
    if (!this.#leaders.has(name)) await this.#refresh(topic);
    const address = this.#leaders.get(name);
    if (!address) throw new Error(`${name} has no leader on ${this.#bootstrap.join(',')}`);
    return this.#client(address);
  }

  async #client(address: string): Promise<WireClient> {
    const known = this.#clients.get(address);
    if (known) return known;
    const client = await WireClient.connect(address);
    this.#clients.set(address, client);
    return client;
  }

  /** Metadata v1 of one topic from the first broker that answers; returns the number of partitions, 0 for none. */
  async #refresh(topic: string): Promise<number> {
    let failure: unknown = new Error('no bootstrap address');
    for (const address of this.#bootstrap) {
      try {
        const client = await this.#client(address);
        const response = await client.call(3, 1, new FieldWriter().int32(1).string(topic).done());
        const addresses = new Map(
          response.array(() => {
            const [id, host, port] = [response.int32(), response.string(), response.int32()];
            response.string(); // rack
            return [id, `${host}:${port}`] as const;
          }),
        );
        response.int32(); // controller
        const [partitions = []] = response.array(() => {
          response.int16();
          response.string();
          response.int8();
          return response.array(() => {
            response.int16();
            const [partition, leader] = [response.int32(), response.int32()];
            response.array(() => response.int32());
            response.array(() => response.int32());
            return { partition, leader };
          });
        });
        for (const { partition, leader } of partitions) {
          const leaderAddress = addresses.get(leader);
          if (leaderAddress) this.#leaders.set(`${topic}-${partition}`, leaderAddress);
        }
        return partitions.length;
      } catch (error) {
        this.#clients.delete(address);
        failure = error;
      }
    }
    throw failure;
  }
}

/** An answer that asking again would not change. */
class FinalError extends Error {
  override name = 'FinalError';

  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}
