/**
 * A disk in memory that forgets what was not synced when its power goes, as a journaling file system does: bytes of a
 * file up to some point or with zeroes where they were, names of a directory in the order in which they were changed,
 * each directory on its own. Every change is counted, so that a test can end the power, or break the disk, at each.
 */
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import type { AppendFile, Disk } from '#util/host.ts';
import type { Random } from '#util/random.ts';

/** What every operation throws once the power is gone: the process does not live to see it. */
export class PowerLossError extends Error {
  override name = 'PowerLossError';
}

interface File {
  content: Buffer;
  /** What is certain to survive. */
  durable: Buffer;
}

interface Directory {
  readonly entries: Map<string, Node>;
  durable: Map<string, Node>;
  /** Since the last sync, in their order. */
  changes: (readonly [name: string, node: Node | null][])[];
}

type Node = File | Directory;

export type SimulatedDiskFault = 'power' | 'EIO' | 'ENOSPC';

export class SimulatedDisk implements Disk {
  #root: Directory = newDirectory();
  #changes = 0;
  #isOff = false;
  #fault: { readonly at: number; readonly kind: SimulatedDiskFault } | null = null;

  /** How many changes there have been. */
  get changes(): number {
    return this.#changes;
  }

  get isOff(): boolean {
    return this.#isOff;
  }

  /** Ends the power, or fails, at change number `at`. */
  breakAt(at: number, kind: SimulatedDiskFault): void {
    this.#fault = { at, kind };
  }

  /** The disk as the next process finds it. */
  afterPowerLoss(random: Random): SimulatedDisk {
    const disk = new SimulatedDisk();
    disk.#root = survivor(this.#root, random);
    return disk;
  }

  /** The disk as the next process finds it after `kill -9`: the system lives, and has everything. */
  afterKill(): SimulatedDisk {
    const disk = new SimulatedDisk();
    disk.#root = this.#root;
    return disk;
  }

  readText(path: string): string {
    return this.readBytes(path).toString();
  }

  readBytes(path: string): Buffer {
    this.#checkPower();
    const node = this.#find(path);
    if (!node || isDirectory(node)) throw systemError('ENOENT', path);
    return Buffer.from(node.content);
  }

  list(path: string): string[] {
    this.#checkPower();
    const node = this.#find(path);
    if (!node || !isDirectory(node)) throw systemError('ENOENT', path);
    return [...node.entries.keys()];
  }

  writeText(path: string, text: string): void {
    const fault = this.#change();
    this.#put(path, Buffer.from(text), fault);
  }

