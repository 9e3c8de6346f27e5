/**
 * How a Cluster is reached safely. Secrets are references, `{ env: NAME }` or `{ file: path }`, read at each use: what
 * stands behind them can be replaced while a mirror runs, and a file with resources can be shown to anybody. Clusters of a
 * server may refer to what it keeps itself, `{ store: NAME }`.
 */
import { z } from 'zod';
import { must, refuse } from './complaints.ts';
import { providers, type ProviderName } from './providers.ts';

const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;
const MECHANISMS_NOT_BUILT = ['GSSAPI', 'AWS_MSK_IAM'];

export type SecurityProtocol = (typeof PROTOCOLS)[number];
export type SaslMechanism = (typeof MECHANISMS)[number];

/** Where a secret stands: the name of an environment variable, or the path of a file. */
export type SecretRef = { readonly env: string } | { readonly file: string };

/** Where tokens come from: a file that somebody else keeps fresh, or the client credentials grant of OAuth 2.0. */
export type TokenRef =
  | { readonly file: string }
  | {
      readonly endpoint: string;
      readonly clientId: string;
      readonly clientSecret: SecretRef;
      readonly scope: string | null;
      /** Of the endpoint's certificate; null: the authorities that Node trusts. */
      readonly ca: SecretRef | null;
      /** SASL extensions (KIP-342). */
      readonly extensions: Readonly<Record<string, string>>;
    };

export interface ClusterSecurity {
  readonly protocol: SecurityProtocol;
  readonly provider: ProviderName;
  /** Null: not encrypted. */
  readonly tls: {
    /** Null: the authorities that Node trusts. */
    readonly ca: SecretRef | null;
    readonly identity: {
      readonly certificate: SecretRef;
      readonly key: SecretRef;
      readonly keyPassword: SecretRef | null;
    } | null;
    /** The name that certificates of brokers must carry; null: the host that is connected to. */
    readonly serverName: string | null;
  } | null;
  /** Null: no login. */
  readonly sasl:
    | {
        readonly mechanism: Exclude<SaslMechanism, 'OAUTHBEARER'>;
        readonly username: string;
        readonly password: SecretRef;
      }
    | { readonly mechanism: 'OAUTHBEARER'; readonly token: TokenRef }
    | null;
}

const REFERENCE = 'a reference, { env: NAME } or { file: path }';

/** Name of a secret that a server keeps. */
export const storedSecretName = () =>
  z
    .string(must('the name of a stored secret'))
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, must('the name of a stored secret: letters, digits, ".", "_" and "-"'));

/** What a server puts the secret under in the environment of its mirrors; no variable of a system can be called so. */
export function storedSecretVariable(name: string): string {
  return `store:${name}`;
}

const text = (what: string) => z.string(must(what)).min(1, must(what));

const secretOf = (isOfServer: boolean) => () =>
  z
    .strictObject(
      {
        env: z
          .string(must('the name of an environment variable'))
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, must('the name of an environment variable'))
          .optional(),
        file: text('the path of a file').optional(),
        ...(isOfServer ? { store: storedSecretName().optional() } : {}),
      },
      must(`${REFERENCE}; the value itself never stands here`),
    )
    .transform((value, context): SecretRef => {
      const { env, file, store } = value as { env?: string; file?: string; store?: string };
      if (env !== undefined && file === undefined && store === undefined) return { env };
      if (file !== undefined && env === undefined && store === undefined) return { file };
      if (store !== undefined && env === undefined && file === undefined) return { env: storedSecretVariable(store) };
      const reference = isOfServer ? 'a reference, { env: NAME }, { file: path } or { store: NAME }' : REFERENCE;
      context.issues.push({ code: 'custom', input: null, message: `must be ${reference}` });
      return z.NEVER;
    });

const ENDPOINT = 'an https:// address without user name and password; http:// only on this machine';

const tokenOf = (secret: ReturnType<typeof secretOf>) =>
  z
    .strictObject(
      {
        file: text('the path of a file').optional(),
        endpoint: z
          .string(must(ENDPOINT))
          .check((context) => {
            if (!isTokenEndpoint(context.value)) refuse(context, `must be ${ENDPOINT}`);
          })
          .optional(),
        clientId: text('the client id').optional(),
        clientSecret: secret().optional(),
        scope: text('a scope, or several with spaces between them').optional(),
        ca: secret().optional(),
        extensions: z
          .record(
            z.string().regex(/^(?!auth$)[A-Za-z]+$/, 'must be letters, and not "auth"'),
            z.string(must('text')).regex(/^[\x20-\x7e]+$/, must('printable ASCII')),
            must('a mapping from name to value'),
          )
          .optional(),
      },
      must('{ endpoint, clientId, clientSecret } or { file: path }; the token itself never stands here'),
    )
    .transform((value, context): TokenRef => {
      const { file, endpoint, clientId, clientSecret, scope, ca, extensions } = value;
      const isComplete = endpoint !== undefined && clientId !== undefined && clientSecret !== undefined;
      const hasOther = [endpoint, clientId, clientSecret, scope, ca, extensions].some((each) => each !== undefined);
      if (ca !== undefined && endpoint !== undefined && /^http:/i.test(endpoint)) {
        const message = 'has no meaning with an http:// endpoint';
        context.issues.push({ code: 'custom', input: null, path: ['ca'], message });
        return z.NEVER;
      }
      if (file !== undefined && !hasOther) return { file };
      if (file === undefined && endpoint !== undefined && clientId !== undefined && clientSecret !== undefined)
        return { endpoint, clientId, clientSecret, scope: scope ?? null, ca: ca ?? null, extensions: extensions ?? {} };
      const message = isComplete
        ? 'must be either { file } or { endpoint, clientId, clientSecret }, not both'
        : 'must have endpoint, clientId and clientSecret, or file';
      context.issues.push({ code: 'custom', input: null, message });
      return z.NEVER;
    });

