/** Who asks, how that was proved, and what follows. */
import {
  isAllowed,
  isAllowedSomewhere,
  type Grant,
  type Permission,
  type Resource,
} from '#contract/api/permissions.ts';
import type { CertificateIdentity } from '#store/certificates.ts';
import type { Identity } from '#store/identity.ts';
import type { Session } from '#store/sessions.ts';
import type { ApiToken } from '#store/tokens.ts';
import type { AuditEvent } from '../ports.ts';
import { sha256 } from './credential.ts';

/** Names in a client certificate that the TLS layer has verified, with their kinds: `DNS:…`, `URI:…`, `email:…`. */
export interface ShownCertificate {
  readonly subjects: readonly string[];
  /** SHA-256, hexadecimal. */
  readonly fingerprint: string;
}

export type Proof =
  | { readonly kind: 'session'; readonly session: Session; readonly hash: string; readonly via: 'cookie' | 'header' }
  | { readonly kind: 'token'; readonly token: ApiToken; readonly hash: string }
  | { readonly kind: 'certificate'; readonly certificate: CertificateIdentity; readonly shown: ShownCertificate };

export class Caller {
  readonly identity: Identity;
  readonly proof: Proof;
  /** Of the user's roles; of a token what its scopes leave of them. */
  readonly grants: readonly Grant[];

  constructor(identity: Identity, proof: Proof) {
    this.identity = identity;
    this.proof = proof;
    const scopes = proof.kind === 'token' ? proof.token.scopes : null;
    this.grants =
      scopes === null ? identity.grants : identity.grants.filter(({ permission }) => scopes.includes(permission));
  }

  may(permission: Permission, resource: Resource): boolean {
    return isAllowed(this.grants, permission, resource);
  }

  maySomewhere(permission: Permission): boolean {
    return isAllowedSomewhere(this.grants, permission);
  }

  /** As the audit log names the caller. */
  get actor(): AuditEvent['actor'] {
    const { identity, proof } = this;
    const kind = identity.kind === 'service' ? 'service' : 'user';
    if (proof.kind !== 'session') return { id: identity.userId, kind, authn: proof.kind };
    const authn = proof.session.methods.includes('oidc') ? 'oidc' : 'password';
    return { id: identity.userId, kind, authn, sessionHash: sha256(proof.session.id) };
  }
}

export const NOBODY: AuditEvent['actor'] = { id: 'anonymous', kind: 'anonymous', authn: 'none' };
