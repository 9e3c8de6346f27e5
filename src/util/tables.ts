/** Databases of others as rows, so that a test can put some in the place of a file. */

export type Cell = string | number | null | Uint8Array;

/** A database file that somebody else writes, opened to be read only. */
export interface TableFile {
  /** The columns of each table; views are left out. */
  readonly columns: ReadonlyMap<string, readonly string[]>;
  /** Of a table of `columns`, in the order in which they were written. */
  rows(table: string): Iterable<Readonly<Record<string, Cell>>>;
  close(): void;
}

export interface Tables {
  /** Throws where the file is not there, or no database. Nothing is created, and nothing in it runs. */
  open(path: string): TableFile;
}
