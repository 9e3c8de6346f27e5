import type { Grant } from './roles.ts';
import type { UserKind } from './users.ts';

/** Who somebody is, and what follows from it now: read together, so that one look-up answers a request. */
export interface Identity {
  readonly userId: string;
  readonly name: string;
  readonly kind: UserKind;
  readonly roles: readonly string[];
  /** Of all of the roles. */
  readonly grants: readonly Grant[];
  /** Until the password is changed, nothing else is allowed. */
  readonly mustChangePassword: boolean;
  readonly hasSecondFactor: boolean;
}
