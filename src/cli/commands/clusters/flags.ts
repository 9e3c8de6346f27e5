/** A cluster as flags say it. Secrets are where they stand, on the machine of the server; their values are no flags. */
import { providerNames } from '#contract/providers.ts';
import { choiceFrom, listFrom } from '../../remote/values.ts';

export interface ClusterFlags {
  readonly brokers?: string;
  readonly provider?: string;
  readonly id?: string;
  readonly protocol?: string;
  readonly mechanism?: string;
  readonly username?: string;
  readonly passwordEnv?: string;
  readonly passwordFile?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly serverName?: string;
}

/** For `Verb.options`. */
export const CLUSTER_OPTIONS = {
  '--brokers <addresses>': 'host:port of some brokers, with commas',
  '--provider <name>': providerNames.join(', '),
  '--id <cluster-id>': 'the id that must answer; without it the one that answers first is kept',
  '--protocol <protocol>': 'PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL',
  '--mechanism <mechanism>': 'PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER',
  '--username <name>': 'of the login',
  '--password-env <variable>': "the server's environment variable that holds the password",
  '--password-file <path>': 'the file, where the server runs, that holds the password',
  '--token-file <path>': 'the file, where the server runs, that holds the token of OAUTHBEARER',
  '--ca-file <path>': 'the authorities of its certificates, where the server runs',
  '--cert-file <path>': "the server's certificate for it",
  '--key-file <path>': 'the key of that certificate',
  '--server-name <name>': 'the name that certificates of brokers must carry',
} as const;

/** The keys that flags state, as in `spec` of a Cluster; `before` holds where a flag says nothing. */
export function clusterSpec(
  flags: ClusterFlags,
  before: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const { brokers, provider, id } = flags;
  const security = { ...(before['security'] as object | undefined), ...securityOf(flags) };
  return {
    ...before,
    ...(brokers === undefined ? {} : { bootstrap: listFrom(brokers) }),
    ...(provider === undefined ? {} : { provider: choiceFrom('--provider', provider, providerNames) }),
    ...(id === undefined ? {} : { id }),
    ...(Object.keys(security).length === 0 ? {} : { security }),
  };
}

function securityOf(flags: ClusterFlags): Record<string, unknown> {
  const { protocol, mechanism, username, passwordEnv, passwordFile, tokenFile, serverName } = flags;
  const file = (key: string, path: string | undefined) => (path === undefined ? {} : { [key]: { file: path } });
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(mechanism === undefined ? {} : { mechanism }),
    ...(username === undefined ? {} : { username }),
    ...(passwordEnv === undefined ? {} : { password: { env: passwordEnv } }),
    ...file('password', passwordFile),
    ...file('token', tokenFile),
    ...file('ca', flags.caFile),
    ...file('certificate', flags.certFile),
    ...file('key', flags.keyFile),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

/** Whether any of them was given. */
export function isStated(flags: ClusterFlags): boolean {
  const { brokers, provider, id } = flags;
  return [brokers, provider, id].some((each) => each !== undefined) || Object.keys(securityOf(flags)).length > 0;
}
