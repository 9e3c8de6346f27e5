import { expect, test } from 'vitest';
import type { OptionKey } from '#contract/options.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';
import { must } from '#util/assert.ts';
import { ConfigurationKeeper } from '../configuration-keeper.ts';
import { scheduledBackups } from './scheduled-backups.ts';

const HOUR_MS = 3_600_000;

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
  expect((await root('POST', '/api/v1/backups')).json()).toMatchObject({ code: 'RATE_LIMITED' }); // within the second
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

test('acc-M-444: backups are taken by themselves as often as is set, and the oldest go', async () => {
  const plane = await playControlPlane({
    given: {
      file: new Map<OptionKey, unknown>([
        ['backups.every', 6 * HOUR_MS],
        ['backups.keep', 2],
      ]),
    },
  });
  await plane.as('root', 'admin');
  await plane.server.close(); // what it does by itself is called here instead
  const configuration = await ConfigurationKeeper.open(plane.ports);
  configuration.close();
  const chore = scheduledBackups({ ports: plane.ports, configuration });
  const backups = must(plane.ports.backups, 'backups');
  const kept: number[] = [];
  for (let hour = 0; hour < 24; hour++) {
    await chore.run();
    kept.push(backups.list().length);
    if (hour === 6) await backups.requestRestore(must(backups.list().at(-1), 'first backup').name);
    await plane.clock.advance(HOUR_MS);
  }
  // The one that is to be restored stays beside the two newest.
  expect(kept.filter((_, hour) => hour % 6 === 0)).toEqual([1, 2, 3, 3]);
  const taken = plane.audit.entries.filter(({ action, phase }) => action === 'backup.take' && phase === 'intent');
  expect(taken).toHaveLength(4);
  expect(taken[0]).toMatchObject({ actor: { kind: 'system' }, resource: { id: 'scheduled' } });
});
