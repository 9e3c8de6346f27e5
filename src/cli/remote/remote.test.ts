/** Which server a command talks to, as whom, and what it says when that does not work. */
import { Secret, TOTP } from 'otpauth';
import { expect, test } from 'vitest';
import { PASSWORD } from '#testing/played-control-plane.ts';
import { PlayedShell, SERVER, typing } from '#testing/played-shell.ts';
import type { Web } from '#util/host.ts';

const CONTEXTS = '/ada/.config/lockstep/contexts.json';

test('a context is added, used, shown without its credential, and forgotten', async () => {
  const shell = await PlayedShell.signedIn();
  expect(await shell.run('context add other https://other.example')).toMatchObject({
    code: 0,
    out: 'other is https://other.example, and in use\n',
  });
  expect((await shell.run('context list')).out).toBe(
    [
      '   NAME   SERVER                 USER   SIGNED IN',
      '   here   http://127.0.0.1:8080  admin  session',
      '*  other  https://other.example  –      no',
      '',
    ].join('\n'),
  );
  const { contexts } = JSON.parse(shell.disk.readText(CONTEXTS)) as {
    contexts: Record<string, { credential: { token: string } | null }>;
  };
  const token = contexts['here']?.credential?.token ?? '';
  expect(token).not.toBe('');
  for (const line of ['context list', 'context list --json', 'whoami --context here --json', 'login --help'])
    expect((await shell.run(line)).out).not.toContain(token);
  expect(await shell.run('context use here')).toMatchObject({ code: 0 });
  expect((await shell.run('whoami')).out).toContain('admin');
  expect(await shell.run('context remove other')).toMatchObject({ code: 0, out: 'other is forgotten\n' });
  expect(await shell.run('context use othr')).toMatchObject({ code: 1 });
  expect((await shell.run('context use hre')).err).toContain('did you mean "here"?');
});

test('the file of contexts is its owner’s alone, and refused where it is not', async () => {
  const shell = await PlayedShell.signedIn();
  expect(shell.disk.look(CONTEXTS)?.permissions).toBe(0o600);
  expect([...shell.disk.secrets].every((path) => path.startsWith(CONTEXTS))).toBe(true);
  shell.disk.look = (path) => ({ identity: path, permissions: 0o644 });
  const { code, err } = await shell.run('whoami');
  expect(code).toBe(2);
  expect(err).toContain('CONFIG_INVALID');
  expect(err).toContain(`chmod 600 ${CONTEXTS}`);
});

test('without a server a command says what to do, and exits with 2', async () => {
  const shell = await PlayedShell.start();
  const { code, err } = await shell.run('jobs list');
  expect(code).toBe(2);
  expect(err).toBe(
    'REQUEST_INVALID: no server is set\nnext: Add one with "lockstep context add NAME https://HOST:PORT" and sign in with "lockstep login"; or set LOCKSTEP_SERVER and LOCKSTEP_TOKEN.\n',
  );
  const clusters = await shell.run('clusters list');
  expect(clusters.code).toBe(2);
  expect(clusters.err).toContain('no server is set, and no file is named');
  expect(clusters.err).toContain('Or name files with -f FILE.');
});

test('LOCKSTEP_SERVER and LOCKSTEP_TOKEN do without a context; flags go before them', async () => {
  const shell = await PlayedShell.signedIn();
  const { token } = await shell.json<{ token: { token: string } }>('tokens create --name ci');
  await shell.run('logout');
  await shell.run('context remove here');
  shell.environment['LOCKSTEP_SERVER'] = SERVER;
  expect(await shell.run('whoami')).toMatchObject({ code: 4 });
  shell.environment['LOCKSTEP_TOKEN'] = token.token;
  expect(await shell.json('whoami')).toMatchObject({ username: 'admin', signedInBy: 'token', server: SERVER });
  const other = await shell.run('whoami --server http://127.0.0.1:1 --json', { web: refusing('ECONNREFUSED') });
  expect(other).toMatchObject({ code: 1, out: '' });
  expect(other.err).toContain('The server at http://127.0.0.1:1 does not answer: nothing listens there');
  expect(await shell.run('whoami --server http://127.0.0.1:1 --context here')).toMatchObject({ code: 2 });
});

test.each([
  ['http://lockstep.example:8080', 4, 'TLS_REQUIRED'],
  ['lockstep.example:8080', 2, 'https://lockstep.example:8080'],
  ['https://ada:secret@lockstep.example', 2, 'Leave user name and password out'],
  ['https://lockstep.example/api', 2, 'https://lockstep.example.'],
  ['ftp://lockstep.example', 2, 'https://lockstep.example'],
])('context add prod %s is refused', async (address, code, says) => {
  const shell = await PlayedShell.start();
  const result = await shell.run(`context add prod ${address}`);
  expect(result).toMatchObject({ code, out: '' });
  expect(result.err).toContain(says);
  expect(result.err).not.toContain('secret');
  expect(shell.disk.files.size).toBe(0);
});

