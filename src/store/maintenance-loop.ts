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

const LEASE = 'maintenance';

/** Returns when `signal` aborts; another server, or a restore, need not wait then. */
export async function maintain(store: Store, options: MaintenanceOptions): Promise<void> {
  const { clock, holder, onTrouble, signal } = options;
  const orTrouble = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      onTrouble(error);
    }
  };
  for (let round = 0; !signal.aborted; round++) {
    await orTrouble(async () => {
      const lease = await store.leases.hold(LEASE, { holder, lifeMs: LEASE_MS });
      if (lease !== null) await maintainOnce(store, options, round % TIDY_ROUNDS === 0);
    });
    await sleep(clock, ROUND_MS, signal);
  }
  await orTrouble(() => store.leases.release(LEASE, holder));
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
