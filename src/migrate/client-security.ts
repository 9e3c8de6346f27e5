/**
 * How Kafka's Java clients reach a cluster (`security.protocol`, `sasl.*`, `ssl.*`) as `security` of a Cluster. Where ours
 * cannot do the same, what stands in the resource is the nearest thing that is valid, and a step says what to do.
 */
import { javaTrim } from './java/properties.ts';
import { loginOf } from './client-login.ts';
import { tlsOf } from './client-tls.ts';
import type { Setting } from './report.ts';
import { isSecretKey, securityKey, type ClientOf, type SecurityText } from './security-text.ts';

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
  report.tell(stated, 'exact', { to: securityKey(client, 'protocol') });
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
