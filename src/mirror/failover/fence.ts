/**
 * Keeps producers out of the source's topics while a failover drains them: an ACL that denies WRITE to everybody, which no
 * ACL that allows it overrides (StandardAuthorizerData). Only what is not there yet is created and recorded before, so that
 * exactly that can be taken away. Who is among `super.users` is not bound by it.
 */
import { AppError } from '#contract/errors.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { aclText, createAcls, deleteAcls, readAcls, type Acl } from '#kafka/acls.ts';
import { isDenied } from '#kafka/permissions.ts';
import { sleep } from '#util/clock.ts';

const POLL_MS = 100;
const SEEN_WITHIN_MS = 30_000;

export interface Fence {
  /** Topics to which WRITE was denied, or is about to be. */
  readonly topics: readonly string[];
  /** Why producers could not be kept out; null where they were. */
  readonly why: string | null;
}

export function denialOf(topic: string): Acl {
  const everybody = { principal: 'User:*', host: '*' };
  return {
    resourceType: 'topic',
    pattern: 'literal',
    name: topic,
    ...everybody,
    operation: 'WRITE',
    permission: 'deny',
  };
}

/** Denies WRITE on `topics`; returns when every broker acts by it. `before` are denials of an earlier attempt. Throws KafkaError. */
export async function raiseFence(
  source: Cluster,
  topics: readonly string[],
  options: { readonly before: readonly string[]; readonly save: (fence: Fence) => Promise<unknown> },
): Promise<Fence> {
  const { before, save } = options;
  try {
    const acls = await readAcls(source);
    if (acls === null) return { topics: [], why: `cluster "${source.name}" has no authorizer` };
    const present = textsOf(acls);
    const missing = topics.filter((topic) => !present.has(aclText(denialOf(topic))));
    const fence = { topics: [...new Set([...before, ...missing])], why: null };
    await save(fence);
    await createAcls(source, missing.map(denialOf));
    for (const { id } of source.brokers()) await seenBy(source, id, topics);
    return fence;
  } catch (error) {
    if (!isDenied(error)) throw error;
    return {
      topics: before,
      why: `the right to alter ACLs of cluster "${source.name}" is missing (ALTER on the cluster)`,
    };
  }
}

/** Takes away what `raiseFence` created; on the target, where a mirror had copied it, under the names there. Throws KafkaError. */
export async function lowerFence(cluster: Cluster, topics: readonly string[]): Promise<void> {
  if (topics.length > 0) await deleteAcls(cluster, topics.map(denialOf));
}

async function seenBy(source: Cluster, broker: number, topics: readonly string[]): Promise<void> {
  const deadline = source.clock.monotonic() + SEEN_WITHIN_MS;
  for (;;) {
    const present = textsOf((await readAcls(source, { broker })) ?? []);
    if (topics.every((topic) => present.has(aclText(denialOf(topic))))) return;
    if (source.clock.monotonic() > deadline)
      throw new AppError(
        'FAILOVER_REFUSED',
        `Broker ${broker} of cluster "${source.name}" does not act by the ACLs that keep producers out.`,
        {
          nextStep: 'See whether it is in the cluster, and give the same command again.',
        },
      );
    await sleep(source.clock, POLL_MS);
  }
}

function textsOf(acls: readonly Acl[]): Set<string> {
  return new Set(acls.map(aclText));
}
