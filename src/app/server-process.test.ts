/** A server in this process, on a directory of its own: what happens around its start and its end. */
import { copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { AppError } from '#contract/errors.ts';
import type { OptionKey } from '#contract/options.ts';
import { freePorts } from '#testing/free-ports.ts';
import { OAuthServer } from '#testing/oauth-server.ts';
import { Pki } from '#testing/pki.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemClock, systemHost } from '#util/host.ts';
import type { ProcessEvent } from './announcer.ts';
import type { Host } from './host.ts';
import { runServer } from './server-process.ts';

const WAIT_MS = 120_000;
/** How often a server looks at its certificate: not waited for here. */
const LOOK_MS = 10_000;

// Each starts a server or two, which take a second of a processor; on a busy machine that is a minute.
vi.setConfig({ testTimeout: 2 * WAIT_MS });

const host: Host = {
  ...systemHost,
  clock: {
    ...systemClock,
    schedule: (delayMs, callback) => systemClock.schedule(delayMs === LOOK_MS ? 50 : delayMs, callback),
  },
};

interface Started {
  readonly directory: string;
  readonly events: ProcessEvent[];
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
  saw<Name extends ProcessEvent['event']>(name: Name): Extract<ProcessEvent, { event: Name }>[];
}

function begin(
  options: Partial<Record<OptionKey, string>> = {},
  of: { directory?: string; isTerminal?: boolean } = {},
): Started {
  const { directory = temporaryDirectory('server'), isTerminal = false } = of;
  const places: Partial<Record<OptionKey, string>> = {
    'database.path': 'lockstep.db',
    'secrets.keyFile': 'lockstep.key',
    'audit.directory': 'audit',
    'audit.keyFile': 'audit.key',
    'server.setupTokenFile': 'setup-token',
  };
  const files = Object.entries(places).map(([key, name]) => [key as OptionKey, join(directory, name)] as const);
  const flags = new Map<OptionKey, string>([
    ...files,
    ...(Object.entries({ 'server.port': '0', ...options }) as [OptionKey, string][]),
  ]);
  const events: ProcessEvent[] = [];
  const stop = new AbortController();
  const ended = runServer(
    host,
    {
      sources: () => ({ flags, environment: {} }),
      version: '1.2.3',
      signal: stop.signal,
      isTerminal,
      onEvent: (event) => void events.push(event),
    },
    () => () => Promise.reject(new Error('there are no jobs')),
  ).catch((error: unknown) => error);
  const started: Started = {
    directory,
    events,
    ended,
    saw: (name) => events.filter((event) => event.event === name) as never,
    async stop() {
      stop.abort();
      expect(await ended).toBeUndefined();
    },
  };
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  return started;
}

async function until(started: Started, condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await waitUntil(condition, () => `${what}\n${JSON.stringify(started.events)}`, { timeoutMs: WAIT_MS });
}

async function start(...given: Parameters<typeof begin>): Promise<Started> {
  const started = begin(...given);
  await until(
    started,
    () => started.saw('setup-token').length > 0 || started.saw('stopped').length > 0,
    'it has begun',
  );
  return started;
}

test('the token for the first administrator is in a file of its owner alone, and in nothing that is printed', async () => {
  const started = await start();
  const file = join(started.directory, 'setup-token');
  const token = readFileSync(file, 'utf8').trim();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(started.saw('setup-token')).toMatchObject([{ token: null, file }]);
  expect(JSON.stringify(started.events)).not.toContain(token);
  await started.stop();

  const again = await start({}, { directory: started.directory });
  expect(readFileSync(file, 'utf8').trim()).not.toBe(token);
  await again.stop();
});

test('on a terminal it is shown, and lies nowhere', async () => {
  const started = await start({}, { isTerminal: true });
  const { token, file } = must(started.saw('setup-token')[0], 'token');
  expect(file).toBeNull();
  expect(token).toMatch(/^.{20,}$/);
  expect(existsSync(join(started.directory, 'setup-token'))).toBe(false);
  await started.stop();
});

test('keys are made once; without one that something depends on, nothing starts', async () => {
  const started = await start();
  const key = join(started.directory, 'lockstep.key');
  const made = readFileSync(key, 'utf8');
  await started.stop();
  const again = await start({}, { directory: started.directory });
  expect(readFileSync(key, 'utf8')).toBe(made);
  await again.stop();
  for (const name of ['lockstep.key', 'audit.key']) {
    const path = join(started.directory, name);
    copyFileSync(path, `${path}.kept`);
    rmSync(path);
    expect(await begin({}, { directory: started.directory }).ended, name).toMatchObject({ code: 'SECRET_UNAVAILABLE' });
    expect(existsSync(path), name).toBe(false);
    writeFileSync(path, readFileSync(`${path}.kept`), { mode: 0o600 });
  }
});

test('a port that is taken ends the start in good order, and the directory can be used again', async () => {
  const first = await start();
  const port = must(/:(\d+)$/.exec(must(first.saw('listening')[0], 'address').url)?.[1], 'port');
  const second = begin({ 'server.port': port });
  const error = await second.ended;
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code: 'REQUEST_INVALID', message: `The server cannot listen on 127.0.0.1:${port}.` });
  expect(second.saw('stopped')).toHaveLength(1);
  const third = await start({}, { directory: second.directory });
  await third.stop();
  await first.stop();
});

