/**
 * `lockstep verify`: source and target of a mirror compared by a reader of its own, with its own credentials. It reads both
 * logs; what the mirror has written down about its copies is judged by them. It writes nothing, and works while producers
 * and the mirror do.
 */
import { sleep } from '#util/clock.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { MirrorVerification, PartitionVerification, VerifyProgress } from '#contract/verification.ts';
import type { Running } from './compare-logs.ts';
import { verifyPartition, type PartitionOptions } from './verify-partition.ts';
import { tasksOf, type TaskOptions, type VerifyClusters } from './verify-tasks.ts';

/** Partitions at a time. Each holds two frames of 1 MB on each side: 16 MB, but for larger batches. */
const WORKERS = 4;

export interface VerifyOptions extends PartitionOptions, TaskOptions {
  readonly progressMs: number;
  onProgress(progress: VerifyProgress): void;
}

/**
 * Compares all partitions that the mirror's rules name. A partition that cannot be read is `failed` and leaves the others
 * alone; what `signal` cut off is missing. Throws AppError TOPIC_RULE_EMPTY, and KafkaError where a cluster does not answer.
 */
export async function verifyMirror(
  resource: MirrorResource,
  clusters: VerifyClusters,
  options: VerifyOptions,
): Promise<MirrorVerification> {
  const { clock } = clusters;
  const { notes, tasks } = await tasksOf(resource, clusters, options);
  const partitions: PartitionVerification[] = [];
  const running = new Set<Running>();
  const progress = (): VerifyProgress => progressOf(resource.metadata.name, tasks.length, [partitions, running]);
  const ended = new AbortController();
  const report = async (): Promise<void> => {
    for (;;) {
      await sleep(clock, options.progressMs, ended.signal);
      if (ended.signal.aborted) return;
      options.onProgress(progress());
    }
  };
  const reported = report();
  const waiting = tasks.values();
  const work = async (): Promise<void> => {
    for (const task of waiting) {
      if (options.signal.aborted) return;
      const verified = await verifyPartition(task, resource, { clusters, options, running });
      if (!options.signal.aborted) partitions.push(verified);
    }
  };
  try {
    await Promise.all(Array.from({ length: WORKERS }, work));
  } finally {
    ended.abort();
    await reported;
  }
  const { source, target } = resource.spec;
  return {
    mirror: resource.metadata.name,
    source,
    target,
    class: options.class,
    partitions: partitions.toSorted((a, b) =>
      a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
    ),
    notes: notes.map(({ message }) => message),
  };
}

function progressOf(
  mirror: string,
  total: number,
  [done, running]: readonly [readonly PartitionVerification[], ReadonlySet<Running>],
): VerifyProgress {
  const all = [...done, ...running];
  const sum = (of: (each: PartitionVerification | Running) => number): number =>
    all.reduce((n, each) => n + of(each), 0);
  return {
    mirror,
    partitions: total,
    partitionsDone: done.length,
    records: sum(({ records }) => records),
    bytes: { whole: sum(({ bytes }) => bytes.whole), byRecord: sum(({ bytes }) => bytes.byRecord) },
    differences: sum(({ differences }) => differences),
  };
}
