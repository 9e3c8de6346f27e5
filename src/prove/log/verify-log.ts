/**
 * Verifies a log from its files alone: hashes every entry, builds the tree anew, and holds against it the tiles, the
 * checkpoint, an older checkpoint and the anchors, and the entries against each other. Reads each file once, from the
 * first entry to the last, and remembers the last tile of each level.
 *
 * Where a bundle is not there, the hashes of its tile stand for it: the root can still be verified, but nothing is said of
 * those entries.
 */
import { isUtf8 } from 'node:buffer';
import {
  incompleteKinds,
  type FindingKind,
  type LogFinding,
  type LogProgress,
  type LogVerification,
} from '#contract/log-verification.ts';
import { must } from '#util/assert.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { parseCheckpoint, splitNotes, type SignedCheckpoint } from './checkpoint.ts';
import { EntryCheck } from './entry-check.ts';
import { boundsIn } from './entry-bundle.ts';
import { FormatError } from './format-error.ts';
import { readIfThere, type ReadableDisk } from './log-disk.ts';
import { HASH_BYTES, leafHashInPlace } from './merkle.ts';
import type { VerifierKey } from './note.ts';
import { CHECKPOINT_PATH, TILE_WIDTH, tilePath, tileWidth } from './tile-path.ts';
import { TileTree, type Tile } from './tile-tree.ts';

/** The first of each kind are shown; all are counted. */
const SHOWN_MAX = 20;
/** Bundles between two looks at what else there is to do: some 100 ms. */
const BUNDLES_AT_ONCE = 64;

export interface VerifyLogOptions {
  readonly clock: Clock;
  /** Trusted from elsewhere: what is in the log itself proves nothing. */
  readonly key: VerifierKey;
  /** An older checkpoint, as it was kept outside of the log. */
  readonly since?: string;
  /** Checkpoints from anchors, one behind the other. */
  readonly anchors?: string;
  readonly onProgress?: (progress: LogProgress) => void;
  readonly signal?: AbortSignal;
}

/** Throws what the disk throws, but for files that are not there; the reason of `signal` when it aborts. */
export async function verifyLog(
  disk: ReadableDisk,
  directory: string,
  options: VerifyLogOptions,
): Promise<LogVerification> {
  return new LogVerifier(disk, directory, options).run();
}

/** A checkpoint from outside, and where the root for its size goes. */
interface Older {
  readonly checkpoint: SignedCheckpoint;
  readonly isAnchor: boolean;
  root: Buffer | null;
}

class LogVerifier {
  readonly #disk: ReadableDisk;
  readonly #directory: string;
  readonly #options: VerifyLogOptions;
  readonly #check: EntryCheck;
  readonly #counts = new Map<FindingKind, number>();
  readonly #findings: LogFinding[] = [];
  readonly #tree = new TileTree((tile) => this.#compareTile(tile));
  #size = 0;
  /** By size, the smallest first; those whose root is known are before #nextOlder. */
  #older: Older[] = [];
  #nextOlder = 0;
  readonly #anchors = { checked: 0, ignored: 0 };
  #isRootKnown = true;

  constructor(disk: ReadableDisk, directory: string, options: VerifyLogOptions) {
    this.#disk = disk;
    this.#directory = directory;
    this.#options = options;
    this.#check = new EntryCheck(options.key, (kind, seq, message) => this.#report(kind, seq, message));
  }

