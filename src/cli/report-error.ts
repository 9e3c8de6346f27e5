import { AppError, errorCodes, type ErrorCode } from '#contract/errors.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { Io } from './io.ts';

/**
 * Prints an error as one clear message on standard error (as a JSON line with `json`) and returns the exit code that
 * belongs to it. What is not an AppError is a bug: INTERNAL. Stack traces only with LOCKSTEP_DEBUG=1.
 */
export function reportError(io: Io, error: unknown, options: { json: boolean }): number {
  const { code, message, nextStep } = described(error);
  const causes = causesOf(error);
  if (options.json) {
    const details = error instanceof AppError ? error.details : {};
    io.err(`${printableJson({ error: { code, message, causes, nextStep, details } })}\n`);
  } else {
    const lines = message.split('\n').map(printable);
    io.err(`${code}:${lines.length === 1 ? ` ${lines[0]}` : `\n${lines.map((line) => `  ${line}`).join('\n')}`}\n`);
    for (const cause of causes) io.err(`because: ${printable(cause)}\n`);
    if (nextStep !== null) io.err(`next: ${nextStep.split('\n').map(printable).join('\n')}\n`);
  }
  if (io.isDebug && error instanceof Error) io.err(`${error.stack}\n`);
  return errorCodes[code].exit;
}

function described(error: unknown): { code: ErrorCode; message: string; nextStep: string | null } {
  if (error instanceof AppError) return error;
  return {
    code: 'INTERNAL',
    message: error instanceof Error ? error.message : String(error),
    nextStep: 'This is a bug of Lockstep: run it again with LOCKSTEP_DEBUG=1 and report what it prints.',
  };
}

/** The messages of the chain of causes, outermost first, without what an outer one has said already. */
function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  const said = [error instanceof Error ? error.message : ''];
  // A chain that we did not make may be a circle.
  for (let cause = causeOf(error); cause instanceof Error && causes.length < 10; cause = causeOf(cause)) {
    const { message } = cause;
    if (!said.some((outer) => outer.includes(message))) {
      causes.push(message);
      said.push(message);
    }
  }
  return causes;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}
