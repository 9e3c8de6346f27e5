/**
 * What a log holds when a process opens it: what its checkpoint signs, in tiles and bundles, and behind that what was
 * acknowledged since, in the journals. Refuses to go on where one contradicts the other: whoever signs has to know what
 * was signed before.
 */
import { auditEntrySchema, type AuditEntry } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { must } from '#util/assert.ts';
import { parseCheckpoint, type SignedCheckpoint } from './checkpoint.ts';
import { decodeBundle } from './entry-bundle.ts';
import { FormatError } from './format-error.ts';
import { generationOf, JOURNAL_DIRECTORY, journalName, readJournal, type JournalHeader } from './journal.ts';
import { listIfThere, readIfThere, type LogDisk } from './log-disk.ts';
import { LogReader } from './log-reader.ts';
import { EMPTY_ROOT, HASH_BYTES, leafHash } from './merkle.ts';
import type { VerifierKey } from './note.ts';
import { CHECKPOINT_PATH, TILE_WIDTH, tilePath, type TileAddress } from './tile-path.ts';
import { TileTree, type Tile } from './tile-tree.ts';

export interface Recovered {
  /** Null for a log that has never been signed. */
  readonly checkpoint: SignedCheckpoint | null;
  readonly tree: TileTree;
  /** Entries of the last bundle, which is not full. */
  readonly bundle: readonly Buffer[];
  /** Behind the checkpoint, in their order; the tree has them. */
  readonly unsigned: readonly Buffer[];
  readonly openIntents: ReadonlyMap<number, AuditEntry>;
  readonly lastTs: number;
  /** Bytes of a group that nobody was told of. */
  readonly tornBytes: number;
}

/** Of all journals together. */
interface Tail {
  readonly base: number;
  readonly entries: readonly Buffer[];
  readonly header: JournalHeader;
  readonly tornBytes: number;
}

export interface RecoveryOptions {
  readonly disk: LogDisk;
  readonly directory: string;
  readonly keys: readonly VerifierKey[];
  /** Given each tile and each bundle that the journals fill. */
  readonly onTile: (tile: Tile) => void;
  readonly onBundle: (index: number, entries: readonly Buffer[]) => void;
}

/** Throws AppError LOG_TAMPERED. */
export function recover(options: RecoveryOptions): Recovered {
  const checkpoint = readCheckpoint(options);
  const size = checkpoint?.size ?? 0;
  const tail = readTail(options);
  if (tail && (tail.base > size || tail.base + tail.entries.length < size))
    throw tampered(
      options,
      `its checkpoint is of ${size} entries, its journal holds those from ${tail.base} to ${tail.base + tail.entries.length}`,
    );
  const tree = loadTree(options, checkpoint);
  const bundle = loadBundle(options, size);
  const unsigned = tail ? tail.entries.slice(size - tail.base) : [];
  for (const entry of unsigned) {
    tree.append(leafHash(entry));
    bundle.push(entry);
    if (bundle.length < TILE_WIDTH) continue;
    options.onBundle(tree.size / TILE_WIDTH - 1, [...bundle]);
    bundle.length = 0;
  }
  const reader = checkpoint ? new LogReader(options.disk, options.directory, checkpoint) : null;
  const read = (seq: number): AuditEntry =>
    tail && seq >= tail.base
      ? parseEntry(must(tail.entries[seq - tail.base], 'entry of the journal'))
      : must(reader, 'reader').entry(seq);
  return { checkpoint, tree, bundle, unsigned, tornBytes: tail?.tornBytes ?? 0, ...openIntentsOf(tail, size, read) };
}

function readCheckpoint(options: RecoveryOptions): SignedCheckpoint | null {
  const bytes = readIfThere(options.disk, `${options.directory}/${CHECKPOINT_PATH}`);
  if (bytes === null) return null;
  try {
    const checkpoint = parseCheckpoint(bytes.toString(), options.keys);
    if (checkpoint.signers.some(({ name }) => name === checkpoint.origin)) return checkpoint;
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw tampered(options, 'its checkpoint is damaged', cause);
  }
  throw tampered(options, 'its checkpoint is not signed by the key of this log');
}

