/**
 * Where the places of a consumer group on the target have to be moved. Pure: what source and target say goes in, commits come
 * out. A place is moved for two reasons only: the group has none on the target yet, or the source moved it, forwards or
 * backwards. What somebody else has committed on the target is never moved backwards, and not at all while the source
 * stands still: consumers that have moved over are not sent back.
 */
import { createHash } from 'node:crypto';
import type { NextPlaces } from '#contract/offset-map.ts';
import type { GroupOffset } from '#kafka/groups.ts';

/** An offset of the source as one of the target, or why there is none at the moment. */
export type Translation =
  /** `isBounded`: the target does not have that place; it is the nearest that it has, and may move by itself. */
  { readonly offset: number; readonly isBounded: boolean } | { readonly offset: null; readonly why: string };

export type Translate = (topic: string, partition: number, offset: number) => Translation;

export interface TargetEnds {
  readonly logStart: number;
  /** The high watermark. */
  readonly end: number;
}

/** What the log of a target partition with the offsets of its source holds. */
export interface TargetLog extends TargetEnds {
  /** Where the copy began (exactness.md rule 5). */
  readonly copyStart: number;
  /** Its first record has been copied: until then the start follows the source, and what is before it is filler. */
  readonly isBegun: boolean;
}

/** A place as the mirror has last seen it the same on both sides, or made it so, or has found it beyond the source's. */
export interface Note {
  readonly source: number;
  readonly target: number;
  /** digestOf the metadata. */
  readonly metadata: string;
  readonly isBounded: boolean;
  /** The mirror has committed it; else it stood there. */
  readonly isOurs: boolean;
  /** Monotonic; when this process committed it, or found it where somebody else had; -Infinity: before its time. */
  readonly writtenMs: number;
}

export interface GroupFacts {
  readonly groupId: string;
  /** On topics that are mirrored. */
  readonly source: readonly GroupOffset[];
  /** By source topic and partition, as placeKey writes them. */
  readonly target: ReadonlyMap<string, GroupOffset>;
  /** It has members on the target. */
  readonly isActive: boolean;
  readonly notes: ReadonlyMap<string, Note>;
  /** Places that an earlier process may have committed, which ended before it could record them (group-memory.ts). */
  readonly unsure: ReadonlySet<string>;
  /** Commits of it expire. */
  readonly expires: boolean;
  /** Monotonic. */
  readonly nowMs: number;
}

/**
 * Commits of a group without members expire, `offsets.retention.minutes` (a week by default) after they were made, and
 * nobody else makes them again: a group that has long stood still would lose its places just when the source is gone.
 */
export const RENEW_MS = 86_400_000;

/** Still named as the source names it. */
export interface Move {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
}

export interface GroupMoves {
  readonly groupId: string;
  readonly moves: readonly Move[];
  /** What holds once the moves are made, and for what is left alone what held before: by placeKey. */
  readonly notes: ReadonlyMap<string, Note>;
  /** Why a place of it stays as it is; null where all are, or will be, those of the source. */
  readonly leftAlone: string | null;
}

export const ACTIVE = 'it has members on the target';
export const MOVED_ON_TARGET = 'somebody else has committed for it on the target, and the source has not gone beyond';
export const NOT_BEGUN = 'a partition has not begun to be copied';

/** No topic's name has a slash. */
export const placeKey = (topic: string, partition: number): string => `${topic}/${partition}`;

/** Stands for the metadata of a commit, which may be 4 KB long, where it is only compared. */
export const digestOf = (metadata: string): string =>
  metadata === '' ? '' : createHash('sha256').update(metadata).digest('base64url').slice(0, 16);

/**
 * The same offset, wherever the target has it: then the next record that is read is the same on both sides. Beyond the end
 * a consumer would be reset, and skip or repeat everything, so the end stands for it until more is copied; below the start
 * the first record that is there stands for it, which is the next one after the offset. While the target's log holds
 * filler it has no place that means anything.
 */
