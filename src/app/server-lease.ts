/** Of the servers that share a database one answers and writes the audit log; the others run jobs, and wait for its place. */
import type { Store } from '#store/store.ts';
import { sleep, type Clock } from '#util/clock.ts';

const LEASE = 'server';
const LIFE_MS = 15_000;
const RENEW_MS = 3_000;

export interface ServerLeaseOptions {
  readonly store: Pick<Store, 'leases'>;
  readonly clock: Clock;
  readonly holder: string;
  /** Another server has it. */
  readonly onWaiting: () => void;
  readonly onTrouble: (message: string, error: unknown) => void;
  readonly signal: AbortSignal;
}

/** Resolves when it is ours: true; or when `signal` aborts. */
export async function awaitLease(options: ServerLeaseOptions): Promise<boolean> {
  const { clock, signal, onWaiting, onTrouble } = options;
  let hasTold = false;
  while (!signal.aborted) {
    const lease = await hold(options).catch((error: unknown) =>
      onTrouble('the place of the server cannot be asked for', error),
    );
    if (lease === 'ours') return true;
    if (lease === 'taken' && !hasTold) {
      hasTold = true;
      onWaiting();
    }
    await sleep(clock, RENEW_MS, signal);
  }
  return false;
}

/** Resolves when it is another's, who could take it because the store did not hear of us: true; or when `signal` aborts. */
export async function keepLease(options: ServerLeaseOptions): Promise<boolean> {
  const { clock, signal } = options;
  while (!signal.aborted) {
    // While the store does not answer, nobody can take it, and nothing can be changed here either.
    const lease = await hold(options).catch(() => null);
    if (lease === 'taken') return true;
    await sleep(clock, RENEW_MS, signal);
  }
  return false;
}

export async function releaseLease({ store, holder, onTrouble }: ServerLeaseOptions): Promise<void> {
  await store.leases
    .release(LEASE, holder)
    .catch((error: unknown) => onTrouble('the place of the server is free only after a while', error));
}

async function hold({ store, holder }: ServerLeaseOptions): Promise<'ours' | 'taken'> {
  return (await store.leases.hold(LEASE, { holder, lifeMs: LIFE_MS })) === null ? 'taken' : 'ours';
}
