import { expect, test } from 'vitest';
import { MemoryDisk, runLine } from '#testing/command-line.ts';

const FILE = '# ours\nserver:\n  port: 8443 # not 80\nmonitoring:\n  listen: 9464\n';

const disk = (text = FILE): MemoryDisk => new MemoryDisk({ 'lockstep.yaml': text });

test('check shows each option with where it comes from, and no secret', async () => {
  const environment = { LOCKSTEP_MONITORING_TOKEN: 'hunter2', LOCKSTEP_SERVER_HOST: '0.0.0.0' };
  const { code, out } = await runLine(['config', 'check'], { disk: disk(), host: { environment } });
  expect(code).toBe(0);
  expect(out).toMatch(/^valid: lockstep.yaml and the environment\n/);
  expect(out).toMatch(/^server\.host +0\.0\.0\.0 +environment$/m);
  expect(out).toMatch(/^server\.port +8443 +file$/m);
  expect(out).toMatch(/^monitoring\.listen +127\.0\.0\.1:9464 +file$/m);
  expect(out).toMatch(/^monitoring\.token +\(environment variable LOCKSTEP_MONITORING_TOKEN\) +environment$/m);
  expect(out).toMatch(/^database\.path +lockstep\.db +default$/m);
  expect(out).not.toContain('hunter2');
});

test('check names what is wrong, for people and for programs', async () => {
  const wrong = disk('server:\n  prot: 1\n');
  expect(await runLine(['config', 'check'], { disk: wrong })).toEqual({
    code: 2,
    out: '',
    err: 'CONFIG_INVALID: lockstep.yaml:2:3: unknown option "server.prot"; did you mean "server.port"?\nnext: Correct this; "lockstep config check" tries again, and docs/configuration.md has all options.\n',
  });
  const json = await runLine(['config', 'check', '--json'], { disk: wrong });
  expect(json.code).toBe(2);
  expect(JSON.parse(json.out)).toMatchObject({ valid: false, problems: [{ line: 2, column: 3 }] });
});

test('a file that is named has to be there, the usual one has not', async () => {
  expect((await runLine(['config', 'check'])).out).toMatch(/^valid: no file and the environment\n/);
  const named = await runLine(['config', 'check', '-f', 'other.yaml']);
  expect([named.code, named.err]).toEqual([
    2,
    expect.stringContaining('cannot read other.yaml: there is no such file'),
  ]);
  const environment = { LOCKSTEP_CONFIG: 'other.yaml' };
  expect((await runLine(['config', 'check'], { host: { environment } })).code).toBe(2);
});

test('get shows one value, or all', async () => {
  expect((await runLine(['config', 'get', 'server.port'], { disk: disk() })).out).toBe('8443\n');
  expect((await runLine(['config', 'get', 'server.port', '--json'], { disk: disk() })).out).toBe(
    '{"key":"server.port","value":8443,"from":"file"}\n',
  );
  expect((await runLine(['config', 'get'], { disk: disk() })).out).toMatch(/^logging\.level +info$/m);
  const near = await runLine(['config', 'get', 'server.prot']);
  expect([near.code, near.err]).toEqual([2, expect.stringContaining('did you mean "server.port"?')]);
});

test('set changes the value where it stands, and says from when on it holds', async () => {
  const files = disk();
  const port = await runLine(['config', 'set', 'server.port', '9443'], { disk: files });
  expect(port).toEqual({ code: 0, out: 'lockstep.yaml: server.port: holds after a restart\n', err: '' });
  expect(files.files.get('lockstep.yaml')).toBe(FILE.replace('8443', '9443'));
  const level = await runLine(['config', 'set', 'logging.level', 'debug'], { disk: files });
  expect(level.out).toBe('lockstep.yaml: logging.level: a running server takes it over at once\n');
  await runLine(['config', 'set', 'logging.level', '--default'], { disk: files });
  expect(files.files.get('lockstep.yaml')).toBe(FILE.replace('8443', '9443'));
  expect([...files.files.keys()]).toEqual(['lockstep.yaml']);
});

test('set makes a file that is not there, and takes lists and places of secrets', async () => {
  const files = new MemoryDisk();
  const set = (...words: string[]) => runLine(['config', 'set', ...words, '-f', 'new.yaml'], { disk: files });
  await set('server.cors.allowedOrigins', 'https://a.example,https://b.example');
  await set('monitoring.token', 'file:/run/token');
  await set('monitoring.push.interval', '60s');
  expect(files.files.get('new.yaml')).toBe(
    'server:\n  cors:\n    allowedOrigins: [ https://a.example, https://b.example ]\nmonitoring:\n  token: { file: /run/token }\n  push:\n    interval: 1m\n',
  );
});

