import { z } from 'zod';
import { count, time } from '../common.ts';
import { defineRoute, empty, json, on } from '../route.ts';

const byName = z.strictObject({
  name: z.string().regex(/^lockstep-backup-\d{8}-\d{6}\.backup$/, 'must be the name of a backup'),
});

const backupFile = z.strictObject({ name: z.string(), takenAt: time() }).meta({ id: 'BackupFile' });

const backup = backupFile
  .extend({
    schema: z.string().describe('Version of the database'),
    keyId: z.string().describe('Of the key that opens it'),
    rows: z.record(z.string(), count()).describe('Of each table'),
    digest: z.string().describe('SHA-256 of the rows: two backups of the same content have the same'),
    logSizes: z
      .record(z.string(), count())
      .describe('Entries that the audit log had at least, by its name: what a restore is held against'),
  })
  .meta({ id: 'Backup' });

/** Without a directory or a key there are none. */
const errors = ['RESOURCE_CONFLICT'] as const;

export const backupRoutes = {
  listBackups: defineRoute({
    method: 'GET',
    path: '/api/v1/backups',
    tag: 'backups',
    summary: 'The backups that are there, the newest first, and which of them the next start restores.',
    access: on('config:view', 'server'),
    audit: null,
    answer: json(
      z.strictObject({ backups: z.array(backupFile), restoreRequested: z.string().nullable() }).meta({ id: 'Backups' }),
    ),
    errors,
  }),
  takeBackup: defineRoute({
    method: 'POST',
    path: '/api/v1/backups',
    tag: 'backups',
    summary:
      'Takes a backup of the database, with the configuration in it, while everything goes on; reads it again before it answers.',
    access: on('config:edit', 'server'),
    audit: 'backup.take',
    isRepeatable: true,
    needsStepUp: true,
    answer: json(backup, 201),
    errors: [...errors, 'BACKUP_INVALID', 'BACKUP_FAILED', 'SECRET_UNAVAILABLE'],
  }),
  verifyBackup: defineRoute({
    method: 'POST',
    path: '/api/v1/backups/:name/verify',
    tag: 'backups',
    summary: 'Reads a backup from one end to the other: whether it is whole and unaltered, and what it holds.',
    access: on('config:view', 'server'),
    audit: 'backup.verify',
    params: byName,
    answer: json(backup),
    errors: [...errors, 'BACKUP_INVALID'],
  }),
  downloadBackup: defineRoute({
    method: 'POST',
    path: '/api/v1/backups/:name/download',
    tag: 'backups',
    summary: 'The file as it is: sealed with the key of the server.',
    access: on('config:edit', 'server'),
    audit: 'backup.download',
    needsStepUp: true,
    params: byName,
    answer: { kind: 'file', status: 200, media: 'application/octet-stream' },
    errors,
  }),
  deleteBackup: defineRoute({
    method: 'DELETE',
    path: '/api/v1/backups/:name',
    tag: 'backups',
    summary: 'Deletes a backup.',
    access: on('config:edit', 'server'),
    audit: 'backup.delete',
    needsStepUp: true,
    params: byName,
    answer: empty,
    errors,
  }),
  requestRestore: defineRoute({
    method: 'POST',
    path: '/api/v1/backups/:name/restore',
    tag: 'backups',
    summary:
      'Verifies a backup and has the next start of the server restore it. The audit log goes on where it is: what it says of the time between stays, and it says that it was restored.',
    access: on('config:edit', 'server'),
    audit: 'backup.request-restore',
    needsStepUp: true,
    params: byName,
    answer: json(backup, 202),
    errors: [...errors, 'BACKUP_INVALID'],
  }),
  cancelRestore: defineRoute({
    method: 'DELETE',
    path: '/api/v1/backups/restore-request',
    tag: 'backups',
    summary: 'Takes a request back that was not carried out yet.',
    access: on('config:edit', 'server'),
    audit: 'backup.cancel-restore',
    answer: empty,
    errors: [...errors, 'RESOURCE_NOT_FOUND'],
  }),
};
