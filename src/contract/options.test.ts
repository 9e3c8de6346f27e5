import { describe, expect, test } from 'vitest';
import { AppError } from './errors.ts';
import { editOptionFile, parseOptionFile } from './option-file.ts';
import { changesOf, optionsFor, resolveOptions, type OptionSources } from './option-values.ts';
import { flagOf, optionKeys, type OptionKey, rowOf, variableOf } from './options.ts';

const file = (text: string): ReadonlyMap<OptionKey, unknown> => parseOptionFile('lockstep.yaml', text);

/** Of a provider, besides where it is. */
const OIDC = 'clientId: lockstep, clientSecret: { env: S }, roles: ["groups=a:admin"]';

function complaint(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof AppError && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  return 'valid';
}

describe('the table', () => {
  test('every option has names of its own in all places', () => {
    expect(new Set(optionKeys.map(variableOf)).size).toBe(optionKeys.length);
    const flags = optionKeys.flatMap((key) => flagOf(key) ?? []);
    expect(new Set(flags).size).toBe(flags.length);
    expect(variableOf('monitoring.push.caFile')).toBe('LOCKSTEP_MONITORING_PUSH_CA_FILE');
    expect(flagOf('monitoring.push.caFile')).toBe('--monitoring-push-ca-file');
    expect([flagOf('monitoring.listen'), flagOf('logging.directory')]).toEqual(['--metrics', '--log']);
  });

  test('no key is the beginning of another, and every default is a value that a file could hold', () => {
    for (const key of optionKeys) {
      expect(optionKeys.filter((other) => other.startsWith(`${key}.`))).toEqual([]);
      const { type, default: value } = rowOf(key);
      const read = value === null ? { data: null } : type.schema.safeParse(type.toFile(value));
      expect(read, key).toMatchObject({ data: value });
    }
  });

  test('reg-M-269: every option is read by somebody', () => {
    const read = new Set(['run', 'serve', 'worker', 'client'].flatMap((reader) => optionsFor(reader as 'run')));
    expect(optionKeys.filter((key) => !read.has(key))).toEqual([]);
  });
});

describe('precedence', () => {
  const all: OptionSources = {
    flags: new Map([['server.port', '1']]),
    environment: { LOCKSTEP_SERVER_PORT: '2' },
    file: file('server: { port: 3 }'),
  };

  test.each([
    ['flag', all, 1],
    ['environment', { ...all, flags: new Map() } as OptionSources, 2],
    ['file', { file: all.file } as OptionSources, 3],
    ['default', {}, 8080],
  ])('a %s', (source, sources, port) => {
    const resolved = resolveOptions(sources);
    expect(resolved.values['server.port']).toBe(port);
    expect(resolved.sources['server.port']).toBe(source);
  });

  test('a variable that is empty is none', () => {
    expect(resolveOptions({ environment: { LOCKSTEP_SERVER_PORT: '' } }).sources['server.port']).toBe('default');
  });
});

