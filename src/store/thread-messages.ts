/** What the thread of the database and the one that it works for say to each other. */
import { AppError, type ErrorCode } from '#contract/errors.ts';
import type { Call } from './call.ts';

export type ToThread = { readonly kind: 'call'; readonly id: number; readonly call: Call } | { readonly kind: 'close' };

export type FromThread =
  | { readonly kind: 'ready' }
  /** It could not be opened; the thread ends. */
  | { readonly kind: 'failed'; readonly error: SentError }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: SentError };

/** Classes do not survive the way from thread to thread. */
export type SentError =
  | {
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: AppError['details'];
      readonly nextStep: string | null;
      readonly cause: string | null;
    }
  | { readonly code: null; readonly bug: Error };

export function toSent(error: unknown): SentError {
  if (!(error instanceof AppError))
    return { code: null, bug: error instanceof Error ? error : new Error(String(error)) };
  const { code, message, details, nextStep, cause } = error;
  return { code, message, details, nextStep, cause: cause instanceof Error ? cause.message : null };
}

export function fromSent(sent: SentError): Error {
  if (sent.code === null) return sent.bug;
  const { code, message, details, nextStep, cause } = sent;
  return new AppError(code, message, {
    details,
    ...(nextStep === null ? {} : { nextStep }),
    ...(cause === null ? {} : { cause: new Error(cause) }),
  });
}
