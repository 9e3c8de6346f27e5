/**
 * What differs around the records: ACLs, client quotas and SCRAM users of both clusters, read and compared, nothing
 * written. `lockstep plan` shows it, and a running mirror acts on the same.
 */
import type { NotChecked, PlannedChange, UnprovisionedUser } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { AclSync, QuotaSync } from '#contract/sync-settings.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import { aclText, readAcls, type Acl } from '#kafka/acls.ts';
import { entityText, readClientQuotas } from '#kafka/client-quotas.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { UnsupportedApiError, type BrokerError } from '#kafka/errors.ts';
import { isDenied, topicOperations } from '#kafka/permissions.ts';
import { readScramUsers } from '#kafka/scram-users.ts';
import { diffAcls, type AclChange, type AppliedAcl } from './acl-diff.ts';
import { mapAcls, type AclSelf, type MappedAcls } from './acl-map.ts';
import { denialOf } from './failover/fence.ts';
import { diffQuotas, type AppliedQuota, type QuotaDifference } from './quota-diff.ts';
import type { AppliedRecord } from './state-records.ts';
import type { StateTopic } from './state-topic.ts';

export interface AroundPorts {
  readonly resource: MirrorResource;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly mirrorId: string;
  /** Null where there is none yet, or where it may not be read. */
  readonly state: StateTopic | null;
  /** As whom the target sees us, where that is known. */
  readonly principal: string | null;
}

/** Null where the mirror does not ask for it. */
export interface AroundSurvey {
  readonly acls: Surveyed<AclSurvey> | null;
  readonly quotas: Surveyed<readonly QuotaDifference[]> | null;
  readonly users: Surveyed<readonly UnprovisionedUser[]> | null;
}

/** Found; or a right is missing; or a cluster has no such thing, and why. */
export type Surveyed<T> = { readonly found: T } | { readonly denied: BrokerError } | { readonly absent: string };

export interface AclSurvey {
  readonly mapped: MappedAcls;
  readonly change: AclChange;
}

/** `copied`: the topics that this mirror copies, or would. Throws KafkaError where a cluster does not answer. */
export async function surveyAround(ports: AroundPorts, copied: readonly TopicPair[]): Promise<AroundSurvey> {
  const { acls, quotas, users } = ports.resource.spec.sync;
  return {
    acls: acls && (await unlessDenied(ports, () => surveyAcls(ports, acls, copied))),
    quotas: quotas && (await unlessDenied(ports, () => surveyQuotas(ports, quotas))),
    users: users ? await unlessDenied(ports, () => surveyUsers(ports)) : null,
  };
}

async function unlessDenied<T>(
  { source, target }: AroundPorts,
  survey: () => Promise<Surveyed<T>>,
): Promise<Surveyed<T>> {
  try {
    return await survey();
  } catch (error) {
    if (isDenied(error)) return { denied: error };
    if (!(error instanceof UnsupportedApiError)) throw error;
    return { absent: `"${source.name}" or "${target.name}" does not speak ${error.api}` };
  }
}

// ---- ACLs

async function surveyAcls(
  ports: AroundPorts,
  policy: AclSync,
  copied: readonly TopicPair[],
): Promise<Surveyed<AclSurvey>> {
  const { source, target, resource } = ports;
  const [ofSource, ofTarget] = await Promise.all([readAcls(source), readAcls(target)]);
  if (ofSource === null || ofTarget === null)
    return { absent: `cluster "${(ofSource === null ? source : target).name}" has no authorizer` };
  const [onSource, onTarget] = await Promise.all([namesOf(source), namesOf(target)]);
  const principal = policy.self ?? ports.principal;
  const self = { principal, isDefaultClosed: await isDefaultClosed(target, ofTarget, principal) };
  const topics = { rules: resource.spec.topics, copied, onSource, onTarget };
  const fence = await ownFence(ports);
  const meant = ofSource.filter((acl) => !fence.has(aclText(acl)));
  const mapped = mapAcls({ source: meant, target: ofTarget, topics, self }, policy);
  return { found: { mapped, change: diffAcls(mapped.wanted, ofTarget, appliedAcls(ports)) } };
}

/**
 * By what a failover of this mirror keeps producers out of the source: they are to write to the target. It is recorded before it is
 * made, so who has seen it in a list of ACLs finds the record.
 */
async function ownFence({ state, mirrorId }: AroundPorts): Promise<ReadonlySet<string>> {
  await state?.load();
  const topics = state?.failover(mirrorId)?.fence?.topics ?? [];
  return new Set(topics.map((topic) => aclText(denialOf(topic))));
}

