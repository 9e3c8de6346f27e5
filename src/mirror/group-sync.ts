/**
 * Keeps the consumer groups of the source at their places on the target: a round compares what both sides have committed
 * and writes what has to move (group-moves.ts). What has to outlive the process is the matter of group-memory.ts.
 */
import { must } from '#util/assert.ts';
import { untilAborted } from '#util/until-aborted.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { compileGroups, type GroupSync as GroupSyncSettings } from '#contract/group-settings.ts';
import type { LeftGroup, RunEvent } from '#contract/status.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import {
  commitGroupOffsets,
  hasMembers,
  listGroups,
  readGroupOffsets,
  readShareGroupOffsets,
  setShareGroupOffsets,
  type GroupOffset,
  type ListedGroup,
} from '#kafka/groups.ts';
import type { Permit } from '#kafka/permit.ts';
import { Checkpoints, type Checkpoint } from './checkpoints.ts';
import { movesOf, placeKey, type GroupFacts, type GroupMoves, type Note, type Translate } from './group-moves.ts';
import { followGone, isMissing } from './gone-groups.ts';
import type { GroupMemory, TopicIds } from './group-memory.ts';
import { bySourceTopic, readTranslation, reasonOf, sourceNames, targetKey, type SyncedTopic } from './group-places.ts';

/**
 * Nothing is written that was decided from an older look at the target: a process that stood still for a while must not
 * undo what consumers have committed there meanwhile.
 */
const LOOK_MS_MAX = 10_000;
/** So many are looked at and moved before the next are: a round over thousands takes longer than a look may be old. */
const GROUPS_AT_ONCE = 250;
/** An event names at most so many groups that were left alone. */
const LEFT_NAMED_MAX = 100;

export interface GroupSyncOptions {
  readonly mirror: string;
  readonly settings: GroupSyncSettings;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly clock: Clock;
  readonly memory: GroupMemory;
  /** Of several processes of a mirror one synchronises groups. */
  isLeader(): boolean;
  /** As of now. Throws KafkaError. */
  readTopics(): Promise<readonly SyncedTopic[]>;
  onEvent(event: Extract<RunEvent, { event: 'groups' }>): void;
  /** A round failed; the next one begins anew. */
  onFailure(error: KafkaError): void;
}

/** How offsets of one kind of group are read and written. */
interface Kind {
  isOf(group: ListedGroup): boolean;
  readonly read: typeof readGroupOffsets;
  readonly write: typeof commitGroupOffsets;
  /** Its commits expire; only such groups are told to MirrorMaker 2's client. */
  readonly expires: boolean;
}

/** '': somebody commits without being a member. Connect's workers, and our own processes, commit nothing. */
const PROTOCOL_TYPES = new Set(['consumer', 'streams', '']);
const KINDS: readonly Kind[] = [
  {
    isOf: ({ type, protocolType }) => type !== 'share' && PROTOCOL_TYPES.has(protocolType),
    read: readGroupOffsets,
    write: commitGroupOffsets,
    expires: true,
  },
  {
    isOf: ({ type }) => type === 'share',
    read: readShareGroupOffsets,
    write: setShareGroupOffsets,
    expires: false,
  },
];
/** Whether a group is one whose offsets are synchronised. */
export function selectGroups(settings: GroupSyncSettings): (group: ListedGroup) => boolean {
  const isMeant = compileGroups(settings);
  return (group) => isMeant(group.groupId) && KINDS.some((kind) => kind.isOf(group));
}

export class GroupSync {
  readonly #options: GroupSyncOptions;
  readonly #isMeant: (group: ListedGroup) => boolean;
  readonly #memory: GroupMemory;
  /** As of the last round. */
  #topicIds: TopicIds = () => undefined;
  readonly #checkpoints: Checkpoints | null;
  #rounds: Promise<void> = Promise.resolve();
  #told = '';

  constructor(options: GroupSyncOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#isMeant = selectGroups(options.settings);
    const { settings, source, target } = options;
    this.#checkpoints = settings.checkpoints ? new Checkpoints(target, source.name) : null;
  }

  /** A round at the start of each period, until `signal` aborts. Never throws for a state of the world. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock.monotonic();
      try {
        await untilAborted(this.pass(), signal);
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        this.#options.onFailure(error);
      }
      await sleep(clock, Math.max(0, startedMs + settings.everyMs - clock.monotonic()), signal);
    }
    await this.end();
  }

  /** Records all that is known; what cannot be recorded is found again as far as it can be told from other commits. */
  async end(): Promise<void> {
    await this.#rounds;
    try {
      await this.#memory.settle(this.#topicIds, { all: true });
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
    }
  }

