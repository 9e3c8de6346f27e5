/** Keeps the store small and its figures rolled up; of several servers one does it. */
import { AppError } from '#contract/errors.ts';
import { type Clock, sleep } from '#util/clock.ts';
import type { Retention } from './maintenance.ts';
import type { Store } from './store.ts';

const ROUND_MS = 60_000;
/** Longer than a round and its work: whoever has it keeps it. */
const LEASE_MS = 3 * ROUND_MS;
const TIDY_ROUNDS = 60;
/** Between two pieces of a long deletion others get their turn. */
const PAUSE_MS = 20;

export interface MaintenanceOptions {
  readonly clock: Clock;
  /** Asked at each round: it may be changed meanwhile. */
  readonly retention: () => Retention;
  /** Names this server among those that share the store. */
  readonly holder: string;
  /** The store could not be kept this time; the next round tries again. */
  readonly onTrouble: (error: AppError) => void;
  readonly signal: AbortSignal;
}

/** Returns when `signal` aborts. */
export async function maintain(store: Store, options: MaintenanceOptions): Promise<void> {
  const { clock, holder, onTrouble, signal } = options;
  for (let round = 0; !signal.aborted; round++) {
    try {
      const lease = await store.leases.hold('maintenance', { holder, lifeMs: LEASE_MS });
      if (lease !== null) await maintainOnce(store, options, round % TIDY_ROUNDS === 0);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      onTrouble(error);
    }
    await sleep(clock, ROUND_MS, signal);
  }
}

async function maintainOnce(
  store: Store,
  { clock, retention, signal }: MaintenanceOptions,
  withTidying: boolean,
): Promise<void> {
  const kept = retention();
  await store.maintenance.rollUp(kept);
  while (!signal.aborted && (await store.maintenance.prune(kept))) await sleep(clock, PAUSE_MS, signal);
  if (withTidying && !signal.aborted) await store.maintenance.tidy();
}
