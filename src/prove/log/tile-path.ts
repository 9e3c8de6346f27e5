/** Names of the files of a log (c2sp.org/tlog-tiles), relative to its directory. */

/** Hashes in a full tile, entries in a full bundle. */
export const TILE_WIDTH = 256;
export const CHECKPOINT_PATH = 'checkpoint';

export interface TileAddress {
  readonly level: number | 'entries';
  readonly index: number;
  /** TILE_WIDTH for a full one. */
  readonly width: number;
}

/** `tile/0/x001/x234/067`, of a partial one `tile/0/x001/x234/067.p/12`. */
export function tilePath({ level, index, width }: TileAddress): string {
  return `${fullTilePath(level, index)}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** The directory that all partial tiles of one tile are in. */
export function partialsPath(level: number | 'entries', index: number): string {
  return `${fullTilePath(level, index)}.p`;
}

function fullTilePath(level: number | 'entries', index: number): string {
  let name = threeDigits(index % 1000);
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    name = `x${threeDigits(rest % 1000)}/${name}`;
  return `tile/${level}/${name}`;
}

function threeDigits(value: number): string {
  return String(value).padStart(3, '0');
}

/** How many hashes of `level` a tree of `size` entries has. */
export function hashesAt(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** Width of the tile at `index` in a tree of `size` entries; 0 where there is none. */
export function tileWidth(level: number | 'entries', index: number, size: number): number {
  const hashes = hashesAt(level === 'entries' ? 0 : level, size);
  return Math.min(Math.max(hashes - index * TILE_WIDTH, 0), TILE_WIDTH);
}
