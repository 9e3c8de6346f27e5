/** What keeps the database small and quick. `runMaintenance` calls these in turn; each call is short. */

export interface Retention {
  /** Events, and incidents that have closed. */
  readonly eventsMs: number;
  /** Snapshots of the inventory; the latest of each cluster and side, and manual ones, stay four times as long. */
  readonly inventoryMs: number;
  readonly reportsMs: number;
  /** Inactive clusters are archived. */
  readonly inactiveClustersMs: number;
  /** Sessions, tokens, one-time tokens, idempotency keys and throttles that are over stay so long. */
  readonly expiredMs: number;
  /** How long each resolution of the figures is kept, finest first. */
  readonly history: readonly { readonly stepMs: number; readonly keepMs: number }[];
}

export interface StoreSize {
  readonly databaseBytes: number;
  /** SQLite: of the write-ahead log; PostgreSQL: null. */
  readonly walBytes: number | null;
  readonly rows: Readonly<Record<string, number>>;
  readonly series: number;
  readonly seriesMax: number;
}

export interface Maintenance {
  /** Deletes at most some thousand rows of what is older; true: there is more. */
  prune(retention: Retention): Promise<boolean>;
  /** Coarser steps from finer ones, up to now. */
  rollUp(retention: Retention): Promise<void>;
  /** Gives free pages back (SQLite) and refreshes what the planner knows. */
  tidy(): Promise<void>;
  size(): Promise<StoreSize>;
  schemaVersion(): Promise<string>;
  /** Grows whenever something of its kind changed, by whomever: servers that share a database ask for it every half second. */
  versions(): Promise<Versions>;
}

export interface Versions {
  /** Users, roles, sessions, tokens, certificates. */
  readonly identities: number;
  /** Clusters, jobs, and what they are wanted to do. */
  readonly resources: number;
  readonly configuration: number;
}
