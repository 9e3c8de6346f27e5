import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { assert } from '#util/assert.ts';

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;

/**
 * The files of a jar whose names begin with `prefix`, by name, as text. A jar is a zip archive (APPNOTE.TXT 4.3): its
 * directory lies at the end. Read here, since neither Node nor a bare machine has an unzip.
 */
export function readJar(path: string, prefix: string): ReadonlyMap<string, string> {
  const jar = readFileSync(path);
  const end = jar.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'), jar.length - END_BYTES);
  assert(end >= 0 && jar.readUInt32LE(end) === END_SIGNATURE, `${path} is a zip archive`);
  const files = new Map<string, string>();
  let at = jar.readUInt32LE(end + 16);
  for (let i = jar.readUInt16LE(end + 10); i > 0; i--) {
    assert(jar.readUInt32LE(at) === ENTRY_SIGNATURE, `the directory of ${path} is whole`);
    const nameBytes = jar.readUInt16LE(at + 28);
    const name = jar.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
    if (name.startsWith(prefix) && !name.endsWith('/')) files.set(name, readEntry(jar, at).toString('utf8'));
    at += ENTRY_BYTES + nameBytes + jar.readUInt16LE(at + 30) + jar.readUInt16LE(at + 32);
  }
  return files;
}

function readEntry(jar: Buffer, at: number): Buffer {
  const method = jar.readUInt16LE(at + 10);
  const header = jar.readUInt32LE(at + 42);
  const start = header + LOCAL_HEADER_BYTES + jar.readUInt16LE(header + 26) + jar.readUInt16LE(header + 28);
  const bytes = jar.subarray(start, start + jar.readUInt32LE(at + 20));
  assert(method === STORED || method === DEFLATED, 'a jar entry is stored or deflated');
  return method === STORED ? bytes : inflateRawSync(bytes);
}
