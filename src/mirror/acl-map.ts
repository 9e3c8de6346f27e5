/**
 * Which ACLs the target should have because the source has them. Pure. Nobody may do more on the target because of
 * them than on the source (for the resources that are the same on both sides), at every moment and for topics to come:
 *
 *   - Topic names follow the topic rules. A rule about a beginning of names stays one where the rules show that all such
 *     names are copied under one beginning; else, and for `*`, it becomes one ACL for each topic that is copied.
 *   - Of ALLOW rules, those that do more than read are a choice (`write`); DENY rules are always copied, whomever and
 *     whatever they are about. Where one cannot be, no ALLOW that it takes something from is copied either.
 *   - The mirror does not shut itself out: see `AclSelf`. ALLOW rules of its own principal are not copied.
 *
 * Kafka's authorizer (StandardAuthorizerData): one DENY that matches decides; else one ALLOW; READ, WRITE, DELETE and ALTER
 * allow DESCRIBE too, ALTER_CONFIGS allows DESCRIBE_CONFIGS; a resource that no ACL matches may be everybody's
 * (`allow.everyone.if.no.acl.found`).
 */
import { compileNames } from '#contract/name-pattern.ts';
import type { AclSync } from '#contract/sync-settings.ts';
import { aclText, type Acl, type AclOperation, type AclPattern, type AclResourceType } from '#kafka/acls.ts';
import { topicNames, type KnownTopics, type TopicNames } from './topic-names.ts';

/** What is known of the mirror's own standing on the target. */
export interface AclSelf {
  /** `User:mirror`; `super-user` whom no ACL binds; null when not known. */
  readonly principal: string | null;
  /**
   * Resources that no ACL matches are not ours: a first ACL there closes nothing to us. False where they are, by a default
   * of the brokers or because we are a super user, which cannot be told apart from outside.
   */
  readonly isDefaultClosed: boolean;
}

export interface AclFacts {
  readonly source: readonly Acl[];
  /** All of the target. */
  readonly target: readonly Acl[];
  readonly topics: KnownTopics;
  readonly self: AclSelf;
}

export interface LeftOutAcl {
  /** Of the source. */
  readonly acl: Acl;
  readonly reason: string;
  /** By `write`: nothing that anybody has to look at. */
  readonly isChosen: boolean;
}

export interface MappedAcls {
  /** DENY rules first, each once. */
  readonly wanted: readonly Acl[];
  readonly leftOut: readonly LeftOutAcl[];
  /** ACLs of the source about many names that are about each copied topic on the target. */
  readonly expanded: readonly LeftOutAcl[];
}

interface Mapped {
  readonly from: Acl;
  readonly to: Acl;
}

export function mapAcls(facts: AclFacts, policy: AclSync): MappedAcls {
  const named = facts.source.flatMap(({ resourceType, pattern, name }) =>
    resourceType === 'topic' && pattern === 'literal' && name !== '*' ? [name] : [],
  );
  const names = topicNames(facts.topics, named);
  const isMeant = compileNames(policy);
  const leftOut: LeftOutAcl[] = [];
  const mapped: Mapped[] = [];
  const kept = keptPrefixes(facts.source, names);
  for (const acl of facts.source) {
    // The mirror's rights are granted to it on each side as it needs them there.
    const isOwn = acl.principal === facts.self.principal;
    if (acl.permission === 'allow' && (isOwn || !isMeant(acl.principal))) continue;
    const patterns = patternsOn(acl, { names, kept });
    const operations = operationsOf(acl, policy);
    if (operations.length === 0 && patterns.length > 0) leftOut.push(whyNotAllowed(acl));
    for (const pattern of patterns)
      for (const operation of operations) mapped.push({ from: acl, to: { ...acl, ...pattern, operation } });
  }
  const lost = mapped.flatMap((each) => {
    const reason = each.to.operation === 'UNKNOWN' ? UNKNOWN : whyNotOurs(each.to, facts);
    return reason === null ? [] : [{ ...each, reason }];
  });
  const denials = lost.filter(({ to }) => to.permission === 'deny');
  const isLost = new Set<Mapped['to']>(lost.map(({ to }) => to));
  const wanted = mapped.filter(({ from, to }) => {
    if (isLost.has(to)) return false;
    const denial = to.permission === 'allow' ? denials.find((deny) => takesFrom(deny.to, to)) : undefined;
    if (denial)
      leftOut.push({ acl: from, isChosen: false, reason: `it needs "${aclText(denial.from)}", which is not copied` });
    return denial === undefined;
  });
  return {
    wanted: denyFirst(unique(wanted.map(({ to }) => to))),
    leftOut: onceEach([...lost.map(({ from, reason }) => ({ acl: from, isChosen: false, reason })), ...leftOut]),
    expanded: [...new Set(mapped.map(({ from }) => from))].flatMap((acl) =>
      isExpanded(acl, kept) ? [{ acl, isChosen: true, reason: whyExpanded(acl) }] : [],
    ),
  };
}

