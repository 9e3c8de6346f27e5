/** Headers of every answer, errors too. */
import type { Entropy } from '../ports.ts';

const NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Of one page, so that only its own style counts. */
export function newNonce(entropy: Entropy): string {
  return Buffer.from(entropy.bytes(16)).toString('base64');
}

/** A page of our own: no script at all, and style only with the nonce. */
export function pagePolicy(nonce: string): string {
  return `${NOTHING}; style-src 'nonce-${nonce}'`;
}

export const securityHeaders = {
  'content-security-policy': NOTHING,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
} as const;

/** Only over TLS: browsers ignore it elsewhere, and on loopback it would lock http:// out for a year. */
export const strictTransport = 'max-age=31536000; includeSubDomains';
