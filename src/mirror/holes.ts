/**
 * Holes: offsets that hold no record for readers get control records (abort markers, or commit markers where the source has
 * one and transactions are preserved) of the mirror's marker PID, one offset each (exactness.md rule 7). A second PID, because a marker of the data PID without producer state would force the next
 * sequence to 0 (seen on 3.9.1). Markers are not idempotent and their answer carries no offset, so no data is in
 * flight meanwhile and the watermark alone tells how many were written.
 */
import { sleep } from '#util/clock.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import type { Permit } from '#kafka/permit.ts';
import { describeProducers, MARKERS_PER_REQUEST, writeTxnMarkers } from '#kafka/producers.ts';
import { readLogEnd, readWatermark } from './offsets.ts';
import { diverged, holesNotAllowed } from './shard-stop.ts';

const CLUSTER_AUTHORIZATION_FAILED = 31;
const VISIBLE_POLL_MS = 10;
/** An acknowledged marker is below the watermark at once; a follower that has just become leader may lag behind. */
const VISIBLE_WITHIN_MS = 10_000;

export interface HolePort {
  readonly target: Cluster;
  readonly topic: string;
  readonly partition: number;
  readonly markerProducerId: number;
}

/**
 * The coordinator epoch for a new term of writing: one more than the partition has seen for the marker PID, so that late
 * markers of an earlier term are refused with 52.
 */
export async function nextMarkerEpoch({ target, topic, partition, markerProducerId }: HolePort): Promise<number> {
  const states = await describeProducers(target, { topic, partition });
  const state = states.find(({ producerId }) => producerId === markerProducerId);
  return Math.max(0, (state?.coordinatorEpoch ?? -1) + 1);
}

/**
 * Fills `count` offsets from `from` on, and returns where it came to: less where `signal` aborted, or where the target lost
 * what it had, which must be copied again and not be filled. Nothing of ours may be in flight. Throws ShardStop when the watermark ends beyond
 * them or the right is missing, and KafkaError when an outcome is unknown: then the position must be read again.
 */
export async function fillHole(
  port: HolePort,
  hole: {
    from: number;
    count: number;
    /** Where the source has a control record that ends nothing that is left: whether it is a commit. */
    isCommit?: (offset: number) => boolean;
    coordinatorEpoch: number;
    signal: AbortSignal;
    permit: Permit;
  },
): Promise<number> {
  const end = hole.from + hole.count;
  let at = hole.from;
  while (at < end) {
    if (hole.signal.aborted) return at;
    const from = at;
    const count = Math.min(end - from, MARKERS_PER_REQUEST);
    try {
      await writeTxnMarkers(port.target, {
        topic: port.topic,
        partition: port.partition,
        producerId: port.markerProducerId,
        coordinatorEpoch: hole.coordinatorEpoch,
        count,
        isCommit: (index) => hole.isCommit?.(from + index) ?? false,
        permit: hole.permit,
      });
    } catch (error) {
      if (error instanceof BrokerError && error.code === CLUSTER_AUTHORIZATION_FAILED)
        throw holesNotAllowed(at, port.target.name, error);
      throw error;
    }
    const reached = await visibleUpTo(port, at + count, hole.signal);
    if (reached < at) return reached;
    at = reached;
  }
  return at;
}

/**
 * Waits until the watermark has reached `expected`, and returns it: fewer at the deadline means that some are to be written
 * again, unless they are in the log and only its followers are late.
 */
async function visibleUpTo(port: HolePort, expected: number, signal: AbortSignal): Promise<number> {
  const { clock } = port.target;
  const deadline = clock.monotonic() + VISIBLE_WITHIN_MS;
  for (;;) {
    const watermark = await readWatermark(port.target, port.topic, port.partition);
    if (watermark > expected) {
      throw diverged(
        expected,
        `Control records up to offset ${expected} were written, but the target ends at ${watermark}: another program wrote to it.`,
      );
    }
    if (watermark === expected || signal.aborted) return watermark;
    if (clock.monotonic() > deadline && (await readLogEnd(port.target, port.topic, port.partition)) === watermark)
      return watermark;
    await sleep(clock, VISIBLE_POLL_MS, signal);
  }
}
