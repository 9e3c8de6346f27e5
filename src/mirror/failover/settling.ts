/** When the topics of a fenced source have come to rest: what was on its way has landed, and what was open has ended. */

/**
 * Brokers keep producers out as soon as they show the ACL; coordinators still end transactions, each with one marker: who
 * writes without a pause for so long is a super.user.
 */
const WRITTEN_FOR_MS = 10_000;

export type Rest = 'at rest' | 'open transactions' | 'still written' | 'unreadable';

export class Settling {
  readonly #openWithinMs: number;
  #before: string | null = null;
  /** When the ends were last the same as at the look before; of the first look as long as they never were. */
  #stillMs = 0;

  /** `openWithinMs`: how long open transactions are waited for. */
  constructor(openWithinMs: number) {
    this.#openWithinMs = openWithinMs;
  }

  /**
   * What the ends of the partitions, read `tookMs` after the fence, say; null to look again a moment later. An end is null
   * where it could not be read.
   */
  look(tookMs: number, found: { readonly ends: readonly (number | null)[]; readonly open: number }): Rest | null {
    const now = found.ends.join();
    const isStill = now === this.#before;
    this.#before = now;
    if (isStill) this.#stillMs = tookMs;
    if (found.ends.includes(null)) return isStill && tookMs > this.#openWithinMs ? 'unreadable' : null; // may be of anything
    if (isStill && found.open === 0) return 'at rest';
    if (isStill && tookMs > this.#openWithinMs) return 'open transactions';
    return tookMs - this.#stillMs > WRITTEN_FOR_MS ? 'still written' : null;
  }
}
