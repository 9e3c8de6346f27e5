/** Beside a fault: whether the figures that a mirror tells are true at every moment, and what is left of its throughput. */
import type { ShardStatus } from '#contract/status.ts';
import { assert } from '#util/assert.ts';
import { LogEnds, type Bounds } from '../acceptance/log-ends.ts';
import type { FaultRun } from './fault.ts';
import type { MirrorUnderTest } from './mirror-under-test.ts';

const SAMPLE_MS = 250;
const SAMPLES_KEPT = 400;

interface Sample {
  /** Wall time when the answer was there: what it says was so at some time before. */
  readonly atMs: number;
  readonly ends: Bounds;
}

/**
 * Reads both clusters again and again, by connections of its own, and holds the mirror to them: the source's end as it was
 * before the mirror's measurement is not beyond what the mirror then knew, and its position is not beyond what the target holds. So a lag that is
 * told is never lower than the true one was when it was measured. A cluster that does not answer is asked again.
 */
export class FigureSampler {
  readonly #mirror: MirrorUnderTest;
  readonly #source: Sample[] = [];
  readonly #logs: readonly [source: LogEnds, target: LogEnds];
  readonly #running: Promise<void>;
  #isStopping = false;
  #checks = 0;
  #samples = 0;
  readonly #wrong: string[] = [];

  private constructor(mirror: MirrorUnderTest, logs: readonly [LogEnds, LogEnds]) {
    this.#mirror = mirror;
    this.#logs = logs;
    this.#running = this.#run();
  }

  static async start(mirror: MirrorUnderTest): Promise<FigureSampler> {
    const { source, target } = mirror.pair;
    const open = (bootstrap: readonly string[]): Promise<LogEnds> => LogEnds.open(bootstrap, mirror.topics);
    return new FigureSampler(mirror, [await open(source.bootstrap), await open(target.bootstrap)]);
  }

  /** Ends it, and fails where a figure was better than the truth. */
  async stop(run: FaultRun): Promise<void> {
    this.#isStopping = true;
    await this.#running;
    for (const logs of this.#logs) logs.close();
    assert(this.#checks > 0, 'figures of the mirror were compared with the clusters');
    assert(this.#wrong.length === 0, `figures better than the truth: ${this.#wrong.slice(0, 5).join('; ')}`);
    run.figure('figures told that were compared with the clusters', this.#checks);
    run.figure('readings of the clusters', this.#samples);
  }

  async #run(): Promise<void> {
    const [source, target] = this.#logs;
    while (!this.#isStopping) {
      const ends = await source.read().catch(() => null);
      if (ends) this.#source.push({ atMs: Date.now(), ends });
      if (this.#source.length > SAMPLES_KEPT) this.#source.shift();
      const shards = this.#mirror.shards();
      const onTarget = await target.read().catch(() => null);
      if (ends && onTarget) this.#samples++;
      for (const shard of shards) this.#check(shard, onTarget);
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  }

  #check(shard: ShardStatus, onTarget: Bounds | null): void {
    const place = `${shard.topic}/${shard.partition}`;
    const held = onTarget?.get(place)?.end; // each topic has the same name on the target
    if (held !== undefined && shard.position !== null) {
      this.#checks++;
      if (shard.position > held) this.#wrong.push(`${place}: position ${shard.position}, the target ends at ${held}`);
    }
    const { measuredAt, sourceHighWatermark } = shard;
    const before = this.#source.findLast(({ atMs }) => measuredAt !== null && atMs < measuredAt);
    const end = before?.ends.get(place)?.end;
    if (end === undefined || sourceHighWatermark === null) return;
    this.#checks++;
    if (sourceHighWatermark < end)
      this.#wrong.push(`${place}: the source's end told as ${sourceHighWatermark}, it was ${end} before`);
  }
}

/** Offsets copied in a second, over so long a time. */
export async function throughputOf(mirror: MirrorUnderTest, ms: number): Promise<number> {
  const [before, startedAt] = [mirror.offsetsCopied(), performance.now()];
  await mirror.lasts(ms);
  return (mirror.offsetsCopied() - before) / ((performance.now() - startedAt) / 1000);
}
