/**
 * When a copy is not taken away: it is not this mirror's alone, it is in use, or the next run would not make it anew. Pure:
 * what was found goes in, the first reason against it comes out.
 */
import { AppError } from '#contract/errors.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import { isIdle, type GroupState } from './group-state.ts';
import type { ClaimRecord, FailoverRecord } from './state-records.ts';

const NAMED_MAX = 3;

export interface RebuildFacts {
  readonly mirrorName: string;
  readonly mirrorId: string;
  readonly targetName: string;
  readonly pair: Pick<TopicPair, 'source' | 'target'>;
  readonly targetTopicId: string;
  readonly partitions: number;
  /** What was asked for; null: all of the topic. */
  readonly partition: number | null;
  readonly claim: ClaimRecord | null;
  readonly failover: FailoverRecord | null;
  /** Partitions in which the mirror has gone on beside another writer. */
  readonly shared: readonly number[];
  /** Of the group that the processes of the mirror are members of. */
  readonly groupState: GroupState;
  /** Groups with members on the target that have committed for the topic. */
  readonly readers: readonly string[];
  /** Mirrors that copy the copy, as far as the state topic of the source knows them. */
  readonly copiedOnBy: readonly string[];
  /** Partitions of the source of which nothing can be read now. */
  readonly unreadable: readonly number[];
}

/** AppError REBUILD_REFUSED, or null where nothing stands against it. */
export function refusalOf(facts: RebuildFacts): AppError | null {
  return refusalOfOwner(facts) ?? refusalOfUse(facts) ?? refusalOfSource(facts);
}

function refusalOfOwner(facts: RebuildFacts): AppError | null {
  const { claim, pair, partition, partitions, shared } = facts;
  const name = `Topic "${pair.target}" on cluster "${facts.targetName}"`;
  if (claim?.mirrorId !== facts.mirrorId || claim.targetTopicId !== facts.targetTopicId)
    return refused(
      `${name} is not a copy of this mirror${claim ? `; mirror "${claim.mirrorName}" has claimed it` : ''}.`,
      'If nobody needs it, delete it with the tools of Kafka.',
    );
  if (claim.mode === 'shared')
    return refused(
      `${name} holds records of others besides those of "${pair.source}": Kafka cannot take out a part of a log.`,
      'Give the copy another name with "to"; what was copied stays where it is.',
    );
  if (claim.sourceTopic !== pair.source)
    return refused(`${name} is the copy of "${claim.sourceTopic}".`, `lockstep rebuild ${claim.sourceTopic} -f FILE`);
  if (shared.length > 0)
    return refused(
      `${name} holds records of another program in partition ${named(shared)}, beside which this mirror went on (onMisalignment: map).`,
      'See whose they are. If nobody needs them, stop the mirror and delete the topic with the tools of Kafka.',
    );
  if (partition !== null && (partitions > 1 || partition !== 0))
    return refused(
      `Kafka deletes topics, not partitions, and "${pair.target}" has ${partitions}.`,
      `Rebuild all of it: lockstep rebuild ${pair.source} -f FILE`,
    );
  return null;
}

function refusalOfUse(facts: RebuildFacts): AppError | null {
  const { failover, groupState, mirrorName, targetName, pair, readers, copiedOnBy } = facts;
  if (failover !== null)
    return failover.phase === 'promoted'
      ? refused(
          `Mirror "${mirrorName}" was failed over: "${pair.target}" on "${targetName}" has writers of its own, and what they wrote is nowhere else.`,
          'Nothing is to be copied there any more; "lockstep failback -f FILE" leads back.',
        )
      : refused(
          `Mirror "${mirrorName}" is being failed over to "${targetName}": the copy is about to take the source's place.`,
          '"lockstep failover -f FILE --yes" goes on with it, "lockstep failover -f FILE --abandon" gives it up.',
        );
  if (groupState === 'unknown')
    return refused(
      `Whether mirror "${mirrorName}" runs cannot be seen: the right to describe its group on "${targetName}" is missing.`,
      'Grant DESCRIBE on groups that begin with "lockstep-", or use the credentials of the mirror.',
    );
  if (!isIdle(groupState))
    return refused(
      `Mirror "${mirrorName}" runs: its group on "${targetName}" is in state ${groupState}.`,
      'Stop all of its processes; one that was killed is forgotten after 20 s.',
    );
  if (readers.length > 0)
    return refused(
      `Consumers on "${targetName}" read "${pair.target}" in group ${named(readers)}: their places would mean nothing in the new topic.`,
      'Stop them, and start them when the topic has been copied anew.',
    );
  if (copiedOnBy.length > 0)
    return refused(
      `Mirror ${named(copiedOnBy)} copies "${pair.target}" on from "${targetName}": it would stop with TOPIC_RECREATED.`,
      'End that mirror, or take the topic out of its rules, and delete its copy.',
    );
  return null;
}

function refusalOfSource({ unreadable, pair, partitions }: RebuildFacts): AppError | null {
  if (unreadable.length === 0) return null;
  return refused(
    `Partition ${named(unreadable)} of ${partitions} of source topic "${pair.source}" cannot be read now: it might not be copied anew.`,
    'See that the partition has a leader, and give the same command again.',
  );
}

function named(names: readonly (string | number)[]): string {
  const shown = names.slice(0, NAMED_MAX).map((name) => (typeof name === 'string' ? `"${name}"` : String(name)));
  return names.length > NAMED_MAX ? `${shown.join(', ')} and ${names.length - NAMED_MAX} more` : shown.join(', ');
}

function refused(message: string, nextStep: string): AppError {
  return new AppError('REBUILD_REFUSED', message, { nextStep });
}
