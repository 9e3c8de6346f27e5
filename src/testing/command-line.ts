/** Runs command lines in process, on a disk in memory and with nobody at the other end of anything that a test does not give. */
import { Readable } from 'node:stream';
import type { App, Context } from '#cli/context.ts';
import type { Io } from '#cli/io.ts';
import { runCommandLine } from '#cli/program.ts';
import { systemFigures, systemNetwork, type AppendFile, type Disk } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { ManualClock } from './manual-clock.ts';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Files by path; made and changed by what runs. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, string>();
  /** Of files that are for nobody else. */
  readonly secrets = new Set<string>();
  /** When files were written to last; those of which nothing is said just now. */
  readonly times = new Map<string, number>();

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [path, text] of Object.entries(files)) this.files.set(path, text);
  }

  readText(path: string): string {
    const text = this.files.get(path);
    if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return text;
  }

  readBytes(path: string): Buffer {
    return Buffer.from(this.readText(path));
  }

  list(path: string): string[] {
    const within = `${path}/`;
    const names = [...this.files.keys()].filter((each) => each.startsWith(within));
    return [...new Set(names.map((each) => each.slice(within.length).split('/')[0] ?? ''))];
  }

  writeText(path: string, text: string): void {
    this.files.set(path, text);
  }

  appendText(path: string, text: string): void {
    this.files.set(path, (this.files.get(path) ?? '') + text);
  }

  createSecret(path: string, text: string): void {
    if (this.files.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
    this.files.set(path, text);
    this.secrets.add(path);
  }

  sync(): void {}

  makeDirectory(): void {}

  rename(from: string, to: string): void {
    this.files.set(to, this.readText(from));
    this.files.delete(from);
  }

  remove(path: string): void {
    this.files.delete(path);
  }

  async move(from: string, to: string): Promise<void> {
    this.rename(from, to);
  }

  async discard(path: string): Promise<void> {
    this.remove(path);
  }

  async filesOf(path: string): Promise<{ name: string; writtenAt: number }[]> {
    return this.list(path).map((name) => ({ name, writtenAt: this.times.get(`${path}/${name}`) ?? Infinity }));
  }

  writeDurably(path: string, bytes: Uint8Array): Promise<void> {
    this.files.set(path, Buffer.from(bytes).toString());
    return Promise.resolve();
  }

  syncDirectory(): Promise<void> {
    return Promise.resolve();
  }

  createAppendFile(path: string): Promise<AppendFile> {
    this.createSecret(path, '');
    return Promise.resolve({
      append: (bytes) => Promise.resolve(this.appendText(path, Buffer.from(bytes).toString())),
      close: () => Promise.resolve(),
    });
  }

  chunks(path: string): AsyncIterable<Uint8Array> {
    return Readable.from([this.readBytes(path)]);
  }

  look(path: string): { readonly identity: string; readonly permissions: number } | null {
    return this.files.has(path) ? { identity: path, permissions: 0o600 } : null;
  }
}

const refused = (): never => {
  throw new Error('not expected to be called');
};
const unexpected = (): Promise<never> => Promise.reject(new Error('not expected to be called'));

/** `argv` without the name of the program. */
export async function runLine(
  argv: readonly string[],
  given: {
    readonly disk?: Disk;
    readonly app?: Partial<App>;
    readonly io?: Partial<Io>;
    readonly host?: Partial<Context['host']>;
  } = {},
): Promise<CommandResult> {
  let [out, err] = ['', ''];
  const io: Io = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    isTty: false,
    columns: () => 100,
    rows: () => 30,
    style: (_, text) => text,
    isDebug: false,
    onInterrupt: () => {},
    onResize: () => () => {},
    readInput: () => Promise.resolve(''),
    ...given.io,
  };
  const host: Context['host'] = {
    network: systemNetwork,
    clock: new ManualClock(),
    random: createRandom(1),
    disk: given.disk ?? new MemoryDisk(),
    environment: {},
    tables: { open: refused },
    web: { send: unexpected, postForm: unexpected, open: unexpected },
    listen: unexpected,
    figures: systemFigures,
    probeTls: unexpected,
    nonce: () => 'nonce',
    growHeap: () => {},
    entropy: { bytes: (count) => Buffer.alloc(count, 7) },
    process: 'host 1',
    ...given.host,
  };
  const app = new Proxy(given.app ?? {}, { get: (own, name) => Reflect.get(own, name) ?? unexpected }) as App;
  const code = await runCommandLine(argv, { io, host, app, version: '1.2.3' });
  return { code, out, err };
}