test('M-150: login takes the password from standard input or a terminal, and gives a server a context', async () => {
  const shell = await PlayedShell.start();
  await shell.plane.as('admin');
  const wrong = await shell.run(`login admin --server ${SERVER} --password-stdin`, { input: 'not-it\n' });
  expect(wrong).toMatchObject({ code: 4, out: '' });
  expect(shell.disk.files.size).toBe(0);
  expect(await shell.run(`login admin --server ${SERVER}`)).toMatchObject({ code: 2 });
  const typed = await shell.run(`login --server ${SERVER}`, { io: typing('admin', PASSWORD) });
  expect(typed).toMatchObject({ code: 0, err: '' });
  expect(typed.out).toContain('admin is signed in to http://127.0.0.1:8080 until ');
  expect((await shell.json<{ current: string }>('context list')).current).toBe('127.0.0.1');
  expect(await shell.json('whoami')).toMatchObject({ username: 'admin', signedInBy: 'session' });
});

test('reg-M-151: logout ends the session on the server too', async () => {
  const shell = await PlayedShell.signedIn();
  const { contexts } = JSON.parse(shell.disk.readText(CONTEXTS)) as {
    contexts: Record<string, { credential: { token: string } }>;
  };
  const token = contexts['here']?.credential.token ?? '';
  expect(await shell.run('logout')).toMatchObject({ code: 0, out: `signed out of ${SERVER}\n` });
  expect(shell.disk.readText(CONTEXTS)).not.toContain(token);
  shell.environment['LOCKSTEP_TOKEN'] = token;
  const after = await shell.run('whoami');
  expect(after.code).toBe(4);
  expect(after.err).toContain('lockstep login --context here');
});

test('an API token is kept by login --token-stdin, and outlives logout', async () => {
  const shell = await PlayedShell.signedIn();
  const { token } = await shell.json<{ token: { token: string } }>('tokens create --name laptop --days 7');
  await shell.run('logout');
  expect(await shell.run('login --token-stdin', { input: `${token.token}\n` })).toMatchObject({ code: 0 });
  expect(await shell.json('whoami')).toMatchObject({ signedInBy: 'token' });
  await shell.run('logout');
  shell.environment['LOCKSTEP_TOKEN'] = token.token;
  expect(await shell.json('whoami')).toMatchObject({ signedInBy: 'token' });
});

test('M-159: a password that has to be changed is changed at the terminal, or by change-password', async () => {
  const shell = await PlayedShell.signedIn();
  await shell.run('users add ben --role operator --password-stdin', { input: `${PASSWORD}\n` });
  const first = await shell.run('login ben --password-stdin', { input: `${PASSWORD}\n` });
  expect(first.out).toContain('lockstep change-password');
  expect(await shell.run('jobs list')).toMatchObject({ code: 4 });
  const next = 'marble-heron-trestle-noon';
  const both = `${PASSWORD}\n${next}\n`;
  expect(await shell.run('change-password --password-stdin', { input: both })).toMatchObject({ code: 0 });
  expect(await shell.run('jobs list')).toMatchObject({ code: 0, out: 'no jobs\n' });
  const later = 'copper-finch-lattice-dawn';
  await shell.run('logout');
  await shell.run('login admin --password-stdin', { input: `${PASSWORD}\n` });
  expect(await shell.run('users reset-password ben --password-file ben.txt')).toMatchObject({ code: 0 });
  const given = shell.disk.readText('ben.txt').trim();
  const typed = await shell.run('login ben', { io: typing(given, later, later) });
  expect(typed).toMatchObject({ code: 0 });
  expect(typed.out).toContain('The password is changed.');
  expect(await shell.run('jobs list')).toMatchObject({ code: 0 });
});

test('M-156: reset-token ends everything else, and goes on with a new session', async () => {
  const shell = await PlayedShell.signedIn();
  const { token } = await shell.json<{ token: { token: string } }>('tokens create --name old');
  expect(await shell.run('users reset-token --token-file new.txt')).toMatchObject({ code: 0 });
  expect(await shell.run('whoami')).toMatchObject({ code: 0 });
  expect(shell.disk.secrets.has('new.txt')).toBe(true);
  shell.environment['LOCKSTEP_TOKEN'] = token.token;
  expect(await shell.run('whoami')).toMatchObject({ code: 4 });
  shell.environment['LOCKSTEP_TOKEN'] = shell.disk.readText('new.txt').trim();
  expect(await shell.run('whoami')).toMatchObject({ code: 0 });
});

