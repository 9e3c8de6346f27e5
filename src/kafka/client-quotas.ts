/** All client quotas of a cluster, as they were set, and changing them (KIP-546, KIP-612). */
import type { Cluster } from './cluster.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { alterClientQuotas as alterClientQuotasApi } from './protocol/alter-client-quotas.ts';
import { describeClientQuotas } from './protocol/describe-client-quotas.ts';
import { errorOf } from './protocol/error-codes.ts';
import { retrying } from './retry.ts';

const ENTITIES_PER_REQUEST = 500;

/** Whom a quota is for: a user, a client id, both together, or an address. A name of null is 'every one without its own'. */
export type QuotaEntity = readonly { readonly type: string; readonly name: string | null }[];

export interface ClientQuota {
  readonly entity: QuotaEntity;
  /** `producer_byte_rate`, `consumer_byte_rate`, `request_percentage`, `controller_mutation_rate`, `connection_creation_rate`. */
  readonly values: ReadonlyMap<string, number>;
}

export interface QuotaChange {
  readonly entity: QuotaEntity;
  readonly set: ReadonlyMap<string, number>;
  readonly remove: readonly string[];
}

/** Needs DESCRIBE_CONFIGS on the cluster. Throws KafkaError; 31 without it. */
export async function readClientQuotas(cluster: Cluster): Promise<ClientQuota[]> {
  const everything = { components: [], strict: false };
  const ask = async () => {
    const { errorCode, errorMessage, entries } = await cluster.call(describeClientQuotas, everything, {
      broker: 'any',
    });
    if (errorCode !== 0)
      throw new BrokerError(errorOf(errorCode), 'DescribeClientQuotas', `cluster "${cluster.name}"`, errorMessage);
    return entries ?? [];
  };
  const entries = await retrying(cluster, ask, { repeatable: true });
  return entries.map(({ entity, values }) => ({
    entity: entity.map(({ entityType, entityName }) => ({ type: entityType, name: entityName })),
    values: new Map(values.map(({ key, value }) => [key, value])),
  }));
}

/** Needs ALTER_CONFIGS on the cluster. Throws KafkaError; the changes before the refused one may have been made. */
export async function alterClientQuotas(cluster: Cluster, changes: readonly QuotaChange[]): Promise<void> {
  for (let from = 0; from < changes.length; from += ENTITIES_PER_REQUEST) {
    const chunk = changes.slice(from, from + ENTITIES_PER_REQUEST);
    const entries = chunk.map(({ entity, set, remove }) => ({
      entity: entity.map(({ type, name }) => ({ entityType: type, entityName: name })),
      ops: [
        ...[...set].map(([key, value]) => ({ key, value, remove: false })),
        ...remove.map((key) => ({ key, value: 0, remove: true })),
      ],
    }));
    const ask = async () => {
      const response = await cluster.call(
        alterClientQuotasApi,
        { entries, validateOnly: false },
        { broker: 'controller' },
      );
      if (response.entries.length < chunk.length) throw new MalformedFrameError('AlterClientQuotas left out a quota');
      for (const { errorCode, errorMessage } of response.entries)
        if (errorCode !== 0)
          throw new BrokerError(errorOf(errorCode), 'AlterClientQuotas', `cluster "${cluster.name}"`, errorMessage);
    };
    await retrying(cluster, ask, { repeatable: true });
  }
}

/** `user alice, every client id`: the same text for the same entity, whatever the order of its parts. */
export function entityText(entity: QuotaEntity): string {
  return entity
    .toSorted((a, b) => (a.type < b.type ? 1 : -1))
    .map(({ type, name }) => (name === null ? `every ${type}` : `${type} ${name}`))
    .join(', ');
}
