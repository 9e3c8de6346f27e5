/**
 * How Kafka's Java clients reach a cluster (`security.protocol`, `sasl.*`, `ssl.*`) as `security` of a Cluster. Where ours
 * cannot do the same, what stands in the resource is the nearest thing that is valid, and a step says what to do.
 */
import type { SecretRef } from '#contract/cluster-security.ts';
import { javaTrim } from './java/properties.ts';
import { parseJaas, type LoginModule } from './java/jaas.ts';
import type { Report, Setting } from './report.ts';
import { hasVariable, type SecretValues } from './secret-values.ts';

/** `security` as a file holds it. */
export interface SecurityText {
  protocol?: string;
  mechanism?: string;
  username?: string;
  password?: SecretRef;
  token?: TokenText;
  ca?: SecretRef;
  certificate?: SecretRef;
  key?: SecretRef;
  keyPassword?: SecretRef;
  serverName?: string;
}

type TokenText =
  | { file: string }
  | {
      endpoint: string;
      clientId: string;
      clientSecret: SecretRef;
      scope?: string;
      extensions?: Record<string, string>;
    };

export interface ClientOf {
  /** The Cluster's name of ours. */
  readonly cluster: string;
  /** What holds for the cluster, by the name of Kafka's client; undefined where nothing is set. */
  readonly get: (key: string) => Setting | undefined;
  /** Where it is not said by `security.protocol`. */
  readonly protocol?: string;
  readonly report: Report;
  readonly secrets: SecretValues;
}

/** Stands where a value has to stand and is not known. */
export const REPLACE_ME = 'replace-me';

export function securityOf(stating: ClientOf): SecurityText {
  const client = { ...stating, get: (key: string) => unlessEmpty(key, stating.get(key)) };
  const { get, report } = client;
  const stated = get('security.protocol');
  const protocol = client.protocol ?? (stated === undefined ? 'PLAINTEXT' : javaTrim(stated.value).toUpperCase());
  const known = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'].includes(protocol);
  if (!known) {
    const step = `Write the protocol of ${client.cluster}: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.`;
    report.tell(stated, 'no-equal', { note: 'It is no protocol that Kafka has.', step });
    return {};
  }
  report.tell(stated, 'exact', { to: at(client, 'protocol') });
  const isEncrypted = protocol.endsWith('SSL');
  return {
    ...(protocol === 'PLAINTEXT' ? {} : { protocol }),
    ...(protocol.startsWith('SASL') ? loginOf(client) : unused(client, 'sasl.', protocol)),
    ...(isEncrypted ? tlsOf(client) : unused(client, 'ssl.', protocol)),
  };
}

/** Nothing is as good as not set, but for the check of names, which it turns off. */
function unlessEmpty(key: string, setting: Setting | undefined): Setting | undefined {
  const isEmpty = setting !== undefined && javaTrim(setting.value) === '';
  return isEmpty && key !== 'ssl.endpoint.identification.algorithm' ? undefined : setting;
}

function at({ cluster }: ClientOf, key: string): string {
  return `Cluster ${cluster}: spec.security.${key}`;
}

/** Settings of TLS or SASL that the protocol does not use. */
function unused(client: ClientOf, prefix: string, protocol: string): SecurityText {
  const note = `It has no meaning with protocol ${protocol}.`;
  for (const key of [...SASL_KEYS, ...TLS_KEYS].filter((each) => each.startsWith(prefix)))
    client.report.tell(client.get(key), 'exact', { note, isSecret: isSecretKey(key) });
  return {};
}

const SASL_KEYS = [
  'sasl.mechanism',
  'sasl.jaas.config',
  'sasl.client.callback.handler.class',
  'sasl.login.callback.handler.class',
  'sasl.login.class',
  'sasl.kerberos.service.name',
  'sasl.oauthbearer.token.endpoint.url',
  'sasl.oauthbearer.client.credentials.client.id',
  'sasl.oauthbearer.client.credentials.client.secret',
  'sasl.oauthbearer.scope',
];

const TLS_KEYS = [
  'ssl.truststore.type',
  'ssl.truststore.location',
  'ssl.truststore.password',
  'ssl.truststore.certificates',
  'ssl.keystore.type',
  'ssl.keystore.location',
  'ssl.keystore.password',
  'ssl.keystore.key',
  'ssl.keystore.certificate.chain',
  'ssl.key.password',
  'ssl.endpoint.identification.algorithm',
];

