/** Users with SCRAM credentials. Salt and keys cannot be read from a cluster: only who has which mechanism (KIP-554). */
import type { Cluster } from './cluster.ts';
import { BrokerError } from './errors.ts';
import { describeUserScramCredentials } from './protocol/describe-user-scram-credentials.ts';
import { errorOf } from './protocol/error-codes.ts';
import { retrying } from './retry.ts';

/** ScramMechanism of Kafka. */
const MECHANISMS: Readonly<Record<number, string>> = { 1: 'SCRAM-SHA-256', 2: 'SCRAM-SHA-512' };

export interface ScramUser {
  readonly user: string;
  readonly mechanism: string;
  readonly iterations: number;
}

/** One entry for each user and mechanism, in that order. Needs DESCRIBE on the cluster. Throws KafkaError; 31 without it. */
export async function readScramUsers(cluster: Cluster): Promise<ScramUser[]> {
  const ask = async () => {
    const answer = await cluster.call(describeUserScramCredentials, { users: null }, { broker: 'any' });
    const { errorCode, errorMessage, results } = answer;
    const subject = `cluster "${cluster.name}"`;
    if (errorCode !== 0)
      throw new BrokerError(errorOf(errorCode), 'DescribeUserScramCredentials', subject, errorMessage);
    return results;
  };
  const results = await retrying(cluster, ask, { repeatable: true });
  const users = results.flatMap(({ user, credentialInfos }) =>
    credentialInfos.map(({ mechanism, iterations }) => ({
      user,
      mechanism: MECHANISMS[mechanism] ?? `mechanism ${mechanism}`,
      iterations,
    })),
  );
  const order = (each: ScramUser): string => `${each.user} ${each.mechanism}`;
  return users.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}