// ---- names

/** Beginnings of names that some ACL is about and that stay one, by their counterpart on the target. */
function keptPrefixes(acls: readonly Acl[], names: TopicNames): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  for (const { resourceType, pattern, name } of acls) {
    const target = resourceType === 'topic' && pattern === 'prefixed' ? names.prefixOf(name) : null;
    if (target !== null) kept.set(name, target);
  }
  return kept;
}

/** What a pattern of the source is about on the target; of all types but topics, the same. */
function patternsOn(
  { resourceType, pattern, name, permission }: Acl,
  { names, kept }: { readonly names: TopicNames; readonly kept: ReadonlyMap<string, string> },
): AclPattern[] {
  if (resourceType !== 'topic') return [{ resourceType, pattern, name }];
  const own = pattern === 'prefixed' ? kept.get(name) : undefined;
  if (own !== undefined) return [{ resourceType, pattern, name: own }];
  if (pattern === 'literal' && name !== '*') {
    const target = names.targets.get(name) ?? (permission === 'deny' ? underKept(name, kept) : undefined);
    return target === undefined ? [] : [{ resourceType, pattern, name: target }]; // of thousands of ACLs most are like this
  }
  const isAbout = { resourceType, pattern, name };
  const literals = names.pairs.filter(({ source }) =>
    contains(isAbout, { resourceType, pattern: 'literal', name: source }),
  );
  // An ALLOW about a narrower beginning that stays one must not gain topics that come later from this DENY.
  const narrower = [...kept].filter(
    ([prefix]) => permission === 'deny' && contains(isAbout, { resourceType, pattern: 'prefixed', name: prefix }),
  );
  return [
    ...narrower.map(([, target]): AclPattern => ({ resourceType, pattern: 'prefixed', name: target })),
    ...literals.map(({ target }): AclPattern => ({ resourceType, pattern: 'literal', name: target })),
  ];
}

/** What a topic is named that is not copied yet, where an ALLOW about a beginning of its name would let it be read at once. */
function underKept(name: string, kept: ReadonlyMap<string, string>): string | undefined {
  for (const [prefix, target] of kept) if (name.startsWith(prefix)) return target + name.slice(prefix.length);
  return undefined;
}

function isExpanded({ resourceType, pattern, name }: Acl, kept: ReadonlyMap<string, string>): boolean {
  return resourceType === 'topic' && (pattern === 'prefixed' ? !kept.has(name) : name === '*');
}

function whyExpanded({ pattern }: Acl): string {
  return pattern === 'prefixed'
    ? 'the topic rules do not show that all topics of that beginning, and no others, have one beginning on the target: one ACL for each topic that is copied'
    : 'the target has topics that are not copied: one ACL for each topic that is';
}

// ---- operations

const READING: ReadonlySet<AclOperation> = new Set(['READ', 'DESCRIBE', 'DESCRIBE_CONFIGS', 'DESCRIBE_TOKENS']);
/** What ALL has of reading, by what it is about; READ allows DESCRIBE as well. */
const READING_OF_ALL: Readonly<Record<AclResourceType, readonly AclOperation[]>> = {
  topic: ['READ', 'DESCRIBE_CONFIGS'],
  group: ['READ', 'DESCRIBE_CONFIGS'],
  cluster: ['DESCRIBE', 'DESCRIBE_CONFIGS'],
  'transactional-id': ['DESCRIBE'],
  'delegation-token': ['DESCRIBE'],
  user: ['DESCRIBE_TOKENS'],
};

