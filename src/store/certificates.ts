/** Client certificates of the command line and of remote workers: which names in one stand for which user. */
import { readIdentity } from './identity.ts';
import { type Row, type Scope, conflict } from './scope.ts';
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

export function createCertificates(scope: Scope): Certificates {
  const { db, now, newId } = scope;
  const living = () =>
    db
      .selectFrom('certificates')
      .selectAll()
      .where('revoked_at', 'is', null)
      .where((build) => build.or([build('expires_at', 'is', null), build('expires_at', '>', now)]));
  return {
    async add({ userId, subject, fingerprint, expiresAt }) {
      if (await living().where('subject', '=', subject).executeTakeFirst())
        throw conflict(`"${subject}" stands for somebody already.`, 'Revoke that mapping first.');
      const row: Row<'certificates'> = {
        id: newId(),
        user_id: userId,
        subject,
        fingerprint,
        created_at: now,
        expires_at: expiresAt,
        revoked_at: null,
        last_used_at: null,
      };
      await db.insertInto('certificates').values(row).execute();
      return toCertificate(row);
    },
    async find({ subjects, fingerprint }) {
      if (subjects.length === 0) return null;
      const rows = await living().where('subject', 'in', subjects).orderBy('created_at').orderBy('id').execute();
      const row = rows.find((each) => each.fingerprint === null || each.fingerprint === fingerprint);
      const identity = row ? await readIdentity(scope, row.user_id) : null;
      return row && identity ? { certificate: toCertificate(row), identity } : null;
    },
    async list(userId) {
      let query = db.selectFrom('certificates').selectAll().orderBy('created_at', 'desc').orderBy('id');
      if (userId !== null) query = query.where('user_id', '=', userId);
      return (await query.execute()).map(toCertificate);
    },
    async revoke(id) {
      const { numUpdatedRows } = await db
        .updateTable('certificates')
        .set({ revoked_at: now })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async touch(id) {
      await db.updateTable('certificates').set({ last_used_at: now }).where('id', '=', id).execute();
    },
  };
}

function toCertificate(row: Row<'certificates'>): CertificateIdentity {
  return {
    id: row.id,
    userId: row.user_id,
    subject: row.subject,
    fingerprint: row.fingerprint,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  };
}
