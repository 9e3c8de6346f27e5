/** Which broker coordinates a group or a transactional id. Asked anew each time: it moves, and nobody needs it often. */
import type { Cluster } from './cluster.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { errorOf } from './protocol/error-codes.ts';
import { findCoordinator } from './protocol/find-coordinator.ts';

/** CoordinatorType of FindCoordinatorRequest. */
const KEY_TYPES = { group: 0, 'transactional id': 1 } as const;
const COORDINATOR_NOT_AVAILABLE = 15;

/** Broker id, of a broker that the cluster lists, as `broker` knows it (any, if none is named). One attempt. Throws KafkaError. */
export async function coordinatorOf(
  cluster: Cluster,
  {
    kind,
    key,
    timeoutMs,
    broker = 'any',
  }: {
    readonly kind: keyof typeof KEY_TYPES;
    readonly key: string;
    readonly timeoutMs?: number;
    readonly broker?: number | 'any';
  },
): Promise<number> {
  const response = await cluster.call(
    findCoordinator,
    { keyType: KEY_TYPES[kind], coordinatorKeys: [key] },
    { broker, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
  );
  const coordinator = response.coordinators[0];
  if (!coordinator) throw new MalformedFrameError(`FindCoordinator left out ${kind} "${key}"`);
  const refused = (code: number, detail: string | null = null): BrokerError =>
    new BrokerError(errorOf(code), 'FindCoordinator', `${kind} "${key}"`, detail);
  if (coordinator.errorCode !== 0) throw refused(coordinator.errorCode, coordinator.errorMessage);
  const isListed = (): boolean => cluster.brokers().some(({ id }) => id === coordinator.nodeId);
  if (!isListed()) {
    await cluster.refresh([]);
    if (!isListed()) throw refused(COORDINATOR_NOT_AVAILABLE);
  }
  return coordinator.nodeId;
}
