/** What `provider` and `security` of a Cluster mean, and what is refused. */
import { expect, test } from 'vitest';
import type { ClusterSecurity } from './cluster-security.ts';
import { parseDocuments } from './documents.ts';
import { AppError } from './errors.ts';

const CANARY = 'canary-Zx81';

/** `spec` continues behind the bootstrap addresses. */
function read(spec: string): ClusterSecurity {
  const text = `apiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: east }\nspec:\n  bootstrap: ['a:1']\n${spec}`;
  const [cluster] = parseDocuments([{ path: 'c.yaml', text }]).clusters;
  if (!cluster) throw new Error('no cluster');
  return cluster.spec.security;
}

function refusal(spec: string): AppError {
  try {
    read(spec);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const security = (keys: string) => `  security: { ${keys} }\n`;

test('TLS, a client certificate and a login are read as references', () => {
  const keys = [
    'protocol: SASL_SSL, mechanism: SCRAM-SHA-512, username: mirror, password: { env: EAST_PASSWORD }',
    'ca: { file: ca.pem }, certificate: { file: c.pem }, key: { file: k.pem }, keyPassword: { env: KEY }, serverName: kafka',
  ];
  expect(read(security(keys.join(', ')))).toEqual({
    protocol: 'SASL_SSL',
    provider: 'plain',
    tls: {
      ca: { file: 'ca.pem' },
      identity: { certificate: { file: 'c.pem' }, key: { file: 'k.pem' }, keyPassword: { env: 'KEY' } },
      serverName: 'kafka',
    },
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'mirror', password: { env: 'EAST_PASSWORD' } },
  });
  expect(read(security('protocol: SSL')).tls).toEqual({ ca: null, identity: null, serverName: null });
});

test('tokens come from an endpoint or from a file', () => {
  const login = (token: string) => read(security(`protocol: SASL_SSL, mechanism: OAUTHBEARER, token: ${token}`)).sasl;
  expect(login('{ file: token }')).toEqual({ mechanism: 'OAUTHBEARER', token: { file: 'token' } });
  const endpoint = 'endpoint: https://id.example/token, clientId: mirror, clientSecret: { env: SECRET }';
  expect(login(`{ ${endpoint} }`)).toMatchObject({
    token: { clientId: 'mirror', scope: null, ca: null, extensions: {} },
  });
  expect(login(`{ ${endpoint}, scope: kafka, extensions: { logicalCluster: lkc-1 } }`)).toMatchObject({
    token: { scope: 'kafka', extensions: { logicalCluster: 'lkc-1' } },
  });
  expect(login(`{ ${endpoint}, ca: { file: id.pem } }`)).toMatchObject({ token: { ca: { file: 'id.pem' } } });
});

test.each([
  ['confluent', 'username: KEY', { protocol: 'SASL_SSL', sasl: { mechanism: 'PLAIN', username: 'KEY' } }],
  ['redpanda', 'username: mirror', { protocol: 'SASL_SSL', sasl: { mechanism: 'SCRAM-SHA-256' } }],
  ['azure', '', { protocol: 'SASL_SSL', sasl: { mechanism: 'PLAIN', username: '$ConnectionString' } }],
  ['msk', 'username: mirror', { protocol: 'SASL_SSL', sasl: { mechanism: 'SCRAM-SHA-512' } }],
  ['msk', 'protocol: SSL, certificate: { file: c }, key: { file: k }', { sasl: null, tls: { identity: {} } }],
])('provider %s with { %s } fills in the rest', (provider, keys, expected) => {
  const password = keys.includes('SSL') ? '' : 'password: { env: SECRET }';
  const text = [keys, password].filter((part) => part !== '').join(', ');
  expect(read(`  provider: ${provider}\n${security(text)}`)).toMatchObject(expected);
});

test.each([
  ['mechanism: GSSAPI, protocol: SASL_SSL', 'mechanism: GSSAPI is not built yet', 'FEATURE_NOT_BUILT'],
  ['mechanism: AWS_MSK_IAM, protocol: SASL_SSL', 'mechanism: AWS_MSK_IAM is not built yet', 'FEATURE_NOT_BUILT'],
  ['mechanism: MD5, protocol: SASL_SSL', 'mechanism: must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER'],
  ['protocol: SASL_SSL', 'mechanism is missing; it must be PLAIN, SCRAM-SHA-256'],
  ['protocol: SASL_SSL, mechanism: PLAIN', 'username is missing; PLAIN needs a user name'],
  ['protocol: SASL_SSL, mechanism: PLAIN, username: a', 'password is missing; PLAIN needs a reference'],
  ['protocol: SASL_SSL, mechanism: OAUTHBEARER', 'token is missing; OAUTHBEARER needs'],
  [
    'protocol: SASL_SSL, mechanism: PLAIN, username: a, password: { env: A }, token: { file: t }',
    'token: has no meaning',
  ],
  ['protocol: SSL, mechanism: PLAIN', 'mechanism: has no meaning with protocol SSL'],
  ['username: a', 'username: has no meaning with protocol PLAINTEXT'],
  ['ca: { file: ca.pem }', 'ca: has no meaning with protocol PLAINTEXT'],
  ['protocol: SSL, certificate: { file: c }', 'key is missing; a certificate needs its key'],
  ['protocol: SSL, key: { file: k }', 'certificate is missing; a key needs its certificate'],
  ['protocol: SSL, keyPassword: { env: K }', 'keyPassword: has no meaning without "key"'],
  ['protocol: SSL, ca: { env: A, file: b }', 'ca: must be a reference, { env: NAME } or { file: path }'],
  [`protocol: SSL, ca: { env: '${CANARY} x' }`, 'ca.env: must be the name of an environment variable'],
  [`password: ${CANARY}`, 'password: must be a reference'],
  [`protocol: SSL, key: ${CANARY}`, 'key: must be a reference'],
  [`token: ${CANARY}`, 'token: must be { endpoint, clientId, clientSecret } or { file: path }; the token itself'],
  [`token: { file: t, endpoint: 'https://a' }`, 'token: must have endpoint, clientId and clientSecret, or file'],
  [`token: { file: t, ca: { file: c } }`, 'token: must have endpoint, clientId and clientSecret, or file'],
  [`token: { endpoint: 'https://a', ca: ${CANARY} }`, 'token.ca: must be a reference'],
  [
    `token: { endpoint: 'http://127.0.0.1/t', clientId: a, clientSecret: { env: A }, ca: { file: c } }`,
    'token.ca: has no meaning with an http:// endpoint',
  ],
  [`token: { endpoint: 'http://id.example/t' }`, 'token.endpoint: must be an https:// address'],
  [`token: { endpoint: 'https://me:${CANARY}@id.example/t' }`, 'token.endpoint: must be an https:// address'],
])('{ %s } is refused: %s', (keys, message, code = 'CONFIG_INVALID') => {
  const error = refusal(security(keys));
  expect(error.message).toContain(`spec.security.${message}`);
  expect(error.code).toBe(code);
  expect(JSON.stringify([error.message, error.details, error.nextStep])).not.toContain(CANARY);
});

test('a mechanism that a provider does not take is refused', () => {
  const login = 'mechanism: PLAIN, username: a, password: { env: A }';
  expect(refusal(`  provider: msk\n${security(login)}`).message).toContain(
    'spec.security.mechanism: must be SCRAM-SHA-512 with provider msk',
  );
});
