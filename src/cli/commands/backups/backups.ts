/** Backups that a server takes of its database while it runs. */
import { formatCount, formatFacts, formatMoment, formatRows } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { needed } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { saveFile } from '../save-file.ts';

function backupLines(backup: ResultOf<'takeBackup'>): string[] {
  const rows = Object.values(backup.rows).reduce((sum, count) => sum + count, 0);
  return formatFacts([
    ['backup', backup.name],
    ['taken', formatMoment(backup.takenAt)],
    ['rows', formatCount(rows)],
    ['digest', backup.digest],
    ['key', backup.keyId],
  ]);
}

export const listBackups: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the backups of the server, the newest first',
  examples: ['lockstep backups list'],
  async run({ api }) {
    const { backups, restoreRequested } = await api.call('listBackups', {});
    const rows = backups.map(({ name, takenAt }) => [
      name,
      formatMoment(takenAt),
      name === restoreRequested ? 'is restored at the next start' : '',
    ]);
    return { json: { backups, restoreRequested }, lines: formatRows(['BACKUP', 'TAKEN', ''], rows, 'backups') };
  },
});

export const takeBackup: Verb<RemoteOptions> = remoteVerb({
  summary: 'take a backup of the database while everything goes on, and read it again',
  aliases: ['create'],
  examples: ['lockstep backups take'],
  async run({ api }) {
    const backup = await api.call('takeBackup', {});
    return { json: { backup }, lines: backupLines(backup) };
  },
});

export const verifyBackup: Verb<RemoteOptions> = remoteVerb({
  summary: 'read a backup from one end to the other: whether it is whole and unaltered',
  examples: ['lockstep backups verify lockstep-backup-20261122-183000.backup'],
  async run({ api }, _, [name = '']) {
    const backup = await api.call('verifyBackup', { params: { name } });
    return { json: { backup }, lines: [...backupLines(backup), 'It is whole and unaltered.'] };
  },
});

export const downloadBackup: Verb<RemoteOptions & { readonly out?: string }> = remoteVerb({
  summary: 'download a backup, sealed with the key of the server',
  examples: ['lockstep backups download lockstep-backup-20261122-183000.backup --out off-site.backup'],
  options: { '--out <file>': 'a new file' },
  async run(remote, { out }, [name = '']) {
    needed({ '--out': out });
    const stream = await remote.api.open('downloadBackup', { params: { name } }, 'application/octet-stream');
    return saveFile(remote, stream, out);
  },
});

export const removeBackup: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'delete a backup',
  aliases: ['delete'],
  examples: ['lockstep backups remove lockstep-backup-20261122-183000.backup --yes'],
  options: YES_OPTION,
  async run({ api, io }, options, [name = '']) {
    await confirm(io, options, `Delete the backup ${name}?`);
    await api.call('deleteBackup', { params: { name } });
    return { json: { name, removed: true }, lines: [`${name} is deleted`] };
  },
});

export const restoreBackup: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'verify a backup, and have the next start of the server restore it',
  description:
    'Verifies a backup, and has the next start of the server restore it: all that the database holds is replaced then. The audit log goes on where it is, and says that it was restored. "lockstep backups cancel-restore" takes it back until then.',
  examples: ['lockstep backups restore lockstep-backup-20261122-183000.backup --yes'],
  options: YES_OPTION,
  async run({ api, io }, options, [name = '']) {
    await confirm(io, options, `Replace the database by ${name} at the next start of the server?`);
    const backup = await api.call('requestRestore', { params: { name } });
    return { json: { backup }, lines: [...backupLines(backup), 'The next start of the server restores it.'] };
  },
});

export const cancelRestore: Verb<RemoteOptions> = remoteVerb({
  summary: 'take the request to restore back',
  examples: ['lockstep backups cancel-restore'],
  async run({ api }) {
    await api.call('cancelRestore', {});
    return { json: { cancelled: true }, lines: ['Nothing is restored at the next start.'] };
  },
});
