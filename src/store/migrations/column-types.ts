/** What differs between the engines when a table is made. */
import { type ColumnDefinitionBuilder, type RawBuilder, sql } from 'kysely';
import type { Engine } from '../engine.ts';

export interface ColumnTypes {
  /** Compared byte by byte in both engines, so order and page boundaries are the same. */
  readonly text: RawBuilder<unknown>;
  /** 64 bits, of which 53 are used. */
  readonly whole: 'bigint';
  readonly real: 'double precision';
  readonly flag: 'smallint';
  /** A number that grows with each row, and is never given twice. */
  readonly serial: 'bigint' | 'integer';
  isSerial(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder;
  /** At the end of a table whose key is most of it: SQLite then keeps its rows in the key's index, and not a second time. */
  readonly keyed: RawBuilder<unknown>;
}

export function columnTypes(engine: Engine): ColumnTypes {
  const isPostgres = engine === 'postgres';
  return {
    text: isPostgres ? sql`text collate "C"` : sql`text`,
    whole: 'bigint',
    real: 'double precision',
    flag: 'smallint',
    serial: isPostgres ? 'bigint' : 'integer',
    // by default and not always: a restored row keeps its number
    isSerial: (column) =>
      isPostgres ? column.generatedByDefaultAsIdentity().primaryKey() : column.primaryKey().autoIncrement(),
    keyed: isPostgres ? sql`` : sql`without rowid`,
  };
}
