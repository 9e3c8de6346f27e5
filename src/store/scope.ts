import type { Kysely, Selectable, Transaction } from 'kysely';
import { AppError } from '#contract/errors.ts';
import type { Database } from './database.ts';
import type { Tables } from './tables.ts';

/** What one call works in: the transaction that it is, if it changes anything, and the moment at which it happens. */
export interface Scope {
  readonly db: Kysely<Tables> | Transaction<Tables>;
  readonly database: Database;
  readonly now: number;
  readonly newId: () => string;
}

export type Row<Table extends keyof Tables> = Selectable<Tables[Table]>;

export function notFound(what: string, name: string): AppError {
  return new AppError('RESOURCE_NOT_FOUND', `There is no ${what} "${name}".`);
}

export function conflict(message: string, nextStep: string): AppError {
  return new AppError('RESOURCE_CONFLICT', message, { nextStep });
}

/** Throws RESOURCE_CHANGED unless `ifVersion` is null or `version`. */
export function checkVersion(what: string, version: number, ifVersion: number | null): void {
  if (ifVersion === null || ifVersion === version) return;
  throw new AppError('RESOURCE_CHANGED', `The ${what} has been changed since it was read.`, {
    details: { version, ifVersion },
    nextStep: 'Read it again, and repeat the change if it is still wanted.',
  });
}

export function flag(value: boolean): 0 | 1 {
  return value ? 1 : 0;
}