function readTail(options: RecoveryOptions): Tail | null {
  const { disk, directory } = options;
  let tail: Tail | null = null;
  for (const generation of generations(disk, directory)) {
    const path = `${directory}/${JOURNAL_DIRECTORY}/${journalName(generation)}`;
    const bytes = readIfThere(disk, path);
    if (bytes === null) continue; // its process removed it since we have looked
    try {
      const { header, entries, tornBytes } = readJournal(bytes);
      // Of a process that died before it had begun.
      if (header === null) continue;
      if (tail && header.base > tail.base + tail.entries.length)
        throw new FormatError(
          `it begins at entry ${header.base}, and the one before it ends at ${tail.base + tail.entries.length}`,
        );
      // What the one before it holds from there on was never acknowledged: its process had been replaced.
      const before: readonly Buffer[] =
        tail && tail.base <= header.base ? tail.entries.slice(0, header.base - tail.base) : [];
      tail = { base: header.base - before.length, entries: [...before, ...entries], header, tornBytes };
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      throw tampered(options, `${path} cannot be read`, cause);
    }
  }
  return tail;
}

/** Of the journals that are there, in their order. */
export function generations(disk: Pick<LogDisk, 'list'>, directory: string): number[] {
  return listIfThere(disk, `${directory}/${JOURNAL_DIRECTORY}`)
    .map(generationOf)
    .filter((generation) => generation !== null)
    .toSorted((a, b) => a - b);
}

function loadTree(options: RecoveryOptions, checkpoint: SignedCheckpoint | null): TileTree {
  if (!checkpoint) return new TileTree(options.onTile);
  const read = (tile: TileAddress): Buffer => {
    const bytes = readTile(options, tile)?.subarray(0, tile.width * HASH_BYTES);
    if (bytes?.length !== tile.width * HASH_BYTES)
      throw tampered(options, `${tilePath(tile)} is missing, or too short`);
    return bytes;
  };
  const tree = TileTree.load(checkpoint.size, read, options.onTile);
  const root = checkpoint.size === 0 ? EMPTY_ROOT : tree.root();
  if (!root.equals(checkpoint.root))
    throw tampered(options, 'its tiles do not have the root that its checkpoint signs');
  return tree;
}

function loadBundle(options: RecoveryOptions, size: number): Buffer[] {
  const [index, width] = [Math.floor(size / TILE_WIDTH), size % TILE_WIDTH];
  if (width === 0) return [];
  const tile = { level: 'entries', index, width } as const;
  const bytes = readTile(options, tile);
  const entries = bytes && decodeBundle(bytes)?.slice(0, width);
  const hashes = readTile(options, { level: 0, index, width });
  const isSame =
    entries?.length === width &&
    entries.every((entry, i) => hashes?.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES).equals(leafHash(entry)));
  if (!isSame) throw tampered(options, `${tilePath(tile)} does not hold the entries that its checkpoint signs`);
  return entries;
}

function readTile({ disk, directory }: RecoveryOptions, tile: TileAddress): Buffer | null {
  return (
    readIfThere(disk, `${directory}/${tilePath(tile)}`) ??
    readIfThere(disk, `${directory}/${tilePath({ ...tile, width: TILE_WIDTH })}`)
  );
}

/** The header of the last journal says what was open where it begins; without one every entry has to be looked at. */
function openIntentsOf(
  tail: Tail | null,
  size: number,
  read: (seq: number) => AuditEntry,
): { openIntents: Map<number, AuditEntry>; lastTs: number } {
  const openIntents = new Map((tail?.header.openIntents ?? []).map((seq) => [seq, read(seq)]));
  let lastTs = tail?.header.lastTs ?? 0;
  const end = tail ? tail.base + tail.entries.length : size;
  for (let seq = tail?.header.base ?? 0; seq < end; seq++) {
    const entry = read(seq);
    if (entry.phase === 'intent') openIntents.set(seq, entry);
    if (entry.parentSeq !== undefined) openIntents.delete(entry.parentSeq);
    lastTs = entry.ts;
  }
  return { openIntents, lastTs };
}

function parseEntry(bytes: Buffer): AuditEntry {
  return auditEntrySchema.parse(JSON.parse(bytes.toString()));
}

export function tampered({ directory }: { readonly directory: string }, problem: string, cause?: unknown): AppError {
  return new AppError('LOG_TAMPERED', `The audit log in ${directory} is not as it was left: ${problem}.`, {
    cause,
    nextStep: `Nothing is signed, and nothing that has to be logged is done. Keep a copy of the directory, then compare it with the anchors: "lockstep log verify ${directory} --vkey KEY --anchors FILE".`,
  });
}
