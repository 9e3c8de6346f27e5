/**
 * Which shards this process may write to (design rule 3): a state machine over one member of a consumer group on the
 * target cluster. Three things keep two writers apart:
 *
 * 1. Fencing by time. A shard may be written to until a margin before the session could have ended, counted from when
 *    the last heartbeat that the group accepted was *sent*. It is asked directly before each write (`mayWrite`).
 * 2. Two phases. A member that is to give a shard away claims it until nothing of it is on its way; the leader gives
 *    away only what nobody claims (assignment.ts).
 * 3. Quiet. Who gets a shard of which nobody knows how it became free waits until no request of an earlier owner can
 *    land: the time that a write may take, less the margin that the earlier owner has kept.
 */
import { AppError, type ErrorCode } from '#contract/errors.ts';
import { BrokerError } from '#kafka/errors.ts';
import type { GroupMember, SentAt } from '#kafka/group-member.ts';
import { assert, must } from '#util/assert.ts';
import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { toAppError } from './app-error.ts';
import {
  assign,
  ASSIGNMENT_VERSION,
  type Assignment,
  decodeAssignment,
  decodeReport,
  encodeAssignment,
  encodeReport,
  GROUP_BYTES_MAX,
  hasRoomForLevels,
  type MemberReport,
  type Takeover,
} from './assignment.ts';
import type { ShardName } from './shard-ranges.ts';

export const PROTOCOL_TYPE = 'lockstep';
/** A version that this one does not understand takes another name, and the broker refuses the one that comes later. */
export const PROTOCOL_NAME = `shards-${ASSIGNMENT_VERSION}`;

/**
 * Every process of a mirror has the same, as part of the protocol: a new owner has to know what the earlier one kept.
 * The margin covers how long a write may take, so that nobody waits after an eviction, and neither does a lone process
 * at its start. What is left of the session, 10 s, is how long the group may be out of reach without a pause.
 */
export const TIMES = { sessionTimeoutMs: 20_000, marginMs: 10_000, writeTimeoutMs: 10_000, heartbeatMs: 2_000 };

const RETRY_MS = { baseMs: 500, maxMs: 5_000 };
/** In heartbeats: by then who lives has heard of the rebalance and joined. */
const PASS_ON_HEARTBEATS = 2.5;
const INCONSISTENT_GROUP_PROTOCOL = 23;
const INVALID_SESSION_TIMEOUT = 26;
const GROUP_MAX_SIZE_REACHED = 81;

/** The time in which one member may write to one shard. Over as soon as `lost` aborts; the next one is another object. */
export interface Term {
  readonly shard: ShardName;
  /** `evicted`: the watermark must have stood still before the position is read. */
  readonly takeover: Takeover;
  /** Monotonic time before which requests of an earlier owner may land; `mayWrite` is false until then. */
  readonly quietAtMs: number;
  readonly lost: AbortSignal;
  /** Whether a write may leave now. To be asked directly before each one. */
  mayWrite(): boolean;
  /**
   * Nothing of this term is on its way any more: every answer has come, or is overdue by the time that a write may take.
   * `isSettled`: the position was read in this term, or nothing had to be waited for; else the next owner has to wait anew.
   */
  release(options: { readonly isSettled: boolean }): void;
}

export interface OwnershipOptions {
  readonly member: GroupMember;
  readonly clock: Clock;
  readonly random: Random;
  /** For people: host and process id. */
  readonly name: string;
  /** A digest of what decides about the copy in the file: members of another one are given nothing. */
  readonly content: string;
  /** All shards that there are, as this process sees it now. */
  readonly shards: () => ReadonlySet<ShardName>;
  /** What those shards cost, as far as this process knows (shard-load.ts); asked at each join. */
  readonly levels: (shards: ReadonlySet<ShardName>) => ReadonlyMap<ShardName, number>;
  readonly times: Omit<typeof TIMES, 'sessionTimeoutMs'>;
  /** A shard is ours. Called again for it only after the term before was lost. */
  onTerm(term: Term): void;
  /** What keeps the group from working, for a person; null when it has ended. One cause is told once. */
  onTrouble(error: AppError | null): void;
}

