/** Marks browsers that have signed in to an account: a cookie with a mark that only this server can make. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Entropy } from '../ports.ts';

export class KnownDevices {
  readonly #key: Uint8Array;
  readonly #entropy: Entropy;

  constructor({ key, entropy }: { readonly key: Uint8Array; readonly entropy: Entropy }) {
    this.#key = key;
    this.#entropy = entropy;
  }

  mark(account: string): string {
    const id = Buffer.from(this.#entropy.bytes(16)).toString('base64url');
    return `${id}.${this.#signature(id, account)}`;
  }

  /** The device's id where it has signed in to this account before. */
  read(cookie: string | undefined, account: string): string | null {
    const [id = '', signature = ''] = (cookie ?? '').split('.');
    const expected = Buffer.from(this.#signature(id, account));
    const shown = Buffer.from(signature);
    return shown.length === expected.length && timingSafeEqual(shown, expected) ? id : null;
  }

  #signature(id: string, account: string): string {
    return createHmac('sha256', this.#key).update(`${id}\n${account.toLowerCase()}`).digest('base64url');
  }
}
