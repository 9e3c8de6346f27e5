/** The quotas that a cluster holds for a client (KIP-13, KIP-55, KIP-546). */
import type { Cluster } from './cluster.ts';
import { BrokerError } from './errors.ts';
import { describeClientQuotas, type DescribeClientQuotasResponse } from './protocol/describe-client-quotas.ts';
import { errorOf } from './protocol/error-codes.ts';
import { retrying } from './retry.ts';

const MATCH_EXACT = 0;
const MATCH_DEFAULT = 1;

export interface Quota {
  /** `producer_byte_rate` and `consumer_byte_rate` in bytes per second on each broker, `request_percentage` of one thread. */
  readonly key: string;
  readonly value: number;
  /** Whom it was set for: `user mirror`, `every client id`. */
  readonly entity: string;
}

type Entry = NonNullable<DescribeClientQuotasResponse['entries']>[number];

/**
 * The quotas that hold for a user and its client id, at most one per key: the most specific one. Without a user, those
 * that hold for every user. Needs DESCRIBE_CONFIGS on the cluster. Throws KafkaError; 31 without it.
 */
export async function quotasOf(
  cluster: Cluster,
  client: { readonly user: string | null; readonly clientId: string },
): Promise<Quota[]> {
  const asked = [
    ...(client.user === null ? [] : [{ entityType: 'user', matchType: MATCH_EXACT, match: client.user }]),
    { entityType: 'user', matchType: MATCH_DEFAULT, match: null },
    { entityType: 'client-id', matchType: MATCH_EXACT, match: client.clientId },
    { entityType: 'client-id', matchType: MATCH_DEFAULT, match: null },
  ];
  const answers = await Promise.all(asked.map((component) => ask(cluster, component)));
  const found = answers.flat().flatMap((entry) => ranked(entry, client) ?? []);
  const quotas = new Map<string, Quota>();
  for (const { entry, entity } of found.toSorted((a, b) => a.rank - b.rank))
    for (const { key, value } of entry.values) if (!quotas.has(key)) quotas.set(key, { key, value, entity });
  return [...quotas.values()];
}

async function ask(
  cluster: Cluster,
  component: { readonly entityType: string; readonly matchType: number; readonly match: string | null },
): Promise<readonly Entry[]> {
  const request = { components: [component], strict: false };
  const response = await retrying(cluster, () => cluster.call(describeClientQuotas, request, { broker: 'any' }), {
    repeatable: true,
  });
  if (response.errorCode !== 0) {
    const subject = `cluster "${cluster.name}"`;
    throw new BrokerError(errorOf(response.errorCode), 'DescribeClientQuotas', subject, response.errorMessage);
  }
  return response.entries ?? [];
}

/** The order of ClientQuotaManager.DefaultQuotaCallback; null for a quota of somebody else, or of an address. */
function ranked(
  entry: Entry,
  client: { readonly user: string | null; readonly clientId: string },
): { readonly entry: Entry; readonly rank: number; readonly entity: string } | null {
  let rank = 0;
  const names: string[] = [];
  for (const [type, own, weight] of [
    ['user', client.user, 3],
    ['client-id', client.clientId, 1],
  ] as const) {
    const part = entry.entity.find(({ entityType }) => entityType === type);
    const noun = type === 'user' ? 'user' : 'client id';
    if (part === undefined) rank += 2 * weight;
    else if (part.entityName === null) {
      rank += weight;
      names.push(`every ${noun}`);
    } else if (part.entityName === own) names.push(`${noun} ${own}`);
    else return null;
  }
  return names.length === entry.entity.length ? { entry, rank, entity: names.join(', ') } : null;
}
