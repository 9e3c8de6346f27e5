/**
 * What a running mirror says about itself. Offsets and counts are safe integers; times are milliseconds since the epoch;
 * null means 'not known', never zero (STYLE.md 8). This is also the shape of the lines of `lockstep run --json`.
 */
import type { ErrorCode } from './errors.ts';
import type { PlannedChange } from './plan.ts';
import type { VerifyJobStatus } from './verification.ts';

export type ShardState =
  | 'starting' // reading positions, waiting until the target's watermark has stood still
  | 'aligning' // filling up to the source's log start
  | 'copying'
  | 'elsewhere' // another process of the mirror copies it; its position is where the target ends
  | 'stopped' // by an incident
  | 'ended'; // the job was stopped

/** Why a batch was not passed through unchanged. */
export type ReencodeReason = 'merged' | 'split' | 'trimmed' | 'append-time' | 'gaps';

export interface ByteCounts {
  /** Batches whose body bytes left as they came. */
  readonly passedThrough: number;
  /** Batches that were decoded and written anew, by reason. */
  readonly reencoded: Readonly<Record<ReencodeReason, number>>;
}

/** A partition that stopped, or a job that could not start: what, where, why, and what to do next. */
export interface Incident {
  readonly code: ErrorCode;
  readonly severity: 'error' | 'warning';
  readonly mirror: string;
  readonly topic: string | null;
  readonly partition: number | null;
  /** First and one past the last source offset concerned; null where no range applies. */
  readonly offsets: { readonly from: number; readonly to: number } | null;
  /** What happened. */
  readonly cause: string;
  /** What this means for the data. */
  readonly consequence: string;
  /** What a person should do now. */
  readonly nextStep: string;
  /** It is looked for again and again, and what stands still goes on when the cause has ended; else it takes a restart. */
  readonly endsByItself: boolean;
  readonly at: number;
}

/** As in a plan; of a setting, `subject` is its name and that of the target topic, and `set` to null its default. */
export type SyncedChange = Pick<PlannedChange, 'subject' | 'action' | 'source' | 'target' | 'reason'> & {
  readonly what: PlannedChange['what'] | 'setting';
};

export interface ShardStatus {
  readonly topic: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly state: ShardState;
  /** Next source offset whose record is not yet acknowledged by the target; null until the position is known. */
  readonly position: number | null;
  /** Source log start, last stable offset and high watermark as of the last answer that carried them. */
  readonly sourceLogStart: number | null;
  readonly sourceStableOffset: number | null;
  readonly sourceHighWatermark: number | null;
  /** sourceStableOffset − position at that answer. */
  readonly lagRecords: number | null;
  /**
   * Wall time now − the newest timestamp of the oldest batch that is read and not yet acknowledged, or, while none is read,
   * of the last one that was acknowledged; 0 without lag, null when unknown. Old records give large values.
   */
  readonly lagMs: number | null;
  /** When the source offsets above were measured. */
  readonly measuredAt: number | null;
  /** Since this process started. */
  readonly recordsCopied: number;
  readonly bytesCopied: number;
  readonly holesFilled: number;
  /** Writes that the target refused with OUT_OF_ORDER_SEQUENCE_NUMBER: somebody else wrote our data first. */
  readonly refusals: number;
  /**
   * Of a mapped partition: offsets of the source that its ledger does not explain, of those that this process has read and of
   * those that were accounted for before. 0, or something is wrong; null until the ledger was read.
   */
  readonly unexplained?: number | null;
  readonly incident: Incident | null;
}

export interface MirrorStatus {
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly shards: readonly ShardStatus[];
  readonly bytes: ByteCounts;
  readonly recordsCopied: number;
  readonly bytesCopied: number;
  /** Batches as they were written that the target has acknowledged, since this process started. */
  readonly batchesCopied: number;
  readonly at: number;
}

/** A consumer group whose places on the target were not all moved to those of the source. */
export interface LeftGroup {
  readonly group: string;
  readonly why: string;
}

export type RunEvent =
  | {
      readonly event: 'started';
      readonly mirror: string;
      readonly sourceClusterId: string;
      readonly targetClusterId: string;
      readonly at: number;
    }
  | {
      readonly event: 'topic';
      readonly mirror: string;
      readonly topic: string;
      readonly targetTopic: string;
      readonly partitions: number;
      readonly action: 'created' | 'grown' | 'adopted' | 'resumed';
      readonly mode: 'identical' | 'mapped';
      /** Why offsets are mapped; null where they are identical. */
      readonly why: string | null;
      readonly at: number;
    }
  /** What this process copies of the mirror, when others copy the rest, and whenever that has changed. */
  | {
      readonly event: 'shares';
      readonly mirror: string;
      /** Host and process id of this one. */
      readonly process: string;
      readonly held: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
      /** All partitions of the mirror. */
      readonly of: number;
      readonly at: number;
    }
  | { readonly event: 'progress'; readonly status: MirrorStatus }
  /** Told when it changes (docs/groups.md). */
  | {
      readonly event: 'groups';
      readonly mirror: string;
      /** Groups that are where the source has them, as far as the target holds the records. */
      readonly inPlace: number;
      /** By group id, the first hundred. */
      readonly leftAlone: readonly LeftGroup[];
      readonly leftAloneCount: number;
      /** Since the last of these events, because they are gone from the source. */
      readonly deleted: readonly string[];
      readonly at: number;
    }
  | {
      readonly event: 'warning';
      readonly mirror: string | null;
      readonly code: ErrorCode;
      readonly message: string;
      readonly at: number;
    }
  /** Something around the records was changed on the target, or a setting of a topic. */
  | {
      readonly event: 'synced';
      readonly mirror: string;
      readonly changes: readonly SyncedChange[];
      readonly at: number;
    }
  | { readonly event: 'incident'; readonly incident: Incident }
  /** `at`: when it ended; `incident.at` is when it began. */
  | { readonly event: 'incident-ended'; readonly incident: Incident; readonly at: number }
  /** How far a continuous verification has come. Its incidents name the mirror. */
  | { readonly event: 'verifying'; readonly status: VerifyJobStatus }
  | {
      readonly event: 'verifying-ended';
      readonly job: string;
      readonly outcome: 'caught-up' | 'until-reached' | 'incidents' | 'interrupted' | 'failed';
      readonly status: VerifyJobStatus;
      readonly at: number;
    }
  | {
      readonly event: 'ended';
      readonly mirror: string;
      readonly outcome: 'caught-up' | 'until-reached' | 'incidents' | 'interrupted' | 'failed';
      readonly status: MirrorStatus | null;
      readonly at: number;
    };
