/** A Merkle tree that grows at its end and remembers no more than the last tile of each level. */
import { assert, must } from '#util/assert.ts';
import { HASH_BYTES, joinRoots, perfectRoot, subtreeRoots } from './merkle.ts';
import { hashesAt, TILE_WIDTH, tileWidth, type TileAddress } from './tile-path.ts';

export interface Tile extends TileAddress {
  readonly level: number;
  readonly hashes: Buffer;
}

interface Level {
  readonly hashes: Buffer;
  width: number;
  /** Of the tile that is being filled. */
  index: number;
}

export class TileTree {
  #size = 0;
  /** Level 0, the leaves, first. */
  readonly #levels: Level[] = [];
  readonly #onTile: (tile: Tile) => void;

  /** `onTile` is given each tile as it becomes full, and keeps its hashes. */
  constructor(onTile: (tile: Tile) => void) {
    this.#onTile = onTile;
  }

  /** The tree of `size` entries whose last tiles `read` returns, in as many bytes as they have to have. */
  static load(
    size: number,
    read: (tile: TileAddress & { level: number }) => Buffer,
    onTile: (tile: Tile) => void,
  ): TileTree {
    const tree = new TileTree(onTile);
    tree.#size = size;
    for (let level = 0; hashesAt(level, size) > 0; level++) {
      const index = Math.floor(hashesAt(level, size) / TILE_WIDTH);
      const width = tileWidth(level, index, size);
      const hashes = Buffer.allocUnsafe(TILE_WIDTH * HASH_BYTES);
      if (width > 0) {
        const bytes = read({ level, index, width });
        assert(bytes.length === width * HASH_BYTES, 'a tile has as many hashes as its width says');
        bytes.copy(hashes);
      }
      tree.#levels.push({ hashes, width, index });
    }
    return tree;
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: Buffer): void {
    this.#size++;
    this.#add(0, leaf);
  }

  root(): Buffer {
    const subtrees = this.#levels
      .toReversed()
      .flatMap(({ hashes, width }) => subtreeRoots(hashes.subarray(0, width * HASH_BYTES)));
    return Buffer.from(joinRoots(subtrees)); // of one hash it is that hash, which the next tile overwrites
  }

  /** The tiles that are not full. */
  partials(): Tile[] {
    return this.#levels.flatMap(({ hashes, width, index }, level) =>
      width === 0 ? [] : [{ level, index, width, hashes: Buffer.from(hashes.subarray(0, width * HASH_BYTES)) }],
    );
  }

  #add(level: number, hash: Buffer): void {
    const at = this.#levels[level] ?? this.#grow();
    hash.copy(at.hashes, at.width * HASH_BYTES);
    at.width++;
    if (at.width < TILE_WIDTH) return;
    const hashes = Buffer.from(at.hashes);
    this.#onTile({ level, index: at.index, width: TILE_WIDTH, hashes });
    at.width = 0;
    at.index++;
    this.#add(level + 1, perfectRoot(hashes));
  }

  #grow(): Level {
    this.#levels.push({ hashes: Buffer.allocUnsafe(TILE_WIDTH * HASH_BYTES), width: 0, index: 0 });
    return must(this.#levels.at(-1), 'new level');
  }
}