test('what is dangerous asks a person who signed in a while ago, and tells a script what to do', async () => {
  const shell = await PlayedShell.signedIn();
  await shell.plane.clock.advance(6 * 60_000);
  const script = await shell.run('tokens create --name ci');
  expect(script).toMatchObject({ code: 4, out: '' });
  expect(script.err).toContain('Sign in anew with "lockstep login", or let a program use an API token');
  const person = await shell.run('tokens create --name ci', { io: typing(PASSWORD) });
  expect(person).toMatchObject({ code: 0, err: '' });
  // The session goes on under the token that the server gave instead.
  expect(await shell.run('tokens create --name second')).toMatchObject({ code: 0 });
});

test('setup makes the first administrator, and signs in', async () => {
  const shell = await PlayedShell.start();
  const setupToken = await shell.plane.server.issueSetupToken();
  const input = `${setupToken}\n${PASSWORD}\n`;
  const made = await shell.run(`setup ada --server ${SERVER} --password-stdin`, { input });
  expect(made).toMatchObject({ code: 0, err: '' });
  expect(await shell.json('whoami')).toMatchObject({ username: 'ada', roles: ['admin'], isInitial: true });
});

test('a second factor is added with its code, and login takes one then', async () => {
  const shell = await PlayedShell.signedIn();
  const { secret } = await shell.json<{ secret: string }>('second-factor add');
  const code = () => new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: shell.plane.clock.now() });
  expect((await shell.run(`second-factor add --code ${code()}`)).out).toContain('The second factor counts from now on');
  await shell.plane.clock.advance(60_000);
  const without = await shell.run('login admin --password-stdin', { input: PASSWORD });
  expect(without).toMatchObject({ code: 4 });
  expect(await shell.run(`login admin --password-stdin --code ${code()}`, { input: PASSWORD })).toMatchObject({
    code: 0,
  });
  await shell.plane.clock.advance(60_000);
  expect(await shell.run('login admin', { io: typing(PASSWORD, code()) })).toMatchObject({ code: 0 });
});

test.each([
  [
    'a page of HTML',
    { status: 404, headers: { 'content-type': 'text/html' }, text: '<h1>nginx</h1>' },
    'is no Lockstep server',
  ],
  ['another answer', { status: 200, headers: {}, text: '{"id":7}' }, 'in a form that this version does not know'],
  [
    'an error that this version does not know',
    {
      status: 409,
      headers: {},
      text: JSON.stringify({ code: 'LATER_CODE', detail: 'Something new.', nextStep: null, requestId: '1' }),
    },
    'LATER_CODE: Something new.',
  ],
])('%s ends as one message with exit code 1', async (_, answer, says) => {
  const shell = await PlayedShell.signedIn();
  const result = await shell.run('whoami', { web: answering(answer) });
  expect(result).toMatchObject({ code: 1, out: '' });
  expect(result.err).toContain('SERVER_ANSWER_INVALID');
  expect(result.err).toContain(says);
});

test('what a newer server says more is no error', async () => {
  const shell = await PlayedShell.signedIn();
  const text =
    '{"id":"t","username":"ada","kind":"local","isInitial":false,"createdAt":1,"roles":[],"grants":[],"signedInBy":"token","mustChangePassword":false,"secondFactors":[],"steppedUpUntil":null,"later":1}';
  expect((await shell.run('whoami', { web: answering({ status: 200, headers: {}, text }) })).out).toContain('ada');
});

test('after a cut connection a change is not called done, nor undone', async () => {
  const shell = await PlayedShell.signedIn();
  const cut = await shell.run('jobs start orders', { web: refusing('ECONNRESET') });
  expect(cut.code).toBe(1);
  expect(cut.err).toContain('Whether the change was made is not known');
  const read = await shell.run('jobs get orders', { web: refusing('ECONNRESET') });
  expect(read.err).not.toContain('Whether the change was made');
});

test('a mistyped command names the nearest', async () => {
  const shell = await PlayedShell.start();
  for (const [line, meant] of [
    ['jobs strat', 'start'],
    ['usres list', 'users'],
    ['clusters ad', 'add'],
    ['context lst', 'list'],
    ['jobs pauze orders', 'pause'],
  ] as const) {
    const { code, err } = await shell.run(line);
    expect(code).toBe(2);
    expect(err.toLowerCase()).toContain('did you mean');
    expect(err).toContain(meant);
  }
});

function answering(answer: { status: number; headers: Record<string, string>; text: string }): Web {
  return { ...refusing(''), send: () => Promise.resolve(answer) };
}

function refusing(code: string): Web {
  const refuse = () => Promise.reject(Object.assign(new Error(code), { code }));
  return { send: refuse, open: refuse, postForm: refuse };
}
