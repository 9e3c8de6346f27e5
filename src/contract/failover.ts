/** What `lockstep failover`, `failback` and `drill` do, step by step, and what they found: evidence for people and machines. */

/**
 * In this order. `fence`: producers of the source are kept out. `drain`: what they wrote is copied. `stop`: no process of the
 * mirror writes any more. `verify`: the ends of both sides are compared. `cut`: where the copy ends; transactions that it cuts
 * in two are aborted. `groups`: consumer groups get their places. `promote`: the copy belongs to its own writers from now on.
 */
export const failoverSteps = ['fence', 'drain', 'stop', 'verify', 'cut', 'groups', 'promote'] as const;
export type FailoverStep = (typeof failoverSteps)[number];

export interface TimedStep {
  readonly step: FailoverStep;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** What was found and done, as sentences. */
  readonly said: readonly string[];
}

/** Where one topic's copy ends. */
export interface TopicCut {
  readonly sourceTopic: string;
  readonly sourceTopicId: string;
  readonly targetTopic: string;
  readonly targetTopicId: string;
  readonly mode: 'identical' | 'mapped' | 'shared';
  /** By partition: the first offset of the source that is not on the target, and where the target ended when it was promoted. */
  readonly partitions: readonly (readonly [source: number, target: number])[];
}

/** Of the source, and open on the target at the cut: its records there are hidden from readers at read_committed for ever. */
export interface CutTransaction {
  /** On the target. */
  readonly topic: string;
  readonly partition: number;
  /** Offsets [from, to) of the target hold its records, among others. */
  readonly from: number;
  readonly to: number;
  /** Null: it is none of this mirror's, and was left as it is. */
  readonly transactionalId: string | null;
}

/** RPO as measured: what the source had at the cut and the target has not. Null is unknown. */
export interface FailoverLoss {
  /** Offsets, so control records and holes are among them. */
  readonly records: number | null;
  /** From the time of the first of them to the cut. */
  readonly ms: number | null;
}

export interface VerifiedCounts {
  readonly identical: number;
  readonly different: number;
  readonly unverified: number;
  readonly failed: number;
  /** That were compared and are the same. */
  readonly records: number;
}

export interface FailoverEvidence {
  readonly mirror: string;
  /** Names of Clusters, and their ids. */
  readonly source: string;
  readonly sourceClusterId: string;
  readonly target: string;
  readonly targetClusterId: string;
  /** `promoted` once; a `drill` changes nothing of the mirror, and of the topics and groups that it keeps. */
  readonly outcome: 'promoted' | 'drill';
  readonly isSourceLost: boolean;
  readonly startedAt: number;
  readonly endedAt: number;
  /** From the start of the first command to the end of the last step. */
  readonly rtoMs: number;
  /** Of a drill: with the source lost when it began. */
  readonly rpo: FailoverLoss;
  /** Source topics to which producers were denied; `why` when they were not. */
  readonly fence: { readonly topics: readonly string[]; readonly why: string | null } | null;
  readonly steps: readonly TimedStep[];
  readonly cut: readonly TopicCut[];
  readonly transactions: readonly CutTransaction[];
  readonly verified: VerifiedCounts | null;
  /** Of a drill on copies: how long it took to make them, and what the source had beyond them at the cut. */
  readonly copies?: {
    readonly prefix: string;
    readonly topics: number;
    readonly copiedMs: number;
    readonly behind: FailoverLoss;
    readonly isKept: boolean;
  };
  /** What people have to know and do now. */
  readonly next: readonly string[];
}

/** Before anything is changed: what each step would find. */
export interface FailoverPlan {
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly isSourceReachable: boolean;
  /** Steps that are done already, by an earlier call. */
  readonly done: readonly FailoverStep[];
  readonly isPromoted: boolean;
  readonly topics: number;
  readonly partitions: number;
  /** Source offsets that are not on the target now; null where unknown. */
  readonly lag: number | null;
  /** Partitions of the target with an open transaction now. */
  readonly openTransactions: number;
  readonly fence: string;
  readonly groups: string;
}

/** A record that only the old primary has, as `failback` exports it: one line of JSON each. */
export interface DivergedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  /** Base64; null as it is. */
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [key: string, value: string | null])[];
  /** Null outside of transactions. */
  readonly transaction: 'committed' | 'aborted' | 'open' | null;
}

/** Where they go: a file that appears under its name when it is whole. */
export interface Exporter {
  readonly file: string;
  /** Begins anew. */
  begin(): void;
  add(records: readonly DivergedRecord[]): void;
  /** All are in it. Twice is the same as once, in a later process too. */
  finish(): void;
}

export interface DivergedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Offsets [from, to) of the old primary are not on the target. */
  readonly from: number;
  readonly to: number;
  /** Without control records. */
  readonly records: number;
}

/** What becomes of records that only the old primary has. */
export const failbackDecisions = ['export', 'replay', 'discard'] as const;
export type FailbackDecision = (typeof failbackDecisions)[number];

export interface FailbackReport {
  readonly mirror: string;
  readonly oldPrimary: string;
  readonly newPrimary: string;
  readonly diverged: readonly DivergedPartition[];
  readonly records: number;
  /** Where they were written; null where they were not. */
  readonly exportedTo: string | null;
  /** What was decided about them; null before. */
  readonly decision: FailbackDecision | null;
  /** Topics of the old primary that are, or would be, deleted so that they can be copied back. */
  readonly topics: readonly string[];
  /** Topics of the old primary that end exactly at the cut: the mirror that leads back goes on behind it. */
  readonly kept: readonly string[];
  readonly isDone: boolean;
  /** A Mirror the other way round, as YAML. */
  readonly document: string;
  readonly next: readonly string[];
}

/** What `lockstep failover` tells while it works, besides what the mirror tells that it runs. */
export interface FailoverEvent {
  readonly event: 'failover-step';
  readonly mirror: string;
  readonly step: FailoverStep;
  readonly state: 'begun' | 'done';
  readonly said: readonly string[];
  readonly tookMs: number | null;
  /** Milliseconds since the epoch. */
  readonly at: number;
}
