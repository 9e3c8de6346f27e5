/**
 * Who gets which shard: what the leader of a group decides from what all members tell, as a pure function, and how both
 * are written down. Every leader comes to the same from the same, so it needs no memory of its own.
 *
 * A shard is given away only when no member claims it. Whether the one who had it has finished is what that member says
 * itself: it reports what it released since the generation before this one, in which nobody else can have been given it.
 * A report from an older generation, or none, counts as an eviction.
 */
import { KafkaError, MalformedFrameError } from '#kafka/errors.ts';
import { Reader } from '#kafka/protocol/reader.ts';
import { Writer } from '#kafka/protocol/writer.ts';
import { balance } from './balance.ts';
import { IDLE_WEIGHT, LEVEL_MAX, weightOfLevel } from './shard-load.ts';
import { readShards, sortShards, topicIdOf, writeShards, type ShardName } from './shard-ranges.ts';

/** Of the metadata and the assignment together. The group protocol's name carries it too (ownership.ts). */
export const ASSIGNMENT_VERSION = 2;
/** The state of a classic group is one record, and brokers take 1 MB by default: metadata and assignments of all members. */
export const GROUP_BYTES_MAX = 512 * 1024;
/** Of a topic in a report or an assignment, with its partitions in one range; and of a level in a report, at most. */
const [TOPIC_BYTES, LEVEL_BYTES] = [20, 2];
/** What is left is for names, and for topics of several members. */
const LEVELS_UP_TO = (7 / 8) * GROUP_BYTES_MAX;

/** What a member tells the leader when it joins. */
export interface MemberReport {
  /** For people: host and process. */
  readonly name: string;
  /** Of what decides about the copy in its file: members of other content are not given anything. */
  readonly content: string;
  /** False for one that is about to leave. */
  readonly isTaking: boolean;
  /** The last generation whose assignment it knows; −1 for none. */
  readonly generation: number;
  /** Shards that it may still write to, or has something on its way for. */
  readonly claims: ReadonlySet<ShardName>;
  /** Shards that it held in `generation` and has since finished with: nothing of it is on its way any more. */
  readonly released: ReadonlySet<ShardName>;
  /** What its claims cost (shard-load.ts), of those that it knows it of. */
  readonly levels: ReadonlyMap<ShardName, number>;
}

/** How a shard became free. `evicted`: nobody knows, so requests of an earlier owner may still land. */
export type Takeover = 'handed-over' | 'evicted';

export interface Assignment {
  /** Every shard that the member may hold: those that it claimed and keeps, and new ones. */
  readonly shards: ReadonlyMap<ShardName, Takeover>;
  /** Why the member is given nothing; null when nothing speaks against it. */
  readonly refusal: Refusal | null;
}

export interface Refusal {
  /** Name and content of the member that leads. */
  readonly leader: string;
  readonly content: string;
}

export interface GroupView {
  /** The one that is being formed. */
  readonly generation: number;
  /** All shards that there are, as the leader sees it. */
  readonly shards: ReadonlySet<ShardName>;
  readonly leader: Pick<MemberReport, 'name' | 'content'>;
  /** By member id; null for a report that cannot be read. */
  readonly members: ReadonlyMap<string, MemberReport | null>;
  /** What shards cost, as was told last. Which member is given a shard depends on it, never whether one may be. */
  readonly levels: ReadonlyMap<ShardName, number>;
}

/**
 * Balanced by weight (balance.ts) as soon as everybody has released what it has too much of, sticky, and the same from the
 * same view. While a member's report cannot be read it may claim anything: nothing that is free is given away, and so
 * nothing is taken from who may have it.
 */
export function assign(view: GroupView): Map<string, Assignment> {
  const reports = [...view.members].filter((entry): entry is [string, MemberReport] => entry[1] !== null);
  const claimants = claimantsOf(reports);
  const held = new Map(
    reports
      .filter(([, { isTaking, content }]) => isTaking && content === view.leader.content)
      .map(([memberId, { claims }]) => [memberId, [...claims].filter((shard) => claimants.get(shard) === 1)]),
  );
  const given = reports.length === view.members.size ? deal(view, { reports, claimants, held }) : onlyKept(held);
  return new Map([...view.members].map(([memberId, report]) => [memberId, answer(view, report, given.get(memberId))]));
}

interface Claims {
  readonly reports: readonly (readonly [string, MemberReport])[];
  readonly claimants: ReadonlyMap<ShardName, number>;
  /** What those who may have some claim alone. */
  readonly held: ReadonlyMap<string, readonly ShardName[]>;
}

type Given = Map<string, ReadonlyMap<ShardName, Takeover>>;

function deal(view: GroupView, { reports, claimants, held }: Claims): Given {
  const known = reports.filter(([, { generation }]) => generation === view.generation - 1);
  const released = new Set(known.flatMap(([, report]) => [...report.released]));
  const mine = new Set([...held.values()].flat());
  const portions = balance({
    held,
    free: [...view.shards].filter((shard) => !claimants.has(shard)),
    coming: [...claimants.keys()].filter((shard) => !mine.has(shard)),
    weightOf: weigher(view, new Set([...view.shards, ...claimants.keys()])),
  });
  const keptBy = onlyKept(new Map([...portions].map(([memberId, { kept }]) => [memberId, kept])));
  for (const [memberId, { dealt }] of portions) {
    const news = dealt.map((shard): [ShardName, Takeover] => [shard, released.has(shard) ? 'handed-over' : 'evicted']);
    keptBy.set(memberId, new Map([...(keptBy.get(memberId) ?? []), ...news]));
  }
  return keptBy;
}

