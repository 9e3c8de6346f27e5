/**
 * One dynamic member of a classic consumer group with a protocol type of our own (KIP-62, KIP-394), as Connect's workers
 * are: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup. It follows the coordinator where it moves and says
 * what the group has answered; what follows from it is the caller's, who calls one at a time.
 *
 * It has a connection of its own: the broker holds back the answer to JoinGroup until all members have come, and serves
 * one request of a connection at a time.
 */
import type { Api } from './api.ts';
import type { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';
import { coordinatorOf } from './coordinator.ts';
import { BrokerError, ConnectionError } from './errors.ts';
import { errorOf } from './protocol/error-codes.ts';
import { heartbeat } from './protocol/heartbeat.ts';
import { joinGroup } from './protocol/join-group.ts';
import { leaveGroup } from './protocol/leave-group.ts';
import { syncGroup } from './protocol/sync-group.ts';
import { Retries } from './retry.ts';

const NONE = 0;
const COORDINATOR_LOAD_IN_PROGRESS = 14;
const COORDINATOR_NOT_AVAILABLE = 15;
const NOT_COORDINATOR = 16;
const ILLEGAL_GENERATION = 22;
const UNKNOWN_MEMBER_ID = 25;
const REBALANCE_IN_PROGRESS = 27;
const MEMBER_ID_REQUIRED = 79;
const FENCED_INSTANCE_ID = 82;

/** The broker answers JoinGroup at the rebalance timeout at the latest; this much later the answer is lost. */
const JOIN_LAPSE_MS = 5_000;
/** Each costs one request; more than one happens only when the coordinator moves in between. */
const MEMBER_IDS_MAX = 5;

export interface GroupMemberOptions {
  readonly groupId: string;
  readonly protocolType: string;
  /** Members that speak no common protocol are refused by the broker: INCONSISTENT_GROUP_PROTOCOL (23). */
  readonly protocolName: string;
  /** Within group.min.session.timeout.ms (6 s by default) and group.max.session.timeout.ms (30 min) of the brokers. */
  readonly sessionTimeoutMs: number;
}

/** When a request was handed to the connection: not later than it left. */
export interface SentAt {
  readonly monotonicMs: number;
  /** Goes on while a machine is suspended, which the monotonic clock of Linux does not. */
  readonly wallMs: number;
}

/**
 * `rebalance`: still a member, and has to join again. `lost`: the group has thrown us out, and our shards may be
 * somebody else's already; the next `join` makes a new member.
 */
export type GroupAnswer<T> =
  | { readonly kind: 'accepted'; readonly value: T; readonly sentAt: SentAt }
  | { readonly kind: 'rebalance' }
  | { readonly kind: 'lost' };

export interface JoinedGroup {
  readonly generation: number;
  /** What each member gave to `join`, by member id, when we lead; else null. */
  readonly members: ReadonlyMap<string, Buffer> | null;
}

export class GroupMember {
  readonly sessionTimeoutMs: number;
  readonly #cluster: Cluster;
  readonly #options: GroupMemberOptions;
  readonly #closed = new AbortController();
  #isLeaving = false;
  #connection: Connection | null = null;
  #memberId = '';
  #generation = -1;

  constructor(cluster: Cluster, options: GroupMemberOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.sessionTimeoutMs = options.sessionTimeoutMs;
  }

  get groupId(): string {
    return this.#options.groupId;
  }

  /** Empty while we are none. */
  get memberId(): string {
    return this.#memberId;
  }

  /**
   * Takes part in the next generation; may take as long as the session timeout, while the group waits for a member that
   * does not come. `accepted` counts only together with `sync`. Throws KafkaError, also after `close`.
   */
  async join(metadata: Uint8Array): Promise<GroupAnswer<JoinedGroup>> {
    const { groupId, protocolType, protocolName, sessionTimeoutMs } = this.#options;
    for (let memberIds = 0; ; memberIds++) {
      const request = {
        groupId,
        protocolType,
        sessionTimeoutMs,
        // Not less: who joins late is thrown out by it, and must have stopped by then as for the session.
        rebalanceTimeoutMs: sessionTimeoutMs,
        memberId: this.#memberId,
        protocols: [{ name: protocolName, metadata }],
      };
      const timeoutMs = sessionTimeoutMs + JOIN_LAPSE_MS;
      const { response, sentAt } = await this.#ask(joinGroup, request, timeoutMs);
      if (response.errorCode === MEMBER_ID_REQUIRED && memberIds < MEMBER_IDS_MAX) {
        this.#memberId = response.memberId;
        continue;
      }
      const refusal = this.#refusalOf(response.errorCode, 'JoinGroup');
      if (refusal) return refusal;
      this.#memberId = response.memberId;
      this.#generation = response.generationId;
      const isLeader = response.leader === response.memberId;
      const members = new Map(response.members.map((member) => [member.memberId, member.metadata]));
      return {
        kind: 'accepted',
        value: { generation: response.generationId, members: isLeader ? members : null },
        sentAt,
      };
    }
  }

  /**
   * Our part of the assignment, as the leader made it; `assignments` is by member id and empty unless we lead. A success
   * restarts our session as a heartbeat does (GroupCoordinator.doSyncGroup). Throws KafkaError.
   */
  async sync(assignments: ReadonlyMap<string, Uint8Array>): Promise<GroupAnswer<Buffer>> {
    const { groupId, protocolType, protocolName, sessionTimeoutMs } = this.#options;
    const request = {
      groupId,
      generationId: this.#generation,
      memberId: this.#memberId,
      protocolType,
      protocolName,
      assignments: [...assignments].map(([memberId, assignment]) => ({ memberId, assignment })),
    };
    const { response, sentAt } = await this.#ask(syncGroup, request, sessionTimeoutMs);
    return this.#refusalOf(response.errorCode, 'SyncGroup') ?? { kind: 'accepted', value: response.assignment, sentAt };
  }

  /** `accepted` restarts our session; an answer that asks for a rebalance is not taken for it. Throws KafkaError. */
  async heartbeat(): Promise<GroupAnswer<null>> {
    const request = { groupId: this.groupId, generationId: this.#generation, memberId: this.#memberId };
    const { response, sentAt } = await this.#ask(heartbeat, request, this.sessionTimeoutMs / 4);
    return this.#refusalOf(response.errorCode, 'Heartbeat') ?? { kind: 'accepted', value: null, sentAt };
  }

  /** What is asked now fails, a join that waits for others too; nothing but `leave` or `close` may follow. */
  interrupt(): void {
    this.#isLeaving = true;
    this.#disconnect();
  }

  /** Our shards are free at once: nothing of ours may be on its way. Throws KafkaError. */
  async leave(): Promise<void> {
    if (this.#memberId === '') return;
    const request = { groupId: this.groupId, members: [{ memberId: this.#memberId, reason: 'stopped' }] };
    const { response } = await this.#ask(leaveGroup, request, this.sessionTimeoutMs / 4);
    const code = response.errorCode || (response.members[0]?.errorCode ?? NONE);
    this.#memberId = '';
    if (code !== NONE && code !== UNKNOWN_MEMBER_ID) throw this.#failure(code, 'LeaveGroup');
  }

  /** Ends the connection and whatever waits on it, and tells the group nothing: it notices by the session timeout. */
  close(): void {
    this.#closed.abort();
    this.#disconnect();
  }

  /** One answer that is about the group, within half a session: requests that are repeated do the same as once. */
  async #ask<Request, Response extends { readonly errorCode: number }>(
    api: Api<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<{ response: Response; sentAt: SentAt }> {
    const retries = new Retries(this.#cluster, { repeatable: true, budgetMs: this.sessionTimeoutMs / 2 });
    const isLeave = api.key === leaveGroup.key;
    for (;;) {
      try {
        const connection = await this.#coordinator();
        if (this.#isLeaving && !isLeave) throw givenUp(connection.address);
        const { clock } = this.#cluster;
        const sentAt = { monotonicMs: clock.monotonic(), wallMs: clock.now() };
        const response = await connection.call(api, request, { timeoutMs });
        if (errorOf(response.errorCode).retryable) throw this.#failure(response.errorCode, api.name);
        return { response, sentAt };
      } catch (error) {
        if (isMoved(error)) this.#disconnect();
        const isOver = this.#closed.signal.aborted || (this.#isLeaving && !isLeave);
        if (isOver || !(await retries.pauseAfter(error))) throw error;
      }
    }
  }

  async #coordinator(): Promise<Connection> {
    if (this.#connection?.isOpen) return this.#connection;
    const timeoutMs = this.sessionTimeoutMs / 4;
    const broker = await coordinatorOf(this.#cluster, { kind: 'group', key: this.groupId, timeoutMs });
    const connection = await this.#cluster.openDedicated(broker);
    this.#connection = connection;
    if (this.#closed.signal.aborted) connection.close();
    return connection;
  }

  #disconnect(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  /** What the group says instead of yes; null for yes. */
  #refusalOf(code: number, api: string): { kind: 'rebalance' } | { kind: 'lost' } | null {
    switch (code) {
      case NONE:
        return null;
      case REBALANCE_IN_PROGRESS:
      case ILLEGAL_GENERATION: // asked after our membership (GroupMetadataManager.validateHeartbeat): we are still one
        return { kind: 'rebalance' };
      case UNKNOWN_MEMBER_ID:
      case FENCED_INSTANCE_ID: // another took our place; we give no instance id, so only a broker of another kind says so
        this.#memberId = '';
        this.#generation = -1;
        return { kind: 'lost' };
      default:
        throw this.#failure(code, api);
    }
  }

  #failure(code: number, api: string): BrokerError {
    const error = new BrokerError(errorOf(code), api, `group "${this.groupId}"`);
    error.cluster = this.#cluster.name;
    return error;
  }
}

function givenUp(address: string): ConnectionError {
  return new ConnectionError('local', address, 'the group is being left', { definite: true });
}

/** Whether the coordinator may be another broker now. While it loads it is the right one. */
function isMoved(error: unknown): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof BrokerError) || error.code === COORDINATOR_LOAD_IN_PROGRESS) return false;
  return error.code === NOT_COORDINATOR || error.code === COORDINATOR_NOT_AVAILABLE;
}
