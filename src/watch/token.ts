import { createHash, timingSafeEqual } from 'node:crypto';

/** Whether an Authorization header carries `expected` as Bearer token; how long it takes says nothing of it. */
export function isToken(authorization: string | undefined, expected: string): boolean {
  const given = /^Bearer +(.+)$/i.exec(authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digestOf(given), digestOf(expected));
}

function digestOf(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
