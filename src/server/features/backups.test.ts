import { expect, test } from 'vitest';
import { playControlPlane } from '#testing/played-control-plane.ts';

interface Listed {
  readonly backups: readonly { readonly name: string }[];
  readonly restoreRequested: string | null;
}

test('acc-M-440, acc-M-441: a backup is taken, verified, downloaded, asked to be restored and removed', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  await plane.store.logAnchors.see({ origin: 'audit.example', size: 12, root: 'AAAA' });
  const taken = await root('POST', '/api/v1/backups');
  expect(taken.statusCode, taken.body).toBe(201);
  const { name } = taken.json<{ name: string }>();
  expect(name).toBe('lockstep-backup-20231114-221320.backup');
  expect(taken.json()).toMatchObject({ rows: { users: 1 }, logSizes: { 'audit.example': 12 } });
  expect((await root('POST', '/api/v1/backups')).json()).toMatchObject({ code: 'SERVER_BUSY' }); // within the second
  const path = `/api/v1/backups/${name}`;
  expect((await root('POST', `${path}/verify`)).json()).toMatchObject({
    digest: taken.json<{ digest: string }>().digest,
  });
  const file = await root('POST', `${path}/download`);
  expect(file.rawPayload.subarray(0, 18).toString()).toBe('lockstep-backup/1\n');
  expect(file.headers['content-disposition']).toBe(`attachment; filename="${name}"`);
  expect((await root('POST', `${path}/restore`)).statusCode).toBe(202);
  expect((await root('GET', '/api/v1/backups')).json<Listed>()).toMatchObject({ restoreRequested: name });
  expect((await root('DELETE', '/api/v1/backups/restore-request')).statusCode).toBe(204);
  expect((await root('DELETE', '/api/v1/backups/restore-request')).statusCode).toBe(404);
  expect((await root('DELETE', path)).statusCode).toBe(204);
  expect((await root('GET', '/api/v1/backups')).json<Listed>()).toEqual({ backups: [], restoreRequested: null });
  expect((await root('POST', `${path}/verify`)).statusCode).toBe(404);
  expect((await root('POST', '/api/v1/backups/..%2Fa/verify')).statusCode).toBe(400);
  const actions = plane.audit.entries.map(({ action }) => action).filter((action) => action.startsWith('backup.'));
  expect([...new Set(actions)].toSorted()).toEqual([
    'backup.cancel-restore',
    'backup.delete',
    'backup.download',
    'backup.request-restore',
    'backup.take',
    'backup.verify',
  ]);
});

test('a server without a directory for backups says so', async () => {
  const plane = await playControlPlane({ hasBackups: false });
  const root = await plane.as('root', 'admin');
  expect((await root('GET', '/api/v1/backups')).json()).toMatchObject({ code: 'RESOURCE_CONFLICT' });
});
