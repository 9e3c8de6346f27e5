/**
 * Whether the control records at the end of a target partition are the source's (exactness.md rules 4, 6 and 7). Data that landed
 * elsewhere is found by its offset; a control record that nobody asked for (a coordinator that ended a transaction which was
 * open for too long, a marker that landed late) looks like any other: only the source tells that it does not belong there.
 */
import {
  ATTRIBUTE_CONTROL,
  attributesOf,
  baseOffsetOf,
  lastOffsetOf,
  producerIdOf,
} from '#kafka/records/batch-header.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import type { OpenTransaction } from './transaction-slots.ts';

/** ControlRecordType of Kafka: a key of version and type, int16 each. */
const COMMIT = 1;
const CONTROL_KEY_BYTES = 4;

/** Whether a control batch is the commit of a transaction. Throws MalformedBatchError. */
export function isCommit(buffer: Buffer, at: number): boolean {
  const batch = openBatch(buffer, at);
  const key = batch.count > 0 ? batch.recordAt(0).key : null;
  return key !== null && key.length >= CONTROL_KEY_BYTES && key.readInt16BE(2) === COMMIT;
}

export interface Tail {
  /** Whole batches in the order of their offsets, each in a buffer of its own. */
  readonly batches: readonly Buffer[];
  /** From here on the source has decided nothing, so the target has nothing to hold there. */
  readonly stableOffset: number;
}

export interface WrongControl {
  readonly offset: number;
  /** Of the control record: that of markers where it fills a hole. */
  readonly producerId: number;
}

/**
 * The first control record of the target from `from` on where the source has a record, another decision, the end of a
 * transaction that is open on the target (`open`), or nothing yet; null when there is none. Below
 * `from`, and where the source has nothing any more, it believes.
 */
export function firstWrongControl(
  source: Tail,
  target: readonly Buffer[],
  of: {
    readonly from: number;
    readonly markerProducerId: number;
    readonly open: readonly Pick<OpenTransaction, 'producerId' | 'firstOffset'>[];
  },
): WrongControl | null {
  const controls = target.filter((batch) => isControl(batch) && baseOffsetOf(batch, 0) >= of.from);
  let next = 0;
  for (const control of controls) {
    const offset = baseOffsetOf(control, 0);
    const producerId = producerIdOf(control, 0);
    const isMarker = producerId === of.markerProducerId;
    if (offset >= source.stableOffset) return { offset, producerId };
    while (next < source.batches.length && lastOffsetOf(source.batches[next]!, 0) < offset) next++;
    const batch = source.batches[next];
    if (!batch || baseOffsetOf(batch, 0) > offset) continue;
    const isWrong = isControl(batch)
      ? endsOpen(batch, of.open) || (!isMarker && isCommit(batch, 0) !== isCommit(control, 0))
      : holdsRecord(batch, offset);
    if (isWrong) return { offset, producerId };
  }
  return null;
}

function endsOpen(batch: Buffer, open: readonly Pick<OpenTransaction, 'producerId' | 'firstOffset'>[]): boolean {
  return open.some(
    ({ producerId, firstOffset }) => producerId === producerIdOf(batch, 0) && firstOffset < baseOffsetOf(batch, 0),
  );
}

function isControl(batch: Buffer): boolean {
  return (attributesOf(batch, 0) & ATTRIBUTE_CONTROL) !== 0;
}

function holdsRecord(buffer: Buffer, offset: number): boolean {
  const batch = openBatch(buffer, 0);
  for (let i = 0; i < batch.count; i++) if (batch.offsetOf(i) === offset) return true;
  return false;
}