  async run(): Promise<LogVerification> {
    const note = readIfThere(this.#disk, `${this.#directory}/${CHECKPOINT_PATH}`);
    if (note === null) return this.#result(null, 'error');
    const checkpoint = isUtf8(note) ? this.#parse(note.toString()) : null;
    if (!checkpoint) {
      this.#report('checkpoint-malformed', null, 'the checkpoint cannot be read');
      return this.#result(null);
    }
    this.#size = checkpoint.size;
    this.#readOlder();
    await this.#readEntries();
    const openIntents = this.#check.finish();
    for (const tile of this.#isRootKnown ? this.#tree.partials() : []) this.#compareTile(tile);
    const signer = this.#judge(checkpoint);
    this.#judgeOlder();
    return { ...this.#result(checkpoint), signedBy: signer?.text ?? null, openIntents };
  }

  /** Whose signatures count is known when the log has been read: it may say to whom its key was handed over. */
  #parse(note: string): SignedCheckpoint | null {
    try {
      return parseCheckpoint(note, []);
    } catch (error) {
      if (error instanceof FormatError) return null;
      throw error;
    }
  }

  #readOlder(): void {
    const { since, anchors } = this.#options;
    const add = (note: string, isAnchor: boolean): void => {
      const checkpoint = this.#parse(note);
      if (checkpoint) this.#older.push({ checkpoint, isAnchor, root: null });
      else if (isAnchor) this.#anchors.ignored++;
      else this.#report('since-unsigned', null, 'the older checkpoint cannot be read');
    };
    if (since !== undefined) add(since, false);
    for (const note of splitNotes(anchors ?? '')) add(note, true);
    this.#older = this.#older.toSorted((a, b) => a.checkpoint.size - b.checkpoint.size);
  }

  async #readEntries(): Promise<void> {
    const { clock, onProgress, signal } = this.#options;
    const bundles = Math.ceil(this.#size / TILE_WIDTH);
    this.#noteRoots();
    for (let index = 0; index < bundles; index++) {
      this.#readBundle(index);
      if (index % BUNDLES_AT_ONCE !== 0) continue;
      onProgress?.({ entries: index * TILE_WIDTH, size: this.#size });
      await sleep(clock, 0);
      signal?.throwIfAborted();
    }
    onProgress?.({ entries: this.#size, size: this.#size });
  }

  #readBundle(index: number): void {
    const first = index * TILE_WIDTH;
    const width = tileWidth('entries', index, this.#size);
    const name = tilePath({ level: 'entries', index, width });
    const bundle = this.#read('entries', index, width);
    const bounds = bundle && entryBounds(bundle, width);
    if (bundle && bounds) {
      this.#check.addAll(first, bundle, bounds);
      for (let i = 0; i < bounds.length; i += 2)
        this.#append(leafHashInPlace(bundle, must(bounds[i], 'start'), must(bounds[i + 1], 'end')));
      return;
    }
    if (bundle) this.#report('bundle-malformed', first, `${name} does not hold ${width} entries`);
    else this.#report('entries-missing', first, `${name} is missing`);
    this.#check.skip(first + width);
    this.#appendWithoutEntries(index, width);
  }

  #append(leaf: Buffer): void {
    if (!this.#isRootKnown) return;
    this.#tree.append(leaf);
    this.#noteRoots();
  }

  #appendWithoutEntries(index: number, width: number): void {
    const leaves = this.#read(0, index, width);
    if (leaves && leaves.length >= width * HASH_BYTES) {
      for (let i = 0; i < width; i++) this.#append(leaves.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
      return;
    }
    if (this.#isRootKnown)
      this.#report(
        'root-unknown',
        index * TILE_WIDTH,
        'neither entries nor hashes are there, so no root can be computed behind it',
      );
    this.#isRootKnown = false;
  }

  #noteRoots(): void {
    for (
      let next = this.#older[this.#nextOlder];
      next?.checkpoint.size === this.#tree.size;
      next = this.#older[this.#nextOlder]
    ) {
      next.root = this.#tree.root();
      this.#nextOlder++;
    }
  }

  /** Of a tree of `width` hashes; the file of the whole tile may be there in its place. Null where neither is. */
  #read(level: number | 'entries', index: number, width: number): Buffer | null {
    return (
      readIfThere(this.#disk, `${this.#directory}/${tilePath({ level, index, width })}`) ??
      (width === TILE_WIDTH
        ? null
        : readIfThere(this.#disk, `${this.#directory}/${tilePath({ level, index, width: TILE_WIDTH })}`))
    );
  }

  #compareTile({ level, index, width, hashes }: Tile): void {
    const found = this.#read(level, index, width);
    const name = tilePath({ level, index, width });
    if (found === null) return this.#report('tile-missing', null, `${name} is missing`);
    const same = found.subarray(0, hashes.length);
    if (same.equals(hashes) && (found.length === hashes.length || found.length === TILE_WIDTH * HASH_BYTES)) return;
    let at = 0;
    while (
      at < width &&
      same
        .subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)
        .equals(hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES))
    )
      at++;
    if (level === 0 && at < width)
      this.#report('entry-differs', index * TILE_WIDTH + at, `its hash in ${name} is another`);
    else this.#report('tile-differs', null, `${name} is not the tile over what is below it`);
  }

  #judge(checkpoint: SignedCheckpoint): VerifierKey | null {
    const root = this.#isRootKnown ? this.#tree.root() : null;
    if (root && !root.equals(checkpoint.root))
      this.#report('root-differs', null, 'the entries do not have the root that the checkpoint signs');
    const signer = this.#signerOf(checkpoint);
    if (!signer)
      this.#report(
        'checkpoint-unsigned',
        null,
        `the checkpoint is not signed by ${this.#options.key.name}; or it is another log's, or another key`,
      );
    return signer;
  }

