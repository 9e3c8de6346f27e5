/**
 * When records became visible in the partitions of a topic, seen from outside: one Fetch after the other from the ends of all
 * logs, which the broker answers as soon as one of them grows. It asks for one byte, and so gets one batch at most; what
 * counts are the high watermarks in the answer.
 *
 * Both sides of a mirror are watched in the same way by the same clock, so that what an answer takes cancels out in the
 * median; a single difference is uncertain by the time of one answer, tenths of a millisecond on a machine that has a
 * core free. LogAppendTime would be in whole milliseconds, and a mirror that keeps timestamps does not leave one.
 */
import { partitionsUpTo } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { FieldWriter, WireClient } from '#testing/wire-client.ts';
import type { Weighted } from './statistics.ts';

const FETCH = 1;
const WAIT_MS = 500;
const PARTITION_BYTES = 32;
/** With a topic's name of 249 characters at most. */
const BESIDE_PARTITIONS_BYTES_MAX = 512;

/** Of one partition: the log ended at `ends[i]` or later from `times[i]` on. Both ascend; times are in milliseconds. */
export interface Arrivals {
  readonly ends: number[];
  readonly times: number[];
}

export class ArrivalWatch {
  /** By partition. */
  readonly arrivals: readonly Arrivals[];
  readonly #client: WireClient;
  readonly #topic: string;
  readonly #ends: number[];
  #isStopped = false;
  #watching: Promise<void>;

  private constructor(client: WireClient, topic: string, partitions: number) {
    this.#client = client;
    this.#topic = topic;
    this.#ends = partitionsUpTo(partitions).map(() => 0);
    this.arrivals = this.#ends.map(() => ({ ends: [], times: [] }));
    this.#watching = this.#watch();
    this.#watching.catch(() => {}); // told by stop
  }

  /** `address` is the host:port of the only broker. The topic must be there, and its logs begin at 0. */
  static async open(address: string, topic: string, partitions: number): Promise<ArrivalWatch> {
    return new ArrivalWatch(await WireClient.connect(address), topic, partitions);
  }

  /** Records so far. */
  get count(): number {
    return this.#ends.reduce((sum, end) => sum + end, 0);
  }

  /** Where the logs end, by partition. */
  get ends(): readonly number[] {
    return this.#ends;
  }

  /** Rejects when the watch has failed meanwhile. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    try {
      await this.#watching;
    } finally {
      this.#client.close();
    }
  }

  async #watch(): Promise<void> {
    while (!this.#isStopped) {
      const response = await this.#client.call(FETCH, 11, this.#request());
      const nowMs = performance.now();
      response.int32(); // throttle time
      response.int16(); // error of the session, of which there is none
      response.int32();
      response.array(() => {
        response.string();
        return response.array(() => {
          const partition = response.int32();
          const error = response.int16();
          const end = response.int64(); // high watermark
          response.int64(); // last stable offset
          response.int64(); // log start
          response.array(() => [response.int64(), response.int64()]); // aborted transactions
          response.int32(); // preferred replica
          response.bytes();
          if (error === 0) this.#note(partition, end, nowMs);
        });
      });
    }
  }

  #request(): Buffer {
    const body = new FieldWriter(PARTITION_BYTES * this.#ends.length + BESIDE_PARTITIONS_BYTES_MAX);
    body.int32(-1).int32(WAIT_MS).int32(1).int32(1).int8(0).int32(0).int32(-1);
    body.int32(1).string(this.#topic).int32(this.#ends.length);
    for (const [partition, end] of this.#ends.entries()) body.int32(partition).int32(-1).int64(end).int64(-1).int32(1);
    return body.int32(0).string('').done();
  }

  #note(partition: number, end: number, nowMs: number): void {
    if (end <= must(this.#ends[partition], 'partition that was asked for')) return;
    this.#ends[partition] = end;
    const { ends, times } = must(this.arrivals[partition], 'arrivals of a partition');
    ends.push(end);
    times.push(nowMs);
  }
}

/**
 * How much later records came to the target than to the source, in milliseconds, of those that came to the source from
 * `fromMs` on. Records that are not on the target are left out; where several came at once, one sample counts for them.
 */
export function addedLatency(source: Arrivals, target: Arrivals, fromMs: number): Weighted[] {
  const samples: Weighted[] = [];
  let [i, j, done] = [0, 0, 0];
  while (i < source.ends.length && j < target.ends.length) {
    const [sourceEnd, targetEnd] = [must(source.ends[i], 'end'), must(target.ends[j], 'end')];
    const [cameMs, arrivedMs] = [must(source.times[i], 'time'), must(target.times[j], 'time')];
    const end = Math.min(sourceEnd, targetEnd);
    if (end > done && cameMs >= fromMs) samples.push({ value: arrivedMs - cameMs, weight: end - done });
    done = Math.max(done, end);
    if (sourceEnd <= end) i += 1;
    if (targetEnd <= end) j += 1;
  }
  return samples;
}
