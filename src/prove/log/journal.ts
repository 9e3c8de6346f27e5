/**
 * What was acknowledged and is not yet under a checkpoint: files that only grow, `journal/00000001` and so on. Each is a
 * generation: whoever opens the log creates the next one, and who finds a later one than its own has been replaced.
 *
 *   frame = 'LSJ1' ‖ uint32 length ‖ uint32 CRC-32 of the payload ‖ payload
 *   the first payload is the header, each later one a bundle of entries: one group, acknowledged as a whole or not at all
 *
 * A group is written only after the one before it was acknowledged. So only the last frame can be torn; damage with a
 * good frame behind it is no crash.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { decodeBundle } from './entry-bundle.ts';
import { FormatError } from './format-error.ts';

export const JOURNAL_DIRECTORY = 'journal';
const MAGIC = Buffer.from('LSJ1');
const FRAME_HEADER_BYTES = MAGIC.length + 8;

const headerSchema = z.strictObject({
  v: z.literal(1),
  /** Sequence of the first entry in this file. */
  base: z.number().int().nonnegative(),
  /** No entry before it is later. */
  lastTs: z.number().int().nonnegative(),
  /** Intents below `base` whose outcome is not below it. */
  openIntents: z.array(z.number().int().nonnegative()),
});
export type JournalHeader = z.infer<typeof headerSchema>;

export interface JournalContent {
  /** Null where the process died before it had written it. */
  readonly header: JournalHeader | null;
  readonly entries: readonly Buffer[];
  /** Bytes at the end that no acknowledged group is in. */
  readonly tornBytes: number;
}

export function journalName(generation: number): string {
  return String(generation).padStart(8, '0');
}

/** Null for other files. */
export function generationOf(name: string): number | null {
  return /^\d{8}$/.test(name) ? Number(name) : null;
}

export function encodeHeader(header: JournalHeader): Buffer {
  return encodeFrame(Buffer.from(JSON.stringify(header)));
}

export function encodeFrame(payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  MAGIC.copy(frame);
  frame.writeUInt32BE(payload.length, MAGIC.length);
  frame.writeUInt32BE(crc32(payload), MAGIC.length + 4);
  payload.copy(frame, FRAME_HEADER_BYTES);
  return frame;
}

/** Throws FormatError where good frames lie behind a damaged one. */
export function readJournal(bytes: Buffer): JournalContent {
  const payloads: Buffer[] = [];
  let at = 0;
  for (let payload = payloadAt(bytes, at); payload; payload = payloadAt(bytes, at)) {
    payloads.push(payload);
    at += FRAME_HEADER_BYTES + payload.length;
  }
  for (let next = bytes.indexOf(MAGIC, at + 1); next >= 0; next = bytes.indexOf(MAGIC, next + 1))
    if (payloadAt(bytes, next)) throw new FormatError(`it is damaged at byte ${at}, and goes on at byte ${next}`);
  const [header, ...groups] = payloads;
  return {
    header: header ? headerOf(header) : null,
    entries: groups.flatMap(entriesOf),
    tornBytes: bytes.length - at,
  };
}

/** Null where no whole frame begins. */
function payloadAt(bytes: Buffer, at: number): Buffer | null {
  const start = at + FRAME_HEADER_BYTES;
  if (start > bytes.length || !bytes.subarray(at, at + MAGIC.length).equals(MAGIC)) return null;
  const end = start + bytes.readUInt32BE(at + MAGIC.length);
  if (end > bytes.length) return null;
  const payload = bytes.subarray(start, end);
  return crc32(payload) === bytes.readUInt32BE(at + MAGIC.length + 4) ? payload : null;
}

function headerOf(payload: Buffer): JournalHeader {
  try {
    return headerSchema.parse(JSON.parse(payload.toString()));
  } catch (cause) {
    throw new FormatError('its header is of another version', { cause });
  }
}

function entriesOf(payload: Buffer): Buffer[] {
  const entries = decodeBundle(payload);
  if (!entries) throw new FormatError('a group in it is no bundle of entries');
  return entries;
}
