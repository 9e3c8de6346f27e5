/** Bytes as nobody should send them: damage of what is valid, at the places where protocols break. */
import { must } from '#util/assert.ts';
import type { Random } from '#util/random.ts';

/** Lengths and counts at their limits, in the encodings of the protocol and of record batches. */
const EXTREMES: readonly Buffer[] = [
  '7fffffff', // int32 and int16 at their largest
  '80000000',
  'ffffffff',
  '00000000',
  '7fff',
  '8000',
  'ffffffff0f', // unsigned varint of 2^32 − 1
  'ffffffff7f', // of more than 32 bits
  'feffffff0f', // a zig-zag varint of 2^31 − 1
  'ffffffffffffffffff01', // a varlong at its limit
  '7fffffffffffffff',
  '001fffffffffffff', // 2^53 − 1
  '0020000000000000',
  '8000000000000000',
  'ff80808080808080808080', // a varint that does not end
  '00',
  '01',
  '02',
  '1b5b324a', // an escape sequence of terminals
  'c0af', // no UTF-8
  'e280ae', // right-to-left override
].map((hex) => Buffer.from(hex, 'hex'));

/** A whole number from 0 to below `limit`. */
export function below(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}

export function oneOf<T>(random: Random, values: readonly T[]): T {
  return must(values[below(random, values.length)], 'a value to choose');
}

/** `bytes` with one to four places damaged; a copy. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated: Buffer = Buffer.from(bytes);
  for (let left = 1 + below(random, 4); left > 0; left--) mutated = mutateOnce(mutated, random);
  return mutated;
}

function mutateOnce(bytes: Buffer, random: Random): Buffer {
  const at = below(random, bytes.length + 1);
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at);
  switch (below(random, 8)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      if (at < bytes.length) flipped[at]! ^= 1 << below(random, 8);
      return flipped;
    }
    case 1: {
      const extreme = oneOf(random, EXTREMES);
      return Buffer.concat([before, extreme, after.subarray(extreme.length)]);
    }
    case 2:
      return Buffer.concat([before, oneOf(random, EXTREMES), after]);
    case 3: // something left out
      return Buffer.concat([before, after.subarray(1 + below(random, 8))]);
    case 4: // cut short
      return Buffer.from(before);
    case 5: // a stretch twice, which nests and repeats elements
      return Buffer.concat([before, after.subarray(0, 1 + below(random, 32)), after]);
    case 6: // noise
      return Buffer.concat([before, randomBytes(1 + below(random, 16), random), after]);
    default:
      return Buffer.concat([before, Buffer.from([below(random, 256)]), after.subarray(1)]);
  }
}

function randomBytes(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => below(random, 256)));
}
