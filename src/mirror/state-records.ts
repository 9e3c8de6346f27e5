/**
 * What `__lockstep.state` holds, per key, as JSON with a `version` (exactness.md rule 1):
 *
 *   mirror/<mirrorId>              who mirrors what into this cluster, with which producer ids, under which choices
 *   claim/<target topic>           which mirror writes to a topic, and from which source topic
 *   creating/<target topic>        the same of a topic that is about to be created, and so has no id yet that a claim could name
 *   partition/<target topic>/<p>   what the log of the target partition cannot say: log start, sequence offset, leader epochs
 *   open/<target topic>/<p>        whose transactions are open on the target for long (open-identities.ts)
 *   applied/<mirrorId>/<digest>    an ACL or a quota that the mirror has set on the target, and may take away again
 *   mapped/<target>/<p>/<source>   how a partition is copied whose offsets differ; its map stands in the two kinds below
 *   ledger/<target>/<p>/<source>/<n>   what became of the source's offsets, a piece
 *   placed/<target>/<p>/<source>/<n>   where the delivered records lie in a target that others write to as well
 *   group/<mirrorId>/<source topic>/<group>   which places of a consumer group the mirror has set (group-memory.ts)
 *   stopped/<target>/<p>/<source>  why a partition has stopped for good in the process that has it
 *   failover/<mirrorId>            how far a failover came, and where the copy ends (failover/procedure.ts)
 *
 * Pure: bytes in, typed records out. A kind of key that we do not know is a later version's and is left alone.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '#contract/errors.ts';
import { failbackDecisions, failoverSteps } from '#contract/failover.ts';
import { SLOTS_MAX } from './transaction-slots.ts';

const VERSION = 1;
/** Runs of leader epochs kept per partition, the newest; older ones are only needed to name what an old truncation lost. */
export const LEADER_EPOCHS_MAX = 128;
/** Changes of a condition that are remembered, the newest. */
export const CONDITIONS_MAX = 16;
/** Runs of a ledger or a map in one record: at most 10 KB, mostly 1. The last one is written anew with each gap. */
export const PIECE_RUNS = 200;

const offset = z.int().min(0);

const start = z.union([
  z.object({ at: z.literal(['earliest', 'latest']) }),
  z.object({ at: z.literal('timestamp'), timestampMs: z.int() }),
  z.object({ at: z.literal('offsets'), offsets: z.record(z.string(), z.record(z.string(), offset)) }),
]);

const mirrorRecord = z.object({
  name: z.string(),
  sourceClusterId: z.string(),
  targetClusterId: z.string(),
  /** Writes data, with epoch 0 always. */
  dataProducerId: z.int().min(0),
  /** Writes the control records that fill holes, and nothing else. */
  markerProducerId: z.int().min(0),
  transactions: z.enum(['preserve', 'committed-only']),
  timestamps: z.enum(['append', 'producer', 'target']),
  start,
  /** Milliseconds since the epoch. */
  createdAt: z.int(),
});

const hop = z.object({
  clusterId: z.string(),
  topic: z.string(),
  /** Name of the mirror that copies from there. */
  mirror: z.string(),
});

const claimRecord = z.object({
  mirrorId: z.string(),
  mirrorName: z.string(),
  sourceTopic: z.string(),
  sourceTopicId: z.string(),
  targetTopicId: z.string(),
  partitions: z.int().min(1),
  /** Target topic id of the claim that this one follows, because that topic is gone; else null. */
  replaces: z.string().nullable(),
  /** How offsets are copied; `shared`: mapped, into a topic that others write to as well. Without it: identical. */
  mode: z.enum(['identical', 'mapped', 'shared']).optional(),
  /** What the source topic itself is a copy of, nearest first; without it: of nothing that is known (provenance.ts). */
  provenance: z.array(hop).optional(),
});

const creatingRecord = z.object({
  mirrorId: z.string(),
  sourceTopic: z.string(),
  /** As in a claim. */
  provenance: z.array(hop).optional(),
});

