/** What the source has lost is found by its leader epochs and its ends (exactness.md rule 8). */
import type { Cluster } from '#kafka/cluster.ts';
import { offsetForLeaderEpoch } from '#kafka/offsets.ts';
import { readWatermark } from './offsets.ts';
import { foreignBefore, type TargetPartition } from './shard-position.ts';
import { beyondSource, ShardStop, truncated } from './shard-stop.ts';

/**
 * The source's log reaches `offset`, in the leader epoch of what was copied. Returns the epoch to go on with. Throws ShardStop
 * where the log is shorter, KafkaError.
 */
export async function checkSourceEnd(
  place: { readonly cluster: Cluster; readonly topic: string; readonly partition: number },
  port: TargetPartition,
  copied: {
    readonly offset: number;
    /** Of the last batch that was copied; negative where it had none. */
    readonly leaderEpoch: number;
    /** Asks for that of the source's leader now: another one may have come since we knew it. */
    readonly epochNow: () => Promise<number>;
  },
): Promise<number> {
  const { offset } = copied;
  const epoch = await checkEpoch(place, port, copied);
  const watermark = await readWatermark(place.cluster, place.topic, place.partition);
  if (watermark >= offset) return epoch;
  // Cut since then, or never as long: where exactly a log was cut only its epochs say.
  await checkEpoch(place, port, copied);
  throw (await foreignBefore(port, offset)) ?? truncated(watermark, offset, `its log ends at ${watermark}`);
}

/**
 * What to throw for a stop that a comparison found: cut while it was compared, the source differs from its cut on, and not
 * only where it was looked at.
 */
export async function cutOr(found: unknown, checkEnd: () => Promise<unknown>): Promise<unknown> {
  if (!(found instanceof ShardStop)) return found;
  try {
    await checkEnd();
    return found;
  } catch (error) {
    return error instanceof ShardStop && error.from > found.from ? found : error;
  }
}

async function checkEpoch(
  { cluster, topic, partition }: Parameters<typeof checkSourceEnd>[0],
  port: TargetPartition,
  { offset, leaderEpoch, epochNow }: Parameters<typeof checkSourceEnd>[2],
): Promise<number> {
  if (leaderEpoch < 0) return leaderEpoch;
  const end = await offsetForLeaderEpoch(cluster, { topic, partition, leaderEpoch });
  if (end.endOffset >= 0 && end.endOffset < offset) {
    const isSameLeader = (await epochNow()) === leaderEpoch;
    // What another program wrote makes the target longer than the source.
    const foreign = await foreignBefore(port, offset);
    if (foreign && (isSameLeader || foreign.from <= end.endOffset)) throw foreign;
    if (isSameLeader) throw beyondSource(end.endOffset, offset);
    const detail = `its leader's log ends at ${end.endOffset} for leader epoch ${leaderEpoch}`;
    throw truncated(end.endOffset, offset, detail);
  }
  // An epoch that was recorded and lost before anything of it was copied would be answered as diverging for ever.
  return end.leaderEpoch >= 0 ? end.leaderEpoch : leaderEpoch;
}