/** Of the groups of all mirrors: rights are granted on it. */
export const GROUP_PREFIX = 'lockstep-';

/** Of the group in which the processes of one mirror share its shards; `mirrorId` is derived from both cluster ids and its name. */
export function groupIdOf(mirrorId: string): string {
  return `${GROUP_PREFIX}${mirrorId}`;
}

interface Tenure extends Term {
  readonly end: AbortController;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #terms = new Map<ShardName, Tenure>();
  /** Released since the generation that we know, and not yet told to the group. */
  readonly #released = new Set<ShardName>();
  #assigned: ReadonlyMap<ShardName, Takeover> = new Map();
  #generation = -1;
  #isLeader = false;
  /** Told to us while we lead: it decides who is given a shard, not whether. Another leader begins without. */
  #levels: ReadonlyMap<ShardName, number> = new Map();
  /** Member ids whose reports we could not read when we dealt out last. */
  #strangers: readonly string[] = [];
  #isAlone = false;
  /** In the generation that we are in, others were told what we had released. */
  #hasPassedOn = false;
  #renewed: SentAt | null = null;
  #isStopping = false;
  #mustRejoin = false;
  /** What sets us apart from the other members, as far as the last assignment showed. */
  #difference: AppError | null = null;
  #told: ErrorCode | null = null;
  #wake = new AbortController();
  #cancelPassingOn: (() => void) | null = null;
  readonly #closed = new AbortController();

  constructor(options: OwnershipOptions) {
    const { marginMs, heartbeatMs } = options.times;
    assert(
      options.member.sessionTimeoutMs > marginMs + heartbeatMs,
      'a session has time for a heartbeat and the margin',
    );
    this.#options = options;
  }

