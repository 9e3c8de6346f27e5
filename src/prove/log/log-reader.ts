/** Reads a log under one of its checkpoints: entries, and the proofs that they are in it. Needs no server. */
import { auditEntrySchema, type AuditEntry } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { must } from '#util/assert.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { decodeBundle } from './entry-bundle.ts';
import { readIfThere, type ReadableDisk } from './log-disk.ts';
import { consistencyPath, HASH_BYTES, inclusionPath, joinRoots, perfectRoot } from './merkle.ts';
import { hashesAt, TILE_WIDTH, tilePath, tileWidth } from './tile-path.ts';
import { formatProof } from './tlog-proof.ts';

/** Tiles and bundles that were read last. */
const CACHED_MAX = 64;

export class LogReader {
  readonly #disk: ReadableDisk;
  readonly #directory: string;
  readonly #checkpoint: SignedCheckpoint;
  /** Those in use stay: the oldest is the one that was asked for longest ago. */
  readonly #cache = new Map<string, Buffer | readonly Buffer[]>();

  constructor(disk: ReadableDisk, directory: string, checkpoint: SignedCheckpoint) {
    this.#disk = disk;
    this.#directory = directory;
    this.#checkpoint = checkpoint;
  }

  get checkpoint(): SignedCheckpoint {
    return this.#checkpoint;
  }

  get size(): number {
    return this.#checkpoint.size;
  }

  /** The bytes that are hashed. Throws AppError LOG_INVALID where they are not there. */
  entryBytes(seq: number): Buffer {
    const index = Math.floor(seq / TILE_WIDTH);
    return must(this.#bundle(index)[seq % TILE_WIDTH], 'entry of the bundle');
  }

  entry(seq: number): AuditEntry {
    const parsed = auditEntrySchema.safeParse(JSON.parse(this.entryBytes(seq).toString()));
    if (!parsed.success) throw this.#invalid(`entry ${seq} is none of an audit log`);
    return parsed.data;
  }

  /** The root that the log had when it held `size` entries. */
  rootAt(size: number): Buffer {
    return this.#rangeHash(0, size);
  }

  /** From the leaf's sibling to the root's child. */
  inclusionPath(seq: number): Buffer[] {
    return inclusionPath(seq, this.size, (from, to) => this.#rangeHash(from, to));
  }

  /** That the first `oldSize` entries are those of a checkpoint of that size. */
  consistencyPath(oldSize: number): Buffer[] {
    return consistencyPath(oldSize, this.size, (from, to) => this.#rangeHash(from, to));
  }

  /** A file that shows offline, with the key alone, that this entry is in the log. */
  proof(seq: number): string {
    return formatProof({
      extra: this.entryBytes(seq),
      index: seq,
      path: this.inclusionPath(seq),
      checkpoint: this.#checkpoint.note,
    });
  }

  #rangeHash(from: number, to: number): Buffer {
    const subtrees: Buffer[] = [];
    for (let at = from; at < to;) {
      let count = 1;
      while (2 * count <= to - at) count *= 2;
      subtrees.push(this.#subtree(at, count));
      at += count;
    }
    return joinRoots(subtrees);
  }

  /** Of `count` entries from `from`; a power of two, and `from` a multiple of it. */
  #subtree(from: number, count: number): Buffer {
    let level = 0;
    let hashes = count;
    while (hashes >= TILE_WIDTH) [level, hashes] = [level + 1, hashes / TILE_WIDTH];
    const first = hashesAt(level, from);
    const tile = this.#tile(level, Math.floor(first / TILE_WIDTH));
    const at = (first % TILE_WIDTH) * HASH_BYTES;
    return perfectRoot(tile.subarray(at, at + hashes * HASH_BYTES));
  }

  #tile(level: number, index: number): Buffer {
    const width = tileWidth(level, index, this.size);
    return this.#cached(tilePath({ level, index, width }), () => {
      const bytes =
        readIfThere(this.#disk, this.#path(level, index, width)) ??
        readIfThere(this.#disk, this.#path(level, index, TILE_WIDTH))?.subarray(0, width * HASH_BYTES);
      if (bytes?.length !== width * HASH_BYTES)
        throw this.#invalid(`${tilePath({ level, index, width })} is missing, or too short`);
      return bytes;
    });
  }

  #bundle(index: number): readonly Buffer[] {
    const width = tileWidth('entries', index, this.size);
    const name = tilePath({ level: 'entries', index, width });
    return this.#cached(name, () => {
      const bytes =
        readIfThere(this.#disk, this.#path('entries', index, width)) ??
        readIfThere(this.#disk, this.#path('entries', index, TILE_WIDTH));
      const entries = bytes && decodeBundle(bytes);
      if (!entries || entries.length < width) throw this.#invalid(`${name} is missing, or damaged`);
      return entries.slice(0, width);
    });
  }

  #path(level: number | 'entries', index: number, width: number): string {
    return `${this.#directory}/${tilePath({ level, index, width })}`;
  }

  #cached<T extends Buffer | readonly Buffer[]>(name: string, read: () => T): T {
    const value = (this.#cache.get(name) as T | undefined) ?? read();
    this.#cache.delete(name);
    this.#cache.set(name, value);
    if (this.#cache.size > CACHED_MAX) this.#cache.delete(must(this.#cache.keys().next().value, 'oldest of the cache'));
    return value;
  }

  #invalid(problem: string): AppError {
    return new AppError('LOG_INVALID', `The audit log in ${this.#directory} cannot be read: ${problem}.`, {
      nextStep: `"lockstep log verify ${this.#directory} --vkey KEY" looks at all of it.`,
    });
  }
}
