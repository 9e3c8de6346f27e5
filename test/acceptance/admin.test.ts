/** `lockstep admin` on the database of a server that was stopped, and what the server and its audit log say of it then. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startServed, shellIn } from './served-cli.ts';

test(
  'M-185 … M-193: users, tokens, passwords and backups without a server, each in the audit log',
  { timeout: 240_000 },
  async () => {
    const { server, shell } = await startServed();
    const port = new URL(server.url).port;
    const at = ['--server-port', port];
    const served = shell.run(['admin', 'tokens', 'generate', 'ada', ...at]);
    expect(served).toMatchObject({ code: 1, out: '' });
    expect(served.err).toContain('RESOURCE_CONFLICT');
    expect(await server.stop()).toBe(0);

    const local = shellIn(server.directory);
    expect(local.run(['admin', 'users', 'list', '--database-path', 'nowhere.db'])).toMatchObject({ code: 1 });
    const made = local.json(
      ['admin', 'users', 'add', 'ben', '--role', 'operator', '--password-stdin', ...at],
      'marble-heron-trestle-noon\n',
    );
    expect(made).toMatchObject({ user: { username: 'ben', roles: ['operator'], isInitial: false } });
    const { users } = local.json(['admin', 'users', 'list']) as { users: { username: string }[] };
    expect(users.map(({ username }) => username)).toEqual(['ada', 'ben']);
    expect(local.json(['admin', 'repair', ...at])).toEqual({ repaired: true, setupToken: null });
    expect(local.run(['admin', 'reset-admin-password', 'ben', '--password-file', 'ben.txt', ...at])).toMatchObject({
      code: 4,
    });
    const reset = [
      'admin',
      'reset-admin-password',
      'ada',
      '--password-file',
      'ada.txt',
      '--without-second-factor',
      ...at,
    ];
    expect(local.json(reset)).toMatchObject({ username: 'ada' });
    expect(statSync(join(server.directory, 'ada.txt')).mode & 0o777).toBe(0o600);
    const token = (verb: string): string =>
      (
        local.json(['admin', 'tokens', verb, 'ben', '--description', verb, '--duration', '720h', ...at]) as {
          token: string;
        }
      ).token;
    const old = token('generate');
    const current = token('reset');
    const { file } = local.json(['admin', 'backup', 'database', 'safe']) as { file: string };
    expect(file).toMatch(/^safe-backup-\d{8}-\d{6}\.backup$/);
    local.json(
      ['admin', 'users', 'add', 'eve', '--role', 'monitoring', '--password-stdin', ...at],
      'copper-finch-lattice-dawn\n',
    );
    expect(local.run(['admin', 'restore', 'database', file, ...at])).toMatchObject({ code: 2 });
    local.json(['admin', 'restore', 'database', file, '--yes', ...at]);

    await server.start();
    const by = (text: string) => server.as({ authorization: `Bearer ${text}` });
    expect((await by(old)('GET', '/auth/me')).status).toBe(401);
    expect((await by(current)('GET', '/auth/me')).body).toMatchObject({ username: 'ben' });
    const password = readFileSync(join(server.directory, 'ada.txt'), 'utf8').trim();
    const signedIn = shell.run(['login', 'ada', '--server', server.url, '--password-stdin'], `${password}\n`);
    expect(signedIn).toMatchObject({ code: 0 });
    const events = (await by(current)('GET', '/api/v1/events?action=admin&limit=100')).body as {
      items: { action: string; outcome: string | null; phase: string }[];
    };
    const done = events.items
      .filter(({ phase, outcome }) => phase === 'outcome' && outcome === 'succeeded')
      .map(({ action }) => action);
    expect(done.toReversed()).toEqual([
      'admin.create-user',
      'admin.repair',
      'admin.reset-password',
      'admin.create-token',
      'admin.reset-tokens',
      'admin.create-user',
    ]);
    expect(await server.stop()).toBe(0);
    const verified = local.run(['log', 'verify', 'lockstep-audit', '--vkey', server.verifierKey]);
    expect(verified).toMatchObject({ code: 0 });
  },
);
