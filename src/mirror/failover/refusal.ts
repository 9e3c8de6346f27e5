/** No process of a mirror writes any more once its failover has said so. */
import { AppError } from '#contract/errors.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { StateTopic } from '../state-topic.ts';

/** Throws AppError MIRROR_FAILED_OVER, as of the last time that the state topic was read. */
export function refuseFailedOver(state: Pick<StateTopic, 'failover'>, mirrorId: string, target: Cluster): void {
  const record = state.failover(mirrorId);
  if (!record || record.phase === 'draining') return;
  const { mirrorName, phase } = record;
  if (phase === 'stopping') {
    throw new AppError(
      'MIRROR_FAILED_OVER',
      `Mirror "${mirrorName}" is being failed over to cluster "${target.name}".`,
      {
        nextStep:
          '"lockstep failover -f FILE --yes" goes on with it; "lockstep failover -f FILE --abandon" gives it up, and the mirror can run again.',
      },
    );
  }
  const since = new Date(record.steps.at(-1)?.endedAt ?? record.startedAt).toISOString();
  throw new AppError(
    'MIRROR_FAILED_OVER',
    `Mirror "${mirrorName}" was failed over to cluster "${target.name}" (${since}): its topics have writers of their own there, and nothing more is copied to them.`,
    {
      nextStep:
        'Do not run this file any more. "lockstep failback -f FILE" shows what only the old primary has, and leads back.',
    },
  );
}
