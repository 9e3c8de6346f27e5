/** Entries one behind the other, each with its length as a big-endian uint16 before it (c2sp.org/tlog-tiles). */

/** What the length can say. */
export const ENTRY_BYTES_MAX = 65_535;
export const LENGTH_BYTES = 2;

export function encodeBundle(entries: readonly Buffer[]): Buffer {
  const bundle = Buffer.allocUnsafe(entries.reduce((bytes, entry) => bytes + LENGTH_BYTES + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    at = bundle.writeUInt16BE(entry.length, at);
    at += entry.copy(bundle, at);
  }
  return bundle;
}

/** Where each entry begins and ends, in turn; null where the lengths do not end with the bytes. */
export function boundsIn(bundle: Buffer): number[] | null {
  const bounds: number[] = [];
  let at = 0;
  while (at + LENGTH_BYTES <= bundle.length) {
    const start = at + LENGTH_BYTES;
    at = start + bundle.readUInt16BE(at);
    bounds.push(start, at);
  }
  return at === bundle.length ? bounds : null;
}

/** Null where it is no bundle. */
export function decodeBundle(bundle: Buffer): Buffer[] | null {
  const bounds = boundsIn(bundle);
  if (bounds === null) return null;
  return Array.from({ length: bounds.length / 2 }, (_, i) => bundle.subarray(bounds[2 * i], bounds[2 * i + 1]));
}