  /**
   * Whether a write to the shard may leave now; `nowMs` is monotonic. To be asked directly before each one. The wall clock
   * counts too: it goes on while a machine is suspended. A jump of it ends in a pause until the next heartbeat.
   */
  mayWrite(shard: ShardName, nowMs = this.#options.clock.monotonic()): boolean {
    const { clock, member, times } = this.#options;
    const term = this.#terms.get(shard);
    if (!term || term.lost.aborted || !this.#renewed || nowMs < term.quietAtMs) return false;
    const elapsedMs = Math.max(nowMs - this.#renewed.monotonicMs, clock.now() - this.#renewed.wallMs);
    return elapsedMs < member.sessionTimeoutMs - times.marginMs;
  }

  /** Those that we hold or still have something on its way for. */
  get held(): ReadonlySet<ShardName> {
    return new Set(this.#terms.keys());
  }

  /** Of the group, as far as we know what it gave us; −1 while we are no member. */
  get generation(): number {
    return this.#generation;
  }

  /** In the generation that we know there are, or may be, other members. */
  get hasPeers(): boolean {
    return this.#generation >= 0 && !this.#isAlone;
  }

  /** What `shards` returns has changed: if it is ours to deal out, it is dealt out. */
  changed(): void {
    if (this.#isLeader) this.#rejoin();
  }

  /** What our shards cost has changed: the group is told, and deals out anew. */
  reweigh(): void {
    if (this.#generation >= 0) this.#rejoin();
  }

  /** Takes part until `stop` has been heard or `close` is called. Never throws for a state of the world. */
  async run(): Promise<void> {
    const backoff = new Backoff(this.#options.random, RETRY_MS);
    let isLastRound = false;
    while (!this.#closed.signal.aborted) {
      try {
        if (this.#hasStopped) this.#boundPassingOn();
        if (this.#hasStopped && (this.#isAlone || this.#released.size === 0)) {
          await this.#letOthersLearn();
          await this.#options.member.leave();
          break;
        }
        if (await this.#takePart()) {
          backoff.reset();
          await this.#stay();
          continue;
        }
      } catch (error) {
        if (this.#closed.signal.aborted) break;
        if (this.#hasStopped && this.#released.size === 0 && !isLastRound) {
          isLastRound = true; // once more round, to leave
          continue;
        }
        this.#tell(this.#troubleOf(error));
        if (this.#hasStopped) break; // the group notices by the session timeout
      }
      await sleep(this.#options.clock, backoff.next(), this.#closed.signal);
    }
    this.close();
  }

  get #hasStopped(): boolean {
    return this.#isStopping && this.#terms.size === 0;
  }

  /**
   * Every term ends; once all are released, those who stay are told so and take over without waiting, and `run` returns.
   * What a caller does not wait for, it ends by `close`: then the group frees the shards when the session has passed.
   */
  stop(): void {
    this.#isStopping = true;
    for (const term of this.#terms.values()) term.end.abort();
    // A join may wait for a member that is gone; who has nothing to pass on does not wait with it.
    if (this.#terms.size === 0 && this.#released.size === 0) this.#options.member.interrupt();
    else if (this.#terms.size === 0) this.#boundPassingOn();
    this.#wakeUp();
  }

  /**
   * A member that is gone would hold the join up until its session ends. Nothing of ours is on its way any more, so we may
   * leave without having passed on: who takes the shards over waits as if we had been evicted.
   */
  #boundPassingOn(): void {
    const { clock, times, member } = this.#options;
    this.#cancelPassingOn ??= clock.schedule(PASS_ON_HEARTBEATS * times.heartbeatMs, () => {
      this.#released.clear();
      member.interrupt();
    });
  }

  /** Ends at once, and tells the group nothing: it must not give away what may still have requests on their way. */
  close(): void {
    this.#closed.abort();
    this.#cancelPassingOn?.();
    this.#loseAll();
    this.#options.member.close();
    this.#wakeUp();
  }

  // ---- a generation

  /** Joins and learns what is ours; false when the generation was over before we knew, or we are no member any more. */
  async #takePart(): Promise<boolean> {
    const { member, name, content, shards, levels } = this.#options;
    this.#mustRejoin = false;
    const claims = this.held;
    const costs = levels(claims); // asked in any case: it also says that we have joined
    const reported = [...this.#released];
    const report = encodeReport({
      name,
      content,
      isTaking: !this.#isStopping,
      generation: this.#generation,
      claims,
      released: this.#released,
      levels: hasRoomForLevels(shards()) ? costs : new Map<ShardName, number>(),
    });
    const joined = await member.join(report);
    if (joined.kind !== 'accepted') return this.#wasRefused(joined.kind);
    const { generation, members } = joined.value;
    this.#isLeader = members !== null;
    this.#strangers = [];
    const synced = await member.sync(members ? this.#deal(generation, members) : new Map());
    if (synced.kind !== 'accepted') return this.#wasRefused(synced.kind);
    if (this.#closed.signal.aborted) return false;
    this.#isAlone = members?.size === 1;
    this.#generation = generation;
    this.#renewed = synced.sentAt;
    this.#hasPassedOn = reported.length > 0 && !this.#isAlone;
    for (const shard of reported) this.#released.delete(shard);
    this.#apply(this.#read(synced.value), claims);
    return true;
  }

  /**
   * Who leaves begins another generation, and a member that has not asked for its assignment in this one yet is refused it:
   * it would not learn that what we had is free, nor would the leader know in the next (GroupMetadataManager, classic sync).
   */
  async #letOthersLearn(): Promise<void> {
    const { clock, times } = this.#options;
    if (this.#hasPassedOn) await sleep(clock, times.heartbeatMs / 4, this.#closed.signal);
  }

  #wasRefused(kind: 'rebalance' | 'lost'): false {
    if (kind === 'lost') this.#loseAll();
    return false;
  }

  /** Heartbeats until there is a reason to join again. */
  async #stay(): Promise<void> {
    const { member, clock, times } = this.#options;
    while (!this.#closed.signal.aborted && !this.#mustRejoin && !this.#hasStopped) {
      this.#wake = new AbortController();
      await sleep(clock, times.heartbeatMs, this.#wake.signal);
      if (this.#wake.signal.aborted) continue;
      try {
        const answer = await member.heartbeat();
        if (answer.kind === 'rebalance') return;
        if (answer.kind === 'lost') return this.#loseAll();
        this.#renewed = answer.sentAt;
        this.#tell(this.#difference);
      } catch (error) {
        if (!this.#closed.signal.aborted) this.#tell(this.#troubleOf(error));
      }
    }
  }

  #deal(generation: number, members: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
    const { name, content, shards, member } = this.#options;
    const reports = new Map([...members].map(([memberId, bytes]) => [memberId, decodeReport(bytes)]));
    const all = shards();
    this.#levels = levelsAfter(this.#levels, [...reports.values()], all);
    const leader = { name, content };
    const assignments = assign({ generation, shards: all, leader, members: reports, levels: this.#levels });
    const encoded = new Map([...assignments].map(([memberId, assignment]) => [memberId, encodeAssignment(assignment)]));
    const bytes = [...members.values(), ...encoded.values()].reduce((sum, { length }) => sum + length, 0);
    if (bytes > GROUP_BYTES_MAX) {
      const message = `group "${member.groupId}": its members and ${all.size} shards take ${bytes} bytes, and a group may have ${GROUP_BYTES_MAX}`;
      throw new AppError('FEATURE_NOT_BUILT', message, { nextStep: 'Divide the topics among several Mirrors.' });
    }
    this.#strangers = [...reports].filter(([, report]) => report === null).map(([memberId]) => memberId);
    return encoded;
  }

  /** What an assignment that we cannot read gives us is nothing: what we hold is released. */
  #read(bytes: Buffer): ReadonlyMap<ShardName, Takeover> {
    const assignment = decodeAssignment(bytes);
    this.#difference = this.#differenceIn(assignment);
    this.#tell(this.#difference);
    return assignment?.shards ?? new Map<ShardName, Takeover>();
  }

  #differenceIn(assignment: Assignment | null): AppError | null {
    const { member, content, name } = this.#options;
    const group = `group "${member.groupId}"`;
    if (!assignment)
      return peersDiffer(`${group}: the process that deals out is of a version that ${name} does not understand`);
    const { refusal } = assignment;
    if (refusal?.content === content)
      return peersDiffer(`${group}: ${refusal.leader}, which deals out, does not understand ${name}`);
    if (refusal) {
      const both = `its content is ${content}, and that of ${refusal.leader}, which deals out, ${refusal.content}`;
      return peersDiffer(`${group}: ${name} runs another file than the others: ${both}`);
    }
    if (this.#strangers.length === 0) return null;
    return peersDiffer(
      `${group}: ${name} does not understand ${this.#strangers.join(', ')}: no shard that is free is given away`,
    );
  }

  /** `claims` is what we told the leader that we hold: what we have released since was kept for us. */
  #apply(assigned: ReadonlyMap<ShardName, Takeover>, claims: ReadonlySet<ShardName>): void {
    this.#assigned = assigned;
    for (const [shard, term] of this.#terms) if (!assigned.has(shard)) term.end.abort();
    for (const [shard, takeover] of assigned) {
      if (this.#terms.has(shard)) continue;
      if (!claims.has(shard)) this.#gain(shard, takeover);
      else this.#gain(shard, this.#released.delete(shard) ? 'handed-over' : 'evicted');
    }
    if (this.#released.size > 0) this.#rejoin();
  }

  #gain(shard: ShardName, takeover: Takeover): void {
    if (this.#isStopping) {
      if (takeover === 'handed-over') this.#released.add(shard); // as it came, without a write of ours
      return;
    }
    const { clock, times } = this.#options;
    const waitMs = takeover === 'evicted' ? Math.max(0, times.writeTimeoutMs - times.marginMs) : 0;
    const end = new AbortController();
    const term: Tenure = {
      shard,
      takeover,
      quietAtMs: clock.monotonic() + waitMs,
      lost: end.signal,
      end,
      mayWrite: () => this.#terms.get(shard) === term && this.mayWrite(shard),
      release: ({ isSettled }) => this.#release(term, isSettled),
    };
    this.#terms.set(shard, term);
    this.#options.onTerm(term);
  }

  #release(term: Tenure, isSettled: boolean): void {
    if (this.#terms.get(term.shard) !== term) return; // the group has taken it away meanwhile
    assert(term.lost.aborted, `shard ${term.shard} is released when its term has ended`);
    this.#terms.delete(term.shard);
    if (this.#assigned.has(term.shard) && !this.#isStopping) {
      this.#gain(term.shard, isSettled ? 'handed-over' : 'evicted');
      return;
    }
    if (isSettled) this.#released.add(term.shard);
    if (this.#isStopping && this.#terms.size === 0) this.#boundPassingOn(); // a join may be under way already
    this.#mustRejoin = true; // with the next heartbeat, or as soon as there is nothing more to come
    if (![...this.#terms.values()].some(({ lost }) => lost.aborted)) this.#wakeUp();
  }

  /** We are no member: whatever we had may be somebody else's. */
  #loseAll(): void {
    const terms = [...this.#terms.values()];
    this.#terms.clear();
    this.#released.clear();
    this.#assigned = new Map();
    this.#generation = -1;
    this.#isLeader = false;
    this.#renewed = null;
    for (const term of terms) term.end.abort();
  }

  #rejoin(): void {
    this.#mustRejoin = true;
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake.abort();
  }

  // ---- trouble

  #tell(error: AppError | null): void {
    const told = error?.code ?? null; // the requests that are refused for one cause differ
    if (told === this.#told) return;
    this.#told = told;
    this.#options.onTrouble(error);
  }

  #troubleOf(error: unknown): AppError {
    const { member } = this.#options;
    const subject = `group "${member.groupId}"`;
    if (!(error instanceof BrokerError)) return toAppError(error, subject);
    const cause = { cause: error };
    const where = `${subject} on cluster ${must(error.cluster, 'cluster')}`;
    if (error.code === INCONSISTENT_GROUP_PROTOCOL) {
      return peersDiffer(
        `${where} has members that do not speak ${PROTOCOL_NAME}: another version or another program`,
        error,
      );
    }
    if (error.code === INVALID_SESSION_TIMEOUT) {
      const message = `${where}: the brokers do not accept a session timeout of ${member.sessionTimeoutMs} ms`;
      const nextStep = 'Let group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers include it.';
      return new AppError('CLUSTER_SETTING_UNFIT', message, { ...cause, nextStep });
    }
    if (error.code === GROUP_MAX_SIZE_REACHED) {
      const message = `${where} has as many members as group.max.size of the brokers allows`;
      return new AppError('CLUSTER_SETTING_UNFIT', message, {
        ...cause,
        nextStep: 'Raise it, or run fewer processes.',
      });
    }
    return toAppError(error, subject);
  }
}

/** What was known of the shards that there are, and what the reports say. */
function levelsAfter(
  before: ReadonlyMap<ShardName, number>,
  reports: readonly (MemberReport | null)[],
  shards: ReadonlySet<ShardName>,
): Map<ShardName, number> {
  const levels = new Map([...before].filter(([shard]) => shards.has(shard)));
  for (const report of reports) for (const [shard, level] of report?.levels ?? []) levels.set(shard, level);
  return levels;
}

function peersDiffer(message: string, cause?: unknown): AppError {
  const nextStep = 'Run the same file and the same version of Lockstep in every process of the mirror.';
  return new AppError('MIRROR_PEERS_DIFFER', message, { cause, nextStep });
}
