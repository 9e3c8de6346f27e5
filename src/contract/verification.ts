/** What `lockstep verify` says of a mirror: by partition, what was proven, what differs, and what could not be looked at. */

import type { Incident } from './status.ts';

export const verificationClasses = ['counts', 'structure', 'content'] as const;
/**
 * What of the records is compared.
 * `counts`: how many there are between batch boundaries that both sides have; nothing is decompressed.
 * `structure`: offset, time, key, the size of the value, and names and sizes of headers.
 * `content`: every byte of key, value and headers, too.
 */
export type VerificationClass = (typeof verificationClasses)[number];

/** Bytes of a record as far as they are shown. */
export interface ShownBytes {
  /** Of the whole field. */
  readonly bytes: number;
  /** Where in the field the shown piece begins. */
  readonly from: number;
  /** The piece where it is printable UTF-8, else null. */
  readonly text: string | null;
  readonly hex: string;
}

export interface ShownRecord {
  /** Milliseconds, as readers see it. */
  readonly timestamp: number;
  /** Null: a null key. */
  readonly key: ShownBytes | null;
  /** Null: a null value. */
  readonly value: ShownBytes | null;
  /** In their order, at most eight of them. */
  readonly headers: readonly { readonly key: ShownBytes; readonly value: ShownBytes | null }[];
  readonly headerCount: number;
}

export type DifferenceKind =
  | 'changed' // both sides have a record, and it is not the same
  | 'missing' // the target has no record where the source has one
  | 'extra' // the target has a record where the source has none that a reader sees
  | 'beyond' // the target goes on where the source ends
  | 'counts' // other numbers of records between two offsets
  | 'unaccounted' // of a mapped partition: the ledger says something else than the source's log
  | 'damaged' // a batch that cannot be read
  | 'absent'; // the target lacks the topic or the partition

/** One thing that differs, at its offset, with short copies of both sides. */
export interface Difference {
  readonly kind: DifferenceKind;
  readonly offset: number;
  /** Of a changed record: timestamp, key, value, headers, transaction. */
  readonly fields: readonly string[];
  readonly message: string;
  readonly source: ShownRecord | null;
  readonly target: ShownRecord | null;
  /** The file in which both copies are kept, of the first difference of a partition; where that was asked for. */
  readonly evidence?: string;
}

/** Offsets [from, to) of which nothing is proven, and why. */
export interface UnverifiedPart {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** Offsets of one side without a record that readers see. */
export interface Dispositions {
  readonly control: number;
  readonly aborted: number;
  /** Neither a record nor a control record. */
  readonly absent: number;
}

/** Of a partition whose offsets are mapped. */
export interface MappingVerification {
  readonly runs: number;
  readonly isShared: boolean;
  /** Records of the target between ours that are of other writers. */
  readonly others: number;
}

export interface PartitionVerification {
  readonly topic: string;
  /** Its name on the target. */
  readonly targetTopic: string;
  readonly partition: number;
  /** `unverified`: nothing differs, and not everything could be looked at. `failed`: it could not be read. */
  readonly verdict: 'identical' | 'different' | 'unverified' | 'failed';
  /** Offsets [from, provenThrough) were compared and are the same, but for the parts in `unverified`. Null where nothing was. */
  readonly from: number | null;
  readonly provenThrough: number | null;
  /** Log start and last stable offset of each side when the reading began; null where unknown. */
  readonly sourceStart: number | null;
  readonly sourceEnd: number | null;
  readonly targetStart: number | null;
  readonly targetEnd: number | null;
  /** Source offsets from `provenThrough` to `sourceEnd`; null where unknown. */
  readonly lag: number | null;
  /** Records that were compared and are the same. */
  readonly records: number;
  /** Records that compaction has taken on one side only; each has a later one of its key, or is a deletion. */
  readonly compacted: number;
  /** Null where not every offset was met. */
  readonly source: Dispositions | null;
  readonly target: Dispositions | null;
  /**
   * Source offsets of which neither a record on the target nor anything else says what became of them: records that are
   * missing, and what the ledger of a mapped partition does not explain. 0, or something is wrong; as `differences`, all of
   * them with `full` only. Null where nothing was compared.
   */
  readonly unexplained: number | null;
  /** How many; without `full` the first ends the partition. */
  readonly differences: number;
  /** The first of them. */
  readonly shown: readonly Difference[];
  readonly unverified: readonly UnverifiedPart[];
  /** Of the source's batches: compared as whole batches without decoding, and record by record. */
  readonly bytes: ComparedBytes;
  /** Null, or missing, where offsets are identical. */
  readonly mapping?: MappingVerification | null;
  /** Why it could not be read. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface ComparedBytes {
  readonly whole: number;
  readonly byRecord: number;
}

export interface MirrorVerification {
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly class: VerificationClass;
  readonly partitions: readonly PartitionVerification[];
  /** About the mirror as a whole: rules that match nothing, what could not be asked. */
  readonly notes: readonly string[];
}

export interface VerifyProgress {
  readonly mirror: string;
  readonly partitions: number;
  readonly partitionsDone: number;
  readonly records: number;
  readonly bytes: ComparedBytes;
  readonly differences: number;
}

/** Of a partition under a continuous verification. */
export interface ProvenPartition {
  readonly topic: string;
  readonly targetTopic: string;
  readonly partition: number;
  /** Source offsets [from, provenThrough) have been proven since the process began, but for `unverified`; null before. */
  readonly from: number | null;
  readonly provenThrough: number | null;
  /** The source's last stable offset as last measured, and how much of it is not proven; null where unknown. */
  readonly sourceEnd: number | null;
  readonly lag: number | null;
  readonly measuredAt: number | null;
  readonly records: number;
  readonly compacted: number;
  /** As of a verification; without what lies behind the first difference, where it waits. */
  readonly unexplained: number;
  readonly bytes: ComparedBytes;
  /** How many offsets in all, and the newest parts of them. */
  readonly unverifiedOffsets: number;
  readonly unverified: readonly UnverifiedPart[];
  /** Why nothing more is proven; null while it goes on. */
  readonly incident: Incident | null;
}

export interface VerifyJobStatus {
  readonly job: string;
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly class: VerificationClass;
  readonly partitions: readonly ProvenPartition[];
  readonly at: number;
}
