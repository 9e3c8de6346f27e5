import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { AppError } from '#contract/errors.ts';
import { nestOptions } from '#contract/option-document.ts';
import { PLAYED_OPTIONS, playControlPlane, type Client, type ControlPlane } from '#testing/played-control-plane.ts';
import { StoredSecrets } from '../stored-secrets.ts';

interface View {
  readonly version: number;
  readonly config: Record<string, Record<string, unknown>>;
  readonly options: readonly {
    readonly key: string;
    readonly value: unknown;
    readonly source: string;
    readonly isWaiting: boolean;
  }[];
}

async function start(given: ControlPlane['options']['given'] = {}): Promise<{ plane: ControlPlane; root: Client }> {
  const plane = await playControlPlane({ given });
  return { plane, root: await plane.as('root', 'admin') };
}

const optionOf = (view: View, key: string) => view.options.find((option) => option.key === key);

async function configOf(root: Client): Promise<View> {
  return (await root('GET', '/api/v1/config')).json<View>();
}

describe('configuration', () => {
  test('reg-M-055: the whole of it, by stable names, with where each value comes from', async () => {
    const { root } = await start({
      flags: new Map([['server.port', '9000']]),
      environment: { LOCKSTEP_LOGGING_LEVEL: 'warn', LOCKSTEP_DATABASE_URL: 'postgres://secret' },
      file: new Map([['compliance.schedule.runHour', 5]]),
    });
    const answer = await root('GET', '/api/v1/config');
    const view = answer.json<View>();
    expect(answer.headers['etag']).toBe('"0"');
    expect(view.config['server']).toMatchObject({ host: '127.0.0.1', port: 9000 });
    const sources = ['server.port', 'logging.level', 'compliance.schedule.runHour', 'server.host'].map(
      (key) => optionOf(view, key)?.source,
    );
    expect(sources).toEqual(['flag', 'environment', 'file', 'default']);
    expect(view.config['database']).toMatchObject({ metricsRetention: '30d', url: { env: 'LOCKSTEP_DATABASE_URL' } });
    expect(answer.body).not.toContain('postgres://secret');
    expect(optionOf(view, 'client.url')).toBeUndefined();
  });

  test('reg-M-056: what was read can be sent back with one change, and only the change is stored', async () => {
    const { plane, root } = await start();
    const { config } = await configOf(root);
    const changed = { ...config, logging: { level: 'debug' }, server: { ...config['server'], port: 8081 } };
    const answer = await root('PUT', '/api/v1/config', changed, { 'if-match': '"0"' });
    expect(answer.statusCode, answer.body).toBe(200);
    expect((await plane.store.configuration.read()).values).toEqual({ 'logging.level': 'debug', 'server.port': 8081 });
    const view = answer.json<View>();
    expect(optionOf(view, 'logging.level')).toMatchObject({ source: 'stored', isWaiting: false });
    expect(optionOf(view, 'server.port')).toMatchObject({ value: 8081, isWaiting: true });
    expect(plane.options.applied.map((values) => values['logging.level'])).toEqual(['debug']);
    const again = await root('PUT', '/api/v1/config', config);
    expect(again.json<View>()).toMatchObject({ version: 2, config });
    expect((await plane.store.configuration.read()).values).toEqual({});
  });

  test('a change of what somebody else has changed meanwhile is refused, and nothing of it holds', async () => {
    const { plane, root } = await start();
    await root('PUT', '/api/v1/config/options/logging.level', { value: 'warn' });
    const late = await root('PUT', '/api/v1/config/options/logging.level', { value: 'debug' }, { 'if-match': '"0"' });
    expect(late.statusCode).toBe(412);
    expect(plane.options.applied.at(-1)?.['logging.level']).toBe('warn');
    expect((await configOf(root)).config['logging']).toMatchObject({ level: 'warn' });
  });

  test('reg-M-058, reg-M-268, reg-M-269: an import is checked as every change, with each problem, and sets nothing without effect', async () => {
    const { plane, root } = await start({ flags: new Map([['server.port', '9000']]) });
    const wrong = await root('POST', '/api/v1/config/import', {
      server: { prot: 1, tls: { cert_file: 7 } },
      compliance: { schedule: { run_hour: 24 } },
      ai: { provider: 'x' },
      logging: 'loud',
    });
    expect(wrong.statusCode).toBe(400);
    expect(wrong.json()).toMatchObject({
      code: 'CONFIG_INVALID',
      problems: [
        { path: 'server.prot', message: 'is no option; did you mean "server.port"?' },
        { path: 'server.tls.certFile', message: 'must be the path of a PEM file' },
        { path: 'compliance.schedule.runHour', message: 'must be a whole number from 0 to 23' },
        { path: 'ai' },
        { path: 'logging', message: 'must be a mapping' },
      ],
    });
    const statuses = [
      await root('POST', '/api/v1/config/import', { server: { port: 1 } }), // a flag fixes it
      await root('POST', '/api/v1/config/import', { server: { tls: { certFile: 'a.pem' } } }), // without its key
      await root('POST', '/api/v1/config/import', { database: { path: 'other.db' } }),
      await root('POST', '/api/v1/config/import', { monitoring: { token: { file: '/etc/shadow' } } }),
      await root('PUT', '/api/v1/config/options/server.prot', { value: 1 }),
      await root('PUT', '/api/v1/config/options/logging.level', { value: 'loud' }),
      await root('POST', '/api/v1/config/import', { server: { port: 9000 } }),
    ].map(({ statusCode }) => statusCode);
    expect(statuses).toEqual([409, 400, 400, 400, 404, 400, 200]);
    expect((await plane.store.configuration.read()).values).toEqual({});
  });

  test('what cannot be used is not stored: a certificate that does not fit, for example', async () => {
    const { plane, root } = await start();
    plane.options.refusal = new AppError('CONFIG_INVALID', 'The certificate does not fit the key.');
    const refused = await root('PUT', '/api/v1/config/options/logging.level', { value: 'debug' });
    expect(refused.json()).toMatchObject({ status: 400, detail: 'The certificate does not fit the key.' });
    expect((await plane.store.configuration.read()).version).toBe(0);
    expect((await configOf(root)).config['logging']).toMatchObject({ level: 'info' });
  });

  test('reg-M-057: an export holds what is no default, and can be imported elsewhere', async () => {
    const { root } = await start({ file: new Map([['monitoring.topicsMax', 7]]) });
    await root('PUT', '/api/v1/config/options/backups.every', { value: '24h' });
    const exported = await root('POST', '/api/v1/config/export');
    expect(exported.headers['content-disposition']).toMatch(/filename="lockstep-config-\d{8}-\d{6}\.yaml"/);
    const played = nestOptions(PLAYED_OPTIONS);
    expect(parse(exported.body)).toEqual({ ...played, backups: { every: '1d' }, monitoring: { topicsMax: 7 } });
    const back = await root('DELETE', '/api/v1/config/options/backups.every');
    expect(back.json()).toMatchObject({ value: null, source: 'default' });
  });

  test('what another server has set, and what the file says anew, holds here too', async () => {
    const { plane, root } = await start();
    await plane.store.configuration.write({ 'logging.level': 'debug' }, { ifVersion: null, by: null, replace: false });
    await plane.clock.advance(2_000);
    expect(plane.options.applied.map((values) => values['logging.level'])).toEqual(['debug']);
    plane.options.given = { file: new Map([['server.trustedProxies', ['10.0.0.1']]]) };
    await plane.server.reloadOptions();
    expect(plane.options.applied.at(-1)?.['server.trustedProxies']).toEqual(['10.0.0.1']);
    // A file that makes no sense with what is stored changes nothing.
    plane.options.given = { file: new Map([['server.tls.keyFile', 'key.pem']]) };
    await expect(plane.server.reloadOptions()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect((await configOf(root)).config['logging']).toMatchObject({ level: 'debug' });
  });
});

describe('secrets', () => {
  const VALUE = 'canary-7c1f';

  test('acc-M-271: a value goes in and never comes out; names, versions and users of it do', async () => {
    const { plane, root } = await start();
    const set = await root('PUT', '/api/v1/secrets/east.password', { value: VALUE });
    expect(set.json()).toMatchObject({ name: 'east.password', version: 1, usedBy: [], updatedBy: 'root' });
    const cluster = {
      name: 'east',
      bootstrap: ['b:9092'],
      security: {
        protocol: 'SASL_SSL',
        mechanism: 'SCRAM-SHA-512',
        username: 'mirror',
        password: { store: 'east.password' },
      },
    };
    expect((await root('POST', '/api/v1/clusters', cluster)).statusCode).toBe(201);
    const answers = [
      await root('GET', '/api/v1/secrets'),
      await root('GET', '/api/v1/clusters/east'),
      await root('GET', '/api/v1/events'),
      await root('GET', '/api/v1/events/export'),
    ];
    expect(answers[0]?.json()).toMatchObject([{ name: 'east.password', usedBy: ['east'] }]);
    expect(answers[1]?.json()).toMatchObject({ spec: { security: { password: { store: 'east.password' } } } });
    expect(JSON.stringify([...answers.map(({ body }) => body), plane.audit.entries, plane.logged])).not.toContain(
      VALUE,
    );
    expect((await root('GET', '/api/v1/secrets/east.password')).statusCode).toBe(405);
    expect((await root('DELETE', '/api/v1/secrets/east.password')).json()).toMatchObject({ code: 'RESOURCE_CONFLICT' });
    expect((await root('DELETE', '/api/v1/secrets/none')).statusCode).toBe(404);
    expect((await root('POST', '/api/v1/secrets/rotate')).json()).toEqual({ rewrapped: 0, left: 0 });
  });

  test('secrets of the server itself are nobody else’s', async () => {
    const { plane, root } = await start();
    await plane.vault.write('totp/1', 'x', null);
    expect((await root('GET', '/api/v1/secrets')).json()).toEqual([]);
    expect((await root('PUT', '/api/v1/secrets/..%2Ftotp%2F1', { value: 'y' })).statusCode).toBe(400);
    expect(await plane.vault.read('totp/1')).toBe('x');
  });

  test('who connects finds them in an environment, as they are now', async () => {
    const { plane, root } = await start();
    const secrets = new StoredSecrets({ vault: plane.vault, environment: { HOME: '/root' } });
    const { environment } = secrets;
    await root('PUT', '/api/v1/secrets/a', { value: 'one' });
    await secrets.refresh();
    expect(environment).toEqual({ HOME: '/root', 'store:a': 'one' });
    await root('PUT', '/api/v1/secrets/a', { value: 'two' });
    await secrets.refresh();
    expect(environment['store:a']).toBe('two');
    await root('DELETE', '/api/v1/secrets/a');
    await secrets.refresh();
    expect(environment).toEqual({ HOME: '/root' });
  });

  test('a cluster refers to no variable and no file of the server but those that the machine allows', async () => {
    const { root } = await start({
      file: new Map([['secrets.allowed', ['env:KAFKA_*', 'file:/run/secrets/*', 'file:/a/b']]]),
    });
    const cluster = (password: object) => ({
      name: 'east',
      bootstrap: ['evil.example:9092'],
      security: { protocol: 'SASL_SSL', mechanism: 'PLAIN', username: 'u', password },
    });
    const tried = async (password: object) =>
      (await root('POST', '/api/v1/clusters/test', cluster(password))).statusCode;
    expect(await tried({ env: 'KAFKA_EAST' })).toBe(200);
    expect(await tried({ file: '/run/secrets/east' })).toBe(200);
    expect(await tried({ file: '/a/b' })).toBe(200);
    expect(await tried({ store: 'east' })).toBe(200);
    for (const password of [
      { env: 'LOCKSTEP_DATABASE_URL' },
      { env: 'KAFKA' },
      { file: '/etc/shadow' },
      { file: '/run/secrets/../../etc/shadow' },
      { file: 'run/secrets/east' },
      { file: '/a/b/c' },
    ]) {
      expect(await tried(password), JSON.stringify(password)).toBe(403);
      expect((await root('POST', '/api/v1/clusters', cluster(password))).statusCode).toBe(403);
    }
    expect((await root('POST', '/api/v1/clusters', cluster({ store: 'east' }))).statusCode).toBe(201);
    const changed = await root('PUT', '/api/v1/clusters/east', cluster({ file: '/etc/shadow' }));
    expect(changed.json()).toMatchObject({ code: 'ACCESS_DENIED' });
    const token = { endpoint: 'https://evil.example', clientId: 'x', clientSecret: { file: '/etc/shadow' } };
    const byToken = { protocol: 'SASL_SSL', mechanism: 'OAUTHBEARER', token };
    const tokenCluster = { name: 'west', bootstrap: ['b:1'], security: byToken };
    expect((await root('POST', '/api/v1/clusters', tokenCluster)).statusCode).toBe(403);
    const widened = await root('PUT', '/api/v1/config/options/secrets.allowed', {
      value: ['env:LOCKSTEP_DATABASE_URL'],
    });
    expect(widened.json()).toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
