/** What `lockstep log` says of an audit log, of one entry, and of an evidence bundle. */
import type { AuditEntry } from './audit.ts';

/**
 * `tampered`: something contradicts. `incomplete`: nothing contradicts, but not everything is there to be looked at.
 * `error`: there is no log to be looked at.
 */
export type LogVerdict = 'verified' | 'tampered' | 'incomplete' | 'error';

/** The second verifier (deploy/verifier) uses the same words. */
export const tamperedKinds = [
  'checkpoint-malformed',
  'checkpoint-unsigned', // not by the key that was given, nor by one that it was rotated to
  'root-differs',
  'tile-differs',
  'entry-differs', // the leaf hash in the tile is another
  'bundle-malformed',
  'entry-malformed',
  'seq-differs',
  'time-goes-back',
  'outcome-unpaired', // of no intent, or the second of one
  'rotation-invalid',
  'truncated', // an older checkpoint or an anchor is larger
  'since-differs',
  'since-unsigned',
  'anchor-differs',
] as const;
export const incompleteKinds = [
  'entries-missing',
  'tile-missing',
  'root-unknown',
  'silence',
  'intent-without-outcome',
  'anchors-none',
] as const;
export type FindingKind = (typeof tamperedKinds)[number] | (typeof incompleteKinds)[number];

export interface LogFinding {
  readonly kind: FindingKind;
  /** The entry that it is about; null where it is not about one. */
  readonly seq: number | null;
  readonly message: string;
}

export interface Silence {
  /** Sequence of the entry that ends it. */
  readonly seq: number;
  readonly ms: number;
  /** Whether the next entry is a start of the process: it was stopped, or had died. */
  readonly endsWithStart: boolean;
}

export interface LogVerification {
  readonly verdict: LogVerdict;
  readonly origin: string | null;
  /** Entries that the checkpoint covers. */
  readonly size: number;
  /** Hexadecimal; null where not known. */
  readonly root: string | null;
  /** Verifier key that the checkpoint is signed with. */
  readonly signedBy: string | null;
  /** Entries that were read and hashed. */
  readonly entries: number;
  /** Times of the first and the last of them. */
  readonly from: number | null;
  readonly to: number | null;
  readonly starts: number;
  readonly rotations: number;
  /** Intents at the end of the log that may still be under way. */
  readonly openIntents: readonly number[];
  readonly silences: readonly Silence[];
  /** Size of the older checkpoint; null without one. */
  readonly since: number | null;
  readonly anchors: { readonly checked: number; readonly ignored: number } | null;
  /** How many there are of each kind, and the first of them. */
  readonly counts: Readonly<Partial<Record<FindingKind, number>>>;
  readonly findings: readonly LogFinding[];
}

export interface LogProgress {
  readonly entries: number;
  readonly size: number;
}

export interface EntryVerification {
  readonly verdict: 'verified' | 'tampered';
  readonly origin: string | null;
  readonly index: number;
  readonly size: number | null;
  readonly signedBy: string | null;
  /** As it stands in the proof; null where it holds none that can be read. */
  readonly entry: AuditEntry | null;
  readonly problem: string | null;
}

export interface BundleVerification {
  readonly verdict: LogVerdict;
  readonly origin: string | null;
  readonly size: number | null;
  readonly signedBy: string | null;
  readonly entries: number;
  readonly from: number | null;
  readonly to: number | null;
  /** Whether every entry of the log between the first and the last is there. */
  readonly isContiguous: boolean;
  readonly problems: readonly string[];
}
