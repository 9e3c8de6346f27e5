/** A mirror by the offsets that both clusters give now. What one of them does not tell is not known, and never zero. */
import { AppError } from '#contract/errors.ts';
import { mirrorSchema, type ClusterResource, type MirrorResource } from '#contract/resources.ts';
import type { ShardStatus } from '#contract/status.ts';
import { compileTopicRules, planTopics, type TopicPair } from '#contract/topic-rules.ts';
import type { PartitionView, TopicView } from '#contract/views.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { ServerPorts } from '../ports.ts';
import { clusterResource } from './documents.ts';

interface Offsets {
  readonly logStart: number | null;
  readonly stableOffset: number | null;
  readonly highWatermark: number | null;
}

export interface PartitionComparison {
  readonly sourceTopic: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly source: Offsets | null;
  readonly target: Offsets | null;
  readonly position: number | null;
  readonly lagRecords: number | null;
  readonly state: 'in-sync' | 'behind' | 'stopped' | 'missing' | 'unknown';
}

export interface Survey {
  readonly partitions: readonly PartitionComparison[];
  /** Why a cluster did not tell. */
  readonly troubles: readonly AppError[];
}

type SurveyPorts = Pick<ServerPorts, 'store' | 'clusters' | 'jobs'>;

/** Never rejects for a cluster's sake. Throws RESOURCE_CONFLICT for a job that is no mirror. */
export async function surveyMirror({ store, clusters, jobs }: SurveyPorts, job: StoredJob): Promise<Survey> {
  const mirror = mirrorOf(job);
  // The job's word first: what it has copied since makes the lag seem larger than it is, and never smaller.
  const shards = jobs.job(job.id).status?.shards ?? [];
  const troubles: AppError[] = [];
  const ask = async <T>(name: string, question: (cluster: ClusterResource) => Promise<T>): Promise<T | null> => {
    try {
      const cluster = await store.clusters.get(name);
      return cluster === null ? null : await question(clusterResource(cluster));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      troubles.push(error);
      return null;
    }
  };
  const pairs = await pairsOf(mirror, shards, () => ask(mirror.spec.source, (cluster) => clusters.topicNames(cluster)));
  const read = (name: string, topics: readonly string[]) =>
    topics.length === 0 ? null : ask(name, (cluster) => clusters.topics(cluster, topics));
  const [source, target] = await Promise.all([
    read(mirror.spec.source, [...new Set(pairs.map((pair) => pair.source))]),
    read(mirror.spec.target, [...new Set(pairs.map((pair) => pair.target))]),
  ]);
  return { partitions: pairs.flatMap((pair) => compare(pair, { mirror, shards, source, target })), troubles };
}

export function mirrorOf({ kind, name, document }: StoredJob): MirrorResource {
  if (kind === 'Mirror') return mirrorSchema.parse(document);
  throw new AppError('RESOURCE_CONFLICT', `Job "${name}" is a ${kind}, and no mirror.`, {
    nextStep: 'Ask this of a mirror.',
  });
}

/** What the job copies, and what its rules take in besides: a topic that is not copied yet is behind, not absent. */
async function pairsOf(
  mirror: MirrorResource,
  shards: readonly ShardStatus[],
  readNames: () => Promise<readonly string[] | null>,
): Promise<TopicPair[]> {
  const names = (await readNames()) ?? [];
  const topics = names.map((name) => ({ name, isInternal: name.startsWith('__') }));
  const planned = planTopics(compileTopicRules(mirror.spec.topics), topics).pairs;
  const byTopic = new Map(planned.map((pair) => [pair.source, pair]));
  for (const { topic, targetTopic } of shards) byTopic.set(topic, { source: topic, target: targetTopic });
  return [...byTopic.values()].toSorted((a, b) => (a.source < b.source ? -1 : 1));
}

interface Answers {
  readonly mirror: MirrorResource;
  readonly shards: readonly ShardStatus[];
  readonly source: readonly TopicView[] | null;
  readonly target: readonly TopicView[] | null;
}

function compare(pair: TopicPair, { mirror, shards, source, target }: Answers): PartitionComparison[] {
  const [from, to] = [
    source?.find(({ name }) => name === pair.source)?.partitions,
    target?.find(({ name }) => name === pair.target)?.partitions,
  ];
  const own = shards.filter(({ topic }) => topic === pair.source);
  const numbers = new Set([...(from ?? []), ...own].map(({ partition }) => partition));
  return [...numbers]
    .toSorted((a, b) => a - b)
    .map((partition) => {
      const shard = own.find((each) => each.partition === partition);
      const [there, here] = [from, to].map((side) => side?.find((each) => each.partition === partition));
      const position = shard?.position ?? identicalPosition(mirror, here);
      const end = there?.stableOffset ?? null;
      const lagRecords = position === null || end === null ? null : Math.max(0, end - position);
      const isMissing = target !== null && here === undefined;
      return {
        sourceTopic: pair.source,
        targetTopic: pair.target,
        partition,
        source: offsetsOf(there),
        target: offsetsOf(here),
        position,
        lagRecords,
        state: stateOf({ shard, isMissing, isTargetKnown: here !== undefined, lagRecords }),
      };
    });
}

/** With identical offsets the target's end is the position (docs/exactness.md, rule 1); mapped ones are known to the job alone. */
function identicalPosition({ spec: { offsets } }: MirrorResource, target: PartitionView | undefined): number | null {
  return offsets === 'identical' ? (target?.highWatermark ?? null) : null;
}

function offsetsOf(partition: PartitionView | undefined): Offsets | null {
  if (!partition) return null;
  const { logStart, stableOffset, highWatermark } = partition;
  return { logStart, stableOffset, highWatermark };
}

function stateOf({
  shard,
  isMissing,
  isTargetKnown,
  lagRecords,
}: {
  readonly shard: ShardStatus | undefined;
  readonly isMissing: boolean;
  readonly isTargetKnown: boolean;
  readonly lagRecords: number | null;
}): PartitionComparison['state'] {
  if (shard?.incident?.severity === 'error') return 'stopped';
  if (isMissing) return 'missing';
  if (lagRecords === null || !isTargetKnown) return 'unknown';
  return lagRecords === 0 ? 'in-sync' : 'behind';
}
