/**
 * Records that only the old primary has, written to the new one as records of their own, each once: a producer id of its own, whose
 * sequence is the ordinal of the record. What stands there already, the leader says (DescribeProducers), and refuses twice.
 */
import type { DivergedRecord } from '#contract/failover.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { describeProducers, initProducerId } from '#kafka/producers.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { appendBatch } from '#kafka/simple-log.ts';
import { TRANSACTIONAL_ID_PREFIX } from '../state-topic.ts';
import type { Divergence } from './failback.ts';
import { refused } from './steps.ts';

const BATCH_BYTES = 256 * 1024;
const UNCOMPRESSED = 0;
const DUPLICATE_SEQUENCE_NUMBER = 46;

export interface Replay {
  readonly producerId: number;
}

/** To be kept before anything is written. Throws KafkaError. */
export async function beginReplay(target: Cluster, mirrorId: string): Promise<Replay> {
  const { producerId } = await initProducerId(target, `${TRANSACTIONAL_ID_PREFIX}${mirrorId}-replay`);
  return { producerId };
}

/**
 * Writes those that readers of the old primary see, in their order, with their times; what an earlier attempt has written is
 * passed over. Throws AppError FAILOVER_REFUSED where it is not decided yet what they see, KafkaError.
 */
export async function replayTo(target: Cluster, divergence: Divergence, { producerId }: Replay): Promise<void> {
  const place = { topic: divergence.targetTopic, partition: divergence.partition };
  const producer = (await describeProducers(target, place)).find((each) => each.producerId === producerId);
  const written = (producer?.lastSequence ?? -1) + 1;
  let sequence = 0;
  for await (const records of batchesOf(divergence)) {
    const known = Math.max(0, written - sequence); // the last batch of an earlier attempt may have had fewer
    const baseSequence = sequence + known;
    sequence += records.length;
    if (sequence <= written) continue;
    const writer = new BatchWriter({ codec: UNCOMPRESSED, baseOffset: 0 });
    for (const { timestamp, key, value, headers } of records.slice(known)) {
      writer.appendRecord({
        timestamp,
        key: bytesOf(key),
        value: bytesOf(value),
        headers: headers.map(([name, content]) => ({ key: Buffer.from(name), value: bytesOf(content) })),
      });
    }
    const batch = writer.finish({ producerId, producerEpoch: 0, baseSequence });
    try {
      await appendBatch(target, { ...place, batch });
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== DUPLICATE_SEQUENCE_NUMBER) throw error;
    }
  }
}

/** The same batches at each attempt, but for the last, which grows with the topic. */
async function* batchesOf(divergence: Divergence): AsyncGenerator<DivergedRecord[]> {
  const { topic, partition } = divergence;
  let batch: DivergedRecord[] = [];
  let bytes = 0;
  for await (const records of divergence.read()) {
    for (const record of records) {
      if (record.transaction === 'open')
        throw refused(
          `${topic}/${partition} of the old primary has a transaction open at offset ${record.offset}: whether its records are to be replayed is not decided.`,
          'Wait until its coordinator ends it (transaction.timeout.ms, a minute by default), and give the same command again.',
        );
      if (record.transaction === 'aborted') continue;
      batch.push(record);
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      if (bytes < BATCH_BYTES) continue;
      yield batch;
      [batch, bytes] = [[], 0];
    }
  }
  if (batch.length > 0) yield batch;
}

function bytesOf(base64: string | null): Buffer | null {
  return base64 === null ? null : Buffer.from(base64, 'base64');
}
