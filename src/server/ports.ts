/** What the server needs of the rest of the program; `src/main.ts` hands it over. */
import type { AuditEntry, AuditEvent } from '#contract/audit.ts';
import type { SecretRef } from '#contract/cluster-security.ts';
import type { OptionSources } from '#contract/option-values.ts';
import type { OptionValues } from '#contract/options.ts';
import type { NewTopicText } from '#contract/new-topic.ts';
import type { ClusterResource } from '#contract/resources.ts';
import type { Incident, MirrorStatus } from '#contract/status.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import type { Backups } from '#store/backups.ts';
import type { InventoryGroup, InventoryGroupOffset } from '#store/inventory.ts';
import type { Store } from '#store/store.ts';
import type { Vault } from '#store/vault.ts';
import type { Clock } from '#util/clock.ts';
import type { Span } from '#contract/span.ts';
import type { WebClient } from '#util/host.ts';
import type { AnsweredRequest } from '#watch/http-metrics.ts';

export interface ServerPorts {
  readonly store: Store;
  readonly vault: Vault;
  readonly audit: AuditLog;
  readonly auditTrail: AuditTrail;
  readonly jobs: JobRunner;
  readonly clusters: ClusterAsker;
  readonly passwords: PasswordHash;
  readonly options: OptionHost;
  /** Null: there is no directory for them, or no key to seal them with. */
  readonly backups: Backups | null;
  /** A certificate that a cluster or an option refers to, in PEM. Throws the AppError that says why it cannot be had. */
  readonly readCertificate: (ref: SecretRef) => string;
  readonly web: WebClient;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Takes what requests were made of; null: nobody wants it. */
  readonly traces: { readonly percent: number; readonly take: (span: Span) => void } | null;
  /** Hears of each request that was answered; null: nobody wants to. Must not wait. */
  readonly onAnswered: ((request: AnsweredRequest) => void) | null;
  /** What went wrong inside, for whoever operates the server; callers learn of it only that, and the request's id. */
  readonly log: (entry: {
    readonly message: string;
    readonly requestId: string | null;
    readonly error: unknown;
  }) => void;
}

export type { AuditEntry, AuditEvent };

/** What options come from besides the store, and who acts on what holds. */
export interface OptionHost {
  /** Flags, environment and file, as read last. */
  sources(): OptionSources;
  /**
   * What holds from now on; only options that need no restart are looked at. Rejects with CONFIG_INVALID where one of them
   * cannot be used, a certificate without its key for example: what held before holds on then.
   */
  apply(values: OptionValues): Promise<void>;
}

/** Bytes that nobody can foretell. */
export interface Entropy {
  bytes(count: number): Uint8Array;
}

export interface PasswordHash {
  /** PHC string. Rejects with SERVER_BUSY when as many wait as are allowed to. */
  hash(password: string): Promise<string>;
  /** `isWeak`: right, and hashed with weaker parameters than `hash` takes now. */
  verify(phc: string, password: string): Promise<{ readonly isRight: boolean; readonly isWeak: boolean }>;
}

/** What the log of `prove/` offers for writing. Each call resolves when what it wrote is durable, or rejects with AUDIT_UNAVAILABLE. */
export interface AuditLog {
  /** Before an effect. */
  intend(event: AuditEvent): Promise<AuditEntry>;
  /** After it, once. */
  settle(
    intent: AuditEntry,
    outcome: 'succeeded' | 'failed' | 'unknown',
    ending?: { readonly reason?: string },
  ): Promise<AuditEntry>;
  /** What has happened already, or was refused. */
  record(event: AuditEvent, outcome: 'succeeded' | 'failed' | 'denied'): Promise<AuditEntry>;
}

export interface AuditFilter {
  /** `job` finds `job.start` too. */
  readonly action?: string;
  readonly actorId?: string;
  readonly outcome?: 'succeeded' | 'failed' | 'denied' | 'unknown';
  /** From here, inclusive, to there, exclusive. */
  readonly fromTs?: number;
  readonly toTs?: number;
}

/** The same log, for reading. */
export interface AuditTrail {
  /** Whether it can be written now. */
  isWritable(): boolean;
  /** The newest below `before` that the filter lets through, the newest first; perhaps none, where `next` is not null. */
  page(
    filter: AuditFilter,
    range: { readonly before: number | null; readonly limit: number },
  ): Promise<{ readonly entries: readonly AuditEntry[]; readonly next: number | null }>;
  /** All that the filter lets through, the oldest first. */
  all(filter: AuditFilter): Iterable<AuditEntry> | AsyncIterable<AuditEntry>;
  /** Null: there is none of that number yet. */
  entry(seq: number): Promise<AuditEntry | null>;
  /** A file that shows offline, with the log's key alone, that the entry is in it (c2sp.org/tlog-proof); null: not signed yet. */
  proof(seq: number): Promise<string | null>;
  /** A zip file with all that the filter lets through, each with its proof ("lockstep log report"); null: too many for one. */
  bundle(filter: AuditFilter): Promise<Buffer | null>;
  /** The newest signed checkpoint, and the key that verifies it; null: nothing is signed yet. */
  checkpoint(): Promise<{ readonly note: string; readonly size: number; readonly verifierKey: string } | null>;
}

export type JobState = 'starting' | 'running' | 'paused' | 'stopping' | 'stopped' | 'failed';

export interface RunningJob {
  readonly state: JobState;
  readonly failedReason: string | null;
  /** Why it has failed as a whole; null or absent: it has not. */
  readonly failure?: Incident | null;
  /** As measured last; null: not since it was started. */
  readonly status: MirrorStatus | null;
  /** When it was started; null where it is not running. */
  readonly since: number | null;
}

/** Makes jobs do what the store says that they are wanted to do. */
export interface JobRunner {
  /** Names the process among those that run jobs of a store: what they count is their own. */
  readonly process: string;
  isAlive(): boolean;
  /** What is wanted has changed: looks at once instead of in its next round. */
  nudge(): void;
  /** Resolves when the job does nothing any more; rejects with SERVER_BUSY when it still does after `withinMs`. */
  stopped(jobId: string, withinMs: number): Promise<void>;
  job(jobId: string): RunningJob;
  /** Called with the id of each job whose state or status is new. The returned function ends that. */
  onChange(listener: (jobId: string) => void): () => void;
}

export interface ForeseenTopic {
  /** All settings that it would have, without values that are secret; null where they may not be read. */
  readonly configs: Readonly<Record<string, string | null>> | null;
}

export interface CreatedTopic {
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
}

/** Live views of clusters. What cannot be asked rejects with the AppError that says why. */
export interface ClusterAsker {
  /** Never rejects for the cluster's sake: what is wrong with it is in the view. */
  describe(cluster: ClusterResource): Promise<ClusterView>;
  topicNames(cluster: ClusterResource): Promise<readonly string[]>;
  /** Null: all. With their settings where they are named. */
  topics(cluster: ClusterResource, names: readonly string[] | null): Promise<readonly TopicView[]>;
  /** Has the cluster check it. */
  foreseeTopic(cluster: ClusterResource, topic: NewTopicText): Promise<ForeseenTopic>;
  /** Resolves when each of its partitions has a leader. */
  createTopic(cluster: ClusterResource, topic: NewTopicText): Promise<CreatedTopic>;
  groups(cluster: ClusterResource): Promise<readonly InventoryGroup[]>;
  /** Places of all groups that may be seen. */
  groupOffsets(cluster: ClusterResource): Promise<readonly InventoryGroupOffset[]>;
}
