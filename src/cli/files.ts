import { parseDocuments } from '#contract/documents.ts';
import { AppError } from '#contract/errors.ts';
import type { Documents } from '#contract/resources.ts';
import type { Disk } from '#util/host.ts';

/** The resources of the files of `-f`. Throws an AppError with everything that is wrong in them. */
export function readDocuments(disk: Disk, paths: readonly string[]): Documents {
  // A file that is named twice is one file, not a set of duplicates.
  return parseDocuments([...new Set(paths)].map((path) => ({ path, text: readText(disk, path) })));
}

/** As readDocuments, for a command that needs at least one mirror. */
export function readMirrors(disk: Disk, paths: readonly string[]): Documents {
  const documents = readDocuments(disk, paths);
  if (documents.mirrors.length > 0) return documents;
  throw new AppError('RESOURCE_NOT_FOUND', `there is no Mirror in ${paths.join(', ')}`, {
    nextStep: 'Add a document of kind Mirror, or name the file that holds it with -f.',
  });
}

/** As readDocuments, for a command that needs at least one mirror or verification. */
export function readJobs(disk: Disk, paths: readonly string[]): Documents {
  const documents = readDocuments(disk, paths);
  return documents.verifications.length > 0 ? documents : readMirrors(disk, paths);
}

/** A file that is not one of ours. Throws AppError CONFIG_INVALID where it cannot be read. */
export function readBytes(disk: Disk, path: string): Uint8Array {
  try {
    return disk.readBytes(path);
  } catch (cause) {
    throw unreadable(path, { cause, nextStep: 'Name a file that exists and may be read.' });
  }
}

/** Throws AppError REQUEST_INVALID where there is something at `path`. */
export function refuseExisting(disk: Disk, path: string): void {
  try {
    disk.readBytes(path);
  } catch (error) {
    // What may not be read, or is a directory, is there, too.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
  }
  throw new AppError('REQUEST_INVALID', `there is something at ${path} already`, {
    nextStep: 'Name another file, or take that away.',
  });
}

/** Throws AppError REQUEST_INVALID where it cannot be written. */
export function writeFile(disk: Disk, path: string, text: string): void {
  asWritten(path, () => disk.writeText(path, text));
}

/** A new file that nobody else may read. Throws as `writeFile`. */
export function createSecret(disk: Disk, path: string, text: string): void {
  asWritten(path, () => disk.createSecret(path, text));
}

function asWritten(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    throw cannotWrite(path, cause);
  }
}

export function cannotWrite(path: string, cause: unknown): AppError {
  return new AppError('REQUEST_INVALID', `cannot write ${path}`, {
    cause,
    nextStep: 'Name a file in a directory that exists and may be written.',
  });
}

export function readText(disk: Disk, path: string): string {
  try {
    return disk.readText(path);
  } catch (cause) {
    throw unreadable(path, { cause, nextStep: 'Name a file that exists and may be read with -f.' });
  }
}

function unreadable(path: string, options: { readonly cause: unknown; readonly nextStep: string }): AppError {
  return new AppError('CONFIG_INVALID', `cannot read ${path}: ${reasonOf(options.cause)}`, options);
}

/** The system's own words are in the cause. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EISDIR') return 'it is a directory';
  return code === 'EACCES' ? 'it may not be read' : 'the system refuses it';
}