/** As ConfigDef.Type.PASSWORD, and what is as good as one. */
export function isSecretKey(key: string): boolean {
  return /password|passphrase|secret|jaas|token$|credential|keystore\.key|certificates|certificate\.chain|private\.key|basic\.auth|user\.info/i.test(
    key,
  );
}

// ── Login

function loginOf(client: ClientOf): SecurityText {
  const stated = client.get('sasl.mechanism');
  const mechanism = stated === undefined ? 'GSSAPI' : javaTrim(stated.value);
  switch (mechanism) {
    case 'PLAIN':
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      client.report.tell(stated, 'exact', { to: at(client, 'mechanism') });
      return { mechanism, ...passwordLogin(client) };
    case 'OAUTHBEARER':
      client.report.tell(stated, 'exact', { to: at(client, 'mechanism') });
      return { mechanism, ...tokenLogin(client) };
    default:
      return otherLogin(client, mechanism, stated);
  }
}

function jaasOf(client: ClientOf): { readonly stated: Setting | undefined; readonly module: LoginModule | null } {
  const stated = client.get('sasl.jaas.config');
  return { stated, module: stated === undefined ? null : parseJaas(javaTrim(stated.value)) };
}

function passwordLogin(client: ClientOf): SecurityText {
  const { stated, module } = jaasOf(client);
  for (const key of ['sasl.client.callback.handler.class', 'sasl.login.callback.handler.class'])
    client.report.tell(client.get(key), 'no-equal', {
      note: 'What a class of your own does is not known here.',
      step: `See that the login of ${client.cluster} is that of sasl.jaas.config.`,
    });
  const username = module?.options.get('username');
  const password = module?.options.get('password');
  const from = stated === undefined ? 'the login of the JVM (java.security.auth.login.config)' : nameOf(stated);
  if (username === undefined || password === undefined || username === '' || hasVariable(username)) {
    const step = `Write the user name of ${client.cluster} in place of "${REPLACE_ME}".`;
    const note =
      stated === undefined
        ? undefined
        : hasVariable(stated.value)
          ? 'The user name comes from a config provider; a Cluster holds it as text.'
          : 'It is not the one login module with username and password that Kafka takes.';
    if (stated === undefined) client.report.tell(client.get('sasl.mechanism'), 'different', { note: NO_JAAS, step });
    client.report.tell(stated, 'no-equal', { to: at(client, 'username'), note, step, isSecret: true });
    const secret = { value: password ?? '', from };
    return { username: REPLACE_ME, password: client.secrets.refer(client.cluster, 'password', secret) };
  }
  client.report.tell(stated, 'exact', {
    to: `${at(client, 'username')}, ${at(client, 'password')}`,
    note: `The user name is "${username}"; the password is a reference.`,
    isSecret: true,
  });
  return { username, password: client.secrets.refer(client.cluster, 'password', { value: password, from }) };
}

const NO_JAAS = 'There is no sasl.jaas.config: the login stands in a file of the JVM, which is not among these.';

function nameOf({ file, name }: Setting): string {
  return `${name} in ${file}`;
}

/** Kafka's own client for tokens, and Strimzi's, which has its settings among the options of the login module. */
function tokenLogin(client: ClientOf): SecurityText {
  const { get, report, secrets, cluster } = client;
  const { stated: jaas, module } = jaasOf(client);
  const options = module?.options ?? new Map<string, string>();
  const stated = (key: string) => get(`sasl.oauthbearer.${key}`);
  const endpointSetting = stated('token.endpoint.url');
  const endpoint = endpointSetting?.value ?? options.get('oauth.token.endpoint.uri') ?? '';
  const clientId =
    stated('client.credentials.client.id')?.value ?? options.get('clientId') ?? options.get('oauth.client.id');
  const secret = stated('client.credentials.client.secret');
  const scope = stated('scope')?.value ?? options.get('scope') ?? options.get('oauth.scope');
  for (const key of ['client.credentials.client.id', 'scope'])
    report.tell(stated(key), 'exact', { to: at(client, 'token') });
  report.tell(secret, 'exact', { to: at(client, 'token.clientSecret'), isSecret: true });
  report.tell(get('sasl.login.callback.handler.class'), 'exact', { to: at(client, 'token'), note: TOKEN_HANDLER });
  const isUsable = isTokenEndpoint(endpoint) && clientId !== undefined && clientId !== '' && !hasVariable(clientId);
  if (!isUsable) {
    const file = `${cluster}-token.jwt`;
    const step = `Write token.endpoint (https), clientId and clientSecret of ${cluster}, or keep a token fresh in the file.`;
    const note = 'No token endpoint with https:// and a client id is named here.';
    for (const setting of [endpointSetting, jaas])
      report.tell(setting, 'no-equal', { to: at(client, 'token'), note, step, isSecret: true });
    if (!endpointSetting && !jaas) report.tell(get('sasl.mechanism'), 'different', { note, step });
    secrets.add(cluster, 'token', {
      reference: { file },
      from: jaas ? nameOf(jaas) : 'not in these files',
      isThere: false,
    });
    return { token: { file } };
  }
  report.tell(endpointSetting, 'exact', { to: at(client, 'token.endpoint') });
  report.tell(jaas, 'exact', { to: at(client, 'token'), note: 'The client secret is a reference.', isSecret: true });
  const secretSetting = secret ?? jaas;
  const value = secret?.value ?? options.get('clientSecret') ?? options.get('oauth.client.secret') ?? '';
  const from = secretSetting ? nameOf(secretSetting) : 'not in these files';
  const extensions = extensionsOf(client, jaas, options);
  return {
    token: {
      endpoint,
      clientId,
      clientSecret: secrets.refer(cluster, 'token.clientSecret', { value, from }),
      ...(scope === undefined || scope === '' ? {} : { scope }),
      ...(Object.keys(extensions).length === 0 ? {} : { extensions }),
    },
  };
}