test('a replaced certificate is shown to new connections, and one that will not do is not', async () => {
  const directory = temporaryDirectory('certificates');
  const pki = new Pki(join(directory, 'pki'));
  const files = { certificate: join(directory, 'server.pem'), key: join(directory, 'server-key.pem') };
  const put = (of: Parameters<Pki['issue']>[0], key?: string): string => {
    const issued = pki.issue(of);
    copyFileSync(key ?? issued.keyFile, files.key);
    copyFileSync(issued.certificateFile, files.certificate);
    return readFileSync(issued.certificateFile, 'utf8').replaceAll(/\s/g, '');
  };
  const first = put({ commonName: 'first' });
  const [port] = await freePorts(1);
  const started = await start({
    'server.port': String(port),
    'server.tls.certFile': files.certificate,
    'server.tls.keyFile': files.key,
  });
  const shown = async (): Promise<string> => {
    const tls = { serverName: 'localhost', ca: readFileSync(pki.caFile, 'utf8'), identity: null };
    const { chain, problem } = await systemHost.probeTls({ host: '127.0.0.1', port: must(port, 'port'), ...tls });
    expect(problem).toBeNull();
    return must(chain[0], 'certificate').replaceAll(/\s/g, '');
  };
  expect(await shown()).toBe(first);
  const second = put({ commonName: 'second' });
  await until(started, () => started.saw('certificate').length === 1, 'the second is taken over');
  expect(await shown()).toBe(second);

  put({ commonName: 'ended', notAfter: new Date(Date.now() - 1_000), notBefore: new Date(Date.now() - 86_400_000) });
  await until(started, () => started.saw('trouble').length === 1, 'the third is refused');
  expect(started.saw('trouble')).toMatchObject([{ code: 'CONFIG_INVALID' }]);
  expect(await shown()).toBe(second);
  await started.stop();
});

/** The way of a browser that keeps cookies, from the server to the provider and back. */
async function signOn(url: string) {
  const started = await fetch(`${url}/auth/oidc/start`, { redirect: 'manual' });
  if (started.status !== 302) return { started, finished: started, me: null };
  const asked = await fetch(must(started.headers.get('location'), 'provider'), { redirect: 'manual' });
  const cookie = started.headers
    .getSetCookie()
    .map((each) => each.split(';')[0])
    .join('; ');
  const finished = await fetch(must(asked.headers.get('location'), 'way back'), { headers: { cookie } });
  const session = finished.headers
    .getSetCookie()
    .map((each) => each.split(';')[0])
    .join('; ');
  const me = await fetch(`${url}/auth/me`, { headers: { cookie: session } });
  return { started, finished, me: (await me.json()) as unknown };
}

/** The options that let people of a provider in. */
function signOnWith({ origin }: OAuthServer, { secret, roles }: { readonly secret: string; readonly roles: string }) {
  return {
    'auth.oidc.issuer': origin,
    'auth.oidc.clientId': 'lockstep',
    'auth.oidc.clientSecret': `file:${secret}`,
    'auth.oidc.roles': roles,
    'auth.oidc.onThisNetwork': 'true',
  } as const;
}

test('the options of an identity provider let people in, with code and PKCE, as what its groups make of them', async () => {
  const provider = await OAuthServer.start({ clients: { lockstep: 'of before' } });
  onTestFinished(() => provider.down());
  const directory = temporaryDirectory('sign-on');
  const secret = join(directory, 'client-secret');
  writeFileSync(secret, 'of before\n');
  const started = await start(
    signOnWith(provider, { secret, roles: 'groups=kafka-admins:admin, groups=kafka-operators:operator' }),
    { directory },
  );
  const { url } = must(started.saw('listening')[0], 'address');
  provider.person = { sub: 'subject-1', preferred_username: 'ann', groups: ['staff', 'kafka-operators'] };
  const first = await signOn(url);
  expect(first.finished.status, await first.finished.text()).toBe(200);
  expect(first.me).toMatchObject({ username: 'ann', kind: 'oidc', roles: ['operator'] });

  // Whoever keeps the secret changes it on both sides, and the server goes on.
  provider.clients.set('lockstep', ['of now']);
  expect((await signOn(url)).finished.status).toBe(401);
  writeFileSync(secret, 'of now\n');
  provider.person = { ...provider.person, groups: ['kafka-admins'] };
  expect((await signOn(url)).me).toMatchObject({ username: 'ann', roles: ['admin'] });
  provider.person = { ...provider.person, groups: ['staff'] };
  expect((await signOn(url)).finished.status).toBe(401);
  expect(provider.requests.map(({ status }) => status)).toEqual([200, 400, 200, 200]);
  expect(JSON.stringify(started.events)).not.toContain('of now');
  await started.stop();
});

