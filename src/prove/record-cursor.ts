/**
 * Walks the records of a batch body one by one, without an object for each (DefaultRecord of Kafka): a decoder of the
 * verifier's own. The mirror writes anew what its decoder has read, so a mistake there would hide from a verifier that
 * read both sides with it. What is behind the offset delta of a record (key, value, headers) is left as bytes.
 */
import { MalformedBatchError } from '#kafka/errors.ts';

export interface RecordFields {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: Buffer; readonly value: Buffer | null }[];
}

export class RecordCursor {
  readonly body: Buffer;
  /** Of the record at hand, relative to the batch's. */
  timestampDelta = 0;
  offsetDelta = -1;
  /** The record's bytes from its key's length to its end are [contentAt, contentEnd) of body. */
  contentAt = 0;
  contentEnd = 0;
  #at: number;
  readonly #end: number;
  #left: number;

  /** `count` records lie in [at, end) of body. */
  constructor(body: Buffer, range: { at: number; end: number; count: number }) {
    this.body = body;
    this.#at = range.at;
    this.#end = range.end;
    this.#left = range.count;
  }

  /** Moves to the next record; false behind the last. Throws MalformedBatchError. */
  next(): boolean {
    if (this.#left === 0) {
      if (this.#at !== this.#end) throw new MalformedBatchError('bytes stand behind the last record');
      return false;
    }
    this.#left--;
    const length = this.#varint();
    const end = this.#at + length;
    if (length < 0 || end > this.#end) throw new MalformedBatchError('a record runs past the end of its batch');
    this.#at++; // attributes, unused
    this.timestampDelta = this.#varint();
    const offsetDelta = this.#varint();
    if (offsetDelta <= this.offsetDelta) throw new MalformedBatchError('offsets of a batch do not rise');
    this.offsetDelta = offsetDelta;
    if (this.#at > end) throw new MalformedBatchError('a record is shorter than it says');
    this.contentAt = this.#at;
    this.contentEnd = this.#at = end;
    return true;
  }

  /** The parts of the record at hand, as slices. Throws MalformedBatchError. */
  fields(): RecordFields {
    const behind = this.#at;
    this.#at = this.contentAt;
    const key = this.#bytes();
    const value = this.#bytes();
    const headers: { key: Buffer; value: Buffer | null }[] = [];
    for (let count = this.#varint(); count > 0; count--) {
      const name = this.#bytes();
      if (name === null) throw new MalformedBatchError('a header has no name');
      headers.push({ key: name, value: this.#bytes() });
    }
    if (this.#at !== this.contentEnd) throw new MalformedBatchError('a record is not as long as it says');
    this.#at = behind;
    return { key, value, headers };
  }

  #bytes(): Buffer | null {
    const length = this.#varint();
    if (length < 0) return null;
    if (this.#at + length > this.contentEnd) throw new MalformedBatchError('a field runs past the end of its record');
    this.#at += length;
    return this.body.subarray(this.#at - length, this.#at);
  }

  /** Zig-zag (ByteUtils.readVarlong); the sign stands apart, so that all of ±2^53 is exact. */
  #varint(): number {
    const first = this.#byte();
    let magnitude = (first & 0x7f) >>> 1;
    for (let byte = first, weight = 64; byte >= 0x80; weight *= 128) {
      byte = this.#byte();
      magnitude += (byte & 0x7f) * weight;
    }
    if (magnitude > Number.MAX_SAFE_INTEGER) throw new MalformedBatchError('a number is beyond ±2^53');
    return (first & 1) === 1 ? -magnitude - 1 : magnitude;
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new MalformedBatchError('a number runs past the end of its batch');
    return this.body[this.#at++]!;
  }
}
