/** The entry by which a log goes over to another key: each key signs that the one follows the other. */
import type { AuditEntry } from '#contract/audit.ts';
import { FormatError } from './format-error.ts';
import { isSignedText, parseVerifierKey, signText, type SignerKey, type VerifierKey } from './note.ts';

type Rotation = NonNullable<AuditEntry['rotation']>;

export function rotationOf(from: SignerKey, to: SignerKey): Rotation {
  const text = rotationText(from.verifier.text, to.verifier.text);
  return {
    from: from.verifier.text,
    to: to.verifier.text,
    fromSignature: signText(text, from),
    toSignature: signText(text, to),
  };
}

/** Never the text of a checkpoint: its second line is no number. */
function rotationText(from: string, to: string): string {
  return `lockstep log key rotation v1\n${from}\n${to}\n`;
}

/** The key that one of `trusted` hands over to; null where the rotation is not of one of them, or not of one name. */
export function nextKey(
  { from, to, fromSignature, toSignature }: Rotation,
  trusted: readonly VerifierKey[],
): VerifierKey | null {
  const old = trusted.find(({ text }) => text === from);
  if (!old) return null;
  try {
    const next = parseVerifierKey(to);
    const text = rotationText(from, to);
    const isSigned = isSignedText(text, fromSignature, old) && isSignedText(text, toSignature, next);
    return isSigned && next.name === old.name ? next : null;
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}