const partitionRecord = z.object({
  mirrorId: z.string(),
  /** Of the topic that it is about: the record of a topic that is gone says nothing about one created under its name. */
  targetTopicId: z.string(),
  /** S of rule 5: the target's log begins here. */
  logStart: offset,
  /** K of rule 2: the sequence of an offset is (offset + K) mod 2^31, until a hole. */
  sequenceOffset: z.int(),
  /** [leader epoch of the source, its first offset], ascending, at most LEADER_EPOCHS_MAX. */
  leaderEpochs: z.array(z.tuple([z.int(), offset])).max(LEADER_EPOCHS_MAX),
  /** What is below was on both sides before this mirror: the way back of a failover (failover/failback.ts). */
  adoptedBelow: offset.optional(),
});

const openRecord = z.object({
  targetTopicId: z.string(),
  /** [offset of the first record, producer id of the source]. */
  transactions: z.array(z.tuple([offset, offset])).max(SLOTS_MAX),
});

const mappedRecord = z.object({
  mirrorId: z.string(),
  targetTopicId: z.string(),
  sourceTopicId: z.string(),
  /** Of our batches in this target partition. */
  producerId: z.int().min(0),
  /** Others write to the target as well. Else the n-th record of ours is at offset n. */
  isShared: z.boolean(),
  /** The first source offset of the ledger, and the ordinal of the first record from there on. */
  start: offset,
  startOrdinal: offset,
  /** Where the ledger began; up to `start` it is forgotten, because the target has none of it any more. */
  mappedFrom: offset,
  /** From here up to `mappedFrom` offsets are the same on both sides; null where the copy was mapped from its beginning. */
  identicalFrom: offset.nullable(),
  /** The pieces that count, by their indexes [from, to); others are left over. */
  pieces: z.object({ ledger: z.tuple([offset, offset]), placed: z.tuple([offset, offset]) }),
  /** Runs in each piece but the last. */
  pieceRuns: z.int().min(1).max(PIECE_RUNS),
  /** Where the target ended when nothing of ours was in it. */
  targetStart: offset,
  leaderEpochs: z.array(z.tuple([z.int(), offset])).max(LEADER_EPOCHS_MAX),
  /** Which condition on records the file had, from which source offset on; missing: none ever. */
  conditions: z
    .array(z.object({ from: offset, condition: z.string().nullable(), onError: z.enum(['stop', 'deliver']) }))
    .max(CONDITIONS_MAX)
    .optional(),
});

const numbers = z.array(z.int()).max(3 * PIECE_RUNS);

const ledgerRecord = z.object({
  mirrorId: z.string(),
  targetTopicId: z.string(),
  start: offset,
  ordinal: offset,
  /** Code and length of each run. */
  runs: numbers,
});

const placedRecord = z.object({
  mirrorId: z.string(),
  targetTopicId: z.string(),
  /** An encoded map from ordinals to target offsets. */
  runs: numbers,
});

const appliedRecord = z.discriminatedUnion('what', [
  z.object({
    what: z.literal('acl'),
    /** `intended`: about to be created, so that it may be somebody else's. */
    phase: z.enum(['intended', 'created']),
    acl: z.object({
      resourceType: z.enum(['topic', 'group', 'cluster', 'transactional-id', 'delegation-token', 'user']),
      pattern: z.enum(['literal', 'prefixed']),
      name: z.string(),
      principal: z.string(),
      host: z.string(),
      operation: z.string(),
      permission: z.enum(['allow', 'deny']),
    }),
  }),
  z.object({
    what: z.literal('quota'),
    entity: z.array(z.object({ type: z.string(), name: z.string().nullable() })),
    key: z.string(),
    value: z.number(),
    /** What it was before; it is that still where the process ended in between. */
    before: z.number().nullable(),
  }),
]);

/** Partition, offset of the source, offset of the target, digest of the metadata, 1 where the mirror has committed it. */
const groupPlace = z.tuple([z.int().min(0), offset, offset, z.string(), z.literal([0, 1])]);

const groupRecord = z.object({
  targetTopicId: z.string(),
  places: z.array(groupPlace),
  /** Where they go first; more may have been moved since. Null where they are as recorded. */
  intended: z.array(groupPlace).nullable(),
});

