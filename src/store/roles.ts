/** Roles: what their holders may do, and where. */

/** One permission on one kind of resource: all of it, or what is named. */
export interface Grant {
  /** As `contract/` names it: `jobs:start`. */
  readonly permission: string;
  readonly resource: GrantResource;
}

export type GrantResource =
  | { readonly kind: 'any' }
  | { readonly kind: 'cluster'; readonly name: string }
  | { readonly kind: 'job'; readonly name: string }
  /** Topics whose names begin so; of every cluster where `cluster` is null. */
  | { readonly kind: 'topicPrefix'; readonly prefix: string; readonly cluster: string | null };

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
