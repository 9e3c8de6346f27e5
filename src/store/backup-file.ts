/**
 * The file of a backup, the same for both engines:
 *
 *   lockstep-backup/1\n
 *   {"takenAt":…,"schema":…,"keyId":…,"wrappedKey":…}\n
 *   frame…   4 bytes length, then AES-256-GCM of gzip of one line of JSON
 *
 * Each file has a key of its own, wrapped by the key-encryption key. A frame's nonce is its number; number, header and whether
 * it is the last are authenticated, so no frame can be changed, moved, repeated or left out, and the end not cut off.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { AppError } from '#contract/errors.ts';
import type { Disk } from '#util/host.ts';
import type { KeyEncryption } from './key-encryption.ts';

export interface BackupHead {
  readonly takenAt: number;
  readonly schema: string;
  readonly keyId: string;
  readonly wrappedKey: string;
}

const MAGIC = 'lockstep-backup/1\n';
const PLACE = 'backup';
const TAG_BYTES = 16;
const HEAD_BYTES_MAX = 64 * 1024;
/** A part of 500 rows; a row is at most a report or a document of a few MB. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024;

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** Writes `lines`, and `last` as the last one, to a new file that is there under its name only when it is whole. */
export async function writeFrames(
  disk: Pick<Disk, 'createAppendFile' | 'rename'>,
  { path, keys, takenAt, schema }: Pick<BackupHead, 'takenAt' | 'schema'> & { path: string; keys: KeyEncryption },
  lines: AsyncIterable<object>,
  last: () => object,
): Promise<void> {
  const dataKey = randomBytes(32);
  const wrappedKey = Buffer.from(await keys.wrap(dataKey, PLACE)).toString('base64');
  const head = `${JSON.stringify({ takenAt, schema, keyId: keys.currentId, wrappedKey } satisfies BackupHead)}\n`;
  const partial = `${path}.partial`;
  const file = await disk.createAppendFile(partial);
  try {
    await file.append(Buffer.from(MAGIC + head));
    let count = 0;
    for await (const line of lines) await file.append(await sealFrame(line, frameOf(dataKey, head, count++, false)));
    await file.append(await sealFrame(last(), frameOf(dataKey, head, count, true)));
  } finally {
    dataKey.fill(0);
    await file.close();
  }
  disk.rename(partial, path);
}

/** The head, then each line, and whether it is the last. Throws BACKUP_INVALID at the first byte that is not as it was written. */
export async function* readFrames(
  disk: Pick<Disk, 'chunks'>,
  path: string,
  keys: KeyEncryption,
): AsyncGenerator<{ readonly head: BackupHead; readonly line: unknown; readonly isLast: boolean }> {
  const bytes = new ByteReader(disk.chunks(path), path);
  if ((await bytes.line()) !== MAGIC) throw invalid(path, 'it is no backup of Lockstep');
  const headLine = await bytes.line();
  const head = parseHead(path, headLine);
  const dataKey = await unwrap(path, head, keys);
  for (let count = 0; ; count++) {
    const length = await bytes.take(4);
    if (length === null) throw invalid(path, 'it ends too early');
    const size = length.readUInt32BE();
    if (size > FRAME_BYTES_MAX) throw invalid(path, 'a length in it is impossible');
    const sealed = await bytes.take(size);
    if (sealed === null) throw invalid(path, 'it ends too early');
    const isLast = await bytes.isAtEnd();
    const line = await openFrame(sealed, frameOf(dataKey, headLine, count, isLast));
    if (line === null) throw invalid(path, isLast ? 'it is damaged, or ends too early' : 'it is damaged');
    yield { head, line, isLast };
    if (isLast) return;
  }
}

interface Frame {
  readonly dataKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly context: Uint8Array;
}

function frameOf(dataKey: Uint8Array, head: string, count: number, isLast: boolean): Frame {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(count, 8);
  const context = createHash('sha256')
    .update(`${head}${count} ${isLast ? 'last' : 'more'}`)
    .digest();
  return { dataKey, nonce, context };
}

async function sealFrame(line: object, { dataKey, nonce, context }: Frame): Promise<Buffer> {
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce).setAAD(context);
  const packed = await compress(JSON.stringify(line));
  const sealed = Buffer.concat([cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(sealed.length);
  return Buffer.concat([length, sealed]);
}

/** Null: it is not what was written there. */
async function openFrame(sealed: Buffer, { dataKey, nonce, context }: Frame): Promise<unknown> {
  if (sealed.length < TAG_BYTES) return null;
  const decipher = createDecipheriv('aes-256-gcm', dataKey, nonce, { authTagLength: TAG_BYTES })
    .setAAD(context)
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  let packed: Buffer;
  try {
    packed = Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null; // the tag does not fit: that is what it is for
  }
  return JSON.parse((await decompress(packed)).toString('utf8'));
}

function parseHead(path: string, line: string): BackupHead {
  try {
    const head = JSON.parse(line) as Partial<BackupHead>;
    const { takenAt, schema, keyId, wrappedKey } = head;
    if (
      typeof takenAt === 'number' &&
      typeof schema === 'string' &&
      typeof keyId === 'string' &&
      typeof wrappedKey === 'string'
    )
      return { takenAt, schema, keyId, wrappedKey };
  } catch {
    // said below
  }
  throw invalid(path, 'its head is damaged');
}

async function unwrap(path: string, { wrappedKey, keyId }: BackupHead, keys: KeyEncryption): Promise<Uint8Array> {
  try {
    return await keys.unwrap(Buffer.from(wrappedKey, 'base64'), PLACE, keyId);
  } catch (cause) {
    throw invalid(path, `it is sealed with key "${keyId}", which does not open it`, cause);
  }
}

function invalid(path: string, problem: string, cause?: unknown): AppError {
  return new AppError('BACKUP_INVALID', `The backup ${path} cannot be used: ${problem}.`, {
    cause,
    nextStep: 'Take another backup, or give the key that it was sealed with.',
  });
}

class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #path: string;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>, path: string) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#path = path;
  }

  /** With its end; throws when there is none soon. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(10);
      if (end >= 0) return this.#cut(end + 1).toString('utf8');
      if (this.#rest.length > HEAD_BYTES_MAX || !(await this.#more()))
        throw invalid(this.#path, 'it is no backup of Lockstep');
    }
  }

  /** Null: there are not so many. */
  async take(count: number): Promise<Buffer | null> {
    while (this.#rest.length < count) if (!(await this.#more())) return null;
    return this.#cut(count);
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#rest.length === 0) if (!(await this.#more())) return true;
    return false;
  }

  #cut(count: number): Buffer {
    const bytes = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return bytes;
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#chunks.next();
    if (done) return false;
    this.#rest = Buffer.concat([this.#rest, value]);
    return true;
  }
}
