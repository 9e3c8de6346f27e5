import { AppError } from '#contract/errors.ts';
import { FormatError } from './format-error.ts';
import { parseVerifierKey, type VerifierKey } from './note.ts';

/** The key that somebody gives to be trusted. Throws AppError REQUEST_INVALID. */
export function parseTrustedKey(text: string): VerifierKey {
  try {
    return parseVerifierKey(text.trim());
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new AppError('REQUEST_INVALID', 'the key cannot be used', {
      cause,
      nextStep:
        'Write the public key of the log, as in --vkey lockstep.example/audit+1a2b3c4d+AbCd…, or a file that holds it.',
    });
  }
}
