import type { backupRoutes } from '#contract/api/routes/backups.ts';
import { AppError } from '#contract/errors.ts';
import type { BackupSummary } from '#store/backup.ts';
import type { Backups } from '#store/backups.ts';
import type { Handlers } from '../http/call.ts';
import type { Context } from './context.ts';

export function backupHandlers({ ports }: Context): Pick<Handlers, keyof typeof backupRoutes> {
  const backups = (): Backups => {
    if (ports.backups !== null) return ports.backups;
    throw new AppError('RESOURCE_CONFLICT', 'This server keeps no backups.', {
      nextStep: 'Start it with backups.directory and secrets.keyFile.',
    });
  };
  return {
    listBackups: async () => ({ backups: backups().list(), restoreRequested: backups().requested() }),

    async takeBackup() {
      const { summary, ...file } = await backups().take();
      return view(file, summary);
    },

    async verifyBackup({ params: { name } }) {
      const summary = await backups().verify(name);
      return view({ name, takenAt: summary.takenAt }, summary);
    },

    downloadBackup: async ({ params: { name } }) => ({ name, chunks: backups().read(name) }),

    deleteBackup: ({ params: { name } }) => backups().remove(name),

    async requestRestore({ params: { name } }) {
      const summary = await backups().requestRestore(name);
      return view({ name, takenAt: summary.takenAt }, summary);
    },

    async cancelRestore() {
      if (await backups().cancelRestore()) return;
      throw new AppError('RESOURCE_NOT_FOUND', 'No restore is requested.', { nextStep: 'There is nothing to do.' });
    },
  };
}

function view(
  { name, takenAt }: { readonly name: string; readonly takenAt: number },
  { schema, keyId, rows, digest, checkpoints }: BackupSummary,
) {
  const logSizes = Object.fromEntries(checkpoints.map(({ origin, size }) => [origin, size]));
  return { name, takenAt, schema, keyId, rows, digest, logSizes };
}
