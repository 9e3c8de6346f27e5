/** Short copies of records for a report: enough to recognise them, never more than a screen. */
import type { ShownBytes, ShownRecord } from '#contract/verification.ts';
import type { RecordFields } from './record-cursor.ts';

/** Of one field. */
const SHOWN_BYTES = 64;
/** Shown before the first byte that differs. */
const CONTEXT_BYTES = 16;
const SHOWN_HEADERS = 8;

/** Where the shown pieces of long fields begin, so that what differs is among them. */
export interface ShownFrom {
  readonly key: number;
  readonly value: number;
}

export function shownRecord(
  timestamp: number,
  { key, value, headers }: RecordFields,
  from: ShownFrom = { key: 0, value: 0 },
): ShownRecord {
  return {
    timestamp,
    key: shownBytes(key, from.key),
    value: shownBytes(value, from.value),
    headers: headers
      .slice(0, SHOWN_HEADERS)
      .map((header) => ({ key: shownBytes(header.key, 0)!, value: shownBytes(header.value, 0) })),
    headerCount: headers.length,
  };
}

/** The index of the first byte that differs; the length of the shorter one where it is the beginning of the other. */
export function firstDifference(a: Buffer | null, b: Buffer | null): number {
  if (a === null || b === null) return 0;
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return i;
  return shorter;
}

function shownBytes(bytes: Buffer | null, around: number): ShownBytes | null {
  if (bytes === null) return null;
  const from =
    bytes.length <= SHOWN_BYTES ? 0 : Math.max(0, Math.min(around - CONTEXT_BYTES, bytes.length - SHOWN_BYTES));
  const piece = bytes.subarray(from, from + SHOWN_BYTES);
  return { bytes: bytes.length, from, text: textOf(piece), hex: piece.toString('hex') };
}

/** Null where the bytes are not UTF-8, or hold what is not printable. */
function textOf(bytes: Buffer): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/u.test(text) ? null : text;
  } catch {
    return null; // or a character is cut at the edge of the piece: its hex says it all
  }
}
