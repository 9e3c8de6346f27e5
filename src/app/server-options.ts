/** What a server is told by its options: places that are read, and settings that follow from several of them. */
import type { SecretRef } from '#contract/cluster-security.ts';
import { AppError } from '#contract/errors.ts';
import { parseClaimRole } from '#contract/claim-role.ts';
import type { OptionValues } from '#contract/options.ts';
import { formatAddress } from '#contract/option-types.ts';
import { readPem, readSecret } from '#jobs/secret-host.ts';
import { KafkaError } from '#kafka/errors.ts';
import type { ServerSettings, SignOnSettings } from '#server/settings.ts';
import type { KeyEncryption } from '#store/key-encryption.ts';
import { parseLocation, type StoreLocation } from '#store/location.ts';
import { defaultRetention, type Retention } from '#store/maintenance.ts';
import type { Host } from './host.ts';
import { openKeyring } from './key-files.ts';
import { createTransitKeys } from './transit-keys.ts';

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

/** Throws CONFIG_INVALID, SECRET_UNAVAILABLE. */
export function storeLocation(values: OptionValues, host: Host): StoreLocation {
  const url = values['database.url'];
  if (url === null) return parseLocation(values['database.path']);
  return parseLocation(readOption(url, 'database.url', host));
}

/** A step of the figures is kept as long as the options say: the finest ones in full, the longest ones as history. */
export function retentionOf(values: OptionValues): Retention {
  const full = values['database.metricsRetention'];
  const whole = values['database.historyRetention'];
  const { history } = defaultRetention;
  return {
    ...defaultRetention,
    eventsMs: values['database.eventsRetention'],
    history: history.map(({ stepMs, keepMs }, i) => {
      if (i === history.length - 1) return { stepMs, keepMs: whole };
      return { stepMs, keepMs: i === history.length - 2 ? full : Math.min(keepMs, full) };
    }),
  };
}

export type TlsSettings = NonNullable<ServerSettings['tls']>;

/** Null: plain HTTP. Throws SECRET_UNAVAILABLE where the files are not there, or are none. */
export function readServerTls(values: OptionValues, host: Host): TlsSettings | null {
  const [certFile, keyFile, caFile] = [
    values['server.tls.certFile'],
    values['server.tls.keyFile'],
    values['server.tls.clientCaFile'],
  ];
  if (certFile === null || keyFile === null) return null;
  const read = (file: string, label: string, what: string): string =>
    readAs(() => readPem({ file }, label, { what: `server.tls.${what}`, host }));
  return {
    certificate: read(certFile, 'CERTIFICATE', 'certFile'),
    key: read(keyFile, 'PRIVATE KEY', 'keyFile'),
    clientAuthorities: caFile === null ? null : read(caFile, 'CERTIFICATE', 'clientCaFile'),
  };
}

/** Null: nobody signs in elsewhere. Secret and authorities are read when they are needed, and throw SECRET_UNAVAILABLE then. */
export function signOnOf(values: OptionValues, host: Host): SignOnSettings | null {
  const issuer = values['auth.oidc.issuer'];
  const clientId = values['auth.oidc.clientId'];
  const secret = values['auth.oidc.clientSecret'];
  if (issuer === null || clientId === null || secret === null) return null;
  const file = values['auth.oidc.caFile'];
  return {
    issuer,
    clientId,
    clientSecret: () => readOption(secret, 'auth.oidc.clientSecret', host),
    scopes: values['auth.oidc.scopes'],
    ca: () =>
      file === null ? null : readAs(() => readPem({ file }, 'CERTIFICATE', { what: 'auth.oidc.caFile', host })),
    mayBePrivate: values['auth.oidc.onThisNetwork'],
    roles: values['auth.oidc.roles'].map(parseClaimRole),
    acceptedAcr: values['auth.oidc.acceptedAcr'],
  };
}

/** Where people reach the server, unless they are told otherwise. */
export function publicUrlOf(
  values: OptionValues,
  { port, hostName }: { readonly port: number; readonly hostName: string },
): string {
  const stated = values['server.publicUrl'];
  if (stated !== null) return stated;
  const scheme = values['server.tls.certFile'] === null ? 'http' : 'https';
  const { 'server.host': host } = values;
  const isAny = host === '0.0.0.0' || host === '::';
  return `${scheme}://${formatAddress({ host: isAny ? hostName : host, port })}`;
}

/** The key of stored secrets; `isNew`: nothing is sealed with it yet. Throws CONFIG_INVALID, SECRET_UNAVAILABLE. */
export function keyringOf(values: OptionValues, host: Host, { isNew }: { readonly isNew: boolean }): KeyEncryption {
  const ref = values['secrets.key'];
  const path = values['secrets.keyFile'];
  const text = ref === null ? null : readOption(ref, 'secrets.key', host);
  const address = values['secrets.transit.address'];
  if (address === null) return openKeyring(host, { path, text, isNew });
  const hasOthers = text !== null || host.disk.look(path) !== null;
  return transitOf(values, host, {
    address,
    others: hasOthers ? openKeyring(host, { path, text, isNew: false }) : null,
  });
}

/** Whether stored secrets can be opened at all. */
export function hasKeyring(values: OptionValues, { disk }: Pick<Host, 'disk'>): boolean {
  const { 'secrets.key': ref, 'secrets.transit.address': address, 'secrets.keyFile': path } = values;
  return ref !== null || address !== null || disk.look(path) !== null;
}

function transitOf(
  values: OptionValues,
  host: Host,
  { address, others }: { readonly address: string; readonly others: KeyEncryption | null },
): KeyEncryption {
  const tokenFile = values['secrets.transit.tokenFile'];
  const caFile = values['secrets.transit.caFile'];
  if (tokenFile === null)
    throw new AppError('CONFIG_INVALID', 'secrets.transit.tokenFile is missing beside secrets.transit.address.');
  const { protocol, hostname } = new URL(address);
  if (protocol === 'http:' && !LOOPBACK.test(hostname))
    throw new AppError('CONFIG_INVALID', 'secrets.transit.address has to begin with https:// for another machine.');
  return createTransitKeys({
    address,
    mount: values['secrets.transit.mount'],
    key: values['secrets.transit.key'],
    token: () => readOption({ file: tokenFile }, 'secrets.transit.tokenFile', host).trim(),
    ca: () => (caFile === null ? null : readCertificateOf({ file: caFile }, host)),
    web: host.web,
    others,
  });
}

/** What stands behind a reference in an option. Throws SECRET_UNAVAILABLE. */
function readOption(ref: SecretRef, option: string, host: Host): string {
  return readAs(() => readSecret(ref, option, host));
}

/** A certificate that somebody refers to. Throws SECRET_UNAVAILABLE. */
export function readCertificateOf(ref: SecretRef, host: Host): string {
  return readAs(() => readPem(ref, 'CERTIFICATE', { what: 'certificate', host }));
}

/** Secrets that cannot be had are told as of a cluster. */
function readAs(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    throw new AppError('SECRET_UNAVAILABLE', `${error.message}.`, { cause: error });
  }
}
