/** One of several servers at a time: who does the scheduled work, who writes the audit log. */
import type { Row, Scope } from './scope.ts';

export interface Lease {
  readonly name: string;
  readonly holder: string;
  /** Grows with each change of holder: what an earlier one still does can be told by it. */
  readonly term: number;
  readonly expiresAt: number;
}

export interface Leases {
  /** Takes it when it is free or ours, and makes it last; null: somebody else has it. Times are the store's. */
  hold(name: string, options: { readonly holder: string; readonly lifeMs: number }): Promise<Lease | null>;
  release(name: string, holder: string): Promise<boolean>;
  list(): Promise<readonly Lease[]>;
}

export function createLeases({ db, database, now }: Scope): Leases {
  return {
    async hold(name, { holder, lifeMs }) {
      const moment = database.now === null ? now : await database.now(); // servers' clocks differ
      const row = await db.selectFrom('leases').selectAll().where('name', '=', name).executeTakeFirst();
      if (row && row.holder !== holder && row.expires_at > moment) return null;
      const isOurs = row?.holder === holder && row.expires_at > moment;
      const columns = { holder, term: isOurs ? row.term : (row?.term ?? 0) + 1, expires_at: moment + lifeMs };
      await db
        .insertInto('leases')
        .values({ name, ...columns })
        .onConflict((existing) => existing.column('name').doUpdateSet(columns))
        .execute();
      return toLease({ name, ...columns });
    },
    async release(name, holder) {
      // The row stays, for its term.
      const { numUpdatedRows } = await db
        .updateTable('leases')
        .set({ expires_at: 0 })
        .where('name', '=', name)
        .where('holder', '=', holder)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async list() {
      return (await db.selectFrom('leases').selectAll().orderBy('name').execute()).map(toLease);
    },
  };
}

function toLease({ name, holder, term, expires_at }: Row<'leases'>): Lease {
  return { name, holder, term, expiresAt: expires_at };
}
