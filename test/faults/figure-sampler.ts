/** Beside a fault: whether the figures that a mirror tells are true at every moment, and what is left of its throughput. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { ShardStatus } from '#contract/status.ts';
import { LogEnds, type Bounds } from '../acceptance/log-ends.ts';
import type { FaultRun } from './fault.ts';
import type { MirrorUnderTest } from './mirror-under-test.ts';

const SAMPLE_MS = 250;
const SAMPLES_KEPT = 400;
/** From the broker's making an answer to our taking it, on a busy machine: so much older may be what was measured at a time. */
const ANSWER_MS = 2_000;

interface Sample {
  /** Wall time when the answer was there: what it says was so at some time before. */
  readonly atMs: number;
  readonly ends: Bounds;
}

/**
 * Reads both clusters again and again, by connections of its own, and holds the mirror to them: the end of the source that it
 * tells is not below what that was when the mirror measured it, its position is not beyond what the target holds, and the lag
 * is what lies between. So no lag is told that is lower than the true one was. A cluster that does not answer is asked again.
 */
export class FigureSampler {
  readonly #mirror: MirrorUnderTest;
  readonly #source: Sample[] = [];
  readonly #logs: Readonly<Record<'source' | 'target', LogEnds>>;
  readonly #running: Promise<unknown>;
  #isStopping = false;
  #positions = 0;
  #ends = 0;
  /** Of those, where the source certainly had more: a lag of 0 would have been found wrong. */
  #behind = 0;
  #lagMax = 0;
  readonly #wrong: string[] = [];

  private constructor(mirror: MirrorUnderTest, logs: Readonly<Record<'source' | 'target', LogEnds>>) {
    this.#mirror = mirror;
    this.#logs = logs;
    this.#running = Promise.all([this.#watchSource(), this.#watchTarget()]);
  }

  /** Ends with the test at the latest. */
  static async start(mirror: MirrorUnderTest): Promise<FigureSampler> {
    const { source, target } = mirror.pair;
    const sampler = new FigureSampler(mirror, {
      source: await LogEnds.open(source.bootstrap, mirror.topics),
      target: await LogEnds.open(target.bootstrap, mirror.topics),
    });
    onTestFinished(() => sampler.#end());
    return sampler;
  }

  /** A lag was told, and found true, where the source certainly had more. */
  get hasSeenLag(): boolean {
    return this.#behind > 0;
  }

  /** Ends it, and fails where a figure was better than the truth. */
  async stop(run: FaultRun): Promise<void> {
    await this.#end();
    expect(this.#wrong.slice(0, 5), `${this.#wrong.length} figures better than the truth`).toEqual([]);
    expect(Math.min(this.#positions, this.#behind), 'figures were compared, also of a lag').toBeGreaterThan(0);
    run.figure('positions told that were compared with the target', this.#positions);
    run.figure('ends and lags told that were compared with the source', this.#ends);
    run.figure('of those, lags that were certainly not 0', this.#behind);
    run.figure('largest lag of a partition that was told, in records', this.#lagMax);
  }

  async #end(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
    this.#logs.source.close();
    this.#logs.target.close();
  }

  /** A cluster that does not answer holds up what is compared with it alone. */
  async #watchSource(): Promise<void> {
    while (!this.#isStopping) {
      for (const shard of this.#mirror.shards()) this.#checkEnd(shard);
      const ends = await this.#logs.source.read().catch(() => null);
      if (ends) this.#source.push({ atMs: Date.now(), ends });
      if (this.#source.length > SAMPLES_KEPT) this.#source.shift();
      await sleep(SAMPLE_MS);
    }
  }

  async #watchTarget(): Promise<void> {
    while (!this.#isStopping) {
      const shards = this.#mirror.shards(); // before the target is read, which only grows
      const onTarget = await this.#logs.target.read().catch(() => null);
      for (const shard of shards) this.#checkPosition(shard, onTarget);
      await sleep(SAMPLE_MS);
    }
  }

  #checkPosition({ topic, partition, position }: ShardStatus, onTarget: Bounds | null): void {
    const place = `${topic}/${partition}`; // each topic has the same name on the target
    const held = onTarget?.get(place)?.end;
    if (held === undefined || position === null) return;
    this.#positions++;
    if (position > held) this.#wrong.push(`${place}: position ${position}, the target ends at ${held}`);
  }

  #checkEnd({ topic, partition, measuredAt, sourceHighWatermark, lagRecords, position }: ShardStatus): void {
    const place = `${topic}/${partition}`;
    const before = this.#source.findLast(({ atMs }) => measuredAt !== null && atMs < measuredAt - ANSWER_MS);
    const end = before?.ends.get(place)?.end;
    if (end === undefined || sourceHighWatermark === null || lagRecords === null || position === null) return;
    this.#ends++;
    if (position < end) this.#behind++;
    this.#lagMax = Math.max(this.#lagMax, lagRecords);
    if (sourceHighWatermark < end)
      this.#wrong.push(`${place}: the source's end told as ${sourceHighWatermark}, it was ${end} before`);
    if (position + lagRecords < end)
      this.#wrong.push(`${place}: at ${position} with a lag of ${lagRecords}, and the source ended at ${end}`);
  }
}

/** Offsets copied in a second, over so long a time. */
export async function throughputOf(mirror: MirrorUnderTest, ms: number): Promise<number> {
  const [before, startedAt] = [mirror.offsetsCopied(), performance.now()];
  await mirror.lasts(ms);
  return (mirror.offsetsCopied() - before) / ((performance.now() - startedAt) / 1_000);
}
