/** Which role somebody has who comes from an identity provider, as an option says it: `groups=kafka-operators:operator`. */
import { must } from '#util/assert.ts';

export interface ClaimRole {
  readonly claim: string;
  readonly value: string;
  readonly role: string;
}

/** Names of claims may be addresses, and values names of directories (`cn=kafka,dc=example`): the first "=" and the last ":" count. */
export const CLAIM_ROLE = /^([^=\s]+)=(.+):([^:\s]+)$/;

/** Of a text that CLAIM_ROLE lets through. */
export function parseClaimRole(text: string): ClaimRole {
  const [, claim, value, role] = must(CLAIM_ROLE.exec(text), 'claim, value and role');
  return { claim: must(claim, 'claim'), value: must(value, 'value'), role: must(role, 'role') };
}
