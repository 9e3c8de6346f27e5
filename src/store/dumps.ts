/**
 * All that is in the database at one moment, piece by piece, while others go on writing. What is only good for a moment
 * (sessions, one-time tokens, leases …) is left out: a restored database must not bring it back.
 */
import { sql } from 'kysely';
import { must } from '#util/assert.ts';
import type { Database } from './database.ts';
import { fromJson } from './json.ts';
import { type Scope, notFound } from './scope.ts';
import { currentSchema } from './schema.ts';
import { tableKeys, type TableName, tableNames } from './tables.ts';

export interface DumpHead {
  readonly id: string;
  readonly takenAt: number;
  readonly schema: string;
}

export interface DumpPart {
  readonly table: TableName;
  readonly rows: readonly DumpRow[];
}

export type DumpRow = Readonly<Record<string, string | number | null>>;

export interface Dumps {
  open(): Promise<DumpHead>;
  /** In the order of the tables and their keys; null: that was all. */
  next(id: string): Promise<DumpPart | null>;
  /** Before the end, too: what was read from stays as it is until then. */
  close(id: string): Promise<void>;
}

const MOMENTARY: readonly TableName[] = ['sessions', 'one_time_tokens', 'idempotency_keys', 'throttles', 'leases'];

export const dumpedTables = tableNames.filter((name) => !MOMENTARY.includes(name));

const ROWS = 500;

interface OpenDump {
  readonly snapshot: Awaited<ReturnType<Database['snapshot']>>;
  table: number;
  after: DumpRow | null;
}

const open = new WeakMap<Database, Map<string, OpenDump>>();

/** What is open when the database is closed. */
export async function closeDumps(database: Database): Promise<void> {
  for (const { snapshot } of open.get(database)?.values() ?? []) await snapshot.close();
  open.delete(database);
}

export function createDumps({ database, now, newId }: Scope): Dumps {
  const dumps = open.get(database) ?? new Map<string, OpenDump>();
  open.set(database, dumps);
  return {
    async open() {
      const id = newId();
      dumps.set(id, { snapshot: await database.snapshot(), table: 0, after: null });
      return { id, takenAt: now, schema: currentSchema };
    },
    async next(id) {
      const dump = dumps.get(id);
      if (!dump) throw notFound('dump', id);
      for (;;) {
        const table = dumpedTables[dump.table];
        if (table === undefined) return null;
        const rows = await readRows(dump.snapshot.kysely, table, dump.after);
        dump.after = rows.at(-1) ?? null;
        if (rows.length < ROWS) {
          dump.table += 1;
          dump.after = null;
        }
        if (rows.length > 0) return { table, rows };
      }
    },
    async close(id) {
      await dumps.get(id)?.snapshot.close();
      dumps.delete(id);
    },
  };
}

async function readRows(db: Scope['db'], table: TableName, after: DumpRow | null): Promise<DumpRow[]> {
  const keys = tableKeys[table];
  const columns = sql.join(keys.map((key) => sql.ref(key)));
  const place = after && sql.join(keys.map((key) => sql`${must(after[key], key)}`));
  const where = place === null ? sql`` : sql`where (${columns}) > (${place})`;
  const { rows } = await sql<DumpRow>`
    select * from ${sql.table(table)} ${where} order by ${columns} limit ${sql.lit(ROWS)}`.execute(db);
  return rows.map((row) => fromJson<DumpRow>(JSON.stringify(row))); // without the prototype that SQLite's rows lack
}