  /** Null where nobody that may sign has signed, or a signature is wrong. */
  #signerOf({ note, origin }: SignedCheckpoint): VerifierKey | null {
    try {
      return parseCheckpoint(note, this.#check.trusted).signers.find(({ name }) => name === origin) ?? null;
    } catch (error) {
      if (error instanceof FormatError) return null;
      throw error;
    }
  }

  #judgeOlder(): void {
    for (const older of this.#older) {
      const isSigned = this.#signerOf(older.checkpoint) !== null;
      if (older.isAnchor) this.#anchors[isSigned ? 'checked' : 'ignored']++;
      else if (!isSigned)
        this.#report('since-unsigned', null, 'the older checkpoint is not signed by the key of this log');
      if (isSigned) this.#judgeOne(older);
    }
    if (this.#options.anchors !== undefined && this.#anchors.checked === 0)
      this.#report('anchors-none', null, 'no anchor is signed by the key of this log');
  }

  #judgeOne({ checkpoint, isAnchor, root }: Older): void {
    const what = `${isAnchor ? 'an anchor' : 'the older checkpoint'}, of ${checkpoint.size} entries,`;
    if (checkpoint.size > this.#size)
      this.#report('truncated', null, `${what} is larger than this log, of ${this.#size}`);
    else if (root === null)
      this.#report('root-unknown', null, `${what} cannot be compared: entries before it are not there`);
    else if (!root.equals(checkpoint.root))
      this.#report(
        isAnchor ? 'anchor-differs' : 'since-differs',
        null,
        `${what} is of another log than this one has become`,
      );
  }

  #report(kind: FindingKind, seq: number | null, message: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= SHOWN_MAX) this.#findings.push({ kind, seq, message });
  }

  #result(checkpoint: SignedCheckpoint | null, verdict?: 'error'): LogVerification {
    const { since, anchors } = this.#options;
    const kinds = [...this.#counts.keys()];
    const isIncomplete = (kind: FindingKind): boolean => incompleteKinds.some((each) => each === kind);
    const { from, to, entries, starts, rotations, silences } = this.#check;
    return {
      verdict: verdict ?? (kinds.length === 0 ? 'verified' : kinds.every(isIncomplete) ? 'incomplete' : 'tampered'),
      origin: checkpoint?.origin ?? null,
      size: this.#size,
      root: checkpoint?.root.toString('hex') ?? null,
      signedBy: null,
      entries,
      from,
      to,
      starts,
      rotations,
      openIntents: [],
      silences,
      since: since === undefined ? null : (this.#older.find(({ isAnchor }) => !isAnchor)?.checkpoint.size ?? null),
      anchors: anchors === undefined ? null : { ...this.#anchors },
      counts: Object.fromEntries(this.#counts),
      findings: this.#findings,
    };
  }
}

/** Of the first `width` entries; null where there are fewer, or more than in the whole bundle, or it is none. */
function entryBounds(bundle: Buffer, width: number): number[] | null {
  const bounds = boundsIn(bundle);
  const count = (bounds?.length ?? 0) / 2;
  return bounds && count >= width && count <= TILE_WIDTH ? bounds.slice(0, 2 * width) : null;
}