const TOKEN_HANDLER = 'Tokens are fetched by the client credentials grant of OAuth 2.0.';

/** KIP-342: names of letters, and printable values. */
function extensionsOf(
  client: ClientOf,
  jaas: Setting | undefined,
  options: ReadonlyMap<string, string>,
): Record<string, string> {
  const all = [...options].flatMap(([key, text]) =>
    key.startsWith('extension_') ? [[key.slice(10), text] as const] : [],
  );
  const usable = all.filter(([key, text]) => /^(?!auth$)[A-Za-z]+$/.test(key) && /^[\x20-\x7e]+$/.test(text));
  if (usable.length < all.length)
    client.report.tell(jaas, 'different', {
      note: 'An extension whose name is not of letters, or whose value is not printable, is left out.',
      step: `See which extensions the login of ${client.cluster} needs.`,
    });
  return Object.fromEntries(usable);
}

/** As contract/cluster-security.ts admits it. */
export function isTokenEndpoint(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname, username, password } = new URL(address);
  return (
    username === '' &&
    password === '' &&
    (protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|\[::1\]|127(?:\.\d+){3})$/.test(hostname)))
  );
}

/** Mechanisms that are not built. SCRAM-SHA-512 stands in their place, since something has to. */
function otherLogin(client: ClientOf, mechanism: string, stated: Setting | undefined): SecurityText {
  const { cluster, report } = client;
  const isIam = mechanism === 'AWS_MSK_IAM';
  const step = isIam
    ? `Give the mirror a SCRAM-SHA-512 user of ${cluster} (a secret in AWS Secrets Manager), and take the bootstrap addresses of that listener.`
    : `Give the mirror a login of ${cluster} by SCRAM-SHA-512, PLAIN, OAUTHBEARER or a client certificate.`;
  const note = `The mechanism ${mechanism} is not built; SCRAM-SHA-512 stands in its place.`;
  const { stated: jaas } = jaasOf(client);
  report.tell(stated ?? client.get('security.protocol'), 'no-equal', { to: at(client, 'mechanism'), note, step });
  report.tell(jaas, 'no-equal', { note, isSecret: true });
  for (const key of [
    'sasl.client.callback.handler.class',
    'sasl.login.callback.handler.class',
    'sasl.kerberos.service.name',
  ])
    report.tell(client.get(key), 'no-equal', { note });
  const from = 'the login that is to be made';
  return {
    mechanism: 'SCRAM-SHA-512',
    username: REPLACE_ME,
    password: client.secrets.refer(cluster, 'password', { value: '', from }),
  };
}

// ── TLS

function tlsOf(client: ClientOf): SecurityText {
  const { get, report } = client;
  const verified = get('ssl.endpoint.identification.algorithm');
  if (verified !== undefined && javaTrim(verified.value) === '')
    report.tell(verified, 'no-equal', {
      note: 'The name in the certificate of a broker is always checked.',
      step: `See that the certificates of ${client.cluster} carry its host names, or set security.serverName to the name that they carry.`,
    });
  else report.tell(verified, 'exact', { note: 'The name in the certificate of a broker is always checked.' });
  return { ...authoritiesOf(client), ...identityOf(client) };
}

