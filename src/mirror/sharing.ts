/**
 * Which partitions of a mirror this process copies, among all processes that run it (exactness.md rule 3): it takes part in
 * their group, hands each partition the term in which it is ours, and tells people what is where.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import type { AppError, ErrorCode } from '#contract/errors.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import { groupIdOf, Ownership, PROTOCOL_NAME, PROTOCOL_TYPE, TIMES, type Term } from '#jobs/ownership.ts';
import { ShardLoads } from '#jobs/shard-load.ts';
import type { ShardName } from '#jobs/shard-ranges.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { ClusterIdChangedError, KafkaError } from '#kafka/errors.ts';
import { GroupMember } from '#kafka/group-member.ts';

/** Longer than brokers wait for the first members of a group (group.initial.rebalance.delay.ms, 3 s). */
const LONG_JOIN_MS = 5_000;
/** How often it is looked what each partition copies. */
const SAMPLE_MS = 10_000;

interface SharedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly isHeld: boolean;
  /** Since this process started. */
  readonly bytesCopied: number;
  hold(term: Term): Promise<void>;
}

export interface SharingOptions {
  readonly resource: MirrorResource;
  readonly mirrorId: string;
  readonly target: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  /** For people: host and process id. */
  readonly process: string;
  /** By shard, those that this process knows. */
  readonly partitions: ReadonlyMap<ShardName, SharedPartition>;
  /** What grants READ on the group. */
  readonly grant: string;
  onEvent(event: RunEvent): void;
  /** It passes by itself. */
  onWarning(code: ErrorCode, message: string): void;
  onBug(error: unknown): void;
}

export class Sharing {
  readonly #options: SharingOptions;
  readonly #ownership: Ownership;
  /** Terms of partitions that are not known here yet: another process has seen them first. */
  readonly #early = new Map<ShardName, Term>();
  readonly #loads = new ShardLoads();
  #sampledMs = -Infinity;
  #incident: Incident | null = null;
  /** Monotonic time since when we are no member; Infinity when that was told. */
  #waitsSinceMs: number | null = null;
  #held = '';
  /** What was held when it was told last; null before. */
  #told: string | null = null;

