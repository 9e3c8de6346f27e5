/**
 * Why one partition stops while the others go on (STYLE.md 4). Each says which source offsets are concerned, what it
 * means for the data and what a person should do; the shard adds mirror, topic, partition and time.
 */
import type { AppError, ErrorCode } from '#contract/errors.ts';
import type {
  BrokerError,
  ClusterIdChangedError,
  KafkaError,
  MalformedBatchError,
  UnsupportedApiError,
} from '#kafka/errors.ts';
import { rightOf } from '#kafka/permissions.ts';

export interface StopReason {
  readonly code: ErrorCode;
  readonly offsets: { readonly from: number; readonly to: number } | null;
  readonly cause: string;
  readonly consequence: string;
  readonly nextStep: string;
  /** The cause may end without a restart: the partition looks for it again and again, and goes on then. */
  readonly endsByItself: boolean;
}

/** Thrown where a guarantee would be broken by going on. */
export class ShardStop extends Error {
  override name = 'ShardStop';
  readonly reason: StopReason;

  constructor(reason: StopReason) {
    super(reason.cause);
    this.reason = reason;
  }

  /** The first offset that it is about; Infinity where it names none. */
  get from(): number {
    return this.reason.offsets?.from ?? Infinity;
  }
}

const REBUILD =
  'Find out which program wrote to the target topic and take its right to write away; then give the copy another name with "to", or stop the mirror, delete the target topic if the source still has everything that it holds, and start the mirror again.';

/** A write landed, or data lies, where the source has something else. */
export function diverged(offset: number, cause: string): ShardStop {
  return new ShardStop({
    code: 'SHARD_DIVERGED',
    offsets: { from: offset, to: offset + 1 },
    cause,
    consequence: `Offsets from ${offset} on are not the source's. Nothing more is written; up to five batches that were already on their way may lie behind.`,
    nextStep: REBUILD,
    endsByItself: false,
  });
}

/** The records are where they belong, with another time than the source's. */
export function stampedByTarget(offset: number, topic: string): ShardStop {
  return new ShardStop({
    code: 'SHARD_DIVERGED',
    offsets: { from: offset, to: offset + 1 },
    cause: `The target stamped the records from offset ${offset} on with its own time: message.timestamp.type of its topic is LogAppendTime.`,
    consequence: `From offset ${offset} on readers see other timestamps than the source's. Nothing more is written.`,
    nextStep: `Set message.timestamp.type of topic "${topic}" back to CreateTime, and find out who changed it; then delete that topic and start the mirror again, which copies it anew.`,
    endsByItself: false,
  });
}

/** Records of ours without the state record that was written before them: where they begin is not known any more. */
export function stateLost(position: number, topic: string): ShardStop {
  return new ShardStop({
    code: 'STATE_TOPIC_INVALID',
    offsets: { from: position, to: position },
    cause: `The target holds records of this mirror below offset ${position}, but the state topic has no record of this partition any more: somebody deleted it there.`,
    consequence: `What is on the target stays as it is; nothing is copied from offset ${position} on.`,
    nextStep: `Find out who writes to or deletes from the state topic, and take that right away; then delete topic "${topic}" on the target and start the mirror again, which copies it anew.`,
    endsByItself: false,
  });
}

/** Somebody wrote under the key of this partition, and no record of ours is left there; or a newer Lockstep did. */
export function stateUnreadable(error: AppError): ShardStop {
  return new ShardStop({
    code: 'STATE_TOPIC_INVALID',
    offsets: null,
    cause: `Where this partition begins cannot be read: ${error.message}.`,
    consequence: 'What is on the target stays as it is; nothing more is copied.',
    nextStep: `${error.nextStep ?? ''} The partition then goes on by itself.`,
    endsByItself: true,
  });
}

/** Logs are only cut by elections: without one, the source never had what the target has more. */
export function beyondSource(end: number, position: number): ShardStop {
  return diverged(
    end,
    `The target ends at offset ${position} and the source at ${end}, which has had the same leader all the time: another program wrote to the target.`,
  );
}

