/** What an entry may hold of values that it must not hold. */
import { hash } from 'node:crypto';
import { assert } from '#util/assert.ts';
import { canonicalJson, type Json } from '#util/canonical-json.ts';

/** Fewer bytes could be tried out. */
const SALT_BYTES = 32;

/** Of what is no secret and not personal: anybody who has the value finds the same. */
export function digestOf(value: Json): string {
  return sha256(canonicalJson(value));
}

/**
 * Of an address, a name, a secret: says nothing without the salt, which stands beside the value and is destroyed with
 * it. SHA-256(salt ‖ value).
 */
export function commitmentOf(value: string, salt: Uint8Array): string {
  assert(salt.length === SALT_BYTES, 'a salt has 32 bytes');
  return hash('sha256', Buffer.concat([salt, Buffer.from(value)]), 'hex');
}

export function sha256(text: string): string {
  return hash('sha256', text, 'hex');
}
