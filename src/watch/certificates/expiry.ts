import { dayOf, factsOf, parseCertificates } from './certificate-facts.ts';

/** When people are told: there is time for a request and an approval, then there is none. */
const EXPIRY_WARNING_DAYS = 30;
const EXPIRY_CRITICAL_DAYS = 7;
const DAY_MS = 86_400_000;

export interface Expiry {
  readonly verdict: 'ok' | 'warning' | 'failed';
  /** Whole days left of the certificate that ends first; negative when it has ended. */
  readonly days: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly text: string;
}

/** Of the certificate that ends first; null where there is none in PEM. */
export function expiryOf(pem: string, now: number): Expiry | null {
  const all = parseCertificates(pem)?.map(factsOf);
  const first = all?.toSorted((a, b) => a.notAfter - b.notAfter)[0];
  if (!first) return null;
  const days = Math.floor((first.notAfter - now) / DAY_MS);
  const verdict = days < EXPIRY_CRITICAL_DAYS ? 'failed' : days < EXPIRY_WARNING_DAYS ? 'warning' : 'ok';
  const text =
    days < 0
      ? `${first.subject} ended on ${dayOf(first.notAfter)}`
      : `${first.subject} holds ${days} more days, until ${dayOf(first.notAfter)}`;
  return { verdict, days, at: first.notAfter, text };
}
