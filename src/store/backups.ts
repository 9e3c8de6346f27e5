/**
 * The directory of backups: takes, lists, verifies and removes them. To restore one, the database must not be in use: a
 * request is left in the directory, and the next start restores before it opens the database (`restoreRequested`).
 */
import { AppError } from '#contract/errors.ts';
import type { Clock } from '#util/clock.ts';
import type { Disk } from '#util/host.ts';
import { takeBackup, restoreBackup, verifyBackup, type BackupSummary } from './backup.ts';
import type { Database } from './database.ts';
import type { KeyEncryption } from './key-encryption.ts';
import { notFound } from './scope.ts';
import type { Store } from './store.ts';

export interface BackupFile {
  readonly name: string;
  /** As its name says. */
  readonly takenAt: number;
}

export interface Backups {
  /** To a new file, verified. RATE_LIMITED while another one is taken, and within its second. */
  take(): Promise<BackupFile & { readonly summary: BackupSummary }>;
  /** The newest first. */
  list(): readonly BackupFile[];
  /** Reads all of it. Throws RESOURCE_NOT_FOUND, BACKUP_INVALID. */
  verify(name: string): Promise<BackupSummary>;
  /** The sealed file. Throws RESOURCE_NOT_FOUND. */
  read(name: string): AsyncIterable<Uint8Array>;
  /** Throws RESOURCE_NOT_FOUND. */
  remove(name: string): Promise<void>;
  /** Verifies it, and has the next start restore it. Throws RESOURCE_NOT_FOUND, BACKUP_INVALID. */
  requestRestore(name: string): Promise<BackupSummary>;
  /** Which one the next start restores; null: none. */
  requested(): string | null;
  /** False: none was requested. */
  cancelRestore(): Promise<boolean>;
}

export interface BackupsOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly keys: KeyEncryption;
}

const NAME = /^lockstep-backup-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)\.backup$/;
const REQUEST = 'restore-requested';

export function createBackups(
  store: Store,
  { disk, directory, keys, clock }: BackupsOptions & { readonly clock: Clock },
): Backups {
  disk.makeDirectory(directory);
  const at = (name: string): string => `${directory}/${name}`;
  const existing = (name: string): string => {
    if (takenAtOf(name) === null || disk.look(at(name)) === null) throw notFound('backup', name);
    return at(name);
  };
  let isTaking = false;
  return {
    async take() {
      if (isTaking)
        throw new AppError('RATE_LIMITED', 'A backup is being taken already.', { nextStep: 'Wait for that one.' });
      isTaking = true;
      const name = nameOf(clock.now());
      try {
        if (disk.look(at(name)) !== null)
          throw new AppError('RATE_LIMITED', 'A backup was taken within this second.', {
            nextStep: 'That one is new.',
          });
        const place = { disk, path: at(name), keys };
        await takeBackup(store, place);
        // What cannot be read again is no backup.
        const summary = await verifyBackup(place);
        await disk.syncDirectory(directory);
        return { name, takenAt: takenAtOf(name) ?? summary.takenAt, summary };
      } catch (error) {
        disk.remove(`${at(name)}.partial`);
        if (error instanceof AppError) throw error;
        throw new AppError('BACKUP_FAILED', `The backup ${at(name)} could not be written.`, {
          cause: error,
          nextStep: 'Look whether there is room in the directory, and whether the server may write there.',
        });
      } finally {
        isTaking = false;
      }
    },
    list: () =>
      disk
        .list(directory)
        .flatMap((name) => {
          const takenAt = takenAtOf(name);
          return takenAt === null ? [] : [{ name, takenAt }];
        })
        .toSorted((a, b) => b.takenAt - a.takenAt),
    verify: async (name) => verifyBackup({ disk, path: existing(name), keys }),
    read: (name) => disk.chunks(existing(name)),
    async remove(name) {
      disk.remove(existing(name));
      await disk.syncDirectory(directory);
    },
    async requestRestore(name) {
      const summary = await verifyBackup({ disk, path: existing(name), keys });
      await disk.writeDurably(at(REQUEST), Buffer.from(name));
      await disk.syncDirectory(directory);
      return summary;
    },
    requested: () => requestedIn(disk, directory),
    async cancelRestore() {
      if (requestedIn(disk, directory) === null) return false;
      disk.remove(at(REQUEST));
      await disk.syncDirectory(directory);
      return true;
    },
  };
}

/**
 * Called before a server opens its database. Null: nothing was requested. Where it does not succeed, the database is as it was
 * and the request is still there, so that no server starts on what somebody wanted replaced. Throws as `restoreBackup`.
 */
export async function restoreRequested(
  database: Database,
  { disk, directory, keys, now }: BackupsOptions & { readonly now: number },
): Promise<{ readonly name: string; readonly summary: BackupSummary } | null> {
  const name = disk.look(directory) === null ? null : requestedIn(disk, directory);
  if (name === null) return null;
  const summary = await restoreBackup(database, { disk, path: `${directory}/${name}`, keys, now });
  disk.remove(`${directory}/${REQUEST}`);
  await disk.syncDirectory(directory);
  return { name, summary };
}

/** Whether the next start restores one. */
export function isRestoreRequested(disk: Disk, directory: string): boolean {
  return disk.look(directory) !== null && requestedIn(disk, directory) !== null;
}

function requestedIn(disk: Disk, directory: string): string | null {
  const path = `${directory}/${REQUEST}`;
  const name = disk.look(path) === null ? null : disk.readText(path);
  // Whatever else stands there was not written by us; a path would lead out of the directory.
  return name !== null && takenAtOf(name) !== null ? name : null;
}

function nameOf(time: number): string {
  return `lockstep-backup-${new Date(time).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}.backup`;
}

function takenAtOf(name: string): number | null {
  const match = NAME.exec(name);
  if (!match) return null;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
