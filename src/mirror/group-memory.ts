/**
 * What a mirror knows of the places that it has committed for groups, across restarts: a commit on the target is only ever
 * moved back where this says that it is ours. It is kept in the state topic, one record for a group and a topic.
 *
 * Groups that read move in every round, and the state topic is no log for that. So a record says, before the first
 * commit of many, where the places stand and where the first goes to (`intended`), and where they are once nothing has moved for
 * QUIET_MS, or at the end of the process. Of one that died in between only the last place may be unknown: what stands on
 * the target and is no place of the record is taken for ours only where the source stands there too.
 */
import type { Clock } from '#util/clock.ts';
import type { GroupOffset } from '#kafka/groups.ts';
import { isOwn, placeKey, type GroupMoves, type Note } from './group-moves.ts';
import type { GroupPlace, GroupRecord } from './state-records.ts';

/** A group that commits more often than this costs one record, however long it reads. */
export const QUIET_MS = 30_000;
/** Attempts without an answer that are remembered. */
const CANDIDATES_MAX = 8;

/** As the state topic keeps it. */
export interface GroupStore {
  groupsOf(mirrorId: string): readonly StoredGroup[];
  /** null takes a record away. Throws KafkaError. */
  putGroups(mirrorId: string, groups: readonly StoredGroup<GroupRecord | null>[]): Promise<void>;
}

export interface StoredGroup<Value = GroupRecord> {
  readonly groupId: string;
  /** Of the source. */
  readonly topic: string;
  readonly value: Value;
}

/** Of the target, by source topic; undefined where the topic is not mirrored. */
export type TopicIds = (topic: string) => string | undefined;

interface OpenPlace {
  /** What may stand on the target, the last attempt first. */
  readonly candidates: readonly Note[];
  /** Null: of this process. */
  readonly targetTopicId: string | null;
}

/** What is known of one group. */
interface Known {
  notes: ReadonlyMap<string, Note>;
  /** By placeKey, of which it is not decided yet what stands on the target. */
  readonly open: Map<string, OpenPlace>;
  /** By topic, as recorded. */
  readonly saved: Map<string, GroupRecord>;
  /** Of topics of which an earlier process may have committed more than it has recorded: the target's topic ids. */
  readonly unsure: Map<string, string>;
  /** By topic: when (monotonic) notes of it changed that are not recorded. */
  readonly changedMs: Map<string, number>;
}

export class GroupMemory {
  readonly #store: GroupStore;
  readonly #mirrorId: string;
  readonly #clock: Clock;
  #groups: Map<string, Known> | null = null;

  constructor(store: GroupStore, { mirrorId, clock }: { readonly mirrorId: string; readonly clock: Clock }) {
    this.#store = store;
    this.#mirrorId = mirrorId;
    this.#clock = clock;
  }

  /** Another process moves the groups meanwhile. */
  clear(): void {
    this.#groups = null;
  }

