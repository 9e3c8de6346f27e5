/** Backups that are taken by themselves: when the newest one, whoever took it, is old enough. */
import type { Backups } from '#store/backups.ts';

export interface BackupSchedule {
  /** Null: none are taken. */
  readonly everyMs: number | null;
  /** The oldest beyond so many are removed. */
  readonly keep: number;
}

/** Returns the name of the one that was taken; null: none is due. Throws AppError as `Backups.take`. */
export async function takeDueBackup(
  backups: Pick<Backups, 'list' | 'take' | 'remove'>,
  { everyMs, keep }: BackupSchedule,
  now: number,
): Promise<string | null> {
  if (everyMs === null) return null;
  const [newest] = backups.list();
  if (newest && now - newest.takenAt < everyMs) return null;
  const { name } = await backups.take();
  for (const old of backups.list().slice(keep)) await backups.remove(old.name);
  return name;
}
