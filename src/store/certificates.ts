/** Client certificates of the command line and of remote workers: which names in one stand for which user. */
import type { Identity } from './identity.ts';

export interface CertificateIdentity {
  readonly id: string;
  readonly userId: string;
  /** Subject alternative name as it stands in the certificate, with its kind: `URI:spiffe://…`, `DNS:…`, `email:…`. */
  readonly subject: string;
  /** Only this one: SHA-256 of the certificate, hexadecimal; null: any that a trusted authority has issued. */
  readonly fingerprint: string | null;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly lastUsedAt: number | null;
}

export interface Certificates {
  /** RESOURCE_CONFLICT: the subject is mapped already. */
  add(identity: {
    readonly userId: string;
    readonly subject: string;
    readonly fingerprint: string | null;
    readonly expiresAt: number | null;
  }): Promise<CertificateIdentity>;
  /** Of a certificate that the TLS layer has verified. Null: none of its names is anybody's, or not any more. */
  find(shown: {
    readonly subjects: readonly string[];
    readonly fingerprint: string;
  }): Promise<{ readonly certificate: CertificateIdentity; readonly identity: Identity } | null>;
  list(userId: string | null): Promise<readonly CertificateIdentity[]>;
  revoke(id: string): Promise<boolean>;
  touch(id: string): Promise<void>;
}
