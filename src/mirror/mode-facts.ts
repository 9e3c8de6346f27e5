/** What decides between identical and mapped offsets, asked of the clusters: nothing for a topic that is being copied. */
import { must } from '#util/assert.ts';
import type { MirrorResource, MirrorStart } from '#contract/resources.ts';
import { compileTopicRules, filterOf } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { EARLIEST, LATEST, listOffsets, type OffsetQuery } from '#kafka/offsets.ts';
import { mayWriteMarkers } from '#kafka/permissions.ts';
import type { ModeFacts } from './offset-mode.ts';
import type { TopicFacts } from './topic-facts.ts';

export interface ModeQuestion {
  readonly resource: MirrorResource;
  readonly source: Cluster;
  readonly target: Cluster;
}

/** Throws KafkaError. */
export async function askMode({ resource, source, target }: ModeQuestion, facts: TopicFacts): Promise<ModeFacts> {
  const { offsets, start } = resource.spec;
  const isCopied = facts.target !== null && facts.claim?.targetTopicId === facts.target.metadata.topicId;
  const filter = filterOf(compileTopicRules(resource.spec.topics), facts.source);
  if (offsets !== 'auto' || isCopied || filter) return { offsets, filter, start: null, mayFillHoles: null };
  const first = (await readStarts(source, [facts], start)).get(facts.pair.source);
  const isCompacted = facts.sourceConfigs?.get('cleanup.policy')?.value?.includes('compact') ?? false;
  return {
    offsets,
    start: typeof first === 'number' ? first : null,
    mayFillHoles: isCompacted ? await isHeld(() => mayWriteMarkers(target)) : null,
  };
}

/** A broker that does not answer the question leaves it open. */
async function isHeld(ask: () => Promise<boolean | null>): Promise<boolean | null> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return null;
  }
}

/** By source topic: the largest offset at which one of its partitions would begin, or why that could not be learnt. */
export async function readStarts(
  source: Cluster,
  topics: readonly TopicFacts[],
  start: MirrorStart,
): Promise<Map<string, number | KafkaError>> {
  const queries = topics.flatMap(({ pair, source: { partitions } }) =>
    partitions.map(({ partition }): OffsetQuery => ({ topic: pair.source, partition, timestamp: timestampOf(start) })),
  );
  const [firsts, ends] = await Promise.all([
    listOffsets(source, queries, { isolation: 'read_committed' }),
    start.at === 'timestamp'
      ? listOffsets(
          source,
          queries.map((query) => ({ ...query, timestamp: LATEST })),
          { isolation: 'read_committed' },
        )
      : [],
  ]);
  const starts = new Map<string, number | KafkaError>();
  for (const [i, { topic, partition }] of queries.entries()) {
    const first = must(firsts[i], 'answer of ListOffsets');
    const before = starts.get(topic) ?? 0;
    const given = start.at === 'offsets' ? start.offsets[topic]?.[partition] : undefined;
    const found = first.offset < 0 ? (ends[i]?.offset ?? 0) : first.offset; // no record that late: the end
    const offset = Math.max(given ?? 0, found);
    starts.set(topic, typeof before === 'number' ? (first.error ?? Math.max(before, offset)) : before);
  }
  return starts;
}

function timestampOf(start: MirrorStart): number {
  if (start.at === 'timestamp') return start.timestampMs;
  return start.at === 'latest' ? LATEST : EARLIEST;
}
