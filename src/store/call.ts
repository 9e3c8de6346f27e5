import type { AggregateName } from './access.ts';

/** One call of the store, as data: it is made in another thread. */
export interface Call {
  readonly aggregate: AggregateName;
  readonly method: string;
  readonly args: readonly unknown[];
  /** Of the audit log; null: none. */
  readonly intent: number | null;
}

/** Whatever answers calls: the database in this thread (local-caller.ts) or in another (thread-caller.ts). */
export interface Caller {
  /** Rejects with AppError, or with what is a bug of ours. */
  call(call: Call): Promise<unknown>;
  close(): Promise<void>;
}
