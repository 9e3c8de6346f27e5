import type { Store } from '#store/store.ts';

/** Of somebody who was deleted too; of one whose name was erased the id is left. */
export async function userNameOf({ personal }: Pick<Store, 'personal'>, userId: string | null): Promise<string | null> {
  if (userId === null) return null;
  const [user] = await personal.names([userId]);
  return user?.name ?? userId;
}

const AT_ONCE = 500;

/** A question to the database has so many parameters. */
export async function inPieces<T>(
  all: readonly string[],
  ask: (some: readonly string[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const found: T[] = [];
  for (let first = 0; first < all.length; first += AT_ONCE)
    found.push(...(await ask(all.slice(first, first + AT_ONCE))));
  return found;
}
