/** Where copying begins (exactness.md rule 5): the source's log start, or later where the file says so, recorded when it was chosen. */
import type { Permit } from '#kafka/permit.ts';
import { readLogStart, readOffsetAt, readStableOffset } from './offsets.ts';
import type { ShardContext } from './shard-context.ts';
import { startBeyondEnd } from './shard-stop.ts';

/** S, while nothing has been copied. Throws ShardStop where the file names one behind the end, KafkaError. */
export async function chooseFirstOffset(context: ShardContext, permit: Permit): Promise<number> {
  const { source, sourceTopic, targetTopic, partition, state, start } = context;
  const earliest = await confirmedLogStart(context);
  const chosen = state.partition(targetTopic, partition)?.logStart;
  if (chosen !== undefined) return Math.max(earliest, chosen);
  if (start.at === 'earliest') return earliest;
  const end = await readStableOffset(source, sourceTopic, partition);
  const logStart = Math.max(earliest, await offsetOfStart(context, end));
  if (logStart > end) throw startBeyondEnd(logStart, end);
  await state.putPartition(targetTopic, partition, { logStart, sequenceOffset: 0, leaderEpochs: [] }, permit);
  return state.partition(targetTopic, partition)?.logStart ?? logStart; // another worker may have been first
}

/**
 * Everything below is given up for good, and an answer that was damaged on its way has no checksum: it is asked for until two
 * answers in succession agree. One is enough for 0, below which there is nothing.
 */
async function confirmedLogStart({ source, sourceTopic, partition }: ShardContext): Promise<number> {
  let known = 0;
  for (;;) {
    const read = await readLogStart(source, sourceTopic, partition);
    if (read === known) return read;
    known = read;
  }
}

async function offsetOfStart(
  { source, sourceTopic: topic, partition, start }: ShardContext,
  end: number,
): Promise<number> {
  if (start.at === 'offsets') return start.offsets[topic]?.[partition] ?? 0;
  if (start.at !== 'timestamp') return end;
  const found = await readOffsetAt(source, { topic, partition, timestampMs: start.timestampMs });
  return found < 0 ? end : found;
}