function operationsOf({ permission, operation, resourceType }: Acl, { write }: AclSync): readonly Acl['operation'][] {
  if (permission === 'deny') return [operation];
  if (operation === 'UNKNOWN') return [];
  if (write === 'keep' || READING.has(operation)) return [operation];
  return write === 'read' && operation === 'ALL' ? READING_OF_ALL[resourceType] : [];
}

const UNKNOWN = 'its operation is one of a later Kafka';

function whyNotAllowed(acl: Acl): LeftOutAcl {
  if (acl.operation === 'UNKNOWN') return { acl, isChosen: false, reason: UNKNOWN };
  return { acl, isChosen: true, reason: 'it does more than read: sync.acls.write leaves it out' };
}

// ---- ourselves

/** Of groups and transactional ids that mirrors use themselves (jobs/ownership.ts, state-topic.ts). */
const OWN_PREFIX = 'lockstep-';

/** Why an ACL would keep the mirror from its work, or null. */
function whyNotOurs(acl: Acl, { self, target }: AclFacts): string | null {
  const own = ownPartOf(acl);
  if (self.principal === 'super-user' || own === null) return null;
  if (acl.permission === 'deny' && (acl.principal === EVERYBODY || acl.principal === self.principal))
    return 'it would shut the mirror itself out';
  const isCovered = target.some((each) => each.resourceType === own.resourceType && contains(each, own));
  if (self.isDefaultClosed || isCovered) return null;
  return 'it would be the first ACL there, and end what lets the mirror in: grant the mirror its rights by ACLs, or write sync.acls.self: super-user';
}

/** What of the names that an ACL is about the mirror uses itself; null where nothing. */
function ownPartOf({ resourceType, pattern, name }: Acl): AclPattern | null {
  if (resourceType === 'topic' || resourceType === 'cluster') return { resourceType, pattern, name };
  if (resourceType !== 'group' && resourceType !== 'transactional-id') return null;
  const own: AclPattern = { resourceType, pattern: 'prefixed', name: OWN_PREFIX };
  return meet({ resourceType, pattern, name }, own) ? own : null;
}

// ---- Kafka's authorizer

const EVERYBODY = 'User:*';
const EVERYWHERE = '*';

/** Whether a DENY may take something from what an ALLOW gives. */
function takesFrom(deny: Acl, allow: Acl): boolean {
  return (
    meet(deny, allow) &&
    (deny.principal === allow.principal || deny.principal === EVERYBODY || allow.principal === EVERYBODY) &&
    (deny.host === allow.host || deny.host === EVERYWHERE || allow.host === EVERYWHERE) &&
    (deny.operation === 'ALL' || deny.operation === 'UNKNOWN' || allowedBy(allow.operation).has(deny.operation))
  );
}

const IMPLIED: Readonly<Partial<Record<Acl['operation'], AclOperation>>> = {
  READ: 'DESCRIBE',
  WRITE: 'DESCRIBE',
  DELETE: 'DESCRIBE',
  ALTER: 'DESCRIBE',
  ALTER_CONFIGS: 'DESCRIBE_CONFIGS',
};

function allowedBy(operation: Acl['operation']): { has(other: Acl['operation']): boolean } {
  if (operation === 'ALL') return { has: () => true };
  return new Set([operation, IMPLIED[operation] ?? operation]);
}

/** Whether some name comes under both. */
function meet(a: AclPattern, b: AclPattern): boolean {
  return a.resourceType === b.resourceType && (contains(a, b) || contains(b, a));
}

/** Whether all names of `inner` come under `outer`. */
function contains(outer: AclPattern, inner: AclPattern): boolean {
  if (outer.pattern === 'prefixed')
    return (inner.pattern === 'prefixed' || inner.name !== '*') && inner.name.startsWith(outer.name);
  return outer.name === '*' || (inner.pattern === 'literal' && inner.name === outer.name);
}

// ---- lists

function denyFirst(acls: readonly Acl[]): Acl[] {
  return acls.toSorted((a, b) => Number(a.permission === 'allow') - Number(b.permission === 'allow'));
}

function unique(acls: readonly Acl[]): Acl[] {
  return [...new Map(acls.map((acl) => [aclText(acl), acl])).values()];
}

function onceEach(left: readonly LeftOutAcl[]): LeftOutAcl[] {
  return [...new Map(left.map((each) => [`${aclText(each.acl)} ${each.reason}`, each])).values()];
}