export function retentionLoss(from: number, to: number): ShardStop {
  return new ShardStop({
    code: 'SHARD_RETENTION_LOSS',
    offsets: { from, to },
    cause: `The source's log begins at offset ${to}, but offset ${from} was next: retention or DeleteRecords removed ${to - from} offsets before they were copied.`,
    consequence: `Offsets ${from} to ${to - 1} were not copied and are gone on the source. The target holds everything below ${from}.`,
    nextStep:
      'If the loss is acceptable, give the copy another name with "to" and start the mirror again: it begins at the log start of the source, and the old target topic keeps what only it has. Raise the retention of the source topic above the longest outage of the mirror.',
    endsByItself: false,
  });
}

export function truncated(from: number, to: number, detail: string): ShardStop {
  return new ShardStop({
    code: 'SHARD_TRUNCATED',
    offsets: { from, to },
    cause: `The source lost offsets ${from} to ${to - 1}, which had been copied: ${detail}.`,
    consequence: `The target still holds what the source held at offsets ${from} to ${to - 1}; the source may hold other records there by now.`,
    nextStep:
      'Copy the records in the named range from the target first: they are nowhere else. To follow the source, give the copy another name with "to" and start the mirror again.',
    endsByItself: false,
  });
}

export function recreated(side: 'source' | 'target', topic: string, position: number | null): ShardStop {
  return new ShardStop({
    code: 'TOPIC_RECREATED',
    offsets: position === null ? null : { from: position, to: position },
    cause: `The ${side} topic "${topic}" was deleted and created anew: its topic id is not the one that was copied.`,
    consequence:
      side === 'source'
        ? 'The new topic is another topic under the old name; nothing of it was copied.'
        : 'The new topic is another topic under the old name; up to five batches that were on their way may have landed in it.',
    nextStep:
      side === 'source'
        ? 'To mirror the new topic, give it another name with "to"; or, if nobody needs the old records, stop the mirror, delete the target topic, and start the mirror again.'
        : 'Start the mirror again with another target name, or remove the claim by deleting the target topic once more while the mirror is stopped.',
    endsByItself: false,
  });
}

export function missing(side: 'source' | 'target', topic: string, position: number | null): ShardStop {
  return new ShardStop({
    code: 'TOPIC_NOT_FOUND',
    offsets: position === null ? null : { from: position, to: position },
    cause: `The ${side} topic "${topic}" does not exist any more.`,
    consequence:
      side === 'source'
        ? 'The target keeps what was copied; nothing more is copied.'
        : 'What was copied is gone with the topic.',
    nextStep:
      side === 'source'
        ? 'If it was deleted on purpose, take its rule out of the Mirror; the target topic is yours to keep or delete.'
        : 'Start the mirror again: it creates the topic and copies it from the beginning.',
    endsByItself: false,
  });
}

/** `limitMs`: how long the target leaves a transaction open; null where it does not matter or is not known. */
export function transactionCut(offset: number, limitMs: number | null): ShardStop {
  const limit =
    limitMs === null
      ? ''
      : ` A transaction may be open there for ${Math.round(limitMs / 1000)} s (transaction.max.timeout.ms).`;
  return new ShardStop({
    code: 'SHARD_TRANSACTION_BROKEN',
    offsets: { from: offset, to: offset + 1 },
    cause: `A transaction that was open on the target could not be continued at offset ${offset}: its coordinator has ended it, or the source has nothing of it any more.${limit}`,
    consequence: `Everything below offset ${offset} is the source's, but for the end of that transaction, which readers at read_committed see as aborted. Nothing more is written.`,
    nextStep:
      'Delete the target topic if the source still has everything that it holds, or give the copy another name with "to", and start the mirror again. Raise transaction.max.timeout.ms of the target brokers above the longest outage of the mirror.',
    endsByItself: false,
  });
}

/** Its producer has no transaction open, as its coordinator says: what is open on the partition is ended by nobody. */
export function transactionHangs(offset: number, producerId: number): ShardStop {
  return new ShardStop({
    code: 'SHARD_TRANSACTION_BROKEN',
    offsets: { from: offset, to: offset + 1 },
    cause: `The transaction of producer id ${producerId} that begins at offset ${offset} hangs on the target: its coordinator has ended it, and the end never came to the partition.`,
    consequence: `Readers of the target at read_committed stop at offset ${offset}. Nothing more is written.`,
    nextStep: `Grant the mirror's principal ALTER (brokers before 3.8: CLUSTER_ACTION) on the target's cluster: it then writes the end itself, and goes on. Or end it with kafka-transactions.sh abort, delete the target topic if the source still has everything that it holds, and start the mirror again.`,
    endsByItself: true,
  });
}