test.each([
  [['server.port', 'high'], 'server.port must be a whole number from 0 to 65535'],
  [
    ['monitoring.token', 'hunter2'],
    'monitoring.token must be env:NAME or file:PATH; the value itself never stands here',
  ],
  [['server.tls.certFile', 'a.pem'], 'server.tls.certFile needs server.tls.keyFile too'],
  [['server.port'], '"config set server.port" needs one value, or --default'],
  [['server.port', '1', '2'], '"config set server.port" needs one value, or --default'],
])('set refuses %s, and writes nothing', async (words, message) => {
  const files = disk();
  const { code, err } = await runLine(['config', 'set', ...words], { disk: files });
  expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  expect(err).not.toContain('hunter2 ');
  expect(files.files.get('lockstep.yaml')).toBe(FILE);
});

test('set says where the environment goes before the file', async () => {
  const environment = { LOCKSTEP_SERVER_PORT: '1' };
  const { err } = await runLine(['config', 'set', 'server.port', '2'], { disk: disk(), host: { environment } });
  expect(err).toBe('note: an environment variable goes before the file: server.port stays as it says\n');
});

function answering(...answers: string[]) {
  const asked: string[] = [];
  const ask = (question: string): Promise<string> => {
    asked.push(question);
    return Promise.resolve(answers.shift() ?? '');
  };
  return { asked, io: { ask } };
}

test('edit changes one option of a section, or asks for each', async () => {
  const files = disk();
  await runLine(['config', 'edit', 'monitoring', 'loki.endpoint', 'https://loki.example'], { disk: files });
  expect(files.files.get('lockstep.yaml')).toContain('  loki:\n    endpoint: https://loki.example\n');
  const { asked, io } = answering('loud', '', '/var/log/lockstep');
  const { out } = await runLine(['config', 'edit', 'logging'], { disk: files, io });
  expect(asked).toEqual(['[info] ', '[info] ', '[–] ', '[100] ', '[5] ', '[30d] ']);
  expect(out).toContain('logging.level must be error, warn, info, debug\n');
  expect(files.files.get('lockstep.yaml')).toContain('logging:\n  directory: /var/log/lockstep\n');
  const odd = await runLine(['config', 'edit', 'servr'], { disk: files });
  expect(odd.err).toContain('did you mean "server"?');
});

test('configure asks for what a first set-up needs, a wrong answer again', async () => {
  const files = new MemoryDisk();
  const { asked, io } = answering('0.0.0.0', 'high', '8443');
  const { code, out } = await runLine(['config', 'configure'], { disk: files, io });
  expect(code).toBe(0);
  expect(out).toContain('server.port must be a whole number');
  expect(asked.slice(0, 3)).toEqual(['[127.0.0.1] ', '[8080] ', '[8080] ']);
  expect(files.files.get('lockstep.yaml')).toBe('server:\n  host: 0.0.0.0\n  port: 8443\n');
});

test('where nobody can answer, nothing is asked', async () => {
  const { code, err } = await runLine(['config', 'configure'], { disk: disk() });
  expect([code, err]).toEqual([2, expect.stringContaining('there is no terminal')]);
});

test('run takes options from flags, environment and file', async () => {
  const link = `apiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: east }\nspec: { bootstrap: ['127.0.0.1:1'] }\n---\napiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: west }\nspec: { bootstrap: ['127.0.0.1:2'] }\n---\napiVersion: lockstep/v1\nkind: Mirror\nmetadata: { name: m }\nspec: { source: east, target: west, topics: [{ match: a }] }\n`;
  const files = new MemoryDisk({ 'link.yaml': link, 'lockstep.yaml': 'monitoring: { topicsMax: 7 }\n' });
  const heard: string[] = [];
  let settings: unknown;
  const { code, out } = await runLine(['run', '-f', 'link.yaml', '--config', 'lockstep.yaml', '--metrics', '0'], {
    disk: files,
    host: { environment: { LOCKSTEP_MONITORING_PARTITIONS_MAX: '5' } },
    app: {
      openMonitoring: (_documents, _host, options) => {
        settings = options.settings;
        return Promise.resolve({
          address: '127.0.0.1:4711',
          observe: ({ event }) => void heard.push(event),
          close: () => Promise.resolve(void heard.push('closed')),
        });
      },
      runMirrors: (_documents, _host, options) => {
        options.onEvent({ event: 'warning', mirror: 'm', code: 'SHARD_WAITING', message: 'x', at: 0 });
        return Promise.resolve('caught-up');
      },
    },
  });
  expect(code).toBe(0);
  expect(out).toContain('metrics: http://127.0.0.1:4711/metrics\n');
  expect(settings).toMatchObject({ listen: { host: '127.0.0.1', port: 0 }, topicsMax: 7, partitionsMax: 5 });
  expect(heard).toEqual(['warning', 'closed']);
});