  /** One round, after those that have begun. Throws KafkaError. */
  pass(): Promise<void> {
    const round = this.#rounds.then(() => this.#round());
    this.#rounds = round.catch(() => {}); // the failure is the caller's
    return round;
  }

  async #round(): Promise<void> {
    const { source, target } = this.#options;
    if (!this.#options.isLeader()) return this.#memory.clear(); // another process moves the groups meanwhile
    const topics = new Map((await this.#options.readTopics()).map((topic) => [topic.sourceTopic, topic]));
    this.#topicIds = (topic) => topics.get(topic)?.targetTopicId;
    const [onSource, onTarget] = await Promise.all([listGroups(source), listGroups(target)]);
    const listed = new Map(onTarget.map((group) => [group.groupId, group]));
    const left: LeftGroup[] = [];
    const checkpoints: Checkpoint[] = [];
    let inPlace = 0;
    for (const kind of KINDS) {
      const groups = onSource.filter((group) => this.#isMeant(group) && kind.isOf(group));
      for (let from = 0; from < groups.length; from += GROUPS_AT_ONCE) {
        const some = groups.slice(from, from + GROUPS_AT_ONCE);
        const outcome = await this.#syncSome(kind, some, { topics, listed });
        left.push(...outcome.left);
        inPlace += outcome.inPlace;
        checkpoints.push(...outcome.checkpoints);
      }
    }
    const ids = new Set(onSource.map(({ groupId }) => groupId));
    const gone = await followGone(this.#options, { onSource: ids, onTarget: listed, topics });
    this.#tell(inPlace, [...left, ...gone.left], gone.deleted);
    await this.#memory.settle(this.#topicIds, { all: false });
    await this.#checkpoints?.write(checkpoints);
  }

  async #syncSome(
    kind: Kind,
    groups: readonly ListedGroup[],
    { topics, listed }: { topics: ReadonlyMap<string, SyncedTopic>; listed: ReadonlyMap<string, ListedGroup> },
  ): Promise<{ inPlace: number; left: LeftGroup[]; checkpoints: readonly Checkpoint[] }> {
    const { source, target } = this.#options;
    const left: LeftGroup[] = [];
    const committed = await kind.read(
      source,
      groups.map(({ groupId }) => groupId),
    );
    const commits = new Map<string, GroupOffset[]>();
    for (const [group, offsets] of committed) {
      if (offsets instanceof KafkaError) left.push({ group, why: reasonOf(offsets) });
      else if (offsets.some(({ topic }) => topics.has(topic)))
        commits.set(
          group,
          offsets.filter(({ topic, partition }) => topics.get(topic)?.copyStarts[partition] !== undefined),
        );
    }
    const permit = this.#permit();
    const present = await kind.read(target, [...commits.keys()]);
    const facts: GroupFacts[] = [];
    const names = sourceNames(topics);
    for (const [group, offsets] of commits) {
      const [found, known] = [present.get(group), listed.get(group)];
      if (found instanceof KafkaError && !isMissing(found)) {
        left.push({ group, why: reasonOf(found) });
        continue;
      }
      const onTarget = bySourceTopic(found instanceof KafkaError ? [] : (found ?? []), names);
      facts.push({
        groupId: group,
        source: offsets,
        target: onTarget,
        isActive: known !== undefined && hasMembers(known),
        ...this.#memory.recall(group, onTarget, this.#topicIds),
        expires: kind.expires,
        nowMs: this.#options.clock.monotonic(),
      });
    }
    const { moves, checkpoints } = await this.#decide(facts, topics, { isTold: kind.expires });
    const before = new Map(facts.map(({ groupId, notes }) => [groupId, notes]));
    const refused = await this.#move(kind, moves, { topics, before, permit });
    for (const { groupId, leftAlone } of moves) {
      const why = refused.get(groupId) ?? leftAlone;
      if (why !== null) left.push({ group: groupId, why });
    }
    const inPlace = moves.filter((each) => !(refused.get(each.groupId) ?? each.leftAlone)).length;
    return { inPlace, left, checkpoints };
  }

  /** Asks the target only about partitions where a place may have to move. */
  async #decide(
    facts: readonly GroupFacts[],
    topics: ReadonlyMap<string, SyncedTopic>,
    { isTold }: { readonly isTold: boolean },
  ): Promise<{ readonly moves: readonly GroupMoves[]; readonly checkpoints: readonly Checkpoint[] }> {
    // Checkpoints say where a group stands at the source, whatever it does on the target.
    const told = this.#checkpoints && isTold ? facts.map(ofSource) : [];
    const asked = new Map<string, { readonly topic: string; readonly partition: number }>();
    const note: Translate = (topic, partition) => {
      asked.set(placeKey(topic, partition), { topic, partition });
      return { offset: null, why: '' };
    };
    for (const each of [...facts, ...told]) movesOf(each, note);
    const translate = await readTranslation(this.#options, [...asked.values()], topics);
    const checkpoints = told.flatMap((each) => checkpointsOf(movesOf(each, translate), topics));
    return { moves: facts.map((each) => movesOf(each, translate)), checkpoints };
  }

  /** Writes what has to move and notes what holds then. Returns why groups were refused. */
  async #move(
    kind: Kind,
    moves: readonly GroupMoves[],
    {
      topics,
      before,
      permit,
    }: {
      readonly topics: ReadonlyMap<string, SyncedTopic>;
      /** What was known of each group. */
      readonly before: ReadonlyMap<string, ReadonlyMap<string, Note>>;
      readonly permit: Permit;
    },
  ): Promise<Map<string, string>> {
    const moving = moves.filter((each) => each.moves.length > 0);
    await this.#memory.intend(moving, this.#topicIds);
    const commits = moving.map(({ groupId, moves: places }) => ({
      groupId,
      offsets: places.map((place) => ({ ...place, topic: topics.get(place.topic)?.targetTopic ?? place.topic })),
    }));
    const outcomes = await kind.write(this.#options.target, commits, permit);
    const failures = new Map(outcomes.map(({ groupId, failed }) => [groupId, failed]));
    const refused = new Map<string, string>();
    for (const { groupId, notes } of moves) {
      const failed = failures.get(groupId) ?? [];
      const errors = new Map(failed.map(({ topic, partition, error }) => [placeKey(topic, partition), error]));
      const after = notesAfter(notes, { errors, before: before.get(groupId), topics });
      this.#memory.take(groupId, after.notes, after.unanswered);
      const [first] = failed;
      if (first) refused.set(groupId, reasonOf(first.error));
    }
    return refused;
  }

  /** Leave to write what is decided from what the target says from now on. Both clocks count: one stands still while a machine is suspended. */
  #permit(): Permit {
    const { clock, target } = this.#options;
    const [lookedMs, lookedAt] = [clock.monotonic(), clock.now()];
    const isFresh = (): boolean => Math.max(clock.monotonic() - lookedMs, clock.now() - lookedAt) < LOOK_MS_MAX;
    return { timeoutMs: target.requestTimeoutMs, isGiven: () => isFresh() && this.#options.isLeader() };
  }

  /** When it is not what was told last. */
  #tell(inPlace: number, left: readonly LeftGroup[], deleted: readonly string[]): void {
    const { mirror, clock } = this.#options;
    const leftAlone = left.toSorted((a, b) => (a.group < b.group ? -1 : 1));
    const text = JSON.stringify([inPlace, leftAlone]);
    if (text === this.#told && deleted.length === 0) return;
    this.#told = text;
    this.#options.onEvent({
      event: 'groups',
      mirror,
      inPlace,
      leftAlone: leftAlone.slice(0, LEFT_NAMED_MAX),
      leftAloneCount: leftAlone.length,
      deleted: [...deleted],
      at: clock.now(),
    });
  }
}

/** As if the target had nothing of the group. */
function ofSource(facts: GroupFacts): GroupFacts {
  return { ...facts, target: new Map(), isActive: false, notes: new Map(), unsure: new Set() };
}

function checkpointsOf({ groupId, moves, notes }: GroupMoves, topics: ReadonlyMap<string, SyncedTopic>): Checkpoint[] {
  return moves.map(({ topic, partition, offset, metadata }) => ({
    groupId,
    topic: topics.get(topic)?.targetTopic ?? topic,
    partition,
    sourceOffset: must(notes.get(placeKey(topic, partition)), 'note of a move').source,
    targetOffset: offset,
    metadata,
  }));
}

/** What is known of the places after an attempt to move them. */
function notesAfter(
  notes: ReadonlyMap<string, Note>,
  attempt: {
    readonly errors: ReadonlyMap<string, KafkaError>;
    readonly before: ReadonlyMap<string, Note> | undefined;
    readonly topics: ReadonlyMap<string, SyncedTopic>;
  },
): { readonly notes: ReadonlyMap<string, Note>; readonly unanswered: ReadonlyMap<string, Note> } {
  const after = new Map<string, Note>();
  const unanswered = new Map<string, Note>();
  for (const [key, note] of notes) {
    const error = attempt.errors.get(targetKey(key, attempt.topics));
    const holds = error ? attempt.before?.get(key) : note;
    if (error && !error.definite) unanswered.set(key, note);
    else if (holds) after.set(key, holds);
  }
  return { notes: after, unanswered };
}