/** `offset`: where the copy ends; what it holds is all the source's. */
export function transactionForgotten(offset: number, producerId: number): ShardStop {
  return new ShardStop({
    code: 'SHARD_TRANSACTION_BROKEN',
    offsets: { from: offset, to: offset },
    cause: `The end of a transaction of producer id ${producerId} stands on the target below offset ${offset}, and its coordinator has forgotten it when a broker was lost: it holds the transaction open, and will end it once more.`,
    consequence: `Everything below offset ${offset} is the source's. Nothing more is written: the second end would take an offset that the source has for something else.`,
    nextStep:
      'Delete the target topic if the source still has everything that it holds, or give the copy another name with "to", and start the mirror again.',
    endsByItself: false,
  });
}

export function tooManyTransactions(offset: number, slotsMax: number): ShardStop {
  return new ShardStop({
    code: 'SHARD_TRANSACTION_BROKEN',
    offsets: { from: offset, to: offset },
    cause: `At offset ${offset} of the source more than ${slotsMax} transactions are open in this partition at the same time.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep:
      'Copy the topic in a Mirror with another name and "transactions: committed-only", whose target topic is a new one.',
    endsByItself: false,
  });
}

/** `limit`: null where the target said only that it is too large. */
export function recordTooLarge(offset: number, bytes: number, limit: number | null): ShardStop {
  const accepted = limit === null ? 'that is more than the target topic accepts' : `the target topic accepts ${limit}`;
  return new ShardStop({
    code: 'SHARD_RECORD_TOO_LARGE',
    offsets: { from: offset, to: offset + 1 },
    cause: `The record at offset ${offset} needs a batch of ${bytes} bytes; ${accepted}.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep: `Set max.message.bytes of the target topic to at least ${bytes}; the partition then goes on by itself.`,
    endsByItself: true,
  });
}

/** Left out it would be lost without a word, and copied it could be one that must not leave. */
export function conditionFailed(offset: number, rule: number, why: string): ShardStop {
  return new ShardStop({
    code: 'SHARD_CONDITION_FAILED',
    offsets: { from: offset, to: offset + 1 },
    cause: `topics[${rule}].condition says neither yes nor no of the record at offset ${offset}: it ${why}.`,
    consequence: `Of what lies below offset ${offset} everything that the condition lets through is on the target; nothing from there on.`,
    nextStep:
      'Write the condition so that it says what becomes of such a record (has(headers.name), key != null), or "onError: deliver" beside it; then start the mirror again.',
    endsByItself: false,
  });
}

export function batchCorrupt(offset: number, side: string, error: MalformedBatchError | BrokerError): ShardStop {
  return new ShardStop({
    code: 'SHARD_BATCH_CORRUPT',
    offsets: { from: offset, to: offset + 1 },
    cause: `The batch at offset ${offset} is damaged, found ${side}, also when it was fetched again: ${error.message}.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep:
      "Check the disk of the source partition's leader and the network between; move the leadership to a replica that is whole; the partition then goes on by itself.",
    endsByItself: true,
  });
}

export function batchRefused(offset: number, count: number, error: BrokerError): ShardStop {
  return new ShardStop({
    code: 'SHARD_BATCH_REFUSED',
    offsets: { from: offset, to: offset + count },
    cause: `The target refuses the batch at offset ${offset}: ${error.message}.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep:
      "Compare the target topic's message.timestamp.* and cleanup.policy settings with the source's and change them; the partition then goes on by itself.",
    endsByItself: true,
  });
}

export function fenced(offset: number, error: BrokerError): ShardStop {
  return new ShardStop({
    code: 'SHARD_FENCED',
    offsets: { from: offset, to: offset },
    cause: `Another program uses the producer identity of this mirror: ${error.message}.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep:
      'Look for a program that uses a transactional id beginning with "lockstep-" on the target cluster and stop it; then delete the target topic, which it has written to, and start the mirror again.',
    endsByItself: false,
  });
}

export function noProgress(offset: number, seconds: number): ShardStop {
  return new ShardStop({
    code: 'SHARD_NO_PROGRESS',
    offsets: { from: offset, to: offset },
    cause: `The target has refused what follows offset ${offset} as out of sequence for ${seconds} s, and nobody else advanced it.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep:
      'The partition tries again by itself. Look for another program that writes to the target topic; if there is none and it stays so, give the copy another name with "to" and start the mirror again.',
    endsByItself: true,
  });
}