async function namesOf(cluster: Cluster): Promise<string[]> {
  return (await cluster.refresh('all')).map(({ name }) => name);
}

/** A topic that nobody has: what we may do with it tells what the brokers allow where no ACL says anything. */
const NOBODYS_TOPIC = 'lockstep-preflight';

/** See AclSelf. An ACL about the topic that is asked about hides the default. */
async function isDefaultClosed(
  target: Cluster,
  acls: readonly Acl[],
  principal: AclSelf['principal'],
): Promise<boolean> {
  const isAboutIt = ({ resourceType, pattern, name }: Acl): boolean =>
    resourceType === 'topic' &&
    (pattern === 'prefixed' ? NOBODYS_TOPIC.startsWith(name) : [NOBODYS_TOPIC, '*'].includes(name));
  if (principal === 'super-user' || acls.some(isAboutIt)) return false;
  return (await topicOperations(target, [NOBODYS_TOPIC])).get(NOBODYS_TOPIC) === 'hidden';
}

function appliedAcls({ state, mirrorId }: AroundPorts): AppliedAcl[] {
  const records = state?.appliedOf(mirrorId) ?? [];
  return records.flatMap((record) => (record.what === 'acl' ? [{ acl: record.acl as Acl, phase: record.phase }] : []));
}

// ---- quotas

async function surveyQuotas(ports: AroundPorts, policy: QuotaSync): Promise<Surveyed<readonly QuotaDifference[]>> {
  const [source, target] = await Promise.all([readClientQuotas(ports.source), readClientQuotas(ports.target)]);
  return { found: diffQuotas({ source, target, applied: appliedQuotas(ports) }, policy) };
}

function appliedQuotas({ state, mirrorId }: AroundPorts): AppliedQuota[] {
  return (state?.appliedOf(mirrorId) ?? []).filter(isQuota);
}

function isQuota(record: AppliedRecord): record is Extract<AppliedRecord, { what: 'quota' }> {
  return record.what === 'quota';
}

// ---- users

async function surveyUsers({ source, target }: AroundPorts): Promise<Surveyed<readonly UnprovisionedUser[]>> {
  const [ofSource, ofTarget] = await Promise.all([readScramUsers(source), readScramUsers(target)]);
  const has = new Set(ofTarget.map(({ user, mechanism }) => `${mechanism} ${user}`));
  return { found: ofSource.filter(({ user, mechanism }) => !has.has(`${mechanism} ${user}`)) };
}

// ---- for people

/** What one of the clusters does not have at all. */
export function absentOf({ acls, quotas, users }: AroundSurvey): NotChecked[] {
  const all = { ACLs: acls, 'Client quotas': quotas, 'SCRAM users': users };
  return Object.entries(all).flatMap(([what, each]) =>
    each && 'absent' in each ? [{ what, why: each.absent, command: null }] : [],
  );
}

/** All that would be changed, and all that is not and why. */
export function changesOf({ acls, quotas }: AroundSurvey): PlannedChange[] {
  const ofAcls = acls && 'found' in acls ? aclChanges(acls.found) : [];
  const ofQuotas = quotas && 'found' in quotas ? quotas.found.flatMap((each) => quotaChange(each) ?? []) : [];
  return [...ofAcls, ...ofQuotas];
}

function aclChanges({ mapped, change }: AclSurvey): PlannedChange[] {
  const planned =
    (action: PlannedChange['action'], reason: string, isChosen = false) =>
    (acl: Acl): PlannedChange => ({
      what: 'acl',
      subject: aclText(acl),
      action,
      source: null,
      target: null,
      reason,
      isChosen,
    });
  return [
    ...change.create.map(planned('create', 'the source has it, and the target has not')),
    ...change.remove.map(planned('delete', 'gone from the source, and created by this mirror')),
    ...change.unclear.map(
      planned('keep', 'gone from the source; whether this mirror created it is not known: delete it by hand if it did'),
    ),
    ...mapped.leftOut.map(({ acl, reason, isChosen }) => planned('leave-out', reason, isChosen)(acl)),
    ...mapped.expanded.map(({ acl, reason }) => planned('expand', reason, true)(acl)),
  ];
}

function quotaChange({ entity, key, source, target, action, reason }: QuotaDifference): PlannedChange | null {
  if (action === 'forget') return null;
  const shown = (value: number | null): string | null => (value === null ? null : String(value));
  const done = action === 'remove' ? 'delete' : action;
  const subject = `${key} of ${entityText(entity)}`;
  return {
    what: 'quota',
    subject,
    action: done,
    source: shown(source),
    target: shown(target),
    reason,
    isChosen: false,
  };
}
