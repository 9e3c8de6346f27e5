/** Does something with an intent before it and an outcome behind it. */
import type { AuditEvent, AuditOutcome } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import type { AuditLog, Ending } from './audit-log.ts';

export interface Audited {
  readonly event: AuditEvent;
  /** How a failure ended: `unknown` for a call without an answer, which may have had its effect. */
  readonly outcomeOf?: (error: unknown) => AuditOutcome;
}

/**
 * Runs `effect` when its intent is durable, and not at all where it cannot be logged. `effect` returns its result, and
 * what the outcome is to say of the change. Throws what `effect` throws; AUDIT_UNAVAILABLE where nothing was done, or, with
 * `details.isDone`, where it was done and the outcome could not be logged: the next start finds the intent without one.
 */
export async function audited<T>(
  log: AuditLog,
  { event, outcomeOf = () => 'failed' }: Audited,
  effect: () => Promise<{ readonly result: T } & Ending>,
): Promise<T> {
  const intent = await log.intend(event);
  let done: { readonly result: T } & Ending;
  try {
    done = await effect();
  } catch (error) {
    const reason = error instanceof AppError ? error.code : 'INTERNAL';
    await log.settle(intent, outcomeOf(error), { reason }).catch(() => null); // what failed is what has to be heard of
    throw error;
  }
  const { result, ...ending } = done;
  try {
    await log.settle(intent, 'succeeded', ending);
  } catch (cause) {
    throw new AppError(
      'AUDIT_UNAVAILABLE',
      `"${event.action}" was done, and the audit log could not take its outcome.`,
      {
        cause,
        details: { isDone: true, intent: intent.seq },
        nextStep:
          'Do not repeat it before you have looked. The next start of the server reports it as an intent without an outcome.',
      },
    );
  }
  return result;
}
