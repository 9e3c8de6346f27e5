/** Both copies of what differs, as files: the raw batches as the brokers serve them, from before anybody repairs anything. */
import type { Difference } from '#contract/verification.ts';
import { KafkaError, MalformedBatchError } from '#kafka/errors.ts';
import { baseOffsetOf, batchAt, lastOffsetOf } from '#kafka/records/batch-header.ts';
import type { PartitionLog } from './log-side.ts';
import type { Task } from './verify-tasks.ts';

/** Throws what the disk throws. */
export interface EvidenceDisk {
  makeDirectory(path: string): void;
  writeText(path: string, text: string): void;
}

export interface EvidenceNames {
  readonly mirror: string;
  readonly sourceClusterId: string;
  readonly targetClusterId: string;
}

export class Evidence {
  readonly #disk: EvidenceDisk;
  readonly #directory: string;
  readonly #names: EvidenceNames;
  /** What a later look finds at the same place may have been changed since. */
  readonly #kept = new Map<string, string>();

  constructor(disk: EvidenceDisk, directory: string, names: EvidenceNames) {
    this.#disk = disk;
    this.#directory = directory;
    this.#names = names;
  }

  /** Keeps it once, and returns where; or what says why not. `targetOffset`: where the copy has to be. */
  async keep(
    { pair, partition, source, target }: Pick<Task, 'pair' | 'partition' | 'source' | 'target'>,
    difference: Difference,
    {
      logs,
      targetOffset,
    }: { readonly logs: Readonly<Record<'source' | 'target', PartitionLog>>; readonly targetOffset: number },
  ): Promise<string> {
    const { offset } = difference;
    const path = `${this.#directory}/${this.#names.mirror}.${pair.source}-${partition}-${offset}.json`;
    const known = this.#kept.get(path);
    if (known !== undefined) return known;
    const kept = {
      ...this.#names,
      topic: pair.source,
      targetTopic: pair.target,
      topicIds: { source: source?.topicId ?? null, target: target?.topicId ?? null },
      partition,
      difference,
      source: await batchOf(logs.source, offset),
      target: await batchOf(logs.target, targetOffset),
    };
    try {
      this.#disk.makeDirectory(this.#directory);
      this.#disk.writeText(path, `${JSON.stringify(kept, null, 2)}\n`);
    } catch (error) {
      return `nowhere: ${error instanceof Error ? error.message : 'the disk refuses it'}`;
    }
    this.#kept.set(path, path);
    return path;
  }
}

/** The batch in which an offset lies, or the first behind it. Null where it cannot be had. */
async function batchOf(log: PartitionLog, offset: number): Promise<{ baseOffset: number; base64: string } | null> {
  try {
    const { frame, fetched } = await log.fetch(offset);
    try {
      const { buffer } = frame;
      for (let at = fetched.start, size = 0; (size = batchAt(buffer, at, fetched.end)) > 0; at += size)
        if (lastOffsetOf(buffer, at) >= offset)
          return { baseOffset: baseOffsetOf(buffer, at), base64: buffer.toString('base64', at, at + size) };
      return null;
    } finally {
      frame.release();
    }
  } catch (error) {
    if (error instanceof KafkaError || error instanceof MalformedBatchError) return null;
    throw error;
  }
}
