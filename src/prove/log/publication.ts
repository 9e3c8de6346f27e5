/**
 * Puts tiles, bundles and checkpoints on the disk. What a checkpoint covers survives the loss of power before the
 * checkpoint is there: a reader never finds less than what was signed.
 */
import { encodeBundle } from './entry-bundle.ts';
import type { LogDisk } from './log-disk.ts';
import { CHECKPOINT_PATH, partialsPath, TILE_WIDTH, tilePath, type TileAddress } from './tile-path.ts';
import type { Tile } from './tile-tree.ts';

/** The journal's own writes need a thread of the pool of four. */
const WRITES_AT_ONCE = 3;

type PublicationDisk = Pick<LogDisk, 'makeDirectory' | 'rename' | 'remove' | 'writeDurably' | 'syncDirectory'>;

interface File {
  readonly address: TileAddress;
  readonly bytes: Buffer;
}

export class Publication {
  readonly #disk: PublicationDisk;
  readonly #directory: string;
  readonly #generation: number;
  /** Full tiles and bundles that are not on the disk. */
  #files: File[] = [];
  #bytes = 0;
  readonly #directories = new Set<string>();
  /** Paths of what is not full, as of the last checkpoint: the upper levels seldom change. */
  #partials = new Set<string>();

  /** `generation` of the journal. */
  constructor(disk: PublicationDisk, directory: string, generation: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#generation = generation;
  }

  /** Bytes that wait for a checkpoint. */
  get bytes(): number {
    return this.#bytes;
  }

  addTile({ hashes, ...address }: Tile): void {
    this.#add({ address, bytes: hashes });
  }

  addBundle(index: number, entries: readonly Buffer[]): void {
    this.#add({ address: { level: 'entries', index, width: entries.length }, bytes: encodeBundle(entries) });
  }

  #add(file: File): void {
    this.#files.push(file);
    this.#bytes += file.bytes.length;
  }

  /**
   * Writes what is full and what is not, then the checkpoint that `sign` makes. `check` throws where another process has
   * the log by now; it is asked in the same turn in which the checkpoint is put in the place of the one before.
   */
  async publish(
    {
      partials,
      bundle,
      size,
    }: { readonly partials: readonly Tile[]; readonly bundle: readonly Buffer[]; readonly size: number },
    { sign, check }: { readonly sign: () => string; readonly check: () => void },
  ): Promise<string> {
    const full = this.#files;
    [this.#files, this.#bytes] = [[], 0];
    const open: File[] = partials.map(({ hashes, ...address }) => ({ address, bytes: hashes }));
    if (bundle.length > 0) {
      const address = { level: 'entries', index: Math.floor(size / TILE_WIDTH), width: bundle.length } as const;
      open.push({ address, bytes: encodeBundle(bundle) });
    }
    const paths = new Set(open.map(({ address }) => tilePath(address)));
    await this.#write([...full, ...open.filter(({ address }) => !this.#partials.has(tilePath(address)))]);
    this.#partials = paths;
    const note = sign();
    await this.#replace(CHECKPOINT_PATH, Buffer.from(note), check);
    await this.#disk.syncDirectory(this.#directory);
    for (const { address } of full)
      this.#disk.remove(`${this.#directory}/${partialsPath(address.level, address.index)}`);
    return note;
  }

  async #write(files: readonly File[]): Promise<void> {
    const directories = new Set<string>();
    for (const { address } of files) for (const each of parentsOf(tilePath(address))) directories.add(each);
    for (const each of directories) this.#makeDirectory(each);
    const queue = files.values();
    const worker = async (): Promise<void> => {
      for (const { address, bytes } of queue) await this.#replace(tilePath(address), bytes);
    };
    await Promise.all(Array.from({ length: WRITES_AT_ONCE }, worker));
    // Names last, the innermost first: a name that is there leads to bytes that are there.
    for (const each of [...directories].toSorted((a, b) => b.length - a.length))
      await this.#disk.syncDirectory(each === '' ? this.#directory : `${this.#directory}/${each}`);
  }

  /** A crash leaves what was there, or what is to be there: the checkpoint before may need the one, and have the other. */
  async #replace(path: string, bytes: Buffer, check: () => void = () => {}): Promise<void> {
    const whole = `${this.#directory}/${path}`;
    // A process that was replaced may still be writing a file of the same name.
    const draft = `${whole}.${this.#generation}.new`;
    await this.#disk.writeDurably(draft, bytes);
    check();
    this.#disk.rename(draft, whole);
  }

  #makeDirectory(path: string): void {
    if (path === '' || this.#directories.has(path)) return;
    this.#disk.makeDirectory(`${this.#directory}/${path}`);
    this.#directories.add(path);
  }
}

/** `a/b/c` → `a/b`, `a` and the directory of the log itself. */
function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join('/')).concat('');
}
