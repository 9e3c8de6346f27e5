/**
 * What one route of the API is, as data. The server registers routes from these, the command line and the console call
 * them, openapi.json is made from them, and the tests of roles walk through them: what is not said here does not exist.
 */
import type { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import type { Permission } from './permissions.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Who may call. There is no default: a route without it is no Route, and does not compile. */
export type Access =
  /** Anybody. */
  | { readonly kind: 'public'; readonly why: string }
  /** Whoever is signed in, for what is their own. */
  | { readonly kind: 'signed-in' }
  | { readonly kind: 'permission'; readonly permission: Permission; readonly on: Target };

/**
 * On what the permission must be granted. `listed`: on anything, and the handler leaves out what it is not granted on.
 * `named`: on what the body names; the handler asks for each. Else on what the path parameter of that name leads to.
 */
export type Target =
  | 'server'
  | 'listed'
  | 'named'
  | { readonly job: string }
  | { readonly cluster: string }
  | { readonly snapshot: string };

export type Answer<Schema extends z.ZodType = z.ZodType> =
  | { readonly kind: 'json'; readonly status: 200 | 201 | 202; readonly schema: Schema }
  | { readonly kind: 'empty'; readonly status: 204 }
  | { readonly kind: 'text'; readonly status: 200; readonly media: string }
  | { readonly kind: 'file'; readonly status: 200; readonly media: string }
  | { readonly kind: 'redirect'; readonly status: 302 }
  /** Takes over the connection. */
  | { readonly kind: 'stream'; readonly status: 200 | 101; readonly media: string };

export interface Route<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Sent extends Answer = Answer,
> {
  readonly method: Method;
  /** `:name` marks a parameter, which `params` has under that name. */
  readonly path: `/${string}`;
  readonly tag: Tag;
  readonly summary: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly answer: Sent;
  readonly access: Access;
  /** Codes of its own, besides those that its form implies (`errorsOf`). */
  readonly errors?: readonly ErrorCode[];
  /**
   * Of a route that changes something: what the audit log calls it, and nothing goes without it. Null where nothing
   * changes.
   */
  readonly audit: string | null;
  /** With an Idempotency-Key, a repeated call gets the first one's answer and changes nothing. */
  readonly isRepeatable?: boolean;
  /** If-Match is honoured: the change is refused where the resource is no longer what the caller has seen. */
  readonly hasVersion?: boolean;
  /** Dangerous: a session must have proved within minutes that the person is there. */
  readonly needsStepUp?: boolean;
  /** Open to those who have to change their password, or to add a second factor, first. */
  readonly isOpenToUnready?: boolean;
  /** Original field names that are accepted (docs/api-names.md), with what they are called here. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Translates what only the original's words say differently, after `aliases`. Throws AppError REQUEST_INVALID. */
  readonly fromOriginal?: (body: unknown) => unknown;
}

export const tags = {
  system: 'Health, version and this description',
  account: 'Signing in and out, and what belongs to the account',
  users: 'Users, service accounts and roles',
  clusters: 'Clusters',
  jobs: 'Jobs',
  state: 'Positions, gaps and checkpoints of mirrors',
  inventory: 'Snapshots of what there is',
  events: 'The audit log',
  compliance: 'Compliance reports',
  config: 'Configuration and secrets',
  backups: 'Backups',
  live: 'Live state',
} as const;

export type Tag = keyof typeof tags;

export function defineRoute<
  const Params extends z.ZodType,
  const Query extends z.ZodType,
  const Body extends z.ZodType,
  const Sent extends Answer,
>(route: Route<Params, Query, Body, Sent>): Route<Params, Query, Body, Sent> {
  return route;
}

export function json<Schema extends z.ZodType>(
  schema: Schema,
  status: 200 | 201 | 202 = 200,
): Extract<Answer<Schema>, { kind: 'json' }> {
  return { kind: 'json', status, schema };
}

export const empty = { kind: 'empty', status: 204 } as const satisfies Answer;

export function on(permission: Permission, target: Target): Access {
  return { kind: 'permission', permission, on: target };
}

/** Every code with which the route may answer. */
export function errorsOf(route: Route): readonly ErrorCode[] {
  const codes = new Set<ErrorCode>([
    'REQUEST_INVALID',
    'REQUEST_HEAD_TOO_LARGE',
    'REQUEST_TIMED_OUT',
    'RATE_LIMITED',
    'STORE_UNAVAILABLE',
    'INTERNAL',
  ]);
  const add = (...more: ErrorCode[]): void => more.forEach((code) => codes.add(code));
  if (route.access.kind !== 'public') add('AUTH_REQUIRED', 'AUTH_INVALID', 'TLS_REQUIRED');
  if (route.access.kind !== 'public' && !route.isOpenToUnready)
    add('PASSWORD_CHANGE_REQUIRED', 'SECOND_FACTOR_REQUIRED');
  if (route.access.kind === 'permission') add('ACCESS_DENIED');
  if (route.params) add('RESOURCE_NOT_FOUND');
  if (route.method !== 'GET') add('REQUEST_FORGED');
  if (route.body) add('REQUEST_TOO_LARGE', 'MEDIA_TYPE_UNSUPPORTED');
  if (route.audit !== null) add('AUDIT_UNAVAILABLE');
  if (route.isRepeatable) add('REQUEST_REPEATED');
  if (route.hasVersion) add('RESOURCE_CHANGED');
  if (route.needsStepUp) add('STEP_UP_REQUIRED');
  return [...codes, ...(route.errors ?? [])];
}