  createSecret(path: string, text: string): void {
    if (this.#find(path)) throw systemError('EEXIST', path);
    this.writeText(path, text);
  }

  chunks(path: string): AsyncIterable<Uint8Array> {
    return Readable.from([this.readBytes(path)]);
  }

  look(path: string): { readonly identity: string; readonly permissions: number } | null {
    this.#checkPower();
    return this.#find(path) ? { identity: path, permissions: 0o600 } : null;
  }

  appendText(path: string, text: string): void {
    const node = this.#find(path);
    const before = node && !isDirectory(node) ? node.content : Buffer.alloc(0);
    this.writeText(path, `${before.toString()}${text}`);
  }

  sync(path: string): void {
    this.#end(this.#change());
    this.#file(path).durable = this.#file(path).content;
  }

  makeDirectory(path: string): void {
    let directory = this.#root;
    for (const name of partsOf(path)) {
      let next = directory.entries.get(name);
      if (!next) {
        this.#end(this.#change());
        next = newDirectory();
        link(directory, name, next);
      }
      if (!isDirectory(next)) throw systemError('EEXIST', path);
      directory = next;
    }
  }

  rename(from: string, to: string): void {
    this.#end(this.#change());
    const [source, name] = this.#parent(from);
    const [target, newName] = this.#parent(to);
    const node = source.entries.get(name);
    if (!node) throw systemError('ENOENT', from);
    if (source !== target) throw new Error('only names of one directory change together here');
    source.entries.delete(name);
    source.entries.set(newName, node);
    source.changes.push([
      [newName, node],
      [name, null],
    ]);
  }

  remove(path: string): void {
    this.#end(this.#change());
    const node = this.#find(path);
    if (!node) return;
    const [parent, name] = this.#parent(path);
    parent.entries.delete(name);
    parent.changes.push([[name, null]]);
  }

  async move(from: string, to: string): Promise<void> {
    await Promise.resolve();
    this.rename(from, to);
  }

  async discard(path: string): Promise<void> {
    await Promise.resolve();
    this.remove(path);
  }

  /** It knows of no time: everything was written just now. */
  async filesOf(path: string): Promise<{ name: string; writtenAt: number }[]> {
    await Promise.resolve();
    return this.list(path).map((name) => ({ name, writtenAt: Infinity }));
  }

  async writeDurably(path: string, bytes: Uint8Array): Promise<void> {
    const fault = this.#change();
    const file = this.#put(path, Buffer.from(bytes), fault);
    await Promise.resolve();
    this.#end(this.#change());
    file.durable = file.content;
  }

  async syncDirectory(path: string): Promise<void> {
    this.#end(this.#change());
    await Promise.resolve();
    const node = this.#find(path);
    if (!node || !isDirectory(node)) throw systemError('ENOENT', path);
    node.durable = new Map(node.entries);
    node.changes = [];
  }

  async createAppendFile(path: string): Promise<AppendFile> {
    this.#end(this.#change());
    const [parent, name] = this.#parent(path);
    if (parent.entries.has(name)) throw systemError('EEXIST', path);
    const file: File = { content: Buffer.alloc(0), durable: Buffer.alloc(0) };
    link(parent, name, file);
    return {
      append: async (bytes) => {
        const fault = this.#change();
        file.content = Buffer.concat([file.content, this.#part(Buffer.from(bytes), fault)]);
        this.#end(fault);
        await Promise.resolve();
        this.#end(this.#change());
        file.durable = file.content;
      },
      close: async () => {},
    };
  }

  #put(path: string, bytes: Buffer, fault: SimulatedDiskFault | null): File {
    const [parent, name] = this.#parent(path);
    let file = parent.entries.get(name);
    if (!file) {
      file = { content: Buffer.alloc(0), durable: Buffer.alloc(0) };
      link(parent, name, file);
    }
    if (isDirectory(file)) throw systemError('EISDIR', path);
    file.content = this.#part(bytes, fault);
    // It was truncated first: nothing of what it held is certain any more.
    file.durable = Buffer.alloc(0);
    this.#end(fault);
    return file;
  }

  /** A write that fails has written something. */
  #part(bytes: Buffer, fault: SimulatedDiskFault | null): Buffer {
    return fault === null ? bytes : bytes.subarray(0, Math.floor(bytes.length / 2));
  }

  #change(): SimulatedDiskFault | null {
    this.#checkPower();
    this.#changes++;
    if (this.#fault?.at !== this.#changes) return null;
    if (this.#fault.kind === 'power') this.#isOff = true;
    return this.#fault.kind;
  }

  #end(fault: SimulatedDiskFault | null): void {
    if (fault === null) return;
    if (fault === 'power') throw new PowerLossError('the power is gone');
    throw systemError(fault, 'the disk');
  }

  #checkPower(): void {
    if (this.#isOff) throw new PowerLossError('the power is gone');
  }

  #file(path: string): File {
    const node = this.#find(path);
    if (!node || isDirectory(node)) throw systemError('ENOENT', path);
    return node;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of partsOf(path)) node = node && isDirectory(node) ? node.entries.get(name) : undefined;
    return node;
  }

  #parent(path: string): [Directory, string] {
    const parts = partsOf(path);
    const name = parts.pop() ?? '';
    const node = this.#find(`/${parts.join('/')}`);
    if (!node || !isDirectory(node)) throw systemError('ENOENT', path);
    return [node, name];
  }
}

function survivor(directory: Directory, random: Random): Directory {
  const entries = new Map(directory.durable);
  const kept = Math.floor(random.next() * (directory.changes.length + 1));
  for (const change of directory.changes.slice(0, kept))
    for (const [name, node] of change) {
      if (node) entries.set(name, node);
      else entries.delete(name);
    }
  const copies = [...entries].map(([name, node]): [string, Node] => [
    name,
    isDirectory(node) ? survivor(node, random) : fileAfter(node, random),
  ]);
  return { entries: new Map(copies), durable: new Map(copies), changes: [] };
}

function fileAfter({ content, durable }: File, random: Random): File {
  const isGrown = content.subarray(0, durable.length).equals(durable);
  const certain = isGrown ? durable.length : 0;
  const length = certain + Math.floor(random.next() * (content.length - certain + 1));
  const after = Buffer.from(content.subarray(0, length));
  // The length of a file may survive without its bytes.
  if (random.next() < 0.3) after.fill(0, certain + Math.floor(random.next() * (length - certain + 1)));
  return { content: after, durable: after };
}

function newDirectory(): Directory {
  return { entries: new Map(), durable: new Map(), changes: [] };
}

function link(directory: Directory, name: string, node: Node): void {
  directory.entries.set(name, node);
  directory.changes.push([[name, node]]);
}

function isDirectory(node: Node): node is Directory {
  return 'entries' in node;
}

function partsOf(path: string): string[] {
  return posix
    .normalize(`/${path}`)
    .split('/')
    .filter((part) => part !== '');
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
