/**
 * Feeds frames to what reads bytes of brokers, and watches three things: that each frame ends decoded or refused with a
 * declared error, that none takes long, and that none takes memory beyond its bound. The same seed gives the same frames.
 */
import { getHeapStatistics } from 'node:v8';
import { createRandom } from '#util/random.ts';
import { decoderTargets } from './decoder-targets.ts';
import { CONSTANT_BYTES, type FuzzTarget } from './fuzz-target.ts';
import { below } from './mutations.ts';
import { sessionTargets } from './session-targets.ts';

/** Node's pool of small buffers, which is taken anew now and then, whatever the frame. */
const POOL_BYTES = 64 * 1024;
/** Of processor time. A frame of a few KB takes microseconds; what takes this long does not end in proportion to its size. */
const FRAME_MS_MAX = 2_000;

export interface Finding {
  readonly kind: 'crash' | 'hang' | 'memory';
  readonly target: string;
  readonly frame: Buffer;
  readonly what: string;
}

export interface FuzzReport {
  readonly seed: number;
  readonly frames: number;
  readonly decoded: number;
  readonly refused: number;
  readonly seconds: number;
  readonly longestMs: number;
  readonly longestTarget: string;
  /** Of the buffers taken for one frame to its bytes, in frames of 64 KB and more; batches are left out, which unpack. */
  readonly bufferRatioMax: number;
  readonly findings: readonly Finding[];
}

/** Stops at the tenth finding. */
export async function fuzz(options: {
  readonly frames: number;
  readonly seed: number;
  readonly onProgress?: (frames: number) => void;
}): Promise<FuzzReport> {
  const random = createRandom(options.seed);
  const targets = [...(await decoderTargets()), ...(await sessionTargets())];
  const chances = targets.flatMap((target) => Array.from({ length: target.weight }, () => target));
  const findings: Finding[] = [];
  const started = performance.now();
  let decoded = 0;
  let longestMs = 0;
  let longestTarget = '';
  let bufferRatioMax = 0;
  let frames = 0;
  while (frames < options.frames && findings.length < 10) {
    const target = chances[below(random, chances.length)]!;
    const frame = target.next(random);
    const { isDecoded, ms, bufferBytes, finding } = await runOne(target, frame);
    frames++;
    if (isDecoded) decoded++;
    if (finding) findings.push(finding);
    if (ms > longestMs) [longestMs, longestTarget] = [ms, target.name];
    if (target.bufferBytesMax(0) === CONSTANT_BYTES)
      bufferRatioMax = Math.max(bufferRatioMax, (bufferBytes - POOL_BYTES) / Math.max(POOL_BYTES, frame.length));
    if (frames % 10_000 === 0) options.onProgress?.(frames);
  }
  const seconds = (performance.now() - started) / 1000;
  const refused = frames - decoded - findings.length;
  return { seed: options.seed, frames, decoded, refused, seconds, longestMs, longestTarget, bufferRatioMax, findings };
}

interface Run {
  readonly isDecoded: boolean;
  readonly ms: number;
  /** New memory outside of the heap; of a collection in between, which only takes some away, at least. */
  readonly bufferBytes: number;
  readonly finding: Finding | null;
}

async function runOne(target: FuzzTarget, frame: Buffer): Promise<Run> {
  const kept = Buffer.from(frame); // it may be patched in place
  const before = getHeapStatistics().external_memory;
  const startedMs = cpuMs();
  let isDecoded = false;
  let crash: unknown = null;
  try {
    const result = target.run(frame);
    isDecoded = typeof result === 'boolean' ? result : await result;
  } catch (error) {
    crash = error ?? 'undefined was thrown';
  }
  const ms = cpuMs() - startedMs;
  const bufferBytes = Math.max(0, getHeapStatistics().external_memory - before);
  const finding = (kind: Finding['kind'], what: string): Finding => ({ kind, target: target.name, frame: kept, what });
  if (crash !== null) {
    const text = crash instanceof Error ? (crash.stack ?? crash.message) : 'something that is no error was thrown';
    return { isDecoded, ms, bufferBytes, finding: finding('crash', text) };
  }
  if (ms > FRAME_MS_MAX) return { isDecoded, ms, bufferBytes, finding: finding('hang', `${Math.round(ms)} ms`) };
  if (bufferBytes > target.bufferBytesMax(frame.length))
    return { isDecoded, ms, bufferBytes, finding: finding('memory', `${bufferBytes} bytes of buffers`) };
  return { isDecoded, ms, bufferBytes, finding: null };
}

/** Of this thread: a machine that does other things does not make a hang. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
