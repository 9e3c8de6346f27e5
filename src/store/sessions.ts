/** Sessions of the console and the command line. Only hashes of what the client holds are kept. */
import { fromJson } from './json.ts';
import { readIdentity } from './identity.ts';
import { type Row, type Scope, notFound } from './scope.ts';
import type { Identity } from './identity.ts';

export interface Session {
  readonly id: string;
  readonly userId: string;
  /** How the user proved itself: `password`, `totp`, `webauthn`, `oidc`, `recovery-code`. */
  readonly methods: readonly string[];
  readonly createdAt: number;
  readonly lastSeenAt: number;
  /** Ends at the earlier of both; the first moves on with each use. */
  readonly idleUntil: number;
  readonly expiresAt: number;
  /** When it was last proved anew, for what asks for that. */
  readonly steppedUpAt: number | null;
  readonly address: string | null;
  readonly userAgent: string | null;
}

export interface NewSession {
  readonly userId: string;
  /** SHA-256 of the token, hexadecimal. */
  readonly hash: string;
  readonly methods: readonly string[];
  readonly idleMs: number;
  readonly lifeMs: number;
  readonly address: string | null;
  readonly userAgent: string | null;
}

export interface Sessions {
  create(session: NewSession): Promise<Session>;
  /** Null: unknown, ended, expired, or of a disabled user. */
  find(hash: string): Promise<{ readonly session: Session; readonly identity: Identity } | null>;
  /** It is in use. Call it once a minute, not at each request. */
  touch(id: string): Promise<void>;
  /** Under a new token, after a login or a step-up; what was proved is added. RESOURCE_NOT_FOUND when it has ended. */
  rotate(id: string, change: { readonly hash: string; readonly methods: readonly string[] }): Promise<Session>;
  /** The living ones, latest use first. */
  list(userId: string): Promise<readonly Session[]>;
  /** False: there is none of that id, or it is not this user's (null: whoever's). */
  end(id: string, userId: string | null): Promise<boolean>;
  /** How many ended. */
  endAll(userId: string, exceptId: string | null): Promise<number>;
}

export function createSessions(scope: Scope): Sessions {
  const { db, now, newId } = scope;
  const living = () =>
    db.selectFrom('sessions').selectAll().where('idle_until', '>', now).where('expires_at', '>', now);
  return {
    async create({ userId, hash, methods, idleMs, lifeMs, address, userAgent }) {
      const row: Row<'sessions'> = {
        id: newId(),
        user_id: userId,
        hash,
        methods: JSON.stringify(methods),
        idle_ms: idleMs,
        created_at: now,
        last_seen_at: now,
        idle_until: now + idleMs,
        expires_at: now + lifeMs,
        stepped_up_at: null,
        address,
        user_agent: userAgent,
      };
      await db.insertInto('sessions').values(row).execute();
      return toSession(row);
    },
    async find(hash) {
      const row = await living().where('hash', '=', hash).executeTakeFirst();
      const identity = row ? await readIdentity(scope, row.user_id) : null;
      return row && identity ? { session: toSession(row), identity } : null;
    },
    async touch(id) {
      await db
        .updateTable('sessions')
        .set((build) => ({ last_seen_at: now, idle_until: build('idle_ms', '+', now) }))
        .where('id', '=', id)
        .where('idle_until', '>', now)
        .where('expires_at', '>', now)
        .execute();
    },
    async rotate(id, { hash, methods }) {
      const row = await living().where('id', '=', id).executeTakeFirst();
      if (!row) throw notFound('session', id);
      const proved = [...new Set([...fromJson<string[]>(row.methods), ...methods])];
      const changed = { hash, methods: JSON.stringify(proved), stepped_up_at: now };
      await db.updateTable('sessions').set(changed).where('id', '=', id).execute();
      return toSession({ ...row, ...changed });
    },
    async list(userId) {
      const rows = await living().where('user_id', '=', userId).orderBy('last_seen_at', 'desc').orderBy('id').execute();
      return rows.map(toSession);
    },
    async end(id, userId) {
      let query = db.deleteFrom('sessions').where('id', '=', id);
      if (userId !== null) query = query.where('user_id', '=', userId);
      return (await query.executeTakeFirst()).numDeletedRows > 0n;
    },
    endAll: (userId, exceptId) => endSessions(scope, userId, exceptId),
  };
}

export async function endSessions({ db }: Scope, userId: string, exceptId: string | null): Promise<number> {
  let query = db.deleteFrom('sessions').where('user_id', '=', userId);
  if (exceptId !== null) query = query.where('id', '!=', exceptId);
  return Number((await query.executeTakeFirst()).numDeletedRows);
}

function toSession(row: Row<'sessions'>): Session {
  return {
    id: row.id,
    userId: row.user_id,
    methods: fromJson<string[]>(row.methods),
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at,
    idleUntil: row.idle_until,
    expiresAt: row.expires_at,
    steppedUpAt: row.stepped_up_at,
    address: row.address,
    userAgent: row.user_agent,
  };
}