export function identicalPlace(offset: number, { copyStart, isBegun, logStart, end }: TargetLog): Translation {
  if (logStart < copyStart || end < copyStart) return { offset: null, why: NOT_BEGUN };
  if (!isBegun) return end > copyStart ? { offset: null, why: NOT_BEGUN } : { offset: copyStart, isBounded: true };
  if (offset > end) return { offset: end, isBounded: true };
  if (offset < logStart) return { offset: logStart, isBounded: true };
  return { offset, isBounded: false };
}

/**
 * By the map, where the copy has other offsets: at the first record that came from there or from behind it. Where none has
 * been copied yet, behind the last; what comes next is what the group has not read. What the target had of it is gone: at its
 * log start. Nothing is known while the map is empty: before our first record others may have written.
 */
export function mappedPlace(offset: number, map: NextPlaces, { logStart, end }: TargetEnds): Translation {
  if (map.isEmpty) return { offset: null, why: NOT_BEGUN };
  const next = map.nextTarget(offset);
  const place = Math.min(Math.max(next, logStart), end);
  const isThere = offset >= map.forgottenBelow && offset < map.sourceEnd;
  return { offset: place, isBounded: !isThere || place !== next };
}

export function movesOf(facts: GroupFacts, translate: Translate): GroupMoves {
  const { groupId, source, isActive } = facts;
  const moves: Move[] = [];
  const notes = new Map(facts.notes);
  const reasons: string[] = [];
  for (const commit of isActive ? [] : source) {
    const { topic, partition, metadata } = commit;
    const decision = decide(commit, facts, translate);
    if (typeof decision === 'string') {
      reasons.push(decision);
      continue;
    }
    notes.set(placeKey(topic, partition), decision.note);
    if (decision.why) reasons.push(decision.why);
    if (decision.isMove) moves.push({ topic, partition, offset: decision.note.target, metadata });
  }
  return { groupId, moves, notes, leftAlone: isActive ? ACTIVE : (reasons[0] ?? null) };
}

function decide(
  commit: GroupOffset,
  { target, notes, unsure, expires, nowMs }: GroupFacts,
  translate: Translate,
): { readonly note: Note; readonly isMove: boolean; readonly why?: string } | string {
  const key = placeKey(commit.topic, commit.partition);
  const [current, note, metadata] = [target.get(key), notes.get(key), digestOf(commit.metadata)];
  const isForeign = current !== undefined && !isOwn(current, note);
  // How old a commit is that stood there before this process is not known.
  const isDue = !isForeign && expires && nowMs - (note?.writtenMs ?? -Infinity) >= RENEW_MS;
  if (current && note && commit.offset === note.source && metadata === note.metadata) {
    if (current.offset !== note.target) return MOVED_ON_TARGET;
    if (!note.isBounded) {
      // Made again where it still is the place; where its target has another log by now, it is left to expire.
      const mayRenew = isDue && translate(commit.topic, commit.partition, commit.offset).offset === note.target;
      return mayRenew ? { note: { ...note, writtenMs: nowMs }, isMove: true } : { note, isMove: false };
    }
  }
  const place = translate(commit.topic, commit.partition, commit.offset);
  if (place.offset === null) return place.why;
  const { offset, isBounded } = place;
  const isThere = current?.offset === offset;
  if (isForeign && !isThere && offset < current.offset) {
    if (note) return MOVED_ON_TARGET;
    const standing = { target: current.offset, isBounded: true, isOurs: false, writtenMs: nowMs };
    return { note: { source: commit.offset, metadata, ...standing }, isMove: false, why: MOVED_ON_TARGET };
  }
  const isMove = !isThere || (!isForeign && (isDue || digestOf(current.metadata) !== metadata));
  const isOurs = isMove || !isForeign || (unsure.has(key) && current.leaderEpoch < 0);
  const writtenMs = isMove ? nowMs : (note?.writtenMs ?? nowMs);
  return { note: { source: commit.offset, target: offset, metadata, isBounded, isOurs, writtenMs }, isMove };
}

/** Still as the mirror wrote it. Consumers commit the leader epoch of what they have read, the mirror none. */
export function isOwn(current: Omit<GroupOffset, 'topic' | 'partition'>, note: Note | undefined): boolean {
  return (
    note?.isOurs === true &&
    current.offset === note.target &&
    digestOf(current.metadata) === note.metadata &&
    current.leaderEpoch < 0
  );
}
