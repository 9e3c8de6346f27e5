/** Zip files as far as we make them: deflated, no directories, no time, no encryption, less than 4 GB. */
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';

/** What is no zip file, or one that asks for more than it may. */
export class ZipError extends Error {
  override name = 'ZipError';
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const COMMENT_BYTES_MAX = 65_535;
const VERSION = 20;
const UTF8_NAMES = 0x0800;
const DEFLATED = 8;
const STORED = 0;
/** 1 January 1980: the same content is the same file. */
const NO_DATE = 0x21;

export function writeZip(files: ReadonlyMap<string, Buffer>): Buffer {
  const writer = new ZipWriter();
  for (const [name, bytes] of files) writer.add(name, bytes);
  return writer.end();
}

/** One file after the other, so that whoever writes many can do something else between two. */
export class ZipWriter {
  readonly #parts: Buffer[] = [];
  readonly #directory: Buffer[] = [];
  #files = 0;
  #at = 0;

  add(name: string, bytes: Buffer): void {
    const fields = fieldsOf(name, bytes);
    const local = Buffer.alloc(LOCAL_BYTES);
    local.writeUInt32LE(LOCAL, 0);
    fields.common.copy(local, 4);
    const central = Buffer.alloc(CENTRAL_BYTES);
    central.writeUInt32LE(CENTRAL, 0);
    central.writeUInt16LE(VERSION, 4);
    fields.common.copy(central, 6);
    central.writeUInt32LE(this.#at, 42);
    this.#parts.push(local, fields.name, fields.data);
    this.#directory.push(central, fields.name);
    this.#at += local.length + fields.name.length + fields.data.length;
    this.#files++;
  }

  end(): Buffer {
    const entries = Buffer.concat(this.#directory);
    const end = Buffer.alloc(END_BYTES);
    end.writeUInt32LE(END, 0);
    end.writeUInt16LE(this.#files, 8);
    end.writeUInt16LE(this.#files, 10);
    end.writeUInt32LE(entries.length, 12);
    end.writeUInt32LE(this.#at, 16);
    return Buffer.concat([...this.#parts, entries, end]);
  }
}

/** `common`: what both headers have, from the version needed to the length of the extra field. */
function fieldsOf(name: string, bytes: Buffer): { name: Buffer; data: Buffer; common: Buffer } {
  const data = deflateRawSync(bytes);
  const nameBytes = Buffer.from(name);
  const common = Buffer.alloc(26);
  common.writeUInt16LE(VERSION, 0);
  common.writeUInt16LE(UTF8_NAMES, 2);
  common.writeUInt16LE(DEFLATED, 4);
  common.writeUInt16LE(0, 6);
  common.writeUInt16LE(NO_DATE, 8);
  common.writeUInt32LE(crc32(bytes), 10);
  common.writeUInt32LE(data.length, 14);
  common.writeUInt32LE(bytes.length, 18);
  common.writeUInt16LE(nameBytes.length, 22);
  return { name: nameBytes, data, common };
}

/** The files by their names. Never more than `bytesMax` in all, whatever the file says. Throws ZipError. */
export function readZip(zip: Buffer, { bytesMax }: { readonly bytesMax: number }): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  let left = bytesMax;
  try {
    const end = endOf(zip);
    let at = zip.readUInt32LE(end + 16);
    for (let count = zip.readUInt16LE(end + 10); count > 0; count--) {
      if (zip.readUInt32LE(at) !== CENTRAL) throw new ZipError('the directory of the zip file is damaged');
      const nameBytes = zip.readUInt16LE(at + 28);
      const name = zip.toString('utf8', at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes);
      const bytes = contentOf(zip, at, left);
      if (files.has(name)) throw new ZipError(`the zip file holds ${name} twice`);
      files.set(name, bytes);
      left -= bytes.length;
      at += CENTRAL_BYTES + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
    }
  } catch (error) {
    throw error instanceof ZipError ? error : new ZipError('the zip file is damaged', { cause: error });
  }
  return files;
}

function endOf(zip: Buffer): number {
  for (let at = zip.length - END_BYTES; at >= Math.max(0, zip.length - END_BYTES - COMMENT_BYTES_MAX); at--)
    if (zip.readUInt32LE(at) === END) return at;
  throw new ZipError('it is no zip file');
}

function contentOf(zip: Buffer, central: number, bytesMax: number): Buffer {
  const method = zip.readUInt16LE(central + 10);
  const size = zip.readUInt32LE(central + 20);
  const local = zip.readUInt32LE(central + 42);
  if (zip.readUInt32LE(local) !== LOCAL) throw new ZipError('a file in the zip file is not where its directory says');
  const from = local + LOCAL_BYTES + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const data = zip.subarray(from, from + size);
  if (data.length !== size || (method !== DEFLATED && method !== STORED))
    throw new ZipError('a file in the zip file cannot be read');
  if (zip.readUInt32LE(central + 24) > bytesMax) throw new ZipError('the zip file holds too much');
  const bytes =
    method === STORED ? Buffer.from(data) : inflateRawSync(data, { maxOutputLength: Math.max(bytesMax, 1) });
  if (bytes.length > bytesMax) throw new ZipError('the zip file holds too much');
  if (crc32(bytes) !== zip.readUInt32LE(central + 16))
    throw new ZipError('a file in the zip file has another checksum');
  return bytes;
}
