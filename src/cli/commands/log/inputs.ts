/** What the verbs of the log read. */
import { AppError } from '#contract/errors.ts';
import type { Host } from '../../../main.ts';

type Disk = Host['disk'];

/** Throws AppError LOG_INVALID. */
export function readText(disk: Disk, path: string): string {
  return read(path, () => disk.readText(path));
}

/** Throws AppError LOG_INVALID. */
export function readBytes(disk: Disk, path: string): Buffer {
  return read(path, () => disk.readBytes(path));
}

/** A key as it is, or the file that holds it: keys have two "+", files with such names want "./" before them. */
export function readKey(disk: Disk, text: string | undefined): string {
  if (text === undefined)
    throw new AppError('REQUEST_INVALID', 'the key of the log is missing', {
      nextStep:
        'Add --vkey with the public key of the log, or with a file that holds it. Take it from where whoever can change the log cannot change it.',
    });
  return /^[^/.][^+]*\+[0-9a-f]{8}\+/.test(text) ? text : readText(disk, text);
}

export function unreadable(path: string, cause: unknown): AppError {
  return new AppError('LOG_INVALID', `${path} cannot be read`, {
    cause,
    nextStep: 'Name a file or directory that exists and may be read.',
  });
}

function read<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
