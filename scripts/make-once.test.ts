import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeOnce } from './make-once.ts';

let folder = '';
let target = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'make-once-'));
  target = join(folder, 'libs');
});

afterEach(() => rmSync(folder, { recursive: true }));

async function write(text: string, scratch: string): Promise<void> {
  writeFileSync(join(scratch, 'a.jar'), text);
}

test('makes a folder once and leaves it alone while its stamp is the same', async () => {
  await makeOnce(target, 'stamp 1', (scratch) => write('first', scratch));
  await makeOnce(target, 'stamp 1', (scratch) => write('second', scratch));

  expect(readFileSync(join(target, 'a.jar'), 'utf8')).toBe('first');
});

test('makes the folder again when it was made from something else', async () => {
  await makeOnce(target, 'stamp 1', (scratch) => write('first', scratch));
  await makeOnce(target, 'stamp 2', (scratch) => write('second', scratch));

  expect(readFileSync(join(target, 'a.jar'), 'utf8')).toBe('second');
});

test('repeats an attempt that was interrupted half-way, and clears what it left', async () => {
  const interrupted = makeOnce(target, 'stamp 1', async (scratch) => {
    await write('half', scratch);
    throw new Error('interrupted');
  });
  await expect(interrupted).rejects.toThrow('interrupted');
  expect(existsSync(target)).toBe(false);

  await makeOnce(target, 'stamp 1', (scratch) => write('whole', scratch));

  expect(readFileSync(join(target, 'a.jar'), 'utf8')).toBe('whole');
  expect(readdirSync(folder)).toEqual(['libs']);
});
