/** `tls` and `authentication` of a cluster of Strimzi as `security`: what a Secret holds becomes a file to be mounted. */
import type { SecretRef } from '#contract/cluster-security.ts';
import type { Fate } from '#contract/migration.ts';
import { isTokenEndpoint } from '../client-login.ts';
import { REPLACE_ME, type SecurityText } from '../security-text.ts';
import { securityOf } from '../client-security.ts';
import type { Report } from '../report.ts';
import type { SecretValues } from '../secret-values.ts';
import type { Leaf } from './custom-resource.ts';

/** Where Secrets are mounted: each a directory with a file for each of its keys. */
const MOUNTED = '/etc/lockstep/secrets';

export interface StrimziCluster {
  /** Of the Cluster. */
  readonly cluster: string;
  /** Below the cluster's own place, by their path from there. */
  readonly leaves: ReadonlyMap<string, Leaf>;
  readonly report: Report;
  readonly secrets: SecretValues;
}

export function strimziSecurityOf(context: StrimziCluster): SecurityText {
  const { leaves } = context;
  const type = leaves.get('authentication.type')?.value ?? null;
  // A client certificate needs TLS, whatever else is said.
  const isEncrypted = type === 'tls' || [...leaves.keys()].some((path) => path === 'tls' || path.startsWith('tls.'));
  if (type === 'custom') return customSecurityOf(context, isEncrypted);
  const ca = isEncrypted ? authoritiesOf(context) : {};
  const login = loginOf(context, type);
  const hasSasl = login.mechanism !== undefined;
  const protocol = `${hasSasl ? 'SASL_' : ''}${isEncrypted ? 'SSL' : hasSasl ? 'PLAINTEXT' : ''}`;
  tellRest(context, 'tls', 'exact');
  tellRest(context, 'authentication', type === null ? 'unknown' : 'no-equal');
  if (protocol === '') return {};
  return { protocol, ...login, ...ca };
}

function at({ cluster }: StrimziCluster, key: string): string {
  return `Cluster ${cluster}: spec.security.${key}`;
}

/** The file of one key of a Secret. */
function mounted(
  context: StrimziCluster,
  key: string,
  secret: { name: string | undefined; entry: string | undefined },
): SecretRef {
  const reference = { file: `${MOUNTED}/${secret.name || REPLACE_ME}/${secret.entry || REPLACE_ME}` };
  const from = `Secret ${secret.name ?? 'that is not named'}, key ${secret.entry ?? 'that is not named'}`;
  context.secrets.add(context.cluster, key, { reference, from, isThere: false });
  return reference;
}

function authoritiesOf(context: StrimziCluster): { ca?: SecretRef } {
  const { leaves, report, cluster } = context;
  const names = [...leaves].filter(([path]) => /^tls\.trustedCertificates\[\d+\]\.secretName$/.test(path));
  const first = names[0];
  if (first === undefined) {
    report.tellDefault(
      `${cluster}: brokers' certificates are checked against the authorities of Node, where the JVM took its own.`,
    );
    return {};
  }
  const [path, secretName] = first;
  const place = path.slice(0, path.lastIndexOf('.'));
  const certificate = leaves.get(`${place}.certificate`);
  const pattern = leaves.get(`${place}.pattern`);
  const ca = mounted(context, 'ca', { name: secretName.value, entry: certificate?.value ?? 'ca.crt' });
  const isOne = names.length === 1 && pattern === undefined;
  const step = `Put all certificates that ${cluster} may show into the one file of security.ca.`;
  const note = 'One file holds all certificates.';
  for (const [, leaf] of names)
    report.tell(leaf, isOne ? 'exact' : 'different', { to: at(context, 'ca'), ...(isOne ? {} : { note, step }) });
  for (const leaf of [certificate, pattern])
    report.tell(leaf, isOne ? 'exact' : 'different', { to: at(context, 'ca') });
  return { ca };
}

