/** Single values that the store keeps of itself. */
import { fromJson, type Json } from './json.ts';
import type { Scope } from './scope.ts';

export async function readFact<T>({ db }: Pick<Scope, 'db'>, name: string, otherwise: T): Promise<T> {
  const row = await db.selectFrom('facts').select('value').where('name', '=', name).executeTakeFirst();
  return row ? fromJson<T>(row.value) : otherwise;
}

export async function writeFact({ db }: Pick<Scope, 'db'>, name: string, value: Json | object): Promise<void> {
  const text = JSON.stringify(value);
  await db
    .insertInto('facts')
    .values({ name, value: text })
    .onConflict((existing) => existing.column('name').doUpdateSet({ value: text }))
    .execute();
}
