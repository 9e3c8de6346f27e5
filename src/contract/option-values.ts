/** What holds: of flags, environment, what a server has stored, and file, the one that goes first, else the default; and where it comes from. */
import { AppError } from './errors.ts';
import { complaints, nearestOption } from './option-file.ts';
import {
  flagOf,
  isSettable,
  optionKeys,
  type OptionKey,
  type OptionReader,
  type OptionValues,
  rowOf,
  variableOf,
} from './options.ts';

export type OptionSource = 'flag' | 'environment' | 'stored' | 'file' | 'default';

export interface OptionSources {
  /** As written behind the flag, by key. */
  readonly flags?: ReadonlyMap<OptionKey, string>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What was set over the API, as a file would hold it (`storedOptions`). */
  readonly stored?: ReadonlyMap<OptionKey, unknown>;
  /** Of `parseOptionFile`. */
  readonly file?: ReadonlyMap<OptionKey, unknown>;
}

/** Of what a server's database holds: what a later version has left there is none of ours. */
export function storedOptions(values: Readonly<Record<string, unknown>>): ReadonlyMap<OptionKey, unknown> {
  return new Map(optionKeys.flatMap((key) => (isSettable(key) && key in values ? [[key, values[key]] as const] : [])));
}

export interface ResolvedOptions {
  readonly values: OptionValues;
  readonly sources: Readonly<Record<OptionKey, OptionSource>>;
}

/** Throws AppError CONFIG_INVALID that names each flag and variable whose value cannot be used. */
export function resolveOptions({ flags, environment = {}, stored, file }: OptionSources): ResolvedOptions {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  const sources = {} as Record<OptionKey, OptionSource>;
  for (const key of optionKeys) {
    const { type, default: fallback } = rowOf(key);
    const read = (where: string, given: unknown): unknown => {
      const result = type.schema.safeParse(given);
      if (result.success) return result.data;
      problems.push(...complaints(result.error.issues).map((message) => `${where} ${message}`));
      return fallback;
    };
    const ofFlag = flags?.get(key);
    const variable = variableOf(key);
    const ofVariable = environment[variable];
    sources[key] = 'default';
    values[key] = fallback;
    if (ofFlag !== undefined) {
      sources[key] = 'flag';
      values[key] = read(flagOf(key) ?? key, type.fromText(ofFlag));
    } else if (ofVariable !== undefined && ofVariable !== '') {
      sources[key] = 'environment';
      // The secret stays where it stands.
      values[key] = type.isSecret ? { env: variable } : read(variable, type.fromText(ofVariable));
    } else if (stored?.has(key)) {
      sources[key] = 'stored';
      values[key] = read(`what is stored of ${key}`, stored.get(key));
    } else if (file?.has(key)) {
      sources[key] = 'file';
      values[key] = file.get(key);
    }
  }
  problems.push(...strayVariables(environment), ...contradictions(values as OptionValues));
  if (problems.length > 0) {
    throw new AppError('CONFIG_INVALID', problems.join('\n'), {
      details: { problems },
      nextStep: 'Correct this; "lockstep config check" shows what holds, and docs/configuration.md has all options.',
    });
  }
  return { values: values as OptionValues, sources };
}

/** The options that a command reads. */
export function optionsFor(reader: OptionReader): OptionKey[] {
  return optionKeys.filter((key) => rowOf(key).readers.includes(reader));
}

/** Other variables of ours, such as LOCKSTEP_CONFIG, do not begin like an option. */
const GROUPS = new Set(optionKeys.map((key) => `LOCKSTEP_${key.split('.')[0]?.toUpperCase()}_`));

