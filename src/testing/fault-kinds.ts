/** The faults that a proxy knows how to make. Each is a value for `FaultProxy.inject`. */
import type { Random } from '#util/random.ts';
import type { Fault, FrameHead, Passage } from './fault-rule.ts';
import type { Direction } from './frame-splitter.ts';

/** Everything arrives `ms` later, give or take `jitterMs`, in order. */
export function latency(ms: number, jitterMs = 0): Fault {
  return {
    name: `latency ${ms}±${jitterMs} ms`,
    apply(passage, { random }) {
      passage.delayMs += Math.max(0, ms + (2 * random.next() - 1) * jitterMs);
      return true;
    },
  };
}

/** One line for everything that matches: so many bytes a second in all, in pieces of a packet. */
export function bandwidth(bytesPerSecond: number): Fault {
  let freeAtMs = 0;
  return {
    name: `bandwidth ${bytesPerSecond} B/s`,
    apply(passage) {
      if (passage.isEnd) return false;
      passage.pieceBytes = () => PACKET_BYTES;
      passage.pieceDelayMs = (bytes) => {
        const nowMs = performance.now();
        freeAtMs = Math.max(freeAtMs, nowMs) + (bytes * 1000) / bytesPerSecond;
        return freeAtMs - nowMs;
      };
      return true;
    },
  };
}

const PACKET_BYTES = 1460;

/** Pieces of `min` to `max` bytes, each written by itself. */
export function slice(min = 1, max = 7): Fault {
  return {
    name: `slices of ${min} to ${max} bytes`,
    apply(passage, { random }) {
      if (passage.isEnd) return false;
      passage.pieceBytes = () => min + Math.floor(random.next() * (max - min + 1));
      return true;
    },
  };
}

/**
 * Nothing passes until the rule ends; then it arrives, late, as after a network that was gone: also what a sender left
 * behind that has closed its connection meanwhile.
 */
export function blackHole(): Fault {
  return heldUntil('black hole');
}

/** The frame, and what comes behind it on its connection, waits until `event`, or until the rule ends. */
export function hold(event?: Promise<unknown>): Fault {
  return heldUntil('hold', event);
}

function heldUntil(name: string, event?: Promise<unknown>): Fault {
  return {
    name,
    apply(passage, { ended }) {
      passage.gates.push(event === undefined ? ended : Promise.race([event, ended]));
      return true;
    },
  };
}

/** RST to both sides, when a random part of the frame has passed (`midFrame`) or before it. */
export function reset(options: { midFrame?: boolean } = {}): Fault {
  return {
    name: options.midFrame ? 'reset mid-frame' : 'reset',
    apply(passage, scene) {
      if (passage.isEnd) return false;
      const passed = options.midFrame ? 1 + Math.floor(scene.random.next() * (passage.bytes.length - 1)) : 0;
      passage.bytes = passage.bytes.subarray(0, passed);
      passage.after = () => scene.reset();
      return true;
    },
  };
}

/** Closes one side and keeps the other open with nobody behind it, until the rule ends; then that one is reset. */
export function halfOpen(closed: 'client' | 'broker'): Fault {
  return {
    name: `half-open, ${closed} closed`,
    apply(passage, scene) {
      if (passage.isEnd) return false;
      scene.close(closed);
      void scene.ended.then(() => scene.reset());
      return true;
    },
  };
}

/** When one side closes, the other learns it so much later. */
export function slowClose(ms: number): Fault {
  return {
    name: `slow close ${ms} ms`,
    apply(passage) {
      if (!passage.isEnd) return false;
      passage.delayMs += ms;
      return true;
    },
  };
}

/**
 * The frame is lost. What then becomes of its connection: `reset` (the default: TCP never loses bytes and goes on),
 * `silence` (nothing more passes in this direction) or `pass` (the next frame passes, as no TCP would do it).
 */
export function drop(then: 'reset' | 'silence' | 'pass' = 'reset'): Fault {
  return {
    name: `drop and ${then}`,
    apply(passage, scene) {
      if (passage.head === null) return false;
      passage.bytes = Buffer.alloc(0);
      if (then === 'reset') passage.after = () => scene.reset();
      if (then === 'silence') passage.after = () => scene.silence();
      return true;
    },
  };
}

/** Keeps a copy of each request, for `FaultProxy.replay`; `take` also loses it on its way and resets the connection. */
export function capture(options: { take?: boolean } = {}): Fault & { readonly frames: readonly Buffer[] } {
  const frames: Buffer[] = [];
  const lost = drop('reset');
  return {
    name: options.take ? 'capture and take' : 'capture',
    frames,
    apply(passage, scene) {
      if (passage.head === null || passage.direction !== 'request') return false;
      frames.push(Buffer.from(passage.bytes));
      return options.take ? lost.apply(passage, scene) : true;
    },
  };
}

/** A whole frame, as `rewrite` sees it. */
export interface ProxiedFrame extends FrameHead {
  readonly direction: Direction;
  /** Behind the length. Altered in place, or replaced by what is returned. */
  readonly frame: Buffer;
  /** Where the body begins behind its header. */
  readonly start: number;
  readonly random: Random;
}

/** Returns true for what it has altered in place, other bytes to be sent instead (the length is added), or null. */
export type Rewrite = (frame: ProxiedFrame) => boolean | Buffer | null;

/** Alters whole frames. */
export function rewrite(name: string, change: Rewrite): Fault {
  return {
    name,
    apply(passage, { random }) {
      if (passage.head === null) return false;
      const copy = Buffer.from(passage.bytes); // its memory may be the socket's, of which other frames are parts
      const frame = copy.subarray(4);
      const result = change({
        ...passage.head,
        direction: passage.direction,
        frame,
        start: bodyStart(passage),
        random,
      });
      if (result === null || result === false) return false;
      passage.bytes = result === true ? copy : withLength(result);
      return true;
    },
  };
}

/** Cuts whole frames to a part of them, with a length that fits: an answer that ends too early. */
export function truncate(part = 0.5): Fault {
  return rewrite(`truncate to ${part}`, ({ frame }) => frame.subarray(0, Math.floor(frame.length * part)));
}

/** Announces a length of two gigabytes. */
export function hugeLength(): Fault {
  return {
    name: 'huge length',
    apply(passage) {
      if (passage.head === null) return false;
      passage.bytes = Buffer.from(passage.bytes);
      passage.bytes.writeInt32BE(0x7f000000);
      return true;
    },
  };
}

function withLength(frame: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}

const API_VERSIONS = 18;

/**
 * Every request that we send is flexible: header 2 ends with tagged fields behind the client id, and the response's
 * header with tagged fields behind the correlation id, except that of ApiVersions (KIP-511).
 */
function bodyStart({ head, direction, bytes }: Passage): number {
  if (direction === 'response') return head?.apiKey === API_VERSIONS ? 4 : 5;
  return 8 + 2 + Math.max(0, bytes.readInt16BE(4 + 8)) + 1;
}
