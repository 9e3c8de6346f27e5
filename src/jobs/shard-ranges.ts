/**
 * Sets of shards as members of a group tell them to each other: per topic id, ranges of partitions. A shard's name is
 * `<source topic id>/<partition>`: a topic created anew under its name has other shards.
 */
import { MalformedFrameError } from '#kafka/errors.ts';
import type { Reader } from '#kafka/protocol/reader.ts';
import type { Writer } from '#kafka/protocol/writer.ts';

export type ShardName = string;

/** More than any cluster has: a damaged range may claim billions. */
const SHARDS_MAX = 1_000_000;

export function shardName(topicId: string, partition: number): ShardName {
  return `${topicId}/${partition}`;
}

export function topicIdOf(name: ShardName): string {
  return name.slice(0, name.indexOf('/'));
}

/** By topic id, then by partition: the order in which shards are dealt out. */
export function sortShards(names: Iterable<ShardName>): ShardName[] {
  return partitionsByTopic(names).flatMap(([topicId, partitions]) =>
    partitions.map((partition) => shardName(topicId, partition)),
  );
}

/** Topic count, and per topic its id, the number of ranges, and per range the distance from the last one and its length. */
export function writeShards(writer: Writer, names: Iterable<ShardName>): void {
  const topics = partitionsByTopic(names);
  writer.unsignedVarint(topics.length);
  for (const [topicId, partitions] of topics) {
    const ranges = rangesOf(partitions);
    writer.uuid(topicId);
    writer.unsignedVarint(ranges.length);
    let end = 0;
    for (const { first, length } of ranges) {
      writer.unsignedVarint(first - end);
      writer.unsignedVarint(length);
      end = first + length;
    }
  }
}

/** Throws MalformedFrameError. */
export function readShards(reader: Reader): Set<ShardName> {
  const names = new Set<ShardName>();
  let count = 0; // of what is said: a damaged set may say the same again and again
  for (let topics = reader.unsignedVarint(); topics > 0; topics--) {
    const topicId = reader.uuid();
    let at = 0;
    for (let ranges = reader.unsignedVarint(); ranges > 0; ranges--) {
      at += reader.unsignedVarint();
      const end = at + reader.unsignedVarint();
      count += end - at;
      if (count > SHARDS_MAX) throw new MalformedFrameError(`more than ${SHARDS_MAX} shards`);
      for (; at < end; at++) names.add(shardName(topicId, at));
    }
  }
  return names;
}

function partitionsByTopic(names: Iterable<ShardName>): [string, number[]][] {
  const topics = new Map<string, number[]>();
  for (const name of names) {
    const topicId = topicIdOf(name);
    const partition = Number(name.slice(topicId.length + 1));
    const partitions = topics.get(topicId);
    if (partitions) partitions.push(partition);
    else topics.set(topicId, [partition]);
  }
  for (const partitions of topics.values()) partitions.sort((a, b) => a - b);
  return [...topics].sort(([a], [b]) => (a < b ? -1 : 1));
}

function rangesOf(partitions: readonly number[]): { first: number; length: number }[] {
  const ranges: { first: number; length: number }[] = [];
  for (const partition of partitions) {
    const last = ranges.at(-1);
    if (last && last.first + last.length === partition) last.length++;
    else ranges.push({ first: partition, length: 1 });
  }
  return ranges;
}
