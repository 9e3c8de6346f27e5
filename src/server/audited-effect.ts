import { AppError } from '#contract/errors.ts';
import type { Aggregates } from '#store/store.ts';
import type { AuditEvent, ServerPorts } from './ports.ts';

/** What the server does by itself. */
export const SYSTEM: AuditEvent['actor'] = { id: 'lockstep', kind: 'system', authn: 'none' };

/** Intent before the effect, outcome after it. What is changed through `store` is noted under the intent. */
export async function auditedEffect<T>(
  { audit, store, log }: Pick<ServerPorts, 'audit' | 'store' | 'log'>,
  event: AuditEvent,
  effect: (store: Aggregates) => Promise<T>,
): Promise<T> {
  const intent = await audit.intend(event);
  const end = async (outcome: 'succeeded' | 'failed' | 'unknown', reason?: string): Promise<void> => {
    // The effect is there or is not, whatever the log says now: it names the intent as dangling when it is read.
    await audit
      .settle(intent, outcome, reason === undefined ? {} : { reason })
      .catch((error: unknown) =>
        log({ message: 'outcome not in the audit log', requestId: event.requestId ?? null, error }),
      );
  };
  let result: T;
  try {
    result = await effect(store.under(intent.seq));
  } catch (error) {
    const known = error instanceof AppError ? error : null;
    const isOpen = known === null || known.details['effect'] === 'unknown';
    await end(isOpen ? 'unknown' : 'failed', known?.code ?? 'INTERNAL');
    throw error;
  }
  await end('succeeded');
  return result;
}