/** A misspelt variable would silently do nothing. Only those that begin like an option are ours to judge. */
function strayVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(optionKeys.map(variableOf));
  return Object.keys(environment).flatMap((name) => {
    if (known.has(name)) return [];
    if (![...GROUPS].some((group) => name.startsWith(group))) return [];
    const near = nearestOption(name.slice('LOCKSTEP_'.length).toLowerCase().replaceAll('_', '.'));
    return [`environment variable ${name} is no option${near === null ? '' : `; did you mean ${variableOf(near)}?`}`];
  });
}

/** What only together makes sense. */
function contradictions(values: OptionValues): string[] {
  const needed: readonly [OptionKey, OptionKey][] = [
    ['server.tls.certFile', 'server.tls.keyFile'],
    ['server.tls.keyFile', 'server.tls.certFile'],
    ['server.tls.clientCaFile', 'server.tls.certFile'],
    ['monitoring.splunk.hecEndpoint', 'monitoring.splunk.hecToken'],
    ['monitoring.splunk.hecToken', 'monitoring.splunk.hecEndpoint'],
    ['monitoring.prometheus.token', 'monitoring.prometheus.pushGateway'],
    ['monitoring.loki.token', 'monitoring.loki.endpoint'],
    ['monitoring.traces.token', 'monitoring.traces.endpoint'],
    ['auth.oidc.issuer', 'auth.oidc.clientId'],
    ['auth.oidc.issuer', 'auth.oidc.clientSecret'],
    ['auth.oidc.issuer', 'auth.oidc.roles'],
    ['auth.oidc.clientId', 'auth.oidc.issuer'],
    ['auth.oidc.clientSecret', 'auth.oidc.issuer'],
    ['auth.oidc.roles', 'auth.oidc.issuer'],
    ['auth.oidc.acceptedAcr', 'auth.oidc.issuer'],
    ['auth.oidc.caFile', 'auth.oidc.issuer'],
    ['client.tls.certFile', 'client.tls.keyFile'],
    ['client.tls.keyFile', 'client.tls.certFile'],
  ];
  const missing = needed.flatMap(([given, other]) =>
    isStated(values[given]) && !isStated(values[other]) ? [`${given} needs ${other} too`] : [],
  );
  const sent: readonly [OptionKey, OptionKey][] = [
    ['monitoring.splunk.hecToken', 'monitoring.splunk.hecEndpoint'],
    ['monitoring.prometheus.token', 'monitoring.prometheus.pushGateway'],
    ['monitoring.loki.token', 'monitoring.loki.endpoint'],
    ['monitoring.traces.token', 'monitoring.traces.endpoint'],
    ['auth.oidc.clientSecret', 'auth.oidc.issuer'],
  ];
  const open = sent.flatMap(([token, endpoint]) => {
    const target = values[endpoint];
    const isOpen = values[token] !== null && typeof target === 'string' && !isProtected(target);
    return isOpen
      ? [`${endpoint} must be an https:// address where a secret is sent; http:// only on this machine`]
      : [];
  });
  const isShort = values['auth.session.lifetime'] < values['auth.session.idle'];
  const neverIdle = isShort ? ['auth.session.idle must not be longer than auth.session.lifetime'] : [];
  const issuer = values['auth.oidc.issuer'];
  const isHidden = issuer !== null && isThisMachine(new URL(issuer).hostname) && !values['auth.oidc.onThisNetwork'];
  const unreachable = isHidden ? ['auth.oidc.issuer is on this machine; auth.oidc.onThisNetwork has to say so'] : [];
  return [...missing, ...open, ...neverIdle, ...unreachable];
}

function isStated(value: unknown): boolean {
  return value !== null && !(Array.isArray(value) && value.length === 0);
}

function isProtected(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || isThisMachine(hostname);
}

function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname);
}

/** What has changed: what holds at once, and what after a restart. */
export function changesOf(before: OptionValues, after: OptionValues): { hot: OptionKey[]; restart: OptionKey[] } {
  const changed = optionKeys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  const hot = changed.filter((key) => rowOf(key).isHot);
  return { hot, restart: changed.filter((key) => !hot.includes(key)) };
}
