/** A cluster of kaf-mirror, from its database or its YAML, as a Cluster. */
import { bootstrapOf } from '../addresses.ts';
import { REPLACE_ME, type SecurityText } from '../security-text.ts';
import type { Report, Setting } from '../report.ts';
import type { ClusterText } from '../resource-text.ts';
import type { SecretValues } from '../secret-values.ts';

/** Fields by their name without "_", in small letters: Go's names and those of JSON are one. */
export interface KafMirrorCluster {
  /** Of the Cluster. */
  readonly name: string;
  readonly fields: ReadonlyMap<string, Setting>;
  readonly report: Report;
  readonly secrets: SecretValues;
}

export function fieldName(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'];

export function clusterOfKafMirror(cluster: KafMirrorCluster): ClusterText {
  const { name, fields, report } = cluster;
  const bootstrap = bootstrapOf(fields.get('brokers'), name, report);
  const stated = fields.get('provider');
  const provider = stated?.value ?? 'plain';
  const isKnown = ['plain', 'confluent', 'redpanda', 'azure'].includes(provider);
  report.tell(stated, isKnown ? 'exact' : 'no-equal', {
    to: `Cluster ${name}: spec.provider`,
    ...(isKnown ? {} : { note: 'kaf-mirror has no such provider.', step: `Write the provider of ${name}.` }),
  });
  const id = fields.get('clusterid');
  const hasId = id !== undefined && id.value !== '' && provider !== 'confluent';
  report.tell(id, hasId || id?.value === '' ? 'exact' : 'different', {
    to: `Cluster ${name}: spec.id`,
    ...(hasId || id?.value === '' ? {} : { note: 'The id is recorded at the first contact.' }),
  });
  const security = securityOf(cluster, provider);
  return {
    name,
    spec: {
      bootstrap,
      ...(hasId ? { id: id.value } : {}),
      ...(isKnown && provider !== 'plain' ? { provider } : {}),
      ...(Object.keys(security).length === 0 ? {} : { security }),
    },
  };
}

function at({ name }: KafMirrorCluster, key: string): string {
  return `Cluster ${name}: spec.security.${key}`;
}

function securityOf(cluster: KafMirrorCluster, provider: string): SecurityText {
  const { fields, report, name } = cluster;
  const value = (field: string): string => fields.get(`security.${field}`)?.value ?? '';
  const [mechanism, protocol] = [value('saslmechanism').toUpperCase(), value('protocol').toUpperCase()];
  const isLogin = provider !== 'plain' || mechanism !== '' || value('username') !== '' || protocol.startsWith('SASL');
  if (protocol === 'SSL' && !isLogin) {
    report.tell(fields.get('security.protocol'), 'exact', { to: at(cluster, 'protocol') });
    return { protocol };
  }
  if (!isLogin) return {};
  const isNotBuilt = mechanism !== '' && !MECHANISMS.includes(mechanism);
  const usual = provider === 'redpanda' ? 'SCRAM-SHA-256' : 'PLAIN';
  const used = isNotBuilt ? 'SCRAM-SHA-512' : mechanism === '' || mechanism === 'OAUTHBEARER' ? usual : mechanism;
  report.tell(fields.get('security.protocol'), 'different', { to: at(cluster, 'protocol'), note: UNUSED });
  report.tell(fields.get('security.saslmechanism'), used === mechanism ? 'different' : 'no-equal', {
    to: at(cluster, 'mechanism'),
    note:
      used === mechanism
        ? UNUSED
        : `${mechanism} is not built, or needs what kaf-mirror does not keep; ${used} stands in its place.`,
    step: used === mechanism ? undefined : `Write the login of ${name}.`,
  });
  return {
    ...(provider === 'plain' || protocol !== ''
      ? { protocol: protocol.startsWith('SASL') ? protocol : 'SASL_SSL' }
      : {}),
    ...(provider === 'plain' || mechanism !== '' ? { mechanism: used } : {}),
    ...loginOf(cluster, provider),
  };
}

const UNUSED = 'kaf-mirror does not use it when a job runs; here it is used.';

function loginOf(cluster: KafMirrorCluster, provider: string): SecurityText {
  const { fields, report, secrets, name } = cluster;
  const first = (...names: readonly string[]): Setting | undefined =>
    names.flatMap((each) => fields.get(each) ?? []).find(({ value }) => value !== '');
  const isAzure = provider === 'azure';
  const user = first('apikey', 'security.apikey', 'security.username');
  const password = isAzure
    ? first('connectionstring', 'security.connectionstring')
    : first('apisecret', 'security.apisecret', 'security.password');
  report.tell(user, 'exact', { to: at(cluster, 'username') });
  report.tell(password, 'exact', { to: at(cluster, 'password'), isSecret: true });
  if (user === undefined && !isAzure)
    report.tellDefault(`${name}: nothing says as whom to log in. Write the user name in place of "${REPLACE_ME}".`);
  const from = password === undefined ? 'not in these files' : `${password.name} in ${password.file}`;
  return {
    ...(isAzure ? {} : { username: user?.value ?? REPLACE_ME }),
    password: secrets.refer(name, 'password', { value: '', from }),
  };
}
