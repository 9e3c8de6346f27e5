/** Folders that take long to make and are made once. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

const stampName = '.stamp';

/**
 * Makes the folder `target` by `make(scratch)` unless it is there and was made from the same `stamp`. The folder
 * appears under its name only when it is complete; what an interrupted attempt has left is removed by the next one.
 * The caller sees to it that only one process makes the same target.
 */
export async function makeOnce(target: string, stamp: string, make: (scratch: string) => Promise<void>): Promise<void> {
  const stampFile = join(target, stampName);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  const prefix = `${basename(target)}.tmp-`;
  mkdirSync(dirname(target), { recursive: true });
  for (const name of readdirSync(dirname(target)).filter((entry) => entry.startsWith(prefix))) {
    rmSync(join(dirname(target), name), { recursive: true, force: true });
  }
  rmSync(target, { recursive: true, force: true }); // a stale class archive must not be used by the making of its successor
  const scratch = mkdtempSync(join(dirname(target), prefix));
  await make(scratch);
  writeFileSync(join(scratch, stampName), stamp);
  renameSync(scratch, target);
}
