/** Requests that carry an Idempotency-Key: done once, answered alike every time. */
import { fromJson } from './json.ts';
import type { Scope } from './scope.ts';
import type { Json } from './json.ts';

export interface IdempotentRequest {
  /** Who asks: the same key of somebody else is another one. */
  readonly userId: string;
  readonly key: string;
  /** Digest of method, path and body. */
  readonly requestHash: string;
}

export type IdempotencyVerdict =
  /** It is yours to do. */
  | { readonly state: 'new' }
  /** It is being done; or whoever did it died, and it becomes new when `lifeMs` is over. */
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly status: number; readonly body: Json }
  /** The key stands for another request. */
  | { readonly state: 'different' };

export interface Idempotency {
  begin(request: IdempotentRequest, lifeMs: number): Promise<IdempotencyVerdict>;
  complete(request: IdempotentRequest, answer: { readonly status: number; readonly body: Json }): Promise<void>;
  /** It was not done: another attempt may do it. */
  abandon(request: IdempotentRequest): Promise<void>;
}

export function createIdempotency({ db, now }: Scope): Idempotency {
  const mine = ({ userId, key }: IdempotentRequest) =>
    db.selectFrom('idempotency_keys').selectAll().where('user_id', '=', userId).where('key', '=', key);
  return {
    async begin(request, lifeMs) {
      const { userId, key, requestHash } = request;
      await db.deleteFrom('idempotency_keys').where('user_id', '=', userId).where('expires_at', '<=', now).execute();
      const row = await mine(request).executeTakeFirst();
      if (row && row.request_hash !== requestHash) return { state: 'different' };
      if (row && (row.status === null || row.body === null)) return { state: 'running' };
      if (row) return { state: 'done', status: row.status as number, body: fromJson<Json>(row.body as string) };
      await db
        .insertInto('idempotency_keys')
        .values({
          user_id: userId,
          key,
          request_hash: requestHash,
          status: null,
          body: null,
          created_at: now,
          expires_at: now + lifeMs,
        })
        .execute();
      return { state: 'new' };
    },
    async complete({ userId, key, requestHash }, { status, body }) {
      await db
        .updateTable('idempotency_keys')
        .set({ status, body: JSON.stringify(body) })
        .where('user_id', '=', userId)
        .where('key', '=', key)
        .where('request_hash', '=', requestHash)
        .execute();
    },
    async abandon({ userId, key, requestHash }) {
      await db
        .deleteFrom('idempotency_keys')
        .where('user_id', '=', userId)
        .where('key', '=', key)
        .where('request_hash', '=', requestHash)
        .where('status', 'is', null)
        .execute();
    },
  };
}