const failoverRecord = z.object({
  mirrorName: z.string(),
  /** `stopping` and `promoted`: no process of the mirror writes any more. */
  phase: z.enum(['draining', 'stopping', 'promoted']),
  startedAt: z.int(),
  isSourceLost: z.boolean(),
  steps: z.array(
    z.object({ step: z.enum(failoverSteps), startedAt: z.int(), endedAt: z.int(), said: z.array(z.string()) }),
  ),
  /** Denials that we have made, or were about to make; `why` where none could be made. */
  fence: z.object({ topics: z.array(z.string()), why: z.string().nullable() }).nullable(),
  cut: z
    .array(
      z.object({
        sourceTopic: z.string(),
        sourceTopicId: z.string(),
        targetTopic: z.string(),
        targetTopicId: z.string(),
        mode: z.enum(['identical', 'mapped', 'shared']),
        partitions: z.array(z.tuple([offset, offset])),
      }),
    )
    .nullable(),
  transactions: z.array(
    z.object({
      topic: z.string(),
      partition: z.int(),
      from: offset,
      to: offset,
      transactionalId: z.string().nullable(),
    }),
  ),
  loss: z.object({ records: z.int().nullable(), ms: z.int().nullable() }).nullable(),
  /** That got places under names of their own, in a drill. */
  groups: z.array(z.string()).optional(),
  verified: z
    .object({ identical: z.int(), different: z.int(), unverified: z.int(), failed: z.int(), records: z.int() })
    .nullable(),
  /** What was decided about records that only the old primary has; null before. */
  failback: z
    .object({
      decision: z.enum(failbackDecisions),
      records: z.int(),
      at: z.int(),
      topics: z.array(z.string()),
      /** Who writes them to the new primary. */
      replay: z.object({ producerId: z.int() }).nullable(),
      /** Files that hold them, and where the partitions of the topics ended then. Kept before the first is deleted. */
      exported: z.array(z.object({ file: z.string(), ends: z.record(z.string(), z.array(offset)) })).optional(),
      /** Topics are deleted from now on: what was in them is not found any more. */
      isDeleting: z.boolean().optional(),
    })
    .nullable(),
});

const stoppedRecord = z.object({
  mirrorId: z.string(),
  targetTopicId: z.string(),
  /** Of an incident; a later version may have others. */
  code: z.string(),
  cause: z.string(),
});

const schemas = {
  failover: failoverRecord,
  stopped: stoppedRecord,
  mirror: mirrorRecord,
  claim: claimRecord,
  creating: creatingRecord,
  partition: partitionRecord,
  open: openRecord,
  applied: appliedRecord,
  mapped: mappedRecord,
  ledger: ledgerRecord,
  placed: placedRecord,
  group: groupRecord,
};

export type FailoverRecord = z.output<typeof failoverRecord>;
export type MappedRecord = z.output<typeof mappedRecord>;
export type LedgerRecord = z.output<typeof ledgerRecord>;
export type PlacedRecord = z.output<typeof placedRecord>;
export type GroupPlace = z.output<typeof groupPlace>;
export type GroupRecord = z.output<typeof groupRecord>;
export type AppliedRecord = z.output<typeof appliedRecord>;
export type MirrorRecord = z.output<typeof mirrorRecord>;
export type Hop = z.output<typeof hop>;
export type ClaimRecord = z.output<typeof claimRecord>;
export type CreatingRecord = z.output<typeof creatingRecord>;
export type PartitionRecord = z.output<typeof partitionRecord>;
export type OpenRecord = z.output<typeof openRecord>;
export type StoppedRecord = z.output<typeof stoppedRecord>;

export type StateRecord =
  | { readonly kind: 'mirror'; readonly key: string; readonly value: MirrorRecord | null }
  | { readonly kind: 'claim'; readonly key: string; readonly value: ClaimRecord | null }
  | { readonly kind: 'creating'; readonly key: string; readonly value: CreatingRecord | null }
  | { readonly kind: 'applied'; readonly key: string; readonly value: AppliedRecord | null }
  | { readonly kind: 'partition'; readonly key: string; readonly value: PartitionRecord | null }
  | { readonly kind: 'open'; readonly key: string; readonly value: OpenRecord | null }
  | { readonly kind: 'mapped'; readonly key: string; readonly value: MappedRecord | null }
  | { readonly kind: 'ledger'; readonly key: string; readonly value: LedgerRecord | null }
  | { readonly kind: 'placed'; readonly key: string; readonly value: PlacedRecord | null }
  | { readonly kind: 'group'; readonly key: string; readonly value: GroupRecord | null }
  | { readonly kind: 'stopped'; readonly key: string; readonly value: StoppedRecord | null }
  | { readonly kind: 'failover'; readonly key: string; readonly value: FailoverRecord | null };