function onlyKept(held: ReadonlyMap<string, readonly ShardName[]>): Given {
  return new Map(
    [...held].map(([memberId, shards]) => [
      memberId,
      new Map(sortShards(shards).map((shard) => [shard, 'handed-over' as const])),
    ]),
  );
}

/** A shard of which nobody knows what it costs is taken for one like the others. */
function weigher({ levels }: GroupView, all: ReadonlySet<ShardName>): (shard: ShardName) => number {
  let [sum, count] = [0, 0];
  for (const [shard, level] of levels) {
    if (!all.has(shard)) continue;
    sum += weightOfLevel(level);
    count++;
  }
  const mean = count === 0 ? IDLE_WEIGHT : Math.round(sum / count);
  return (shard) => {
    const level = levels.get(shard);
    return level === undefined ? mean : weightOfLevel(level);
  };
}

function answer(
  view: GroupView,
  report: MemberReport | null,
  shards: ReadonlyMap<ShardName, Takeover> = new Map(),
): Assignment {
  const isOther = report === null || report.content !== view.leader.content;
  return { shards, refusal: isOther ? { leader: view.leader.name, content: view.leader.content } : null };
}

/**
 * Whether a group of so many shards may tell what they cost: a mirror that has begun, when nothing was measured, must not be
 * refused for want of room when it is. Where not, members divide by number.
 */
export function hasRoomForLevels(shards: ReadonlySet<ShardName>): boolean {
  const topics = new Set([...shards].map(topicIdOf)).size;
  return 2 * TOPIC_BYTES * topics + LEVEL_BYTES * shards.size <= LEVELS_UP_TO;
}

/** How many members claim a shard: more than one is a bug somewhere, and then none of them keeps it. */
function claimantsOf(reports: readonly (readonly [string, MemberReport])[]): Map<ShardName, number> {
  const claimants = new Map<ShardName, number>();
  for (const [, { claims }] of reports)
    for (const shard of claims) claimants.set(shard, (claimants.get(shard) ?? 0) + 1);
  return claimants;
}

/** int16 version, name, content, int8 isTaking, int32 generation, claims, released, levels of the claims in their order. */
export function encodeReport(report: MemberReport): Buffer {
  const writer = new Writer();
  writer.int16(ASSIGNMENT_VERSION);
  writer.compactString(report.name);
  writer.compactString(report.content);
  writer.boolean(report.isTaking);
  writer.int32(report.generation);
  writeShards(writer, report.claims);
  writeShards(writer, report.released);
  writeLevels(
    writer,
    sortShards(report.claims).map((shard) => report.levels.get(shard)),
  );
  return writer.finish();
}

/** Null for another version, and for bytes that are none of ours. */
export function decodeReport(bytes: Buffer): MemberReport | null {
  return decode(bytes, (reader) => {
    const head = {
      name: reader.compactString(),
      content: reader.compactString(),
      isTaking: reader.boolean(),
      generation: reader.int32(),
    };
    const [claims, released] = [readShards(reader), readShards(reader)];
    return { ...head, claims, released, levels: readLevels(reader, sortShards(claims)) };
  });
}

/** Runs of one level: how many, and one more than the level; 0 for those that are not known. */
function writeLevels(writer: Writer, levels: readonly (number | undefined)[]): void {
  for (let at = 0; at < levels.length;) {
    const level = levels[at];
    let end = at + 1;
    while (end < levels.length && levels[end] === level) end++;
    writer.unsignedVarint(end - at);
    writer.unsignedVarint(level === undefined ? 0 : level + 1);
    at = end;
  }
}

/** Throws MalformedFrameError. */
function readLevels(reader: Reader, shards: readonly ShardName[]): Map<ShardName, number> {
  const levels = new Map<ShardName, number>();
  for (let at = 0; at < shards.length;) {
    const end = at + reader.unsignedVarint();
    const level = reader.unsignedVarint() - 1;
    if (end === at || end > shards.length || level > LEVEL_MAX)
      throw new MalformedFrameError('levels that are none of the claims');
    if (level >= 0) for (const shard of shards.slice(at, end)) levels.set(shard, level);
    at = end;
  }
  return levels;
}

/** int16 version, leader and content of a refusal or twice null, shards handed over, shards evicted. */
export function encodeAssignment({ shards, refusal }: Assignment): Buffer {
  const writer = new Writer();
  const of = (takeover: Takeover): ShardName[] =>
    [...shards].filter(([, how]) => how === takeover).map(([name]) => name);
  writer.int16(ASSIGNMENT_VERSION);
  writer.compactNullableString(refusal?.leader ?? null);
  writer.compactNullableString(refusal?.content ?? null);
  writeShards(writer, of('handed-over'));
  writeShards(writer, of('evicted'));
  return writer.finish();
}

/** Null for another version, and for bytes that are none of ours. */
export function decodeAssignment(bytes: Buffer): Assignment | null {
  return decode(bytes, (reader) => {
    const leader = reader.compactNullableString();
    const content = reader.compactNullableString();
    const shards = new Map<ShardName, Takeover>();
    for (const takeover of ['handed-over', 'evicted'] as const)
      for (const name of readShards(reader)) shards.set(name, takeover);
    return { shards, refusal: leader === null ? null : { leader, content: content ?? '' } };
  });
}

function decode<T>(bytes: Buffer, read: (reader: Reader) => T): T | null {
  const reader = new Reader(bytes, 0, bytes.length);
  try {
    if (reader.int16() !== ASSIGNMENT_VERSION) return null;
    const value = read(reader);
    return reader.position === bytes.length ? value : null;
  } catch (error) {
    if (error instanceof KafkaError) return null;
    throw error;
  }
}
