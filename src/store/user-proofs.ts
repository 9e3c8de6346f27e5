/** What users prove themselves with besides a password. Each is good for one use, or grows with each. */
import { fromJson } from './json.ts';
import { conflict, flag, type Row, type Scope } from './scope.ts';
import { changeUser, readUser, readUserRow } from './user-rows.ts';
import type { Users, WebauthnCredential } from './users.ts';

export type UserProofs = Pick<
  Users,
  | 'setTotp'
  | 'useTotpStep'
  | 'setRecoveryCodes'
  | 'useRecoveryCode'
  | 'addWebauthn'
  | 'webauthnOf'
  | 'webauthn'
  | 'useWebauthn'
  | 'removeWebauthn'
>;

export function createUserProofs(scope: Scope): UserProofs {
  const { db, now } = scope;
  return {
    async setTotp(id, isOn) {
      await changeUser(scope, id, { has_totp: flag(isOn), totp_last_step: null });
      return readUser(scope, id);
    },
    async useTotpStep(id, step) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({ totp_last_step: step })
        .where('id', '=', id)
        .where((build) => build.or([build('totp_last_step', 'is', null), build('totp_last_step', '<', step)]))
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async setRecoveryCodes(id, hashes) {
      await readUserRow(scope, id);
      await db.deleteFrom('recovery_codes').where('user_id', '=', id).execute();
      const rows = hashes.map((hash) => ({ user_id: id, hash, used_at: null }));
      if (rows.length > 0) await db.insertInto('recovery_codes').values(rows).execute();
    },
    async useRecoveryCode(id, hash) {
      const { numUpdatedRows } = await db
        .updateTable('recovery_codes')
        .set({ used_at: now })
        .where('user_id', '=', id)
        .where('hash', '=', hash)
        .where('used_at', 'is', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async addWebauthn({ credentialId, userId, name, publicKey, counter, transports }) {
      await readUserRow(scope, userId);
      if (
        await db
          .selectFrom('webauthn_credentials')
          .selectAll()
          .where('credential_id', '=', credentialId)
          .executeTakeFirst()
      )
        throw conflict('This authenticator is registered already.', 'Use another one, or remove it first.');
      await db
        .insertInto('webauthn_credentials')
        .values({
          credential_id: credentialId,
          user_id: userId,
          name,
          public_key: publicKey,
          counter,
          transports: JSON.stringify(transports),
          created_at: now,
          last_used_at: null,
        })
        .execute();
    },
    async webauthnOf(userId) {
      const rows = await db
        .selectFrom('webauthn_credentials')
        .selectAll()
        .where('user_id', '=', userId)
        .orderBy('created_at')
        .orderBy('credential_id')
        .execute();
      return rows.map(toCredential);
    },
    async webauthn(credentialId) {
      const row = await db
        .selectFrom('webauthn_credentials')
        .selectAll()
        .where('credential_id', '=', credentialId)
        .executeTakeFirst();
      return row ? toCredential(row) : null;
    },
    async useWebauthn(credentialId, counter) {
      const { numUpdatedRows } = await db
        .updateTable('webauthn_credentials')
        .set({ counter, last_used_at: now })
        .where('credential_id', '=', credentialId)
        .where((build) => (counter === 0 ? build('counter', '=', 0) : build('counter', '<', counter)))
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async removeWebauthn(userId, credentialId) {
      const { numDeletedRows } = await db
        .deleteFrom('webauthn_credentials')
        .where('user_id', '=', userId)
        .where('credential_id', '=', credentialId)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
  };
}

function toCredential(row: Row<'webauthn_credentials'>): WebauthnCredential {
  return {
    credentialId: row.credential_id,
    userId: row.user_id,
    name: row.name,
    publicKey: row.public_key,
    counter: row.counter,
    transports: fromJson<string[]>(row.transports),
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}
