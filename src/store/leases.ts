/** One of several servers at a time: who does the scheduled work, who writes the audit log. */

export interface Lease {
  readonly name: string;
  readonly holder: string;
  /** Grows with each change of holder: what an earlier one still does can be told by it. */
  readonly term: number;
  readonly expiresAt: number;
}

export interface Leases {
  /** Takes it when it is free or ours, and makes it last; null: somebody else has it. Times are the store's. */
  hold(name: string, options: { readonly holder: string; readonly lifeMs: number }): Promise<Lease | null>;
  release(name: string, holder: string): Promise<boolean>;
  list(): Promise<readonly Lease[]>;
}
