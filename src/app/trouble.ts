/** What went wrong, as the operator of a process is told it. */
import { AppError, errorCodes } from '#contract/errors.ts';
import type { ServeEvent } from '#contract/serve-events.ts';

const CAUSES_MAX = 10;

/** `message` says what is concerned. Never has a secret: errors of ours hold none. */
export function troubleEvent(
  {
    message,
    requestId,
    error,
  }: { readonly message: string; readonly requestId: string | null; readonly error: unknown },
  at: number,
): Extract<ServeEvent, { event: 'trouble' }> {
  const known = error instanceof AppError ? error : null;
  const code = known?.code ?? 'INTERNAL';
  return {
    event: 'trouble',
    level: errorCodes[code].level,
    message,
    code,
    causes: messagesOf(error),
    nextStep: known?.nextStep ?? null,
    requestId,
    stack: known === null && error instanceof Error ? (error.stack ?? null) : null,
    at,
  };
}

function messagesOf(error: unknown): string[] {
  const messages: string[] = [];
  // A chain that we did not make may be a circle.
  for (let each = error; each instanceof Error && messages.length < CAUSES_MAX; each = each.cause)
    messages.push(each.message);
  return messages;
}
