/** What the source has lost is found by its leader epochs and its ends (exactness.md rule 8). */
import type { Cluster } from '#kafka/cluster.ts';
import { offsetForLeaderEpoch } from '#kafka/offsets.ts';
import { readWatermark } from './offsets.ts';
import { foreignBefore, type TargetPartition } from './shard-position.ts';
import { beyondSource, truncated } from './shard-stop.ts';

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
    epochNow(): Promise<number>;
  },
): Promise<number> {
  const { cluster, topic, partition } = place;
  const { offset, leaderEpoch, epochNow } = copied;
  // Before the epoch, which says exactly where a log was cut: what is cut in between is said by it.
  const watermark = await readWatermark(cluster, topic, partition);
  let epoch = leaderEpoch;
  if (leaderEpoch >= 0) {
    const end = await offsetForLeaderEpoch(cluster, { topic, partition, leaderEpoch });
    if (end.endOffset >= 0 && end.endOffset < offset) {
      if ((await epochNow()) === leaderEpoch)
        throw (await foreignBefore(port, offset)) ?? beyondSource(end.endOffset, offset);
      const detail = `its leader's log ends at ${end.endOffset} for leader epoch ${leaderEpoch}`;
      throw truncated(end.endOffset, offset, detail);
    }
    // An epoch that was recorded and lost before anything of it was copied would be answered as diverging for ever.
    if (end.leaderEpoch >= 0) epoch = end.leaderEpoch;
  }
  if (watermark < offset) throw truncated(watermark, offset, `its log ends at ${watermark}`);
  return epoch;
}
