/**
 * Rules that a simulated partition depends on, as text that can be cut out of the source: a simulation that still passes
 * without one of them would prove nothing about it. `npm run test:simulation -- --guards` cuts each in turn.
 */
import type { PlantedBug } from '../planted-bug.ts';

export interface SimulatedGuard {
  readonly name: string;
  /** The kind of schedules that has to find it. */
  readonly kind: string;
  readonly off: PlantedBug;
}

const cut = (file: string, find: string, replace: string): PlantedBug => ({
  file: `src/mirror/${file}`,
  find,
  replace,
});

export const simulatedGuards: readonly SimulatedGuard[] = [
  {
    name: 'batches carry sequences (rule 2)',
    kind: 'doubles',
    off: cut(
      'batch-walk.ts',
      'return { producerId, producerEpoch: 0, baseSequence: sequence };',
      'return { producerId: -1, producerEpoch: -1, baseSequence: -1 };',
    ),
  },
  {
    name: 'an answer names the expected offset (rule 4)',
    kind: 'alone',
    off: cut('shard.ts', 'result.baseOffset !== item.baseOffset', 'false'),
  },
  {
    name: 'batches of a producer that brokers may have forgotten are alone on their way',
    kind: 'alone',
    off: cut('shard.ts', 'this.#memory.hasRoom(this.#inFlight)', 'this.#inFlight.length < 5'),
  },
  {
    name: 'nothing is in flight while a hole is filled (rule 7)',
    kind: 'alone',
    off: cut('shard.ts', 'if (this.#inFlight.length > 0) return null;', ''),
  },
  {
    name: 'markers without an answer are waited for',
    kind: 'alone',
    off: cut('shard.ts', 'const STILL_AFTER_MARKERS_MS = 2_000;', 'const STILL_AFTER_MARKERS_MS = 0;'),
  },
  {
    name: 'an answer to a fetch counts only from where the shard stands',
    kind: 'alone',
    off: cut('shard.ts', ' || askedOffset !== this.#cursor.offset', ''),
  },
  {
    name: 'the source has what was copied (rule 8)',
    kind: 'doubles',
    off: cut('source-end.ts', 'end.endOffset >= 0 && end.endOffset < offset', 'false'),
  },
  {
    name: 'retention that overtakes the position stops it (rule 8)',
    kind: 'alone',
    off: cut('shard.ts', 'this.#sourceLogStart <= position.offset', 'true'),
  },
  {
    name: 'the leader epoch is recorded before its first record',
    kind: 'doubles',
    off: cut(
      'shard.ts',
      "if (stop.kind === 'leader-epoch') return void this.#recordLeaderEpoch(stop);",
      "if (stop.kind === 'leader-epoch') { this.#walk.leaderEpoch = stop.epoch; this.#fetchOffset = this.#cursor.offset; return; }",
    ),
  },
  {
    name: 'a position and its sequence are of one moment (rule 1)',
    kind: 'doubles',
    off: cut('shard-position.ts', 'end === offset && (isSequenceFree || known === last)', 'true'),
  },
  {
    name: 'what others have appended is compared with the source (rule 1)',
    kind: 'doubles',
    off: cut('shard.ts', '!this.#isFirst && position.offset === this.#position', '!this.#isFirst'),
  },
  {
    name: 'leave to write is asked for each batch (rule 3)',
    kind: 'group',
    off: cut('shard.ts', 'const isGiven = this.#context.term.mayWrite();', 'const isGiven = true;'),
  },
  {
    name: 'the start is fixed in the state topic before the first record (rule 5)',
    kind: 'doubles',
    off: cut(
      'shard.ts',
      'logStart: known && epochs.length > 0 ? known.logStart : this.#logStart,',
      'logStart: this.#logStart + 1,',
    ),
  },
  {
    name: 'markers of an earlier term are refused by a higher epoch (rule 7)',
    kind: 'group',
    off: cut('holes.ts', '(state?.coordinatorEpoch ?? -1) + 1', '0'),
  },
  {
    name: 'after markers the target ends exactly behind them (rule 7)',
    kind: 'alone',
    off: cut('holes.ts', 'if (watermark > expected) {', 'if (false) {'),
  },
];
