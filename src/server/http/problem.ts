/** Errors as problem documents (RFC 9457). What is not an AppError is a bug or a stranger: its text stays inside. */
import type { ZodError } from 'zod';
import { AppError, errorCodes, type ErrorCode } from '#contract/errors.ts';
import type { Problem } from '#contract/api/common.ts';
import { printable } from '#util/printable.ts';

export interface Refusal {
  readonly status: number;
  readonly problem: Problem;
  readonly retryAfterSeconds: number | null;
  /** Nobody outside can have caused it. */
  readonly isInternal: boolean;
}

const RETRY_SECONDS = 5;

/** What a route of ours answered with that its description does not name would be a surprise to its callers. */
export function refusalOf(error: unknown, requestId: string): Refusal {
  const known = error instanceof AppError ? error : null;
  const code: ErrorCode = known !== null && errorCodes[known.code].http !== null ? known.code : 'INTERNAL';
  const status = errorCodes[code].http ?? 500;
  const isInternal = code === 'INTERNAL';
  const details = known?.details ?? {};
  const retryAfterMs = details['retryAfterMs'];
  return {
    status,
    isInternal,
    retryAfterSeconds:
      typeof retryAfterMs === 'number' ? Math.ceil(retryAfterMs / 1000) : status === 503 ? RETRY_SECONDS : null,
    problem: {
      type: `/docs#${code}`,
      title: errorCodes[code].meaning,
      status,
      code,
      detail: isInternal
        ? `An unexpected error; the server's log has it under ${requestId}.`
        : printable(known?.message ?? ''),
      nextStep: isInternal ? null : (known?.nextStep ?? null),
      requestId,
      ...(Array.isArray(details['problems']) ? { problems: details['problems'] as Problem['problems'] & object } : {}),
    },
  };
}

const PROBLEMS_MAX = 50;

/** Where input does not fit its schema. Values are not repeated: a password may be among them. */
export function misfit(what: 'path' | 'query' | 'body', error: ZodError): AppError {
  const problems = error.issues.slice(0, PROBLEMS_MAX).map((issue) => ({
    path: issue.path.map((step) => String(step)).join('.'),
    message: issue.message,
  }));
  const [first] = problems;
  const where = first === undefined || first.path === '' ? what : `${what}: ${first.path}`;
  return new AppError('REQUEST_INVALID', `${where}: ${first?.message ?? 'does not fit'}`.slice(0, 500), {
    details: { problems },
    nextStep: '"problems" names each place; /docs says what the route takes.',
  });
}