function authoritiesOf(client: ClientOf): { ca?: SecretRef } {
  const { get, report, cluster } = client;
  const location = get('ssl.truststore.location');
  const inline = get('ssl.truststore.certificates');
  const type = get('ssl.truststore.type');
  const isPem = type !== undefined && javaTrim(type.value).toUpperCase() === 'PEM';
  report.tell(type, 'exact', { note: isPem ? undefined : 'Only PEM is read here; the store is converted.' });
  const password = get('ssl.truststore.password');
  report.tell(password, 'exact', { note: 'A file of certificates needs no password.', isSecret: true });
  if (location === undefined && inline === undefined) {
    report.tellDefault(
      `${cluster}: brokers' certificates are checked against the authorities of Node, where the JVM took its own.`,
    );
    return {};
  }
  if (location !== undefined && isPem && !hasVariable(location.value)) {
    report.tell(location, 'exact', { to: at(client, 'ca') });
    return { ca: { file: javaTrim(location.value) } };
  }
  const file = `${cluster}-ca.pem`;
  const step =
    location === undefined
      ? `Write the certificates of ssl.truststore.certificates to ${file}.`
      : `Convert the store: keytool -list -rfc -keystore ${location.value} > ${file}`;
  const note = 'A file with PEM certificates takes the place of the store.';
  report.tell(location ?? inline, 'different', { to: at(client, 'ca'), note, step, isSecret: location === undefined });
  return { ca: { file } };
}

function identityOf(client: ClientOf): SecurityText {
  const { get, report, secrets, cluster } = client;
  const location = get('ssl.keystore.location');
  const [chain, key] = [get('ssl.keystore.certificate.chain'), get('ssl.keystore.key')];
  const type = get('ssl.keystore.type');
  const keyPassword = get('ssl.key.password');
  const isPem = type !== undefined && javaTrim(type.value).toUpperCase() === 'PEM';
  const isPemFile = location !== undefined && isPem && !hasVariable(location.value);
  report.tell(type, 'exact', { note: isPem ? undefined : 'Only PEM is read here; the store is converted.' });
  const storeNote = 'It is only needed to convert the store.';
  report.tell(get('ssl.keystore.password'), 'exact', { note: storeNote, isSecret: true });
  const hasIdentity = location !== undefined || (chain !== undefined && key !== undefined);
  const keepsPassword = keyPassword !== undefined && (isPemFile || location === undefined) && hasIdentity;
  report.tell(
    keyPassword,
    'exact',
    keepsPassword ? { to: at(client, 'keyPassword'), isSecret: true } : { note: storeNote, isSecret: true },
  );
  const passwordPart = keepsPassword
    ? { keyPassword: secrets.refer(cluster, 'keyPassword', { value: keyPassword.value, from: nameOf(keyPassword) }) }
    : {};
  if (isPemFile) {
    const file = javaTrim(location.value);
    report.tell(location, 'exact', { to: `${at(client, 'certificate')}, ${at(client, 'key')}` });
    return { certificate: { file }, key: { file }, ...passwordPart };
  }
  if (location !== undefined) {
    const [certificateFile, keyFile] = [`${cluster}-certificate.pem`, `${cluster}-key.pem`];
    report.tell(location, 'different', {
      to: `${at(client, 'certificate')}, ${at(client, 'key')}`,
      note: 'Two PEM files take the place of the store.',
      step: `Convert the store: keytool -importkeystore -srckeystore ${location.value} -destkeystore ${cluster}.p12 -deststoretype PKCS12; openssl pkcs12 -in ${cluster}.p12 -nokeys -out ${certificateFile}; openssl pkcs12 -in ${cluster}.p12 -nocerts -nodes -out ${keyFile}`,
    });
    secrets.add(cluster, 'key', { reference: { file: keyFile }, from: `${location.value}, the store`, isThere: false });
    return { certificate: { file: certificateFile }, key: { file: keyFile } };
  }
  if (chain === undefined || key === undefined) {
    for (const half of [chain, key])
      report.tell(half, 'no-equal', {
        note: 'A certificate needs its key, and a key its certificate.',
        isSecret: true,
      });
    return {};
  }
  report.tell(chain, 'exact', { to: at(client, 'certificate'), isSecret: true });
  report.tell(key, 'exact', { to: at(client, 'key'), isSecret: true });
  return {
    certificate: secrets.refer(cluster, 'certificate', { value: chain.value, from: nameOf(chain) }),
    key: secrets.refer(cluster, 'key', { value: key.value, from: nameOf(key) }),
    ...passwordPart,
  };
}