  constructor(options: SharingOptions) {
    const { mirrorId, target, clock, random, process, resource, partitions } = options;
    this.#options = options;
    const { sessionTimeoutMs } = TIMES;
    this.#ownership = new Ownership({
      member: new GroupMember(target, {
        groupId: groupIdOf(mirrorId),
        protocolType: PROTOCOL_TYPE,
        protocolName: PROTOCOL_NAME,
        sessionTimeoutMs,
      }),
      clock,
      random,
      name: process,
      content: createHash('sha256').update(JSON.stringify(resource)).digest('hex').slice(0, 16),
      shards: () => new Set(partitions.keys()),
      levels: (shards) => this.#loads.tell(shards, clock.monotonic()),
      times: TIMES,
      onTerm: (term) => this.#begin(term),
      onTrouble: (error) => this.#onTrouble(error),
    });
  }

  /** What keeps this process out of the group, and does not pass by itself; null while nothing does. */
  get incident(): Incident | null {
    return this.#incident;
  }

  /** There are other processes, as far as we know, and what is not ours is theirs. */
  get hasPeers(): boolean {
    return this.#ownership.hasPeers && this.#incident === null;
  }

  /** Takes part until `stop` has been heard, or `close` is called. Never throws for a state of the world. */
  run(): Promise<void> {
    return this.#ownership.run();
  }

  /** There are new partitions. */
  changed(): void {
    for (const [name, term] of this.#early) {
      if (!this.#options.partitions.has(name)) continue;
      this.#early.delete(name);
      this.#begin(term);
    }
    this.#ownership.changed();
  }

  /** Every term ends; `run` ends when all are released. */
  stop(): void {
    this.#ownership.stop();
  }

  /** Ends at once; the group frees what we have when the session has passed. */
  close(): void {
    this.#ownership.close();
  }

  /** To be called each second: tells what is ours when that has changed, and has then been the same twice. */
  tell(): void {
    this.#tellWait();
    this.#weigh();
    const all = [...this.#options.partitions.values()];
    const held = all.filter(({ isHeld }) => isHeld);
    const names = held.map(({ topic, partition }) => `${topic}/${partition}`).join(' ');
    const isStill = names === this.#held;
    this.#held = names;
    if (!isStill || names === this.#told || this.#ownership.generation < 0) return;
    if (this.#told === null && held.length === all.length) return; // nobody else has ever been there
    this.#told = names;
    const { process, resource, clock } = this.#options;
    const byTopic = Map.groupBy(held, ({ topic }) => topic);
    this.#options.onEvent({
      event: 'shares',
      mirror: resource.metadata.name,
      process,
      held: [...byTopic].map(([topic, each]) => ({ topic, partitions: each.map(({ partition }) => partition) })),
      of: all.length,
      at: clock.now(),
    });
  }

  /** What is copied here is measured, and told to the others when it has changed. */
  #weigh(): void {
    const nowMs = this.#options.clock.monotonic();
    if (nowMs - this.#sampledMs < SAMPLE_MS) return;
    this.#sampledMs = nowMs;
    const held = [...this.#options.partitions].filter(([, { isHeld }]) => isHeld);
    this.#loads.sample(new Map(held.map(([shard, { bytesCopied }]) => [shard, bytesCopied])), nowMs);
    if (this.hasPeers && this.#loads.hasShifted(nowMs)) this.#ownership.reweigh();
  }

  /** A member that is gone is waited for, by everybody who joins, until its session has ended. */
  #tellWait(): void {
    const nowMs = this.#options.clock.monotonic();
    if (this.#ownership.generation >= 0 || this.#incident) this.#waitsSinceMs = null;
    else this.#waitsSinceMs ??= nowMs;
    if (this.#waitsSinceMs === null || nowMs - this.#waitsSinceMs < LONG_JOIN_MS) return;
    this.#waitsSinceMs = Infinity; // said
    const most = `${TIMES.sessionTimeoutMs / 1000} s`;
    const message = `the group of this mirror's processes does not let this one in yet: it waits, for at most ${most}, for one that was there and does not answer any more`;
    this.#options.onWarning('SHARD_WAITING', message);
  }

  #begin(term: Term): void {
    const partition = this.#options.partitions.get(term.shard);
    if (partition) {
      partition.hold(term).catch((error: unknown) => this.#options.onBug(error));
      return;
    }
    this.#early.set(term.shard, term);
    const end = (): void => {
      if (this.#early.get(term.shard) !== term) return;
      this.#early.delete(term.shard);
      term.release({ isSettled: term.takeover === 'handed-over' }); // as it came: nothing was written
    };
    term.lost.addEventListener('abort', end, { once: true });
  }

  #onTrouble(error: AppError | null): void {
    const cause = error?.cause;
    // Of another cluster that answers each partition that is ours tells in an incident of its own.
    if (error && (cause instanceof ClusterIdChangedError || (cause instanceof KafkaError && cause.retryable)))
      return this.#options.onWarning(error.code, `${error.message}; without the group nothing is written for long`);
    if (error?.code === this.#incident?.code) return;
    this.#endIncident();
    if (!error) return;
    const { resource, clock, grant } = this.#options;
    this.#incident = sharingIncident(error, { mirror: resource.metadata.name, grant, at: clock.now() });
    this.#options.onEvent({ event: 'incident', incident: this.#incident });
  }

  #endIncident(): void {
    const incident = this.#incident;
    if (!incident) return;
    this.#incident = null;
    this.#options.onEvent({ event: 'incident-ended', incident, at: this.#options.clock.now() });
  }
}

/** What keeps a process out of the group of its mirror. `grant`: the command that lets it in. */
export function sharingIncident(
  { code, message, nextStep }: AppError,
  { mirror, grant, at }: { readonly mirror: string; readonly grant: string; readonly at: number },
): Incident {
  const isDenied = code === 'PERMISSION_DENIED';
  const differs = code === 'MIRROR_PEERS_DIFFER';
  return {
    code,
    severity: 'error',
    mirror,
    topic: null,
    partition: null,
    offsets: null,
    cause: `${message}.`,
    consequence: differs
      ? 'This process is given no partition; those that it has, and the other processes, go on.'
      : 'Nobody says which process may write: this one copies nothing until it is over.',
    nextStep: isDenied ? `Grant READ on the group as an administrator: ${grant}` : (nextStep ?? ''),
    endsByItself: true,
    at,
  };
}
