/**
 * What a mirror has to copy, as the source shows it: ends of its logs at two moments, and how many bytes their records take.
 * Nothing is written. Deletion by retention does not matter: what is counted is offsets, times the bytes of an offset.
 */
import { sleep } from '#util/clock.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { compileTopicRules, planTopics } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { listGroups, readGroupOffsets } from '#kafka/groups.ts';
import { partitionSizes } from '#kafka/log-dirs.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { isDenied } from '#kafka/permissions.ts';
import { selectGroups } from './group-sync.ts';

export interface SampledLoad {
  readonly topics: number;
  readonly partitions: number;
  readonly groups: number;
  readonly groupPlaces: number;
  /** Offsets, so that ends of transactions count as records. */
  readonly recordsPerSecond: number;
  /** As they lie in the log; null where the right is missing, or where there is nothing to measure it on. */
  readonly recordBytes: number | null;
  /** Between the two looks. */
  readonly sampledMs: number;
  /** Partitions whose leader did not answer both times. */
  readonly unanswered: number;
}

/** Takes about `sampleMs`. Throws KafkaError. */
export async function sampleLoad(
  resource: MirrorResource,
  source: Cluster,
  { sampleMs }: { readonly sampleMs: number },
): Promise<SampledLoad> {
  const all = (await source.refresh('all')).filter(({ errorCode }) => errorCode === 0);
  const { pairs } = planTopics(compileTopicRules(resource.spec.topics), all);
  const partitions = pairs.flatMap(({ source: topic }) =>
    (source.topicOf(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition })),
  );
  const at = async (timestamp: number): Promise<(number | null)[]> => {
    const queries = partitions.map((each) => ({ ...each, timestamp }));
    return (await listOffsets(source, queries)).map(({ offset, error }) => (error ? null : offset));
  };
  const { clock } = source;
  const [starts, sizes, groups] = await Promise.all([
    at(EARLIEST),
    sizesOf(source, partitions),
    readGroups(resource, source, new Set(pairs.map((pair) => pair.source))),
  ]);
  const [beganMs, before] = [clock.monotonic(), await at(LATEST)];
  await sleep(clock, sampleMs, source.closed);
  const [endedMs, after] = [clock.monotonic(), await at(LATEST)];
  let [offsets, bytes, counted, unanswered] = [0, 0, 0, 0];
  for (const [index, { topic, partition }] of partitions.entries()) {
    const [start, first, last] = [starts[index] ?? null, before[index] ?? null, after[index] ?? null];
    if (start === null || first === null || last === null) {
      unanswered++;
      continue;
    }
    const grown = Math.max(0, last - first);
    const held = first - start;
    offsets += grown;
    const size = sizes?.get(`${topic}/${partition}`);
    if (size === undefined || held <= 0) continue;
    bytes += grown * (size / held);
    counted += grown;
  }
  return {
    topics: pairs.length,
    partitions: partitions.length,
    ...groups,
    recordsPerSecond: (offsets * 1000) / Math.max(1, endedMs - beganMs),
    recordBytes: counted === 0 ? null : bytes / counted,
    sampledMs: endedMs - beganMs,
    unanswered,
  };
}

async function sizesOf(
  source: Cluster,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): Promise<ReadonlyMap<string, number> | null> {
  try {
    return await partitionSizes(source, partitions);
  } catch (error) {
    if (error instanceof KafkaError && isDenied(error)) return null;
    throw error;
  }
}

async function readGroups(
  { spec }: MirrorResource,
  source: Cluster,
  topics: ReadonlySet<string>,
): Promise<{ readonly groups: number; readonly groupPlaces: number }> {
  if (spec.sync.groups === null) return { groups: 0, groupPlaces: 0 };
  const groups = (await listGroups(source))
    .filter(selectGroups(spec.sync.groups))
    .filter(({ type }) => type !== 'share');
  const commits = await readGroupOffsets(
    source,
    groups.map(({ groupId }) => groupId),
  );
  const places = [...commits.values()].map((offsets) =>
    offsets instanceof KafkaError ? 0 : offsets.filter(({ topic }) => topics.has(topic)).length,
  );
  return { groups: groups.length, groupPlaces: places.reduce((sum, each) => sum + each, 0) };
}
