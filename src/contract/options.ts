/**
 * Every option of Lockstep's processes, in one table: from it come the keys of the configuration file, the names of
 * environment variables, flags, their help, docs/configuration.md and the validation. What a mirror copies is no option: that
 * stands in resources (docs/resources.md).
 *
 * A flag goes before the environment, that before the file, that before the default.
 */
import { CLAIM_ROLE } from './claim-role.ts';
import { address, choice, count, duration, flag, list, secret, text, url, type OptionType } from './option-types.ts';

/** Who reads an option. */
export type OptionReader = 'run' | 'serve' | 'worker' | 'client';

export interface OptionRow<T, D> {
  readonly type: OptionType<T>;
  readonly default: D;
  readonly description: string;
  readonly readers: readonly OptionReader[];
  /** Its flag where it is not made of its key; null: none. */
  readonly flag?: string | null;
  /** A change in the file holds without a restart. */
  readonly isHot: boolean;
}

const PROCESS: readonly OptionReader[] = ['run', 'serve', 'worker'];

export const optionTable = {
  'server.host': row(text('a host name or an address', { word: 'host' }), '127.0.0.1', 'Where the server listens.', [
    'serve',
  ]),
  'server.port': row(count(0, 65_535), 8080, 'On which port; 0 is any that is free.', ['serve']),
  'server.publicUrl': row(url(), null, 'The address under which people reach the server, for links and sign-in.', [
    'serve',
  ]),
  'server.tls.certFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Certificate chain of the server; with it and its key the server speaks https only. Replaced files are read anew.',
    ['serve'],
    { isHot: true },
  ),
  'server.tls.keyFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Key of the certificate.',
    ['serve'],
    {
      isHot: true,
    },
  ),
  'server.tls.clientCaFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Authorities of client certificates; with it, clients may sign in by certificate.',
    ['serve'],
    { isHot: true },
  ),
  'server.cors.allowedOrigins': row(
    list(text('an origin, such as https://ops.example', { pattern: /^https?:\/\/[^/*\s]+$/ })),
    [],
    'Other origins whose pages may call the API. None by default, and never all.',
    ['serve'],
    { isHot: true },
  ),
  'server.setupTokenFile': row(
    text('the path of a file', { word: 'file' }),
    'lockstep-setup-token',
    'Where the one-time token for the first administrator is put when standard output is no terminal.',
    ['serve'],
  ),
  'server.trustedProxies': row(
    list(text('an address or a range', { pattern: /^[0-9A-Fa-f:.]+(?:\/\d{1,3})?$/ })),
    [],
    'Proxies whose X-Forwarded-For is believed.',
    ['serve'],
    { isHot: true },
  ),
  'server.requestsPerSecond': row(
    count(10, 1_000_000),
    2_000,
    'Requests that one address may make on average; more get 429. An IPv6 network of 64 bits counts as one address.',
    ['serve'],
    { isHot: true },
  ),
  'server.requestBurst': row(count(20, 1_000_000), 4_000, 'And so many at once.', ['serve'], { isHot: true }),
  'database.path': row(
    text('a path', { word: 'file' }),
    'lockstep.db',
    'The SQLite file, where there is no database.url.',
    ['serve'],
  ),
  'database.url': row(
    secret(),
    null,
    'Where the address of a PostgreSQL database stands; it goes before database.path.',
    ['serve', 'worker'],
    { flag: null },
  ),
  'database.metricsRetention': row(
    duration('1d', '3650d'),
    2_592_000_000,
    'How long metrics are kept in steps of an hour and finer (docs/operating/store.md).',
    ['serve'],
    { isHot: true },
  ),
  'database.historyRetention': row(
    duration('1d', '3650d'),
    34_214_400_000,
    'How long metrics are kept downsampled: 396 days are 13 months.',
    ['serve'],
    { isHot: true },
  ),
  'database.eventsRetention': row(
    duration('1d', '3650d'),
    2_592_000_000,
    'How long events of jobs are kept.',
    ['serve'],
    { isHot: true },
  ),
  'backups.directory': row(
    text('a directory', { word: 'directory' }),
    null,
    'Where backups are kept; none are taken without it.',
    ['serve'],
  ),
  'backups.every': row(
    duration('1h', '31d'),
    null,
    'How often a backup is taken by itself; never without it.',
    ['serve'],
    { isHot: true },
  ),
  'backups.keep': row(count(1, 1000), 14, 'Of those, so many are kept: the oldest go.', ['serve'], { isHot: true }),
  'secrets.keyFile': row(
    text('the path of a file', { word: 'file' }),
    'lockstep.key',
    'The keys that encrypt stored secrets, a line NAME:BASE64 of 32 bytes each, readable for the server alone. Made when a server begins with an empty database.',
    ['serve', 'worker'],
  ),
  'secrets.key': row(
    secret(),
    null,
    'Where those keys stand instead of in a file, separated by commas.',
    ['serve', 'worker'],
    { flag: null },
  ),
  'secrets.transit.address': row(
    url(),
    null,
    'HashiCorp Vault or OpenBao, whose transit engine wraps the keys of stored secrets from then on; keys in a file or a variable open what they have wrapped.',
    ['serve', 'worker'],
  ),
  'secrets.transit.mount': row(
    text('a path', { word: 'path', pattern: /^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/ }),
    'transit',
    'Where that engine is.',
    ['serve', 'worker'],
  ),
  'secrets.transit.key': row(
    text('the name of a key', { word: 'name', pattern: /^[A-Za-z0-9_.-]+$/ }),
    'lockstep',
    'The key that wraps, of type aes256-gcm96 or another AEAD.',
    ['serve', 'worker'],
  ),
  'secrets.transit.tokenFile': row(
    text('the path of a file', { word: 'file' }),
    null,
    'The token that is shown to it, as an agent of Vault writes it; read for each request.',
    ['serve', 'worker'],
  ),
  'secrets.transit.caFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Authorities of a private certificate; without it those that Node trusts.',
    ['serve', 'worker'],
  ),
  'audit.directory': row(
    text('a directory', { word: 'directory' }),
    'lockstep-audit',
    'The audit log. One server writes it, and nothing else.',
    ['serve'],
  ),
  'audit.keyFile': row(
    text('the path of a file', { word: 'file' }),
    'lockstep-audit.key',
    'The key that signs the audit log, readable for the server alone. Made when a log begins.',
    ['serve'],
  ),
  'audit.anchorClusters': row(
    list(text('the name of a cluster')),
    [],
    'Clusters whose topic __lockstep.audit.checkpoints is given the checkpoint of the log once a minute.',
    ['serve'],
  ),
  'audit.anchorFiles': row(
    list(text('the path of a file')),
    [],
    'Files that are given it too: on another disk, or a share of somebody else.',
    ['serve'],
  ),
  'audit.otherLogs': row(
    list(text('the name of a log')),
    [],
    'Audit logs of other servers, whose checkpoints stand in the same anchors. Needed where this one begins behind them.',
    ['serve'],
  ),
  'secrets.allowed': row(
    list(
      text('env:NAME or file:/PATH, with * at the end for what begins so', {
        pattern: /^(?:env:\w+|file:\/[^*\s]*)\*?$/,
      }),
    ),
    ['env:KAFKA_*', 'file:/run/secrets/*'],
    'Variables and files of the server that clusters may refer to when they are stated over the API; all other secrets are stored ones.',
    ['serve'],
  ),
  'auth.session.idle': row(
    duration('1m', '1d'),
    900_000,
    'How long a session of a browser lasts without use. Sessions that stand keep what they began with.',
    ['serve'],
    { isHot: true },
  ),
  'auth.session.lifetime': row(
    duration('5m', '7d'),
    43_200_000,
    'How long a session lasts at most, however busy; one of a program lasts as long without use too.',
    ['serve'],
    { isHot: true },
  ),
  'auth.secondFactorRoles': row(
    list(text('the name of a role')),
    ['admin'],
    'Whoever has one of these roles and signs in with a password needs a second factor before anything else.',
    ['serve'],
    { isHot: true },
  ),
  'auth.oidc.issuer': row(
    url(),
    null,
    'The OpenID Connect provider where people may sign in, as it names itself (docs/server.md#single-sign-on).',
    ['serve'],
  ),
  'auth.oidc.clientId': row(text('a client id', { word: 'id' }), null, 'What the provider knows the server as.', [
    'serve',
  ]),
  'auth.oidc.clientSecret': row(secret(), null, 'The secret that the provider gave for it.', ['serve']),
  'auth.oidc.scopes': row(
    list(text('a scope', { pattern: /^[\x21\x23-\x5b\x5d-\x7e]+$/ })),
    ['profile', 'email'],
    'What the provider is asked for besides openid; those claims that roles come from have to be among it.',
    ['serve'],
  ),
  'auth.oidc.roles': row(
    list(
      text('CLAIM=VALUE:ROLE, such as groups=kafka-operators:operator', {
        word: 'claim=value:role',
        pattern: CLAIM_ROLE,
      }),
    ),
    [],
    'Whose ID token has this value in this claim, alone or in a list, has this role; who has none of them does not come in.',
    ['serve'],
  ),
  'auth.oidc.acceptedAcr': row(
    list(text('a class of authentication')),
    [],
    'One of these must be how the provider has made sure (its claim acr); without any, all will do.',
    ['serve'],
  ),
  'auth.oidc.caFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Authorities of a provider with a private certificate; without it those that Node trusts.',
    ['serve'],
  ),
  'auth.oidc.onThisNetwork': row(
    flag(),
    false,
    'The provider is at a private address, or on this machine; without it the server connects to public ones only.',
    ['serve'],
  ),
  'inventory.every': row(
    duration('1h', '31d'),
    86_400_000,
    'How often snapshots are taken of the clusters of jobs that run.',
    ['serve'],
    { isHot: true },
  ),
  'logging.level': row(
    choice('error', 'warn', 'info', 'debug'),
    'info',
    'What the server says of itself, beside its address and the like.',
    ['serve', 'worker'],
    { isHot: true },
  ),
  'logging.directory': row(
    text('a directory', { word: 'directory' }),
    null,
    'Every event as a line of JSON to a file in this directory too, for its owner alone; never contents of records.',
    PROCESS,
    { flag: 'log' },
  ),
  'logging.maxSize': row(
    count(1, 100_000),
    100,
    'A file of so many megabytes is moved aside, and a new one begun.',
    PROCESS,
    { flag: 'log-max-size' },
  ),
  'logging.maxBackups': row(
    count(0, 10_000),
    5,
    'So many files are kept besides the one that is written to, those of earlier runs among them: the oldest go.',
    PROCESS,
    { flag: 'log-max-backups' },
  ),
  'logging.maxAge': row(
    duration('1h', '3650d'),
    2_592_000_000,
    'A file that was written to last so long ago goes, too.',
    PROCESS,
    { flag: 'log-max-age' },
  ),
  'compliance.schedule.enabled': row(flag(), true, 'Makes compliance reports by itself.', ['serve'], { isHot: true }),
  'compliance.schedule.runHour': row(count(0, 23), 2, 'The hour, in UTC, when they are made.', ['serve'], {
    isHot: true,
  }),
  'compliance.schedule.daily': row(flag(), true, 'A report for each day.', ['serve'], { isHot: true }),
  'compliance.schedule.weekly': row(flag(), false, 'A report for each week, on Monday.', ['serve'], { isHot: true }),
  'compliance.schedule.monthly': row(flag(), false, 'A report for each month, on its first day.', ['serve'], {
    isHot: true,
  }),
  'monitoring.listen': row(
    address(),
    null,
    'Serves /metrics, /healthz and /readyz there, over plain HTTP. Beyond this machine, have the network or monitoring.token say who may read them.',
    PROCESS,
    { flag: 'metrics' },
  ),
  'monitoring.token': row(
    secret(),
    null,
    'A Bearer token without which /metrics is not shown; read at each request.',
    PROCESS,
  ),
  'monitoring.partitionsMax': row(
    count(0, 100_000),
    1000,
    'Partitions with series of their own. The others are counted together by topic, and their number is a metric.',
    PROCESS,
  ),
  'monitoring.topicsMax': row(
    count(0, 100_000),
    1000,
    'Topics with series of their own for such partitions. The others are counted together by job.',
    PROCESS,
  ),
  'monitoring.originalNames': row(flag(), false, 'Offers the metric names of kaf-mirror as well.', PROCESS),
  'monitoring.push.interval': row(duration('1s', '1h'), 10_000, 'How often metrics are pushed.', PROCESS),
  'monitoring.push.queueBytes': row(
    count(1024, 1_073_741_824),
    4_194_304,
    'What may wait for a receiver, in bytes; beyond it the oldest is thrown away, and counted.',
    PROCESS,
  ),
  'monitoring.push.caFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Authorities of receivers with private certificates; without it those that Node trusts.',
    PROCESS,
  ),
  'monitoring.prometheus.pushGateway': row(url(), null, 'A Pushgateway that metrics are pushed to.', PROCESS),
  'monitoring.prometheus.token': row(secret(), null, 'A Bearer token for it.', PROCESS),
  'monitoring.splunk.hecEndpoint': row(
    url(),
    null,
    "Splunk's HTTP Event Collector; where it has no path, /services/collector/event is added.",
    PROCESS,
  ),
  'monitoring.splunk.hecToken': row(secret(), null, 'Its token.', PROCESS),
  'monitoring.splunk.index': row(text('the name of an index'), null, "An index other than the token's own.", PROCESS),
  'monitoring.splunk.source': row(text('a source'), 'lockstep', 'The source of what is sent.', PROCESS),
  'monitoring.loki.endpoint': row(url(), null, 'Loki; where it has no path, /loki/api/v1/push is added.', PROCESS),
  'monitoring.loki.token': row(secret(), null, 'A Bearer token for it.', PROCESS),
  'monitoring.loki.tenant': row(text('a tenant'), null, 'Sent as X-Scope-OrgID.', PROCESS),
  'monitoring.traces.endpoint': row(
    url(),
    null,
    'What takes traces of requests by OTLP over HTTP, an OpenTelemetry collector for example; where it has no path, /v1/traces is added.',
    ['serve'],
  ),
  'monitoring.traces.token': row(secret(), null, 'A Bearer token for it.', ['serve']),
  'monitoring.traces.percent': row(
    count(0, 100),
    100,
    'Of requests whose traceparent does not decide it, so many percent are traced.',
    ['serve'],
  ),
  'monitoring.flags.criticalLag': row(
    count(0, 1_000_000_000_000),
    200,
    'A job lags critically (docs/metrics.md#what-stands-out-in-a-job) beyond so many records.',
    ['serve'],
    { isHot: true },
  ),
  'monitoring.flags.highErrorRate': row(
    count(0, 100),
    10,
    'Errors of a job are many when more than so many percent of its partitions stand still.',
    ['serve'],
    { isHot: true },
  ),
  'monitoring.flags.stallAfter': row(
    duration('30s', '1d'),
    60_000,
    'A source that says nothing for longer, or a target at which nothing arrives for longer though there is more, stands still.',
    ['serve'],
    { isHot: true },
  ),
  'monitoring.flags.spikeErrors': row(
    count(0, 1_000_000),
    0,
    'Errors of a job are a spike when more than so many incidents began within monitoring.flags.spikeWindow.',
    ['serve'],
    { isHot: true },
  ),
  'monitoring.flags.spikeWindow': row(duration('10s', '1d'), 30_000, 'How long ago that may be.', ['serve'], {
    isHot: true,
  }),
  'monitoring.severity.mediumLag': row(
    count(0, 1_000_000_000_000),
    5_000,
    'What stands out in a job is of medium severity beyond this lag in records.',
    ['serve'],
    { isHot: true },
  ),
  'monitoring.severity.highLag': row(
    count(0, 1_000_000_000_000),
    10_000,
    'And of high severity beyond this one.',
    ['serve'],
    {
      isHot: true,
    },
  ),
  'monitoring.severity.mediumErrorRate': row(
    count(0, 100),
    1,
    'It is of medium severity, too, when more than so many percent of the partitions stand still.',
    ['serve'],
    { isHot: true },
  ),
  'monitoring.severity.highErrorRate': row(
    count(0, 100),
    5,
    'And of high severity with more than so many.',
    ['serve'],
    {
      isHot: true,
    },
  ),
  'client.url': row(url(), null, 'The server that commands talk to.', ['client'], { flag: null }),
  'client.tls.caFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    "The authority of the server's certificate.",
    ['client'],
    { flag: null },
  ),
  'client.tls.certFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'Our certificate for it.',
    ['client'],
    {
      flag: null,
    },
  ),
  'client.tls.keyFile': row(
    text('the path of a PEM file', { word: 'file' }),
    null,
    'The key of our certificate.',
    ['client'],
    {
      flag: null,
    },
  ),
} as const;

export type OptionKey = keyof typeof optionTable;

/**
 * They say where the store is and what opens it, name files that the server writes, or say who vouches for people and for which
 * role: the machine's own business. Whoever could set those over the API could give themselves any role.
 */
const OF_THE_MACHINE: readonly OptionKey[] = [
  'database.path',
  'database.url',
  'secrets.keyFile',
  'secrets.transit.address',
  'secrets.transit.mount',
  'secrets.transit.key',
  'secrets.transit.tokenFile',
  'secrets.transit.caFile',
  'secrets.allowed',
  'backups.directory',
  'audit.directory',
  'audit.keyFile',
  'audit.anchorFiles',
  'audit.otherLogs',
  'server.setupTokenFile',
  'auth.oidc.issuer',
  'auth.oidc.clientId',
  'auth.oidc.scopes',
  'auth.oidc.roles',
  'auth.oidc.acceptedAcr',
  'auth.oidc.caFile',
  'auth.oidc.onThisNetwork',
  'logging.directory',
  'logging.maxSize',
  'logging.maxBackups',
  'logging.maxAge',
];

/** Whether it can be set over the API. Where a secret stands on the machine is said on the machine. */
export function isSettable(key: OptionKey): boolean {
  const { readers, type } = rowOf(key);
  return readers.includes('serve') && !type.isSecret && !OF_THE_MACHINE.includes(key);
}

type ValueOf<Row> = Row extends OptionRow<infer T, infer D> ? T | D : never;
export type OptionValues = { readonly [Key in OptionKey]: ValueOf<(typeof optionTable)[Key]> };

export const optionKeys = Object.keys(optionTable) as OptionKey[];

/** The row, of whatever type. */
export function rowOf(key: OptionKey): OptionRow<unknown, unknown> {
  return optionTable[key] as OptionRow<unknown, unknown>;
}

/** `monitoring.push.caFile` → LOCKSTEP_MONITORING_PUSH_CA_FILE */
export function variableOf(key: OptionKey): string {
  return `LOCKSTEP_${words(key).join('_').toUpperCase()}`;
}

/** `monitoring.push.caFile` → --monitoring-push-ca-file; null where it has none. */
export function flagOf(key: OptionKey): string | null {
  const { flag: stated } = rowOf(key);
  if (stated === null) return null;
  return `--${stated ?? words(key).join('-')}`;
}

function words(key: string): string[] {
  return key.split('.').flatMap((part) => part.split(/(?=[A-Z])/).map((word) => word.toLowerCase()));
}

function row<T, const D>(
  type: OptionType<T>,
  fallback: D,
  description: string,
  readers: readonly OptionReader[],
  more: { readonly flag?: string | null; readonly isHot?: boolean } = {},
): OptionRow<T, D> {
  const { flag: stated, isHot = false } = more;
  const named = stated === undefined ? {} : { flag: stated };
  return { type, default: fallback, description, readers, isHot, ...named };
}
