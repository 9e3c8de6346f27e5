import type { Store } from '#store/store.ts';

/** Of somebody who was deleted the id is left. */
export async function userNameOf({ users }: Pick<Store, 'users'>, userId: string | null): Promise<string | null> {
  return userId === null ? null : ((await users.get(userId))?.name ?? userId);
}
