/**
 * What a client holds: a prefix that scanners of secrets recognise, 256 random bits, a checksum that tells a mistyped one from
 * a wrong one. The server keeps its SHA-256; with so many random bits nothing slower is needed.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Entropy } from '../ports.ts';

export type CredentialKind = 'session' | 'token' | 'once';

const PREFIX = { session: 'lks', token: 'lkt', once: 'lko' } as const satisfies Record<CredentialKind, string>;

const FORM = /^(lks|lkt|lko)_([A-Za-z0-9_-]{43})([0-9a-f]{8})$/;

export function createCredential(kind: CredentialKind, entropy: Entropy): { text: string; hash: string } {
  const secret = `${PREFIX[kind]}_${Buffer.from(entropy.bytes(32)).toString('base64url')}`;
  const text = `${secret}${checksum(secret)}`;
  return { text, hash: sha256(text) };
}

/** Null where it cannot be one: nothing needs to be looked up. */
export function readCredential(text: string): { kind: CredentialKind; hash: string } | null {
  const match = FORM.exec(text);
  if (!match || checksum(text.slice(0, -8)) !== match[3]) return null;
  const kind = match[1] === PREFIX.session ? 'session' : match[1] === PREFIX.token ? 'token' : 'once';
  return { kind, hash: sha256(text) };
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
