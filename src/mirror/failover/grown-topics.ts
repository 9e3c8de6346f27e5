/** Partitions that the source got after the copy had begun, and that the copy never got: all of them is beyond the cut. */
import type { TopicCut } from '#contract/failover.ts';
import type { Cluster } from '#kafka/cluster.ts';

/** The same cut where there are none, as of the last time that the source was asked about the topic. */
export function withGrown(source: Pick<Cluster, 'topicOf'>, cut: TopicCut): TopicCut {
  const grown = (source.topicOf(cut.sourceTopic)?.partitions ?? []).slice(cut.partitions.length);
  if (grown.length === 0) return cut;
  return { ...cut, partitions: [...cut.partitions, ...grown.map(() => [0, 0] as const)] };
}
