import type { Check } from '#contract/check.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { listOffsets, MAX_TIMESTAMP } from '#kafka/offsets.ts';
import { expiryOf } from '../certificates/expiry.ts';
import type { InspectedServer } from '../certificates/inspect-server.ts';

/** What machines that are kept by NTP differ by, and a record's way. */
const AHEAD_MAX_MS = 5_000;
const PARTITIONS_MAX = 200;

/**
 * Kafka tells nobody its time, but records carry times of producers and brokers: one that is ahead of ours shows that the
 * clocks differ. That none is ahead shows that ours is not behind by more; whether it is ahead cannot be seen.
 */
export async function checkClock(cluster: Cluster): Promise<Check> {
  const base = { subject: `cluster "${cluster.name}"`, what: 'clock' };
  try {
    const topics = await cluster.refresh('all');
    const queries = topics
      .filter(({ errorCode }) => errorCode === 0)
      .flatMap(({ name, partitions }) => partitions.map(({ partition }) => ({ topic: name, partition })))
      .slice(0, PARTITIONS_MAX)
      .map((each) => ({ ...each, timestamp: MAX_TIMESTAMP }));
    const answers = await listOffsets(cluster, queries);
    const times = answers.filter(({ error, timestamp }) => !error && timestamp >= 0).map(({ timestamp }) => timestamp);
    return { ...base, ...judgeTimes(times, cluster.clock.now()) };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { ...base, verdict: 'unknown', found: error.message, nextStep: null };
  }
}

/** `times`: of the newest record of each partition that has one. */
export function judgeTimes(times: readonly number[], now: number): Pick<Check, 'verdict' | 'found' | 'nextStep'> {
  if (times.length === 0)
    return { verdict: 'unknown', found: 'no record that we may see carries a time to compare with', nextStep: null };
  const aheadMs = Math.max(...times) - now;
  const among = `of the newest records of ${times.length} partition${times.length === 1 ? '' : 's'}`;
  if (aheadMs <= AHEAD_MAX_MS)
    return { verdict: 'ok', found: `none ${among} is ahead of this machine's clock`, nextStep: null };
  return {
    verdict: 'warning',
    found: `one ${among} is ${Math.round(aheadMs / 1000)} s ahead of this machine's clock`,
    nextStep:
      'Compare the clocks of this machine, brokers and producers (NTP): lag in time is wrong by the difference.',
  };
}

/** Of a file of certificates that a cluster's security names. */
export function checkCertificate(of: Pick<Check, 'subject' | 'what'>, pem: string, now: number): Check {
  const expiry = expiryOf(pem, now);
  if (!expiry) {
    const found = 'it holds no certificate in PEM that can be read';
    return { ...of, verdict: 'failed', found, nextStep: 'Name a file with certificates in PEM.' };
  }
  const nextStep = expiry.verdict === 'ok' ? null : 'Renew it; a file that is replaced is used without a restart.';
  return { ...of, verdict: expiry.verdict, found: expiry.text, nextStep };
}

/** Of what a broker shows. */
export function checkServer(subject: string, address: string, shown: InspectedServer): Check {
  const base = { subject, what: `TLS of ${address}` };
  const { problem, expiry, protocol } = shown;
  if (problem !== null)
    return {
      ...base,
      verdict: 'failed',
      found: `${protocol}, not believed: ${problem}`,
      nextStep: 'See docs/operating/cluster-tls-failed.md.',
    };
  if (!expiry) return { ...base, verdict: 'unknown', found: `${protocol}, without a certificate`, nextStep: null };
  const nextStep = expiry.verdict === 'ok' ? null : 'Have the certificate of the broker renewed.';
  return { ...base, verdict: expiry.verdict, found: `${protocol}; ${expiry.text}`, nextStep };
}