test('a client secret that is not there is said at the start, keeps nobody else away, and needs no restart when it is', async () => {
  const provider = await OAuthServer.start({ clients: { lockstep: 'late' } });
  onTestFinished(() => provider.down());
  const directory = temporaryDirectory('sign-on');
  const secret = join(directory, 'client-secret');
  const started = await start(signOnWith(provider, { secret, roles: 'groups=kafka-operators:operator' }), {
    directory,
  });
  expect(started.saw('trouble')).toMatchObject([{ code: 'SECRET_UNAVAILABLE' }]);
  const { url } = must(started.saw('listening')[0], 'address');
  provider.person = { sub: 'subject-1', groups: ['kafka-operators'] };
  const early = await signOn(url);
  expect([early.finished.status, await early.finished.json()]).toMatchObject([502, { code: 'SIGN_ON_UNAVAILABLE' }]);
  writeFileSync(secret, 'late');
  expect((await signOn(url)).me).toMatchObject({ kind: 'oidc', roles: ['operator'] });
  await started.stop();
});

test('its metrics have the database, the audit log, what was asked, and when its certificates end', async () => {
  const directory = temporaryDirectory('metrics');
  const pki = new Pki(join(directory, 'pki'));
  const options = { 'monitoring.listen': '0', 'monitoring.push.caFile': pki.caFile } as const;
  const started = await start({ ...options, 'backups.directory': join(directory, 'backups') }, { directory });
  const { url } = must(started.saw('listening')[0], 'address');
  for (const path of ['/health', '/health', '/nowhere', '/api/v1/jobs/some%20name'])
    await (await fetch(`${url}${path}`)).text();
  const metrics = must(started.saw('metrics')[0], 'metrics').url;
  let text = '';
  await until(
    started,
    async () => {
      text = await (await fetch(metrics)).text();
      return text.includes('lockstep_certificate_end') && text.includes('/api/v1/jobs/:id');
    },
    'all of it is there',
  );
  const lines = text.split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'lockstep_store_state{state="ok"} 1',
      'lockstep_store_state{state="full"} 0',
      'lockstep_audit_log_writable 1',
      'lockstep_http_requests_total{method="GET",route="/health",status="2xx"} 2',
      'lockstep_http_requests_total{method="GET",route="none",status="4xx"} 1',
      'lockstep_http_requests_total{method="GET",route="/api/v1/jobs/:id",status="4xx"} 1',
      'lockstep_http_request_duration_seconds_count{method="GET",route="/health"} 2',
    ]),
  );
  expect(text).toMatch(/^lockstep_audit_log_entries [1-9]\d*$/m);
  expect(text).toMatch(/^lockstep_certificate_end_timestamp_seconds\{certificate="receiver-authority"\} \d+$/m);
  expect(text).not.toContain('lockstep_backup_newest'); // there is none
  expect(text).not.toContain('some');
  await started.stop();
});

test('an audit log that cannot be opened leaves the server to those who read', async () => {
  const directory = temporaryDirectory('no-audit');
  writeFileSync(join(directory, 'audit'), 'a file where the directory should be');
  const started = await start({ 'monitoring.listen': '0' }, { directory });
  const metrics = await (await fetch(must(started.saw('metrics')[0], 'metrics').url)).text();
  expect(metrics).toContain('\nlockstep_audit_log_writable 0\n');
  expect(metrics).not.toContain('lockstep_audit_log_entries');
  const { url } = must(started.saw('listening')[0], 'address');
  const health = (await (await fetch(`${url}/health`)).json()) as { status: string };
  expect(health).toMatchObject({ status: 'degraded' });
  expect(started.saw('trouble')).toMatchObject([{ code: 'AUDIT_UNAVAILABLE' }]);
  const response = await fetch(`${url}/auth/setup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      setupToken: readFileSync(join(directory, 'setup-token'), 'utf8').trim(),
      username: 'ada',
      password: 'gravel-otter-pinwheel-sunday',
    }),
  });
  expect([response.status, await response.json()]).toMatchObject([503, { code: 'AUDIT_UNAVAILABLE' }]);
  await started.stop();
});