  /** Those that the mirror has found or put at their places. */
  groupIds(): string[] {
    return [...this.#known().keys()];
  }

  /** `current`: what the target has, by placeKey. */
  recall(
    groupId: string,
    current: ReadonlyMap<string, GroupOffset>,
    topicIds: TopicIds,
  ): { readonly notes: ReadonlyMap<string, Note>; readonly unsure: ReadonlySet<string> } {
    const known = this.#known().get(groupId) ?? newGroup();
    const notes = new Map(known.notes);
    const isUnsure = (key: string): boolean => known.unsure.get(topicOf(key)) === (topicIds(topicOf(key)) ?? '');
    for (const [key, { candidates, targetTopicId }] of known.open) {
      if (targetTopicId !== null && targetTopicId !== topicIds(topicOf(key))) continue; // of a topic that is gone
      const found = current.get(key);
      const note =
        found && (candidates.find((each) => isOwn(found, each)) ?? (isUnsure(key) ? undefined : candidates[0]));
      if (note) notes.set(key, note);
    }
    const unsure = [...current.keys()].filter((key) => !notes.has(key) && isUnsure(key));
    return { notes, unsure: new Set(unsure) };
  }

  /** To be called before the moves are made. Throws KafkaError; then nothing may be moved. */
  async intend(moves: readonly GroupMoves[], topicIds: TopicIds): Promise<void> {
    const records: StoredGroup[] = [];
    for (const { groupId, moves: places, notes } of moves) {
      const known = this.#groupOf(groupId);
      for (const topic of new Set(places.map((place) => place.topic))) {
        const [saved, targetTopicId] = [known.saved.get(topic), topicIds(topic)];
        if (saved?.intended || targetTopicId === undefined) continue;
        const intended = placesOf(notes, topic);
        if (saved && isSame(saved.places, intended)) continue; // renewed
        records.push({ groupId, topic, value: { targetTopicId, places: placesOf(known.notes, topic), intended } });
      }
    }
    await this.#put(records);
  }

  /** What holds after a round; `unanswered` are places that may have been moved to their note. */
  take(groupId: string, notes: ReadonlyMap<string, Note>, unanswered: ReadonlyMap<string, Note>): void {
    const known = this.#groupOf(groupId);
    for (const [key, note] of notes) {
      known.open.delete(key);
      if (!isSameNote(note, known.notes.get(key))) known.changedMs.set(topicOf(key), this.#clock.monotonic());
    }
    for (const [key, note] of unanswered) {
      const before = known.notes.get(key);
      const earlier = before ? [before] : (known.open.get(key)?.candidates ?? []);
      known.open.set(key, { candidates: [note, ...earlier].slice(0, CANDIDATES_MAX), targetTopicId: null });
      known.changedMs.set(topicOf(key), this.#clock.monotonic());
    }
    known.notes = notes;
  }

  /** Records what has not changed for a while, or everything. Throws KafkaError. */
  async settle(topicIds: TopicIds, { all }: { readonly all: boolean }): Promise<void> {
    if (this.#groups === null) return;
    const before = this.#clock.monotonic() - (all ? 0 : QUIET_MS);
    const records: StoredGroup[] = [];
    for (const [groupId, { notes, open, saved, changedMs }] of this.#groups) {
      if (changedMs.size === 0) continue;
      const undecided = new Set([...open.keys()].map(topicOf));
      for (const [topic, atMs] of changedMs) {
        const targetTopicId = topicIds(topic);
        if (atMs > before || undecided.has(topic) || targetTopicId === undefined) continue;
        changedMs.delete(topic);
        const places = placesOf(notes, topic);
        const current = saved.get(topic);
        if (current?.intended !== null || !isSame(current.places, places))
          records.push({ groupId, topic, value: { targetTopicId, places, intended: null } });
      }
    }
    await this.#put(records);
  }

  /** A group that is gone. */
  async forget(groupId: string): Promise<void> {
    const known = this.#known().get(groupId);
    this.#known().delete(groupId);
    const topics = [...(known?.saved.keys() ?? [])];
    if (topics.length > 0)
      await this.#store.putGroups(
        this.#mirrorId,
        topics.map((topic) => ({ groupId, topic, value: null })),
      );
  }

  async #put(records: readonly StoredGroup[]): Promise<void> {
    if (records.length > 0) await this.#store.putGroups(this.#mirrorId, records);
    for (const { groupId, topic, value } of records) {
      const known = this.#groups?.get(groupId);
      known?.saved.set(topic, value);
      if (value.intended === null) known?.unsure.delete(topic);
    }
  }

  #groupOf(groupId: string): Known {
    const known = this.#known().get(groupId) ?? newGroup();
    this.#known().set(groupId, known);
    return known;
  }

  /** Read when it is asked for first: what an earlier process, or another one until now, has recorded. */
  #known(): Map<string, Known> {
    if (this.#groups) return this.#groups;
    this.#groups = new Map();
    for (const { groupId, topic, value } of this.#store.groupsOf(this.#mirrorId)) {
      const known = this.#groupOf(groupId);
      known.saved.set(topic, value);
      const { targetTopicId, intended } = value;
      if (intended !== null) known.unsure.set(topic, targetTopicId);
      for (const places of [intended ?? [], value.places])
        for (const place of places) {
          const key = placeKey(topic, place[0]);
          const candidates = [...(known.open.get(key)?.candidates ?? []), noteOf(place)];
          known.open.set(key, { candidates, targetTopicId });
        }
    }
    return this.#groups;
  }
}

function newGroup(): Known {
  return { notes: new Map(), open: new Map(), saved: new Map(), unsure: new Map(), changedMs: new Map() };
}

const topicOf = (key: string): string => key.slice(0, key.lastIndexOf('/'));

function placesOf(notes: ReadonlyMap<string, Note>, topic: string): GroupPlace[] {
  const places = [...notes].flatMap(([key, { source, target, metadata, isOurs }]): GroupPlace[] =>
    topicOf(key) === topic ? [[Number(key.slice(topic.length + 1)), source, target, metadata, isOurs ? 1 : 0]] : [],
  );
  return places.toSorted((a, b) => a[0] - b[0]);
}

/** Bounded until it is looked at again: whether it was is not recorded. */
function noteOf([, source, target, metadata, ours]: GroupPlace): Note {
  return { source, target, metadata, isBounded: true, isOurs: ours === 1, writtenMs: -Infinity };
}

function isSameNote(a: Note, b: Note | undefined): boolean {
  return a.source === b?.source && a.target === b.target && a.metadata === b.metadata && a.isOurs === b.isOurs;
}

function isSame(a: readonly GroupPlace[], b: readonly GroupPlace[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