const securityOf = (secret: ReturnType<typeof secretOf>) =>
  z.strictObject(
    {
      protocol: z.enum(PROTOCOLS, must(PROTOCOLS.join(', '))).optional(),
      mechanism: z
        .string(must(MECHANISMS.join(', ')))
        .transform((name, context): SaslMechanism => {
          const known = MECHANISMS.find((each) => each === name);
          if (known !== undefined) return known;
          const isLater = MECHANISMS_NOT_BUILT.includes(name);
          const all = MECHANISMS.join(', ');
          refuse(context, isLater ? `${name} is not built yet; this version speaks ${all}` : `must be ${all}`, isLater);
          return z.NEVER;
        })
        .optional(),
      username: text('a user name').optional(),
      password: secret().optional(),
      token: tokenOf(secret).optional(),
      ca: secret().optional(),
      certificate: secret().optional(),
      key: secret().optional(),
      keyPassword: secret().optional(),
      serverName: text('a host name or an address').optional(),
    },
    must('a mapping'),
  );

/** `security` as it stands in a file; `resolveSecurity` makes of it what holds. */
export const securitySchema = securityOf(secretOf(false));

/** As a server takes it. */
export const serverSecuritySchema = securityOf(secretOf(true));

type SecurityFile = z.output<typeof securitySchema>;

/** What holds, with the provider's defaults; `complain` is told of each key that is missing or has no meaning here. */
export function resolveSecurity(
  given: SecurityFile,
  provider: ProviderName,
  complain: (key: string, message: string) => void,
): ClusterSecurity {
  const { defaults, mechanisms } = providers[provider];
  const protocol = given.protocol ?? defaults.protocol ?? 'PLAINTEXT';
  const isEncrypted = protocol === 'SSL' || protocol === 'SASL_SSL';
  const hasLogin = protocol === 'SASL_PLAINTEXT' || protocol === 'SASL_SSL';
  const mechanism = given.mechanism ?? (hasLogin ? defaults.mechanism : undefined);
  if (!isEncrypted) {
    for (const key of ['ca', 'certificate', 'key', 'keyPassword', 'serverName'] as const)
      if (given[key] !== undefined) complain(key, `has no meaning with protocol ${protocol}; it needs SSL or SASL_SSL`);
  }
  if (!hasLogin) {
    for (const key of ['mechanism', 'username', 'password', 'token'] as const)
      if (given[key] !== undefined)
        complain(key, `has no meaning with protocol ${protocol}; it needs SASL_SSL or SASL_PLAINTEXT`);
  } else if (mechanism === undefined) complain('mechanism', `is missing; it must be ${MECHANISMS.join(', ')}`);
  else if (mechanisms !== null && !mechanisms.includes(mechanism))
    complain('mechanism', `must be ${mechanisms.join(' or ')} with provider ${provider}`);
  return {
    protocol,
    provider,
    tls: isEncrypted ? tlsOf(given, complain) : null,
    sasl: hasLogin && mechanism !== undefined ? saslOf(given, mechanism, defaults.username, complain) : null,
  };
}

function tlsOf(given: SecurityFile, complain: (key: string, message: string) => void): ClusterSecurity['tls'] {
  const { ca, certificate, key, keyPassword, serverName } = given;
  if (certificate !== undefined && key === undefined) complain('key', 'is missing; a certificate needs its key');
  if (key !== undefined && certificate === undefined)
    complain('certificate', 'is missing; a key needs its certificate');
  if (keyPassword !== undefined && key === undefined) complain('keyPassword', 'has no meaning without "key"');
  const hasIdentity = certificate !== undefined && key !== undefined;
  return {
    ca: ca ?? null,
    identity: hasIdentity ? { certificate, key, keyPassword: keyPassword ?? null } : null,
    serverName: serverName ?? null,
  };
}

function saslOf(
  given: SecurityFile,
  mechanism: SaslMechanism,
  usernameDefault: string | undefined,
  complain: (key: string, message: string) => void,
): ClusterSecurity['sasl'] {
  const unused = mechanism === 'OAUTHBEARER' ? (['username', 'password'] as const) : (['token'] as const);
  for (const key of unused) if (given[key] !== undefined) complain(key, `has no meaning with mechanism ${mechanism}`);
  if (mechanism === 'OAUTHBEARER') {
    if (given.token !== undefined) return { mechanism, token: given.token };
    complain('token', `is missing; ${mechanism} needs { endpoint, clientId, clientSecret } or { file: path }`);
    return null;
  }
  const username = given.username ?? usernameDefault;
  const { password } = given;
  if (username === undefined) complain('username', `is missing; ${mechanism} needs a user name`);
  if (password === undefined) complain('password', `is missing; ${mechanism} needs ${REFERENCE}`);
  return username === undefined || password === undefined ? null : { mechanism, username, password };
}

/** Client secrets go there: encrypted, or not off this machine. */
function isTokenEndpoint(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname, username, password } = new URL(address);
  if (username !== '' || password !== '') return false;
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname);
  return protocol === 'https:' || (protocol === 'http:' && isHere);
}
