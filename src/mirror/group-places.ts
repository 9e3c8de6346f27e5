/**
 * Which place on the target an offset of the source is, for the topics of a mirror as they are copied now. What is asked here
 * is asked of the clusters, whichever process copies a partition.
 */
import type { NextPlaces } from '#contract/offset-map.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { WithheldError, type KafkaError } from '#kafka/errors.ts';
import { isActive, type GroupOffset } from '#kafka/groups.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { isDenied } from '#kafka/permissions.ts';
import {
  ACTIVE,
  identicalPlace,
  mappedPlace,
  NOT_BEGUN,
  placeKey,
  type TargetEnds,
  type Translate,
  type Translation,
} from './group-moves.ts';

/** A topic that is mirrored, with what its offsets are translated by. */
export interface SyncedTopic {
  readonly sourceTopic: string;
  readonly sourceTopicId: string;
  readonly targetTopic: string;
  readonly targetTopicId: string;
  /** By partition. */
  readonly copyStarts: readonly CopyStart[];
}

/**
 * Where the copy of a partition began, with the offsets of its source; until its first record is copied that follows the
 * log start of the source (exactness.md rule 5). Or where its records lie, or why its offsets have no counterpart now.
 */
export type CopyStart =
  | number
  | { readonly atLeast: number }
  /** Made when it is asked for; null where it is not known. */
  | { readPlaces(): NextPlaces | null }
  | string;

/** Asks both clusters about these partitions. Throws KafkaError. */
export async function readTranslation(
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
  asked: readonly { readonly topic: string; readonly partition: number }[],
  topics: ReadonlyMap<string, SyncedTopic>,
): Promise<Translate> {
  const pairs = [...new Set(asked.map(({ topic }) => topic))].flatMap((name) => topics.get(name) ?? []);
  const anew = new Set([
    ...(await changedTopics(source, pairs, (pair) => [pair.sourceTopic, pair.sourceTopicId])),
    ...(await changedTopics(target, pairs, (pair) => [pair.targetTopic, pair.targetTopicId])),
  ]);
  const places = await readPlaces({ source, target }, asked, topics);
  return (topic, partition, offset) => {
    if (anew.has(topic)) return { offset: null, why: 'a topic was deleted, or created anew under its name' };
    const place = places.get(placeKey(topic, partition)) ?? UNANSWERED;
    return typeof place === 'string' ? { offset: null, why: place } : place(offset);
  };
}

/** Source topics of which one side has another topic than the one that was copied. */
async function changedTopics(
  cluster: Cluster,
  pairs: readonly SyncedTopic[],
  of: (pair: SyncedTopic) => readonly [name: string, id: string],
): Promise<string[]> {
  const found = pairs.length === 0 ? [] : await cluster.refresh(pairs.map((pair) => of(pair)[0]));
  return pairs.flatMap((pair, i) => (found[i]?.topicId === of(pair)[1] ? [] : [pair.sourceTopic]));
}

/** By source topic and partition: the place of an offset on the target, or why there is none. */
async function readPlaces(
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
  asked: readonly { readonly topic: string; readonly partition: number }[],
  topics: ReadonlyMap<string, SyncedTopic>,
): Promise<Map<string, ((offset: number) => Translation) | string>> {
  const places = new Map<string, ((offset: number) => Translation) | string>();
  const copied: { topic: string; targetTopic: string; partition: number; copyStart: Exclude<CopyStart, string> }[] = [];
  for (const { topic, partition } of asked) {
    const pair = topics.get(topic);
    const copyStart = pair?.copyStarts[partition] ?? 'a partition is not mirrored';
    if (pair && typeof copyStart !== 'string')
      copied.push({ topic, targetTopic: pair.targetTopic, partition, copyStart });
    else places.set(placeKey(topic, partition), typeof copyStart === 'string' ? copyStart : UNANSWERED);
  }
  const onTarget = copied.map(({ targetTopic: topic, partition }) => ({ topic, partition }));
  const following = copied.filter(({ copyStart }) => typeof copyStart === 'object' && 'atLeast' in copyStart);
  const [starts, ends, sourceStarts] = await Promise.all([
    readOffsets(target, onTarget, EARLIEST),
    readOffsets(target, onTarget, LATEST),
    readOffsets(source, following, EARLIEST),
  ]);
  for (const { topic, targetTopic, partition, copyStart } of copied) {
    const [key, targetPlace] = [placeKey(topic, partition), placeKey(targetTopic, partition)];
    const logStart = starts.get(targetPlace) ?? UNANSWERED;
    const end = ends.get(targetPlace) ?? UNANSWERED;
    if (typeof logStart === 'string') places.set(key, logStart);
    else if (typeof end === 'string') places.set(key, end);
    else places.set(key, placeIn({ logStart, end }, copyStart, sourceStarts.get(key) ?? UNANSWERED));
  }
  return places;
}

function placeIn(
  ends: TargetEnds,
  copyStart: Exclude<CopyStart, string>,
  sourceStart: number | string,
): ((offset: number) => Translation) | string {
  if (typeof copyStart === 'number') return (offset) => identicalPlace(offset, { ...ends, copyStart, isBegun: true });
  if ('readPlaces' in copyStart) {
    const places = copyStart.readPlaces();
    return places === null ? NOT_BEGUN : (offset) => mappedPlace(offset, places, ends);
  }
  if (typeof sourceStart === 'string') return sourceStart;
  const log = { ...ends, copyStart: Math.max(copyStart.atLeast, sourceStart), isBegun: false };
  return (offset) => identicalPlace(offset, log);
}

const UNANSWERED = 'a partition was not answered about';

/** By topic and partition: an offset, or why it could not be had. */
async function readOffsets(
  cluster: Cluster,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
  timestamp: number,
): Promise<Map<string, number | string>> {
  const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp }));
  const answers = queries.length === 0 ? [] : await listOffsets(cluster, queries);
  return new Map(
    answers.map(({ offset, error }, i) => {
      const { topic = '', partition = -1 } = queries[i] ?? {};
      return [placeKey(topic, partition), error ? reasonOf(error) : offset];
    }),
  );
}

/** Names of the source by names of the target. */
export function sourceNames(topics: ReadonlyMap<string, SyncedTopic>): Map<string, string> {
  return new Map([...topics.values()].map(({ sourceTopic, targetTopic }) => [targetTopic, sourceTopic]));
}

/** Commits of the target under the `names` of the source; those on other topics are left out. */
export function bySourceTopic(
  offsets: readonly GroupOffset[],
  names: ReadonlyMap<string, string>,
): Map<string, GroupOffset> {
  return new Map(
    offsets.flatMap((each) => {
      const topic = names.get(each.topic);
      return topic === undefined ? [] : [[placeKey(topic, each.partition), each] as const];
    }),
  );
}

/** A place of the source under the target's name of the topic. */
export function targetKey(key: string, topics: ReadonlyMap<string, SyncedTopic>): string {
  const at = key.lastIndexOf('/');
  const topic = key.slice(0, at);
  return `${topics.get(topic)?.targetTopic ?? topic}${key.slice(at)}`;
}

/** Without offsets and times: the same reason is told once. */
export function reasonOf(error: KafkaError): string {
  if (isActive(error)) return ACTIVE;
  if (error instanceof WithheldError) return 'this process stood still for a while; the next round looks again';
  if (isDenied(error)) return `a right is missing: ${error.message}`;
  return error.message;
}
