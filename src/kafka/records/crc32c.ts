/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4): reflected polynomial 0x82F63B78, initial value and final XOR 0xFFFFFFFF.
 * It is affine: for messages A and B of equal length crc(A) XOR crc(B) = raw(A XOR B), where `raw` is the same division
 * without initial value and final XOR. Leading zeros leave raw unchanged, k trailing zero bytes multiply it by x^(8k).
 * So a header field is changed, and the checksum with it, at a cost that does not depend on the length of the batch.
 */
import { crc32c as nativeCrc32c } from '@node-rs/crc32';

const POLYNOMIAL = 0x82f63b78;

/** Enough for every length that fits into int32, the type of a batch's length field. */
const SHIFT_POWERS = 31;
const SHIFT_TABLE_INTS = 4 * 256;

const byteTable = createByteTable();
const shiftTables = createShiftTables();

/** CRC-32C of `bytes` as an unsigned 32-bit number, computed natively. */
export function crc32c(bytes: Uint8Array): number {
  return nativeCrc32c(bytes);
}

/** One step of `raw`: takes `byte` (0..255) into `raw`, which is 0 at first. Returns a signed 32-bit number. */
export function crc32cStep(raw: number, byte: number): number {
  return byteTable[(raw ^ byte) & 0xff]! ^ (raw >>> 8);
}

/**
 * Multiplies `crc` by x^(8 * zeroBytes): the raw checksum of the same message followed by `zeroBytes` (0..2^31-1) zeros.
 * Returns an unsigned 32-bit number. One table look-up of four bytes per set bit of `zeroBytes`.
 */
export function crc32cShift(crc: number, zeroBytes: number): number {
  let shifted = crc;
  let table = 0;
  for (let left = zeroBytes; left !== 0; left >>>= 1) {
    if ((left & 1) === 1) {
      shifted =
        shiftTables[table + (shifted & 0xff)]! ^
        shiftTables[table + 256 + ((shifted >>> 8) & 0xff)]! ^
        shiftTables[table + 512 + ((shifted >>> 16) & 0xff)]! ^
        shiftTables[table + 768 + (shifted >>> 24)]!;
    }
    table += SHIFT_TABLE_INTS;
  }
  return shifted >>> 0;
}

function createByteTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) {
      remainder = (remainder & 1) === 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
    }
    table[byte] = remainder;
  }
  return table;
}

/** For each power p the table of x^(8 * 2^p), found by squaring the matrix of the power before. */
function createShiftTables(): Int32Array {
  const tables = new Int32Array(SHIFT_POWERS * SHIFT_TABLE_INTS);
  let matrix = Int32Array.from({ length: 32 }, (_, bit) => crc32cStep(1 << bit, 0));
  for (let power = 0; power < SHIFT_POWERS; power++) {
    for (let position = 0; position < 4; position++) {
      const table = tables.subarray(power * SHIFT_TABLE_INTS + position * 256);
      for (let byte = 0; byte < 256; byte++) table[byte] = multiply(matrix, byte << (8 * position));
    }
    matrix = matrix.map((column) => multiply(matrix, column));
  }
  return tables;
}

/** `matrix` (a column per bit) times `vector` over GF(2). */
function multiply(matrix: Int32Array, vector: number): number {
  let product = 0;
  for (let bit = 0; bit < 32; bit++) if (((vector >>> bit) & 1) === 1) product ^= matrix[bit]!;
  return product;
}
