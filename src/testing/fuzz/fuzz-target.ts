/** One thing that reads bytes of brokers, as the fuzzer sees it. */
import type { Random } from '#util/random.ts';

export interface FuzzTarget {
  readonly name: string;
  /** How often it is chosen among the others. */
  readonly weight: number;
  /** A frame: valid, damaged or invented. */
  next(random: Random): Buffer;
  /** Reads the frame. True: decoded; false: refused with an error that is declared for it. Everything else is thrown: a finding. */
  run(frame: Buffer): boolean | Promise<boolean>;
  /** What reading a frame of so many bytes may take in buffers: 4 × the frame, a constant, and for batches what they unpack to. */
  bufferBytesMax(frameBytes: number): number;
}

/** Small buffers share a pool of Node's, which is taken anew now and then. */
export const CONSTANT_BYTES = 64 * 1024;
const RATIO_MAX = 4;

export function ratioBound(frameBytes: number): number {
  return RATIO_MAX * frameBytes + CONSTANT_BYTES;
}

/** Whether `action` ends well; an error that `isDeclared` is a refusal. */
export function isDecoded(action: () => unknown, isDeclared: (error: unknown) => boolean): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (isDeclared(error)) return false;
    throw error;
  }
}
