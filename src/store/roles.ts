/** Roles: what their holders may do, and where. */
import type { Grant } from '#contract/api/permissions.ts';
import { must } from '#util/assert.ts';
import { type Row, type Scope, checkVersion, conflict, flag, notFound } from './scope.ts';
import { fromJson } from './json.ts';

export interface Role {
  readonly name: string;
  readonly description: string;
  /** Comes with the program, and changes only with it. */
  readonly isBuiltIn: boolean;
  readonly grants: readonly Grant[];
  /** How many users have it. */
  readonly users: number;
  /** For ETag; grows with each change. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface RoleText {
  readonly name: string;
  readonly description: string;
  readonly grants: readonly Grant[];
}

export interface Roles {
  /** The built-in roles as this version of the program has them: added and replaced; what it no longer has, and nobody holds, goes. */
  syncBuiltIn(roles: readonly RoleText[]): Promise<void>;
  list(): Promise<readonly Role[]>;
  get(name: string): Promise<Role | null>;
  /** RESOURCE_CONFLICT: there is one of that name. */
  create(role: RoleText): Promise<Role>;
  /** RESOURCE_NOT_FOUND; RESOURCE_CONFLICT for a built-in one; RESOURCE_CHANGED when it is not at `ifVersion` any more. */
  replace(role: RoleText, options: { readonly ifVersion: number | null }): Promise<Role>;
  /** As `replace`; RESOURCE_CONFLICT also while somebody has it. */
  delete(name: string, options: { readonly ifVersion: number | null }): Promise<void>;
}

export function createRoles({ db, now }: Scope): Roles {
  const find = (name: string) => db.selectFrom('roles').selectAll().where('name', '=', name).executeTakeFirst();
  const holders = async (name: string): Promise<number> => {
    const { count } = await db
      .selectFrom('user_roles')
      .select((build) => build.fn.countAll<number>().as('count'))
      .where('role', '=', name)
      .executeTakeFirstOrThrow();
    return count;
  };
  const custom = async (name: string, ifVersion: number | null): Promise<Row<'roles'>> => {
    const role = await find(name);
    if (!role) throw notFound('role', name);
    if (role.is_built_in)
      throw conflict(
        `Role "${name}" comes with the program.`,
        'Create a role of another name with the grants you want.',
      );
    checkVersion(`role "${name}"`, role.version, ifVersion);
    return role;
  };
  const insert = async ({ name, description, grants }: RoleText, isBuiltIn: boolean): Promise<void> => {
    await db
      .insertInto('roles')
      .values({
        name,
        description,
        grants: JSON.stringify(grants),
        is_built_in: flag(isBuiltIn),
        version: 1,
        created_at: now,
        updated_at: now,
      })
      .execute();
  };
  const update = async ({ name, description, grants }: RoleText, version: number): Promise<void> => {
    await db
      .updateTable('roles')
      .set({ description, grants: JSON.stringify(grants), version: version + 1, updated_at: now })
      .where('name', '=', name)
      .execute();
  };
  const roles: Roles = {
    async syncBuiltIn(texts) {
      const there = new Map((await db.selectFrom('roles').selectAll().execute()).map((role) => [role.name, role]));
      for (const text of texts) {
        const role = there.get(text.name);
        if (!role) await insert(text, true);
        else if (!role.is_built_in)
          throw conflict(
            `Role "${text.name}" comes with this version of the program.`,
            'Delete your role of that name.',
          );
        else if (role.description !== text.description || role.grants !== JSON.stringify(text.grants))
          await update(text, role.version);
      }
      for (const { name, is_built_in } of there.values())
        if (is_built_in && !texts.some((text) => text.name === name) && (await holders(name)) === 0)
          await db.deleteFrom('roles').where('name', '=', name).execute();
    },
    async list() {
      const rows = await db.selectFrom('roles').selectAll().orderBy('name').execute();
      const counts = await db
        .selectFrom('user_roles')
        .select((build) => ['role', build.fn.countAll<number>().as('count')])
        .groupBy('role')
        .execute();
      const users = new Map(counts.map(({ role, count }) => [role, count]));
      return rows.map((row) => toRole(row, users.get(row.name) ?? 0));
    },
    async get(name) {
      const row = await find(name);
      return row ? toRole(row, await holders(name)) : null;
    },
    async create(text) {
      if (await find(text.name))
        throw conflict(`There is a role "${text.name}" already.`, 'Take another name, or replace that role.');
      await insert(text, false);
      return must(await roles.get(text.name), 'created role');
    },
    async replace(text, { ifVersion }) {
      const { version } = await custom(text.name, ifVersion);
      await update(text, version);
      return must(await roles.get(text.name), 'replaced role');
    },
    async delete(name, { ifVersion }) {
      await custom(name, ifVersion);
      const users = await holders(name);
      if (users > 0) throw conflict(`${users} users have the role "${name}".`, 'Give them other roles first.');
      await db.deleteFrom('roles').where('name', '=', name).execute();
    },
  };
  return roles;
}

function toRole(row: Row<'roles'>, users: number): Role {
  return {
    name: row.name,
    description: row.description,
    isBuiltIn: row.is_built_in === 1,
    grants: fromJson<Grant[]>(row.grants),
    users,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
