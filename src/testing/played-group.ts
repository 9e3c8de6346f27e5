/**
 * The coordinator of one classic group, played in memory as Apache Kafka's does it (GroupMetadataManager, classic part):
 * states, member-id round, sessions, rebalance timeout, leader. The initial rebalance delay is 0, as in our clusters. What
 * a member's network and clock do is told by PlayedMachine.
 */
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { Connection } from '#kafka/connection.ts';
import { ClusterIdChangedError, ConnectionError } from '#kafka/errors.ts';
import type { HeartbeatRequest } from '#kafka/protocol/heartbeat.ts';
import type { JoinGroupRequest, JoinGroupResponse } from '#kafka/protocol/join-group.ts';
import type { LeaveGroupRequest } from '#kafka/protocol/leave-group.ts';
import type { SyncGroupRequest, SyncGroupResponse } from '#kafka/protocol/sync-group.ts';
import { must } from '#util/assert.ts';
import type { Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';

const ILLEGAL_GENERATION = 22;
const UNKNOWN_MEMBER_ID = 25;
const REBALANCE_IN_PROGRESS = 27;
const MEMBER_ID_REQUIRED = 79;
const BROKER = 1;

interface Member {
  readonly id: string;
  metadata: Buffer;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  assignment: Buffer;
  endSession: () => void;
  answerJoin: ((response: JoinGroupResponse) => void) | null;
  answerSync: ((response: SyncGroupResponse) => void) | null;
}

export class PlayedGroup {
  readonly #clock: Clock;
  readonly #members = new Map<string, Member>();
  readonly #pending = new Set<string>();
  #state: 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' = 'Empty';
  #leader = '';
  #ids = 0;
  #endRebalance: () => void = () => {};
  generation = 0;
  /** How many members a session or rebalance timeout has thrown out. */
  evictions = 0;
  /** Answered first, to the next request of the kind. */
  readonly plannedErrors: { readonly api: string; readonly code: number }[] = [];
  /** What the leader is shown of a member's metadata. */
  shown: (metadata: Buffer) => Buffer = (metadata) => metadata;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get memberIds(): string[] {
    return [...this.#members.keys()];
  }

  /** The answer to a request, when there is one. */
  handle(api: string, request: unknown): Promise<unknown> {
    const planned = this.plannedErrors.findIndex((error) => error.api === api);
    if (planned >= 0) {
      const errorCode = must(this.plannedErrors.splice(planned, 1)[0], 'planned error').code;
      return Promise.resolve({ throttleTimeMs: 0, errorCode, members: [], memberId: '', assignment: Buffer.alloc(0) });
    }
    switch (api) {
      case 'JoinGroup':
        return new Promise((resolve) => this.#join(request as JoinGroupRequest, resolve));
      case 'SyncGroup':
        return new Promise((resolve) => this.#sync(request as SyncGroupRequest, resolve));
      case 'Heartbeat':
        return Promise.resolve({ throttleTimeMs: 0, errorCode: this.#heartbeat(request as HeartbeatRequest) });
      default:
        return Promise.resolve(this.#leave(request as LeaveGroupRequest));
    }
  }

  #join(request: JoinGroupRequest, answer: (response: JoinGroupResponse) => void): void {
    const { memberId } = request;
    if (memberId === '') {
      const id = `member-${++this.#ids}`;
      this.#pending.add(id);
      return answer(joinError(MEMBER_ID_REQUIRED, id));
    }
    const metadata = Buffer.from(must(request.protocols[0], 'protocol').metadata);
    const timeouts = {
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: must(request.rebalanceTimeoutMs, 'timeout'),
    };
    let member = this.#members.get(memberId);
    if (member) {
      const isSame = member.metadata.equals(metadata);
      if (
        isSame &&
        (this.#state === 'CompletingRebalance' || (this.#state === 'Stable' && memberId !== this.#leader))
      ) {
        this.#renew(member);
        return answer(this.#joined(member));
      }
      Object.assign(member, timeouts, { metadata });
    } else {
      if (!this.#pending.delete(memberId)) return answer(joinError(UNKNOWN_MEMBER_ID, ''));
      const fresh = { endSession: () => {}, answerJoin: null, answerSync: null };
      member = { id: memberId, metadata, ...timeouts, assignment: Buffer.alloc(0), ...fresh };
      this.#members.set(memberId, member);
      if (this.#leader === '') this.#leader = memberId;
    }
    member.endSession();
    member.answerJoin = answer;
    this.#prepare();
    this.#completeIfAllCame();
  }

  #prepare(): void {
    if (this.#state === 'PreparingRebalance') return;
    for (const member of this.#members.values()) {
      if (!member.answerSync) continue;
      member.answerSync(syncAnswer(REBALANCE_IN_PROGRESS));
      member.answerSync = null;
      this.#renew(member);
    }
    this.#state = 'PreparingRebalance';
    const timeoutMs = Math.max(...[...this.#members.values()].map(({ rebalanceTimeoutMs }) => rebalanceTimeoutMs));
    this.#endRebalance = this.#clock.schedule(timeoutMs, () => {
      for (const member of this.#members.values()) if (!member.answerJoin) this.#evict(member);
      this.#complete();
    });
  }

  #completeIfAllCame(): void {
    if (this.#state !== 'PreparingRebalance') return;
    if ([...this.#members.values()].every(({ answerJoin }) => answerJoin !== null)) this.#complete();
  }

  #complete(): void {
    if (this.#state !== 'PreparingRebalance') return;
    this.#endRebalance();
    this.generation++;
    if (this.#members.size === 0) {
      this.#state = 'Empty';
      this.#leader = '';
      return;
    }
    this.#state = 'CompletingRebalance';
    if (!this.#members.has(this.#leader)) this.#leader = must([...this.#members.keys()][0], 'member');
    for (const member of this.#members.values()) {
      member.assignment = Buffer.alloc(0);
      this.#renew(member);
      member.answerJoin?.(this.#joined(member));
      member.answerJoin = null;
    }
    const { generation } = this;
    this.#endRebalance = this.#clock.schedule(60_000, () => {
      if (this.#state === 'CompletingRebalance' && this.generation === generation) this.#prepare();
    });
  }

  #joined({ id }: Member): JoinGroupResponse {
    const members = [...this.#members.values()].map((member) => ({
      memberId: member.id,
      groupInstanceId: null,
      metadata: this.shown(member.metadata),
    }));
    return {
      ...joinError(0, id),
      generationId: this.generation,
      leader: this.#leader,
      members: id === this.#leader ? members : [],
    };
  }

  #sync(request: SyncGroupRequest, answer: (response: SyncGroupResponse) => void): void {
    const member = this.#members.get(request.memberId);
    if (!member) return answer(syncAnswer(UNKNOWN_MEMBER_ID));
    if (request.generationId !== this.generation) return answer(syncAnswer(ILLEGAL_GENERATION));
    if (this.#state === 'PreparingRebalance') return answer(syncAnswer(REBALANCE_IN_PROGRESS));
    if (this.#state === 'Stable') {
      this.#renew(member);
      return answer(syncAnswer(0, member.assignment));
    }
    member.answerSync = answer;
    member.endSession();
    if (member.id !== this.#leader) return;
    this.#endRebalance();
    this.#state = 'Stable';
    for (const { memberId, assignment } of request.assignments)
      must(this.#members.get(memberId), 'member').assignment = Buffer.from(assignment);
    for (const waiting of this.#members.values()) {
      if (!waiting.answerSync) continue;
      waiting.answerSync(syncAnswer(0, waiting.assignment));
      waiting.answerSync = null;
      this.#renew(waiting);
    }
  }

  #heartbeat({ memberId, generationId }: HeartbeatRequest): number {
    const member = this.#members.get(memberId);
    if (!member) return UNKNOWN_MEMBER_ID;
    if (generationId !== this.generation) return ILLEGAL_GENERATION;
    this.#renew(member);
    return this.#state === 'PreparingRebalance' ? REBALANCE_IN_PROGRESS : 0;
  }

  #leave({ members }: LeaveGroupRequest): unknown {
    const memberId = must(members[0], 'member').memberId;
    const member = this.#members.get(memberId);
    this.#pending.delete(memberId);
    if (member) this.#remove(member);
    return {
      throttleTimeMs: 0,
      errorCode: 0,
      members: [{ memberId, groupInstanceId: null, errorCode: member ? 0 : UNKNOWN_MEMBER_ID }],
    };
  }

  #renew(member: Member): void {
    member.endSession();
    member.endSession = this.#clock.schedule(member.sessionTimeoutMs, () => {
      this.#evict(member);
      this.#afterRemoval();
    });
  }

  #evict(member: Member): void {
    member.endSession();
    this.#members.delete(member.id);
    this.evictions++;
  }

  #remove(member: Member): void {
    member.endSession();
    this.#members.delete(member.id);
    this.#afterRemoval();
  }

  #afterRemoval(): void {
    if (!this.#members.has(this.#leader)) this.#leader = [...this.#members.keys()][0] ?? '';
    this.#prepare();
    this.#completeIfAllCame();
  }
}

/** Where one member runs: its clocks, and its way to the coordinator of `group`. */
export class PlayedMachine {
  readonly #world: Clock;
  readonly #group: PlayedGroup;
  readonly #random: Random;
  readonly #closed = new AbortController();
  readonly #held: (() => void)[] = [];
  #pausedAtMs: number | null = null;
  #isClockStanding = false;
  #stoodMs = 0;
  /** Requests and answers are lost; what is under way ends after its deadline. */
  isCutOff = false;
  /** Another cluster answers where this one did. */
  isReplaced = false;
  /** The wall clock stands still with the other: nothing on the machine tells that time has passed. */
  isWallStanding = false;
  /** Called before anything comes to pass here: an answer, a timer. */
  onEvent: () => void = () => {};
  /** One way, in ms: between these. */
  delayMs: readonly [number, number] = [1, 20];

  constructor(world: Clock, group: PlayedGroup, random: Random) {
    this.#world = world;
    this.#group = group;
    this.#random = random;
  }

  get isPaused(): boolean {
    return this.#pausedAtMs !== null;
  }

  /** Nothing runs here from now on: `standing` clocks are what the monotonic clock of a suspended machine is. */
  pause(clocks: 'running' | 'standing'): void {
    this.#pausedAtMs = this.#world.monotonic();
    this.#isClockStanding = clocks === 'standing';
  }

  /** Goes on; the timers and answers of the meantime come when `deliver` of what is returned is called. */
  resume(): () => void {
    if (this.#pausedAtMs !== null && this.#isClockStanding) this.#stoodMs += this.#world.monotonic() - this.#pausedAtMs;
    this.#pausedAtMs = null;
    const held = this.#held.splice(0);
    return () => held.forEach((event) => event());
  }

  readonly clock: Clock = {
    now: () => this.#world.now() - (this.isWallStanding ? this.#stoodMs : 0),
    monotonic: () => {
      const isStanding = this.#pausedAtMs !== null && this.#isClockStanding;
      return (isStanding ? must(this.#pausedAtMs, 'pause') : this.#world.monotonic()) - this.#stoodMs;
    },
    schedule: (delayMs, callback) => {
      let isCancelled = false;
      const event = (): void => void (isCancelled || callback());
      const cancel = this.#world.schedule(delayMs, () => this.happen(event));
      return () => {
        isCancelled = true;
        cancel();
      };
    },
  };

  /** As the code under test sees the cluster. */
  get cluster(): Cluster {
    const played = {
      name: 'west',
      clock: this.clock,
      random: this.#random,
      requestTimeoutMs: 30_000,
      closed: this.#closed.signal,
      brokers: () => [{ id: BROKER, host: 'west', port: 9092, rack: null }],
      call: (api: Api<unknown, unknown>, _: unknown, { timeoutMs = 30_000 }: { timeoutMs?: number }) =>
        this.#roundTrip(api.name, timeoutMs, () =>
          Promise.resolve({
            coordinators: [{ key: '', nodeId: BROKER, host: 'west', port: 9092, errorCode: 0, errorMessage: null }],
          }),
        ),
      openDedicated: () => this.#roundTrip('connect', 10_000, () => Promise.resolve(this.#connection())),
    };
    return played as unknown as Cluster;
  }

  /** Something reaches this machine: at once, or when it goes on. */
  happen(event: () => void): void {
    if (!this.isPaused) this.onEvent();
    if (this.isPaused) this.#held.push(event);
    else event();
  }

  #connection(): Connection {
    let end: ((reason: string) => void) | null = null;
    const connection = {
      isOpen: true,
      call: (api: Api<unknown, unknown>, request: unknown, { timeoutMs }: { timeoutMs: number }) => {
        if (!connection.isOpen) return Promise.reject(lost('closed'));
        const answer = this.#roundTrip(
          api.name,
          timeoutMs,
          () => this.#group.handle(api.name, request),
          (fail) => (end = fail),
        );
        return answer.catch((error: unknown) => {
          connection.isOpen = false;
          throw error;
        });
      },
      close: () => {
        connection.isOpen = false;
        end?.('closed');
      },
    };
    return connection as unknown as Connection;
  }

  #roundTrip<T>(
    what: string,
    timeoutMs: number,
    answer: () => Promise<T>,
    onPending?: (fail: (reason: string) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => reject(lost(`${what}: ${reason}`));
      onPending?.(fail);
      const cancel = this.clock.schedule(timeoutMs, () => fail('no answer'));
      this.#world.schedule(this.#delay(), () => {
        if (this.isCutOff) return;
        if (this.isReplaced)
          return reject(new ClusterIdChangedError('west', 'west:9092', { expected: 'former', found: 'other' }));
        void answer().then((response) => {
          this.#world.schedule(this.#delay(), () => {
            if (!this.isCutOff)
              this.happen(() => {
                cancel();
                resolve(response);
              });
          });
        });
      });
    });
  }

  #delay(): number {
    const [least, most] = this.delayMs;
    return least + Math.floor(this.#random.next() * (most - least));
  }
}

function lost(reason: string): ConnectionError {
  return new ConnectionError('timeout', 'west:9092', reason, { definite: false });
}

function joinError(errorCode: number, memberId: string): JoinGroupResponse {
  const nothing = { protocolType: null, protocolName: null, leader: '', skipAssignment: false, members: [] };
  return { throttleTimeMs: 0, errorCode, generationId: -1, memberId, ...nothing };
}

function syncAnswer(errorCode: number, assignment: Buffer = Buffer.alloc(0)): SyncGroupResponse {
  return { throttleTimeMs: 0, errorCode, protocolType: null, protocolName: null, assignment };
}
