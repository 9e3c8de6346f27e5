import type { Kysely } from 'kysely';
import type { Engine } from './engine.ts';
import type { Tables } from './tables.ts';

/** An open database of either engine. */
export interface Database {
  readonly engine: Engine;
  readonly kysely: Kysely<Tables>;
  /** Reads what is there now and nothing later, until it is closed; others write on. */
  snapshot(): Promise<{ readonly kysely: Kysely<Tables>; close(): Promise<void> }>;
  /** The server's clock, where several share one; null: whoever opened it has the only one. */
  readonly now: (() => Promise<number>) | null;
  close(): Promise<void>;
}
