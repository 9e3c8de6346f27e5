/**
 * What the audit log knows of people without saying it: an entry holds a commitment, SHA-256(salt ‖ value), or a user's id; value and
 * salt, and the names of users who are gone, stand here. Destroyed here, nobody can learn them from the log, and its proofs hold.
 */
import type { Row, Scope } from './scope.ts';

export interface PersonalValue {
  /** SHA-256 of salt and value, hexadecimal. */
  readonly commitment: string;
  readonly kind: 'address' | 'user-agent' | 'account';
  readonly value: string;
  /** 32 bytes, hexadecimal. */
  readonly salt: string;
}

export interface Personal {
  /** Before the entry that commits to them. */
  keep(values: readonly PersonalValue[]): Promise<void>;
  /** Those that are still there. */
  find(commitments: readonly string[]): Promise<readonly PersonalValue[]>;
  /** Of users that there are, and of those that there were. */
  names(userIds: readonly string[]): Promise<readonly { readonly id: string; readonly name: string }[]>;
  /** Who had the name last, of those that there are no more. */
  formerUser(name: string): Promise<string | null>;
  /** Destroys the value with its salt, wherever it stands, and the name of users that there are no more; how many. */
  erase(value: string): Promise<number>;
}

export function createPersonal({ db, now }: Scope): Personal {
  return {
    async keep(values) {
      if (values.length === 0) return;
      await db
        .insertInto('personal_values')
        .values(values.map((each) => ({ ...each, created_at: now })))
        .onConflict((existing) => existing.column('commitment').doNothing())
        .execute();
    },
    async find(commitments) {
      if (commitments.length === 0) return [];
      const rows = await db.selectFrom('personal_values').selectAll().where('commitment', 'in', commitments).execute();
      return rows.map(toValue);
    },
    async names(userIds) {
      if (userIds.length === 0) return [];
      return [
        ...(await db.selectFrom('former_users').select(['id', 'name']).where('id', 'in', userIds).execute()),
        ...(await db.selectFrom('users').select(['id', 'name']).where('id', 'in', userIds).execute()),
      ];
    },
    async formerUser(name) {
      const row = await db
        .selectFrom('former_users')
        .select('id')
        .where('name', '=', name)
        .orderBy('deleted_at', 'desc')
        .executeTakeFirst();
      return row?.id ?? null;
    },
    async erase(value) {
      const values = await db.deleteFrom('personal_values').where('value', '=', value).executeTakeFirst();
      const names = await db.deleteFrom('former_users').where('name', '=', value).executeTakeFirst();
      return Number(values.numDeletedRows + names.numDeletedRows);
    },
  };
}

function toValue({ commitment, kind, value, salt }: Row<'personal_values'>): PersonalValue {
  return { commitment, kind: kind as PersonalValue['kind'], value, salt };
}
