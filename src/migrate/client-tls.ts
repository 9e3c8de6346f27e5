/** `ssl.*` of Kafka's clients as certificates of ours: PEM files are taken as they are, stores are to be converted. */
import type { SecretRef } from '#contract/cluster-security.ts';
import { javaTrim } from './java/properties.ts';
import { hasVariable } from './secret-values.ts';
import { placeOf, securityKey, type ClientOf, type SecurityText } from './security-text.ts';

export function tlsOf(client: ClientOf): SecurityText {
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
    report.tell(location, 'exact', { to: securityKey(client, 'ca') });
    return { ca: { file: javaTrim(location.value) } };
  }
  const file = `${cluster}-ca.pem`;
  const step =
    location === undefined
      ? `Write the certificates of ssl.truststore.certificates to ${file}.`
      : `Convert the store: keytool -list -rfc -keystore ${location.value} > ${file}`;
  const note = 'A file with PEM certificates takes the place of the store.';
  report.tell(location ?? inline, 'different', {
    to: securityKey(client, 'ca'),
    note,
    step,
    isSecret: location === undefined,
  });
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
    keepsPassword ? { to: securityKey(client, 'keyPassword'), isSecret: true } : { note: storeNote, isSecret: true },
  );
  const passwordPart = keepsPassword
    ? { keyPassword: secrets.refer(cluster, 'keyPassword', { value: keyPassword.value, from: placeOf(keyPassword) }) }
    : {};
  if (isPemFile) {
    const file = javaTrim(location.value);
    report.tell(location, 'exact', { to: `${securityKey(client, 'certificate')}, ${securityKey(client, 'key')}` });
    return { certificate: { file }, key: { file }, ...passwordPart };
  }
  if (location !== undefined) {
    const [certificateFile, keyFile] = [`${cluster}-certificate.pem`, `${cluster}-key.pem`];
    report.tell(location, 'different', {
      to: `${securityKey(client, 'certificate')}, ${securityKey(client, 'key')}`,
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
  report.tell(chain, 'exact', { to: securityKey(client, 'certificate'), isSecret: true });
  report.tell(key, 'exact', { to: securityKey(client, 'key'), isSecret: true });
  return {
    certificate: secrets.refer(cluster, 'certificate', { value: chain.value, from: placeOf(chain) }),
    key: secrets.refer(cluster, 'key', { value: key.value, from: placeOf(key) }),
    ...passwordPart,
  };
}