export function unexplained(offset: number | null, error: KafkaError): ShardStop {
  return new ShardStop({
    code: 'SHARD_NO_PROGRESS',
    offsets: offset === null ? null : { from: offset, to: offset },
    cause: `The same request failed again and again: ${error.message}.`,
    consequence:
      offset === null
        ? 'Nothing was copied.'
        : `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep:
      'Look into the log of the broker that is named for the same moment; the partition goes on by itself when the cause is gone.',
    endsByItself: true,
  });
}

/** It may be the wrong one for a moment only, as behind an address that is being moved. */
export function otherCluster(position: number | null, error: ClusterIdChangedError): ShardStop {
  return new ShardStop({
    code: 'CLUSTER_ID_MISMATCH',
    offsets: position === null ? null : { from: position, to: position },
    cause: `Another cluster answers than before: ${error.message}.`,
    consequence: 'Nothing is read from it or written to it; the partition stands still.',
    nextStep:
      'Find out who moved the address. When the former cluster answers there again, the partition goes on by itself; if it was replaced for good, this is a new mirror, with a new name and new target topics.',
    endsByItself: true,
  });
}

export function startBeyondEnd(offset: number, end: number): ShardStop {
  return new ShardStop({
    code: 'CONFIG_INVALID',
    offsets: { from: end, to: offset },
    cause: `The mirror is to start at offset ${offset}, but the source ends at ${end}.`,
    consequence: 'Nothing was copied.',
    nextStep: `Move the topic into a Mirror with another name and "start.offsets" of ${end} or less for this partition, since a mirror's start is recorded when it first starts; delete the target topic before that one starts.`,
    endsByItself: false,
  });
}

export function fillTooLong(from: number, to: number): ShardStop {
  return new ShardStop({
    code: 'FEATURE_NOT_BUILT',
    offsets: { from, to },
    cause: `The first record is at offset ${to}: identical offsets would take ${to - from} offsets of filler on the target, and a mapped partition beside identical ones of its topic is not built yet.`,
    consequence: 'Nothing was copied.',
    nextStep: 'Write "offsets: identical" to have the offsets filled all the same.',
    endsByItself: false,
  });
}

export function holesNotAllowed(offset: number, target: string, error: BrokerError): ShardStop {
  return new ShardStop({
    code: 'SHARD_HOLES_NOT_ALLOWED',
    offsets: { from: offset, to: offset },
    cause: `Offset ${offset} of the source holds no record for readers, and the target refuses the control record that would stand for it: ${error.message}.`,
    consequence: `Everything below offset ${offset} is on the target; nothing from there on.`,
    nextStep: `Grant the mirror's principal ALTER (or CLUSTER_ACTION) on cluster "${target}": kafka-acls.sh --add --allow-principal User:NAME --operation Alter --cluster; brokers before 3.8 want ClusterAction. The partition then goes on by itself.`,
    endsByItself: true,
  });
}

export function notAllowed(offset: number | null, error: BrokerError): ShardStop {
  return new ShardStop({
    code: 'PERMISSION_DENIED',
    offsets: offset === null ? null : { from: offset, to: offset },
    cause: `A right is missing: ${error.message}.`,
    consequence: 'The partition stands still; nothing is lost as long as the source keeps its records.',
    nextStep: `Grant the mirror's principal ${rightOf(error)}; the partition then goes on by itself.`,
    endsByItself: true,
  });
}

export function apiUnsupported(error: UnsupportedApiError): ShardStop {
  return new ShardStop({
    code: 'CLUSTER_API_UNSUPPORTED',
    offsets: null,
    cause: `${error.message}.`,
    consequence: 'The partition cannot be copied with identical offsets.',
    nextStep: 'Use a broker version that speaks it: Apache Kafka 3.5 or later.',
    endsByItself: true,
  });
}
