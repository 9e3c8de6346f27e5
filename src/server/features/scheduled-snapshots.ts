import { saveSnapshot } from '#store/inventory.ts';
import type { Chore } from '../chores.ts';
import type { Context } from './context.ts';
import { wholeSnapshots } from './inventory.ts';
import { everyItem } from './pages.ts';

const LOOK_MS = 10 * 60_000;

/**
 * Snapshots of both clusters of each job that is wanted to run: the first soon after it was started, then one whenever the newest is
 * older than `inventory.every`.
 */
export function scheduledSnapshots({ ports, configuration }: Pick<Context, 'ports' | 'configuration'>): Chore {
  const { store, clock, log } = ports;
  return {
    name: 'scheduled snapshots',
    everyMs: LOOK_MS,
    async run() {
      const everyMs = configuration.resolved.values['inventory.every'];
      for await (const job of everyItem((request) => store.jobs.list({ ...request, filter: { desired: 'started' } }))) {
        const { items } = await store.inventory.list({ limit: 1, descending: true, filter: { jobId: job.id } });
        const [newest] = items;
        if (newest !== undefined && clock.now() - newest.takenAt < everyMs) continue;
        const trigger = newest === undefined ? 'startup' : 'periodic';
        try {
          for (const whole of await wholeSnapshots(ports, job, { trigger, takenBy: null }))
            await saveSnapshot(store.inventory, whole);
        } catch (error) {
          // A cluster that does not answer keeps no other job from its snapshots.
          log({ message: `no snapshot for job "${job.name}"`, requestId: null, error });
        }
      }
    },
  };
}