describe('values', () => {
  test.each([
    ['monitoring.listen', '9464', { host: '127.0.0.1', port: 9464 }],
    ['monitoring.listen', ':9464', { host: '127.0.0.1', port: 9464 }],
    ['monitoring.listen', '0.0.0.0:9464', { host: '0.0.0.0', port: 9464 }],
    ['monitoring.listen', '[::1]:9464', { host: '::1', port: 9464 }],
    ['monitoring.push.interval', '90s', 90_000],
    ['monitoring.originalNames', 'true', true],
    ['server.cors.allowedOrigins', 'https://a.example, https://b.example', ['https://a.example', 'https://b.example']],
    ['monitoring.splunk.hecToken', 'file:/run/token', { file: '/run/token' }],
    ['monitoring.prometheus.pushGateway', 'http://gateway:9091', 'http://gateway:9091'],
  ] as const)('%s takes %s', (key, written, value) => {
    const flags = new Map<OptionKey, string>([[key, written]]);
    if (key === 'monitoring.splunk.hecToken') flags.set('monitoring.splunk.hecEndpoint', 'https://hec.example');
    expect(resolveOptions({ flags }).values[key]).toEqual(value);
  });

  test.each([
    ['monitoring.listen', '9464x', '--metrics must be HOST:PORT, or PORT for this machine only'],
    ['monitoring.listen', 'host:70000', '--metrics must be HOST:PORT, or PORT for this machine only'],
    ['monitoring.listen', '::1:9464', '--metrics must be HOST:PORT, or PORT for this machine only'],
    ['server.port', '80.5', '--server-port must be a whole number from 0 to 65535'],
    ['monitoring.originalNames', 'yes', '--monitoring-original-names must be true or false'],
    [
      'monitoring.push.interval',
      '10',
      '--monitoring-push-interval must be a duration from 1s to 1h, such as 30s, 5m, 2h or 7d',
    ],
    [
      'monitoring.loki.endpoint',
      'https://user:secret@loki',
      '--monitoring-loki-endpoint must be an http:// or https:// address without user name and password',
    ],
    [
      'monitoring.token',
      'hunter2',
      '--monitoring-token must be { env: NAME } or { file: PATH }; the value itself never stands here',
    ],
    [
      'auth.oidc.roles',
      'groups=operators',
      '--auth-oidc-roles must be CLAIM=VALUE:ROLE, such as groups=kafka-operators:operator',
    ],
    ['server.cors.allowedOrigins', '*', '--server-cors-allowed-origins must be an origin, such as https://ops.example'],
  ] as const)('%s does not take %s', (key, written, message) => {
    expect(complaint(() => resolveOptions({ flags: new Map([[key, written]]) }))).toBe(message);
  });

  test('the variable of a secret is where the secret stands, and its text is in no value', () => {
    const resolved = resolveOptions({ environment: { LOCKSTEP_MONITORING_TOKEN: 'hunter2' } });
    expect(resolved.values['monitoring.token']).toEqual({ env: 'LOCKSTEP_MONITORING_TOKEN' });
    expect(JSON.stringify(resolved)).not.toContain('hunter2');
  });

  test('reg-M-267: a variable that begins like an option and is none is an error, others are not ours', () => {
    const environment = { LOCKSTEP_MONITORING_LISTN: '1', LOCKSTEP_DEBUG: '1', LOCKSTEP_CONFIG: 'x', PATH: 'y' };
    expect(complaint(() => resolveOptions({ environment }))).toBe(
      'environment variable LOCKSTEP_MONITORING_LISTN is no option; did you mean LOCKSTEP_MONITORING_LISTEN?',
    );
  });

  test.each([
    ['server: { tls: { certFile: a.pem } }', 'server.tls.certFile needs server.tls.keyFile too'],
    [
      'monitoring: { splunk: { hecEndpoint: https://hec.example } }',
      'monitoring.splunk.hecEndpoint needs monitoring.splunk.hecToken too',
    ],
    [
      'monitoring: { loki: { endpoint: http://loki.example, token: { env: T } } }',
      'monitoring.loki.endpoint must be an https:// address where a secret is sent; http:// only on this machine',
    ],
    ['monitoring: { loki: { endpoint: http://127.0.0.1:3100, token: { env: T } } }', 'valid'],
    [
      'auth: { oidc: { issuer: https://idp.example } }',
      [
        'auth.oidc.issuer needs auth.oidc.clientId too',
        'auth.oidc.issuer needs auth.oidc.clientSecret too',
        'auth.oidc.issuer needs auth.oidc.roles too',
      ].join('\n'),
    ],
    [
      'auth: { session: { idle: 1h, lifetime: 30m } }',
      'auth.session.idle must not be longer than auth.session.lifetime',
    ],
    ['auth: { oidc: { roles: ["groups=a:admin"] } }', 'auth.oidc.roles needs auth.oidc.issuer too'],
    ['auth: { oidc: { acceptedAcr: [mfa] } }', 'auth.oidc.acceptedAcr needs auth.oidc.issuer too'],
    [
      `auth: { oidc: { issuer: http://idp.example, ${OIDC} } }`,
      'auth.oidc.issuer must be an https:// address where a secret is sent; http:// only on this machine',
    ],
    [
      `auth: { oidc: { issuer: http://localhost:8180, ${OIDC} } }`,
      'auth.oidc.issuer is on this machine; auth.oidc.onThisNetwork has to say so',
    ],
    [`auth: { oidc: { issuer: http://localhost:8180, onThisNetwork: true, ${OIDC} } }`, 'valid'],
  ])('%s is judged as a whole: %s', (text, message) => {
    expect(complaint(() => resolveOptions({ file: file(text) }))).toBe(message);
  });
});