/** One source partition in one target partition. */
export interface MappedPlace {
  readonly targetTopic: string;
  readonly partition: number;
  readonly sourceTopic: string;
}

export const stoppedKey = ({ targetTopic, partition, sourceTopic }: MappedPlace): string =>
  `stopped/${targetTopic}/${partition}/${sourceTopic}`;
export const failoverKey = (mirrorId: string): string => `failover/${mirrorId}`;
/** No topic's name has a slash; a group's id may. */
export const groupKey = (mirrorId: string, topic: string, groupId: string): string =>
  `group/${mirrorId}/${topic}/${groupId}`;
export const mirrorKey = (mirrorId: string): string => `mirror/${mirrorId}`;
export const claimKey = (targetTopic: string): string => `claim/${targetTopic}`;
export const creatingKey = (targetTopic: string): string => `creating/${targetTopic}`;
export const partitionKey = (targetTopic: string, partition: number): string => `partition/${targetTopic}/${partition}`;
export const openKey = (targetTopic: string, partition: number): string => `open/${targetTopic}/${partition}`;

export const mappedKey = ({ targetTopic, partition, sourceTopic }: MappedPlace): string =>
  `mapped/${targetTopic}/${partition}/${sourceTopic}`;
export const pieceKey = (kind: 'ledger' | 'placed', place: MappedPlace, index: number): string =>
  `${kind}/${place.targetTopic}/${place.partition}/${place.sourceTopic}/${index}`;

/** `text` says what was applied: the same for the same thing. */
export const appliedKey = (mirrorId: string, text: string): string =>
  `applied/${mirrorId}/${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;

/** The same in every process that runs the same mirror between the same clusters: 20 characters of [0-9a-f]. */
export function mirrorIdOf(mirror: {
  readonly sourceClusterId: string;
  readonly targetClusterId: string;
  readonly name: string;
}): string {
  const text = [mirror.sourceClusterId, mirror.targetClusterId, mirror.name].join('\n'); // no part can contain a line end
  return createHash('sha256').update(text).digest('hex').slice(0, 20);
}

/** The bytes of a record's value; null (a tombstone) takes the key away. */
export function encodeState(value: StateRecord['value']): Buffer | null {
  return value === null ? null : Buffer.from(JSON.stringify({ version: VERSION, ...value }));
}

/** A record under a key of ours whose value we cannot read; `error` is STATE_TOPIC_INVALID and names the offset. */
export interface UnreadableRecord {
  readonly kind: 'unreadable';
  /** A newer Lockstep has written it, and knows more than we do. */
  readonly isLater: boolean;
  readonly key: string;
  readonly error: AppError;
}

/** Null for a key that is not ours. Never throws: one value that cannot be read is the matter of its key alone. */
export function decodeState(record: {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly offset: number;
}): StateRecord | UnreadableRecord | null {
  const key = record.key?.toString('utf8') ?? '';
  const kind = key.slice(0, key.indexOf('/'));
  if (!isKnown(kind)) return null;
  if (record.value === null) return { kind, key, value: null };
  const json = parseJson(record.value);
  const subject = `record "${key}" at offset ${record.offset} of the state topic`;
  const version = z.object({ version: z.int().min(1) }).safeParse(json).data?.version;
  if (version !== undefined && version > VERSION)
    return { kind: 'unreadable', key, isLater: true, error: laterVersion(subject, version) };
  const parsed = version === undefined ? null : schemas[kind].safeParse(json);
  if (!parsed?.success) return { kind: 'unreadable', key, isLater: false, error: unreadable(subject, parsed?.error) };
  return { kind, key, value: parsed.data } as StateRecord;
}

function isKnown(kind: string): kind is StateRecord['kind'] {
  return Object.hasOwn(schemas, kind);
}

function laterVersion(subject: string, version: number): AppError {
  const message = `${subject} has version ${version}; this Lockstep reads version ${VERSION}`;
  return new AppError('STATE_TOPIC_INVALID', message, { nextStep: 'Run the newer Lockstep that wrote it.' });
}

function unreadable(subject: string, cause: unknown): AppError {
  return new AppError('STATE_TOPIC_INVALID', `${subject} cannot be read`, {
    cause,
    nextStep:
      'Another program has written to the topic: find it and take its right to write there away; the record then has to be written anew with its former value.',
  });
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