function loginOf(context: StrimziCluster, type: string | null): SecurityText {
  const { leaves, report } = context;
  const stated = leaves.get('authentication.type');
  const value = (path: string): string | undefined => leaves.get(`authentication.${path}`)?.value;
  const tell = (fate: Fate, paths: readonly string[], to: string): void => {
    for (const path of paths) report.tell(leaves.get(`authentication.${path}`), fate, { to: at(context, to) });
  };
  switch (type) {
    case null:
      return {};
    case 'tls': {
      tell('exact', ['type', 'certificateAndKey.secretName', 'certificateAndKey.certificate'], 'certificate');
      tell('exact', ['certificateAndKey.key'], 'key');
      const name = value('certificateAndKey.secretName');
      return {
        certificate: mounted(context, 'certificate', { name, entry: value('certificateAndKey.certificate') }),
        key: mounted(context, 'key', { name, entry: value('certificateAndKey.key') }),
      };
    }
    case 'plain':
    case 'scram-sha-256':
    case 'scram-sha-512': {
      tell('exact', ['type'], 'mechanism');
      tell('exact', ['username'], 'username');
      tell('exact', ['passwordSecret.secretName', 'passwordSecret.password'], 'password');
      const password = { name: value('passwordSecret.secretName'), entry: value('passwordSecret.password') };
      if (!value('username')) {
        const step = `Write the user name of ${context.cluster} in place of "${REPLACE_ME}".`;
        report.tell(stated, 'no-equal', { to: at(context, 'username'), step });
      }
      return {
        mechanism: type.toUpperCase(),
        username: value('username') || REPLACE_ME,
        password: mounted(context, 'password', password),
      };
    }
    case 'oauth':
      return tokenLoginOf(context, value);
    default: {
      const step = `Write the login of ${context.cluster}.`;
      report.tell(stated, 'unknown', { note: 'Strimzi has no such authentication.', step, isSecret: true });
      return {};
    }
  }
}

function tokenLoginOf(context: StrimziCluster, value: (path: string) => string | undefined): SecurityText {
  const { leaves, report, cluster } = context;
  const [endpoint, clientId, location] = [value('tokenEndpointUri'), value('clientId'), value('accessTokenLocation')];
  const tell = (fate: Fate, path: string, to: string): void =>
    report.tell(leaves.get(`authentication.${path}`), fate, { to: at(context, to) });
  tell('exact', 'type', 'mechanism');
  if (
    endpoint !== undefined &&
    isTokenEndpoint(endpoint) &&
    clientId &&
    value('clientSecret.secretName') !== undefined
  ) {
    for (const path of ['tokenEndpointUri', 'clientId', 'clientSecret.secretName', 'clientSecret.key', 'scope'])
      tell('exact', path, 'token');
    const secret = { name: value('clientSecret.secretName'), entry: value('clientSecret.key') };
    const scope = value('scope');
    return {
      mechanism: 'OAUTHBEARER',
      token: {
        endpoint,
        clientId,
        clientSecret: mounted(context, 'token.clientSecret', secret),
        ...(scope ? { scope } : {}),
      },
    };
  }
  const secretName = value('accessToken.secretName');
  for (const path of ['accessTokenLocation', 'accessToken.secretName', 'accessToken.key']) tell('exact', path, 'token');
  if (location) return { mechanism: 'OAUTHBEARER', token: { file: location } };
  if (secretName === undefined)
    report.tell(leaves.get('authentication.type'), 'no-equal', {
      note: 'There is no token endpoint with https:// and a client secret, and no access token.',
      step: `Write security.token of ${cluster}, or keep a token fresh in the file that it names.`,
    });
  const token = mounted(context, 'token', { name: secretName, entry: value('accessToken.key') });
  return { mechanism: 'OAUTHBEARER', token: 'file' in token ? token : { file: REPLACE_ME } };
}

/** `custom` holds settings of Kafka's own client. */
function customSecurityOf(context: StrimziCluster, isEncrypted: boolean): SecurityText {
  const { leaves, report, cluster, secrets } = context;
  const isSasl = leaves.get('authentication.sasl')?.value === 'true';
  for (const path of ['type', 'sasl'])
    report.tell(leaves.get(`authentication.${path}`), 'exact', { to: at(context, 'protocol') });
  const protocol = isSasl ? (isEncrypted ? 'SASL_SSL' : 'SASL_PLAINTEXT') : isEncrypted ? 'SSL' : 'PLAINTEXT';
  const get = (key: string): Leaf | undefined => leaves.get(`authentication.config.${key}`);
  const security = securityOf({ cluster, get, protocol, report, secrets });
  const ca = isEncrypted && security.ca === undefined ? authoritiesOf(context) : {};
  tellRest(context, 'tls', 'exact');
  return { ...security, ...ca };
}

/** What is not named in Kafka's words, or not by us. */
function tellRest({ leaves, report, cluster }: StrimziCluster, part: string, fate: Fate): void {
  for (const [path, leaf] of leaves) {
    if ((path !== part && !path.startsWith(`${part}.`)) || report.isTold(leaf)) continue;
    if (fate === 'exact') report.tell(leaf, fate, { to: `Cluster ${cluster}: spec.security.protocol` });
    else
      report.tell(leaf, fate, {
        note: 'Our logins have nothing of the kind.',
        step: `See whether the login of ${cluster} works without ${leaf.name}.`,
        isSecret: true,
      });
  }
}