describe('the file', () => {
  test.each([
    ['', 'valid'],
    ['# nothing\n', 'valid'],
    ['server:\n', 'valid'],
    ['- a\n', 'lockstep.yaml:1:1: must be a mapping of options'],
    ['servr: { port: 1 }\n', 'lockstep.yaml:1:1: unknown option "servr"; there are server, database'],
    ['server:\n  prot: 1\n', 'lockstep.yaml:2:3: unknown option "server.prot"; did you mean "server.port"?'],
    ['server:\n  port: high\n', 'lockstep.yaml:2:9: server.port must be a whole number from 0 to 65535'],
    ['server: 5\n', 'lockstep.yaml:1:9: server must be a mapping'],
    ['server: { port: 1\n', 'lockstep.yaml:2:1: malformed YAML'],
    ['server: { port: 1 }\nserver: { port: 2 }\n', 'lockstep.yaml:2:1: malformed YAML'],
    ['monitoring: { token: hunter2 }\n', 'lockstep.yaml:1:22: monitoring.token must be { env: NAME }'],
  ])('%j: %s', (text, message) => {
    expect(complaint(() => file(text))).toContain(message);
  });

  test('all that is wrong is said at once', () => {
    const text = 'server: { port: x, hots: y }\nlogging: { level: loud }\n';
    expect(complaint(() => file(text)).split('\n')).toHaveLength(3);
  });

  test("kaf-mirror's spelling is read", () => {
    const values = file('monitoring:\n  splunk:\n    hec_endpoint: https://a\n    hec_token: { env: T }\n');
    expect(values.get('monitoring.splunk.hecEndpoint')).toBe('https://a');
  });

  test('aliases cannot blow it up', () => {
    const bomb = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`).join('\n');
    expect(complaint(() => file(`a0: &a0 x\n${bomb}\nserver: { host: *a30 }\n`))).toContain('more aliases');
    expect(complaint(() => file(`server: ${'['.repeat(100_000)}`))).toContain('malformed YAML');
  });

  const commented = '# ours\nserver:\n  # the port\n  port: 1 # not 80\n  host: a.example\nlogging: { level: info }\n';

  test('a value is changed where it stands, and everything else stays', () => {
    expect(editOptionFile('f', commented, { key: 'server.port', value: 8443 })).toBe(
      commented.replace('port: 1', 'port: 8443'),
    );
  });

  test('a value is added to its section, or with a new one', () => {
    expect(editOptionFile('f', commented, { key: 'server.publicUrl', value: 'https://a' })).toBe(
      commented.replace('host: a.example\n', 'host: a.example\n  publicUrl: https://a\n'),
    );
    const token = { file: '/run/token' };
    expect(editOptionFile('f', '', { key: 'monitoring.token', value: token })).toBe(
      'monitoring:\n  token: { file: /run/token }\n',
    );
  });

  test('a value is taken out, and its section with the last one', () => {
    expect(editOptionFile('f', commented, { key: 'logging.level', value: undefined })).toBe(
      commented.replace('logging: { level: info }\n', ''),
    );
  });

  test('an old spelling is changed where it stands', () => {
    const text = 'monitoring:\n  push_x: 1\n  loki: { tenant: a }\n  original_names: true\n';
    expect(editOptionFile('f', text, { key: 'monitoring.originalNames', value: false })).toContain(
      'original_names: false',
    );
  });

  test('a file that is none is not changed', () => {
    expect(complaint(() => editOptionFile('f', 'a: [', { key: 'server.port', value: 1 }))).toContain('malformed');
  });
});

test('a change says what holds at once', () => {
  const before = resolveOptions({}).values;
  const after = resolveOptions({ file: file('server: { port: 1 }\nlogging: { level: warn }\n') }).values;
  expect(changesOf(before, after)).toEqual({ hot: ['logging.level'], restart: ['server.port'] });
});
