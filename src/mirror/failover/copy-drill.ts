/**
 * `lockstep drill --copies PREFIX`: a failover that is really done, of copies that are made for it beside the live ones. Its mirror
 * has a name of its own, and so a claim on each copy, a group and a failover record of its own: nothing of the mirror that is
 * drilled, of the topics that it writes to, and of the groups that it moves, is touched.
 */
import type { FailoverEvidence } from '#contract/failover.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { deleteGroups } from '#kafka/groups.ts';
import { deleteTopic } from '#kafka/topics.ts';
import { parseTopicPattern } from '#contract/topic-pattern.ts';
import { lossNow } from './drill.ts';
import { failOver, openFailover, runUntilCaughtUp, type FailoverRun, type RunOptions } from './failover.ts';
import { claimedTopics, refused } from './steps.ts';

/** Names of resources have at most 100 characters. */
const NAME_MAX = 94;
const WHY = 'a drill keeps no producer out';

export interface CopyDrillRun extends Omit<FailoverRun, 'isFenced' | 'notFenced' | 'groupsAs' | 'verify'> {
  /** Begins the names of the copies, and of the groups that get places on them. */
  readonly prefix: string;
  /** Copies, and groups, stay for consumers to be tried on them; the next drill takes them over. */
  readonly isKept: boolean;
  /** Compares the ends of both sides of the copies. */
  verify(copies: MirrorResource): ReturnType<FailoverRun['verify']>;
}

/** Throws AppError FAILOVER_REFUSED where something stands in the way, KafkaError. */
export async function drillOnCopies(run: CopyDrillRun): Promise<FailoverEvidence> {
  const { resource, source, target, clock, prefix } = run;
  if (source === null)
    throw refused(
      'The source does not answer: there is nothing to copy from.',
      '"lockstep failover -f FILE" fails over.',
    );
  const live = await openFailover(resource, target);
  const claims = await claimedTopics({ target, ...live });
  const taken = claims.filter(({ targetTopic }) => targetTopic.startsWith(prefix));
  if (prefix === '' || taken.length > 0)
    throw refused(
      `The mirror itself writes to topics that begin with "${prefix}"${taken[0] ? `, as "${taken[0].targetTopic}"` : ''}.`,
      'Name another prefix: --copies drill.',
    );
  const { rpo } = await lossNow(run, live, claims);
  const copies = copiesOf(resource, prefix);
  const isBegun = await resumable(copies, target);
  const startedAt = clock.now();
  if (!isBegun) await copy({ ...run, resource: copies });
  const copiedMs = clock.now() - startedAt;
  const { groups } = resource.spec.sync;
  const evidence = await failOver({
    ...run,
    resource: copies,
    isFenced: false,
    notFenced: WHY,
    groupsAs: groups === null ? null : { settings: groups, prefix },
    verify: () => run.verify(copies),
  });
  if (!run.isKept) await takeAway(copies, run);
  return {
    ...evidence,
    mirror: resource.metadata.name,
    outcome: 'drill',
    rpo,
    copies: { prefix, topics: evidence.cut.length, copiedMs, behind: evidence.rpo, isKept: run.isKept },
    next: run.isKept
      ? [
          `Consumers can be tried on the topics and groups that begin with "${prefix}"; the next drill without --keep takes them away.`,
        ]
      : [],
  };
}

/** Of the same topics, under names of their own; what is brought to the target around the records is the live mirror's. */
function copiesOf({ metadata, spec, ...rest }: MirrorResource, prefix: string): MirrorResource {
  const topics = spec.topics.map((rule) =>
    'match' in rule ? { ...rule, to: prefix + (rule.to ?? wholeName(rule.match)) } : rule,
  );
  return {
    ...rest,
    metadata: { ...metadata, name: `${metadata.name.slice(0, NAME_MAX)}-drill` },
    spec: { ...spec, topics, sync: { ...spec.sync, acls: null, quotas: null, users: false, groups: null } },
  };
}

function wholeName(match: string): string {
  const pattern = parseTopicPattern(match);
  return 'value' in pattern && pattern.value.kind === 'exact' ? pattern.value.name : '$0';
}

/** A drill that was interrupted in its failover goes on there; copies of one that is done are copied on from where they are. */
async function resumable(copies: MirrorResource, target: CopyDrillRun['target']): Promise<boolean> {
  const found = await openFailover(copies, target).catch(() => null);
  const record = found?.state.failover(found.mirrorId);
  if (!found || !record) return false;
  if (record.phase !== 'promoted') return true;
  await found.state.putFailover(found.mirrorId, null);
  return false;
}

async function copy(run: RunOptions): Promise<void> {
  const { resource, source, signal } = run;
  if (source === null) return;
  const outcome = await runUntilCaughtUp(run, source, signal);
  if (outcome === 'caught-up') return;
  throw refused(
    `The copies of mirror "${resource.metadata.name}" were not made: ${outcome}.`,
    'See what its partitions say above, and give the same command again: it goes on with them.',
  );
}

/** What the drill has made: topics by their ids, and groups by its prefix. */
async function takeAway(copies: MirrorResource, { target, prefix }: CopyDrillRun): Promise<void> {
  const { state, mirrorId } = await openFailover(copies, target);
  const record = state.failover(mirrorId);
  for (const { targetTopic, targetTopicId } of record?.cut ?? [])
    if (targetTopic.startsWith(prefix)) await deleteTopic(target, { name: targetTopic, topicId: targetTopicId });
  if (record?.groups) await deleteGroups(target, record.groups);
  await state.putFailover(mirrorId, null);
}
