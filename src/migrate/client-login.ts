/** `sasl.*` of Kafka's clients as a login of ours. */
import { parseJaas, type LoginModule } from './java/jaas.ts';
import { javaTrim } from './java/properties.ts';
import type { Setting } from './report.ts';
import { hasVariable } from './secret-values.ts';
import { placeOf, REPLACE_ME, securityKey, type ClientOf, type SecurityText } from './security-text.ts';

export function loginOf(client: ClientOf): SecurityText {
  const stated = client.get('sasl.mechanism');
  const mechanism = stated === undefined ? 'GSSAPI' : javaTrim(stated.value);
  switch (mechanism) {
    case 'PLAIN':
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      client.report.tell(stated, 'exact', { to: securityKey(client, 'mechanism') });
      return { mechanism, ...passwordLogin(client) };
    case 'OAUTHBEARER':
      client.report.tell(stated, 'exact', { to: securityKey(client, 'mechanism') });
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
  const from = stated === undefined ? 'the login of the JVM (java.security.auth.login.config)' : placeOf(stated);
  if (username === undefined || password === undefined || username === '' || hasVariable(username)) {
    const step = `Write the user name of ${client.cluster} in place of "${REPLACE_ME}".`;
    const note =
      stated === undefined
        ? undefined
        : hasVariable(stated.value)
          ? 'The user name comes from a config provider; a Cluster holds it as text.'
          : 'It is not the one login module with username and password that Kafka takes.';
    if (stated === undefined) client.report.tell(client.get('sasl.mechanism'), 'different', { note: NO_JAAS, step });
    client.report.tell(stated, 'no-equal', { to: securityKey(client, 'username'), note, step, isSecret: true });
    const secret = { value: password ?? '', from };
    return { username: REPLACE_ME, password: client.secrets.refer(client.cluster, 'password', secret) };
  }
  client.report.tell(stated, 'exact', {
    to: `${securityKey(client, 'username')}, ${securityKey(client, 'password')}`,
    note: `The user name is "${username}"; the password is a reference.`,
    isSecret: true,
  });
  return { username, password: client.secrets.refer(client.cluster, 'password', { value: password, from }) };
}

const NO_JAAS = 'There is no sasl.jaas.config: the login stands in a file of the JVM, which is not among these.';

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
    report.tell(stated(key), 'exact', { to: securityKey(client, 'token') });
  report.tell(secret, 'exact', { to: securityKey(client, 'token.clientSecret'), isSecret: true });
  report.tell(get('sasl.login.callback.handler.class'), 'exact', {
    to: securityKey(client, 'token'),
    note: TOKEN_HANDLER,
  });
  const isUsable = isTokenEndpoint(endpoint) && clientId !== undefined && clientId !== '' && !hasVariable(clientId);
  if (!isUsable) {
    const file = `${cluster}-token.jwt`;
    const step = `Write token.endpoint (https), clientId and clientSecret of ${cluster}, or keep a token fresh in the file.`;
    const note = 'No token endpoint with https:// and a client id is named here.';
    for (const setting of [endpointSetting, jaas])
      report.tell(setting, 'no-equal', { to: securityKey(client, 'token'), note, step, isSecret: true });
    if (!endpointSetting && !jaas) report.tell(get('sasl.mechanism'), 'different', { note, step });
    secrets.add(cluster, 'token', {
      reference: { file },
      from: jaas ? placeOf(jaas) : 'not in these files',
      isThere: false,
    });
    return { token: { file } };
  }
  report.tell(endpointSetting, 'exact', { to: securityKey(client, 'token.endpoint') });
  report.tell(jaas, 'exact', {
    to: securityKey(client, 'token'),
    note: 'The client secret is a reference.',
    isSecret: true,
  });
  const secretSetting = secret ?? jaas;
  const value = secret?.value ?? options.get('clientSecret') ?? options.get('oauth.client.secret') ?? '';
  const from = secretSetting ? placeOf(secretSetting) : 'not in these files';
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
  report.tell(stated ?? client.get('security.protocol'), 'no-equal', {
    to: securityKey(client, 'mechanism'),
    note,
    step,
  });
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
