/** What the log needs of the disk, and how it reads what may not be there. */
import type { Disk } from '#util/host.ts';

export type LogDisk = Pick<
  Disk,
  'readBytes' | 'list' | 'makeDirectory' | 'rename' | 'remove' | 'writeDurably' | 'syncDirectory' | 'createAppendFile'
>;
export type ReadableDisk = Pick<Disk, 'readBytes'>;

/** Null where there is no such file. Throws what the disk throws for another reason. */
export function readIfThere(disk: ReadableDisk, path: string): Buffer | null {
  try {
    return disk.readBytes(path);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** Nothing where there is no such directory. */
export function listIfThere(disk: Pick<Disk, 'list'>, path: string): string[] {
  try {
    return disk.list(path);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
