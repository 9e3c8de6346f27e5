/**
 * What has to change so that the target has the ACLs that it should. Pure. Nothing that this mirror did not create is ever
 * deleted: CreateAcls does not say whether an ACL was there before, so it is recorded before it is asked for and again
 * when it was answered.
 */
import { aclText, type Acl } from '#kafka/acls.ts';

/** `intended`: it was about to be created when it was not there; whether it is ours is not known. */
export type AppliedPhase = 'intended' | 'created';

export interface AppliedAcl {
  readonly acl: Acl;
  readonly phase: AppliedPhase;
}

export interface AclChange {
  /** In their order: DENY rules first. */
  readonly create: readonly Acl[];
  /** In their order: ALLOW rules first. */
  readonly remove: readonly Acl[];
  /** Recorded as ours, and neither wanted nor there any more. */
  readonly forget: readonly Acl[];
  /** Not wanted, there, and perhaps ours: a process ended while it created them. */
  readonly unclear: readonly Acl[];
}

/** `applied` is what this mirror has recorded. */
export function diffAcls(wanted: readonly Acl[], target: readonly Acl[], applied: Iterable<AppliedAcl>): AclChange {
  const has = new Set(target.map(aclText));
  const wants = new Set(wanted.map(aclText));
  const unwanted = [...applied].filter(({ acl }) => !wants.has(aclText(acl)));
  const there = unwanted.filter(({ acl }) => has.has(aclText(acl)));
  const aclsOf = (phase: AppliedPhase): Acl[] => there.flatMap((each) => (each.phase === phase ? [each.acl] : []));
  return {
    create: wanted.filter((acl) => !has.has(aclText(acl))),
    remove: aclsOf('created').toSorted((a, b) => Number(a.permission === 'deny') - Number(b.permission === 'deny')),
    forget: unwanted.flatMap(({ acl }) => (has.has(aclText(acl)) ? [] : [acl])),
    unclear: aclsOf('intended'),
  };
}
