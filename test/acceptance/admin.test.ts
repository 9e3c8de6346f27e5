/** `lockstep admin` on the database of a server that was stopped, and what the server and its audit log say of it then. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { fixturePath } from '#testing/migration-fixtures.ts';
import { ControlServer, type Call } from './control-server.ts';
import { shellIn, startServed } from './served-cli.ts';

test(
  'M-185 … M-193: users, tokens, passwords and backups without a server, each in the audit log',
  { timeout: 240_000 },
  async () => {
    const { server, shell } = await startServed();
    const port = new URL(server.url).port;
    const at = ['--server-port', port];
    expect(shell.run(['audit', 'export', '--bundle', join(server.directory, 'evidence.zip')])).toMatchObject({
      code: 0,
    });
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
    const vkey = ['--vkey', server.verifierKey];
    expect(local.run(['log', 'verify', 'lockstep-audit', ...vkey])).toMatchObject({ code: 0 });
    expect(local.json(['log', 'report', 'evidence.zip', ...vkey])).toMatchObject({ verdict: 'verified' });

    // A damaged database is moved aside, and a backup needs no other one.
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(server.directory, `lockstep.db${suffix}`), { force: true });
    local.json(['admin', 'restore', 'database', file, '--yes', ...at]);
    await server.start();
    expect((await by(current)('GET', '/auth/me')).body).toMatchObject({ username: 'ben' });
    expect(await server.stop()).toBe(0);
    expect(local.run(['log', 'verify', 'lockstep-audit', ...vkey])).toMatchObject({ code: 0 });
  },
);

test(
  'M-194 M-442: another installation is taken in beside what is there, and in the audit log first',
  { timeout: 240_000 },
  async () => {
    const [own, other] = [await ControlServer.create(), await ControlServer.create()];
    onTestFinished(async () => {
      for (const server of [own, other]) if (server.isRunning) await server.kill();
    });
    await Promise.all([own.start(), other.start()]);
    const [call, there] = [await own.setUp(), await other.setUp()];
    const add = async (to: Call, path: string, body: object): Promise<void> =>
      expect(await to('POST', `/api/v1/${path}`, body)).toMatchObject({ status: 201 });
    await add(call, 'clusters', { name: 'east', bootstrap: ['here:9092'] });
    for (const name of ['east', 'south', 'west']) await add(there, 'clusters', { name, bootstrap: ['there:9092'] });
    await add(there, 'roles', { name: 'desk', grants: [{ permission: 'jobs:view', resource: { kind: 'any' } }] });
    await add(there, 'users', { username: 'ben', role: 'desk', password: 'marble-heron-trestle-noon' });
    for (const [name, source] of Object.entries({ safe: 'south', unsafe: 'east' }))
      await add(there, 'jobs', { name, source, target: 'west', topics: [{ match: 'orders' }] });
    for (const server of [own, other]) expect(await server.stop()).toBe(0);
    shellIn(other.directory).json(['admin', 'backup', 'database', 'other.backup']);

    const local = shellIn(own.directory);
    const at = ['--server-port', new URL(own.url).port];
    const file = join(other.directory, 'other.backup');
    const key = ['--backup-key-file', join(other.directory, 'lockstep.key')];
    const take = (...flags: string[]) => local.run(['admin', 'import', 'database', file, ...flags, ...at]);
    expect(take('--merge', '--yes')).toMatchObject({ code: 1 }); // sealed with another key
    const foreseen = take('--merge', '--dry-run', ...key);
    expect(foreseen).toMatchObject({ code: 5, err: '' });
    expect(foreseen.out).toMatch(/cluster +east +conflict +There is another cluster of that name\./);
    expect(foreseen.out).toContain('Nothing was changed.');
    expect(take('--merge', ...key)).toMatchObject({ code: 2 }); // nobody is there to confirm it
    const taken = take('--merge', '--yes', '--json', ...key);
    expect(taken).toMatchObject({ code: 5, err: '' });
    const { imported } = JSON.parse(taken.out) as { imported: { kind: string; name: string; fate: string }[] };
    expect(imported.map(({ kind, name, fate }) => `${kind} ${name} ${fate}`).toSorted()).toEqual([
      'cluster east conflict',
      'cluster south added',
      'cluster west added',
      'job safe added',
      'job unsafe conflict',
      'role desk added',
      'user ada same',
      'user ben added',
    ]);

    await own.start();
    expect((await call('GET', '/api/v1/clusters/east')).body).toMatchObject({ bootstrap: ['here:9092'] });
    expect((await call('GET', '/api/v1/users/ben')).body).toMatchObject({ roles: ['desk'], mustChangePassword: true });
    const jobs = (await call('GET', '/api/v1/jobs')).body as { items: { name: string; status: string }[] };
    expect(jobs.items).toMatchObject([{ name: 'safe' }]);
    const events = (await call('GET', '/api/v1/events?action=admin.import-database')).body as {
      items: { phase: string; outcome: string | null }[];
    };
    expect(events.items.map(({ phase, outcome }) => outcome ?? phase).toReversed()).toEqual(['intent', 'succeeded']);
    expect(await own.stop()).toBe(0);

    expect(take('--yes', '--dry-run', ...key)).toMatchObject({ code: 0 });
    expect(take('--yes', ...key)).toMatchObject({ code: 0 });
    const { users } = local.json(['admin', 'users', 'list']) as { users: { username: string }[] };
    expect(users.map(({ username }) => username)).toEqual(['ada', 'ben']);
    expect(local.run(['log', 'verify', 'lockstep-audit', '--vkey', own.verifierKey])).toMatchObject({ code: 0 });
  },
);

test(
  'reg-M-290c: clusters, jobs and users of kaf-mirror are taken in, and nobody signs in with an old password',
  { timeout: 240_000 },
  async () => {
    const { server, shell } = await startServed();
    const at = ['--server-port', new URL(server.url).port];
    expect(await server.stop()).toBe(0);
    const local = shellIn(server.directory);
    const take = (...flags: string[]) =>
      local.json(['admin', 'import', 'kaf-mirror', fixturePath('kaf-mirror-1.2.0.db'), ...flags, ...at]) as {
        imported: { kind: string; name: string; fate: string }[];
      };
    const added = ['cluster src added', 'cluster dst added', 'user admin@localhost added', 'job j added'];
    for (const flag of ['--dry-run', '--yes'])
      expect(take(flag).imported.map(({ kind, name, fate }) => `${kind} ${name} ${fate}`)).toEqual(added);
    expect(new Set(take('--yes').imported.map(({ fate }) => fate))).toEqual(new Set(['same']));
    const { users } = local.json(['admin', 'users', 'list']) as { users: object[] };
    expect(users).toContainEqual(
      expect.objectContaining({ username: 'admin@localhost', roles: ['admin'], isInitial: false }),
    );
    await server.start();
    expect(shell.json(['jobs', 'list'])).toMatchObject({
      jobs: [{ name: 'j', source: 'src', target: 'dst', desired: 'stopped' }],
    });
    const signIn = await server.as({})('POST', '/auth/token', { username: 'admin@localhost', password: 'admin' });
    expect(signIn.status).toBe(401);
    expect(shell.json(['jobs', 'start', 'j'])).toMatchObject({ job: { desired: 'started' } });
    expect(await server.stop()).toBe(0);
    expect(local.run(['log', 'verify', 'lockstep-audit', '--vkey', server.verifierKey])).toMatchObject({ code: 0 });
  },
);

test(
  'an audit log that is lost is given up for a new one, which names what is gone; until then nothing is changed',
  { timeout: 240_000 },
  async () => {
    const server = await ControlServer.create();
    onTestFinished(async () => {
      if (server.isRunning) await server.kill();
    });
    await server.start();
    const call = await server.setUp();
    const first = server.verifierKey;
    const cluster = (name: string) => call('POST', '/api/v1/clusters', { name, bootstrap: ['b:9092'] });
    expect(await cluster('before')).toMatchObject({ status: 201 });
    expect(await server.stop()).toBe(0);
    for (const name of ['lockstep-audit', 'lockstep-audit.key'])
      rmSync(join(server.directory, name), { recursive: true });

    const at = ['--server-port', new URL(server.url).port];
    const local = shellIn(server.directory);
    await server.start();
    expect(await cluster('refused')).toMatchObject({ status: 503, body: { code: 'AUDIT_UNAVAILABLE' } });
    expect(local.run(['admin', 'adopt-restore', '--yes', ...at])).toMatchObject({ code: 1 }); // the server runs
    expect(await server.stop()).toBe(0);

    const told = local.run(['admin', 'adopt-restore', ...at]); // nobody is there to confirm it
    expect(told).toMatchObject({ code: 2 });
    expect(told.err).toMatch(/"[^"]+\/lockstep-audit": no entry is still there; 0 to \d+ are gone/);
    const { adoption } = local.json(['admin', 'adopt-restore', '--yes', ...at]) as {
      adoption: { lost: { from: number; to: number }[]; begun: { origin: string; verifierKey: string } };
    };
    expect(adoption.lost).toMatchObject([{ kept: 0, from: 0, to: expect.any(Number) }]);
    expect(adoption.begun.origin).toMatch(/\/lockstep-audit-2$/);

    await server.start();
    expect(await cluster('after')).toMatchObject({ status: 201 });
    expect(server.verifierKey).toBe(adoption.begun.verifierKey);
    expect(server.verifierKey).not.toBe(first);
    const { items } = (await call('GET', '/api/v1/events?action=log.adopt-restore')).body as { items: object[] };
    expect(items).toMatchObject([{ resource: `log ${first.split('+')[0]}`, outcome: 'succeeded' }]);
    expect(await server.stop()).toBe(0);
    const { verifierKey } = server;
    const { rotation } = local.json(['admin', 'rotate-audit-key', '--yes', ...at]) as { rotation: { to: string } };
    await server.start();
    expect(await cluster('later')).toMatchObject({ status: 201 });
    expect(server.verifierKey).toBe(rotation.to);
    expect(await server.stop()).toBe(0);
    expect(local.run(['log', 'verify', 'lockstep-audit', '--vkey', verifierKey])).toMatchObject({ code: 0 });
  },
);
