/** Every certificate that something here depends on, and when it ends. */
import type { X509Certificate } from 'node:crypto';
import type { SecretRef } from '#contract/cluster-security.ts';
import { AppError } from '#contract/errors.ts';
import type { OptionValues } from '#contract/options.ts';
import { serverClusterSchema } from '#contract/resources.ts';
import { factsOf, parseCertificates } from '#watch/certificates/certificate-facts.ts';
import type { ServerPorts } from '../ports.ts';
import type { Context } from './context.ts';
import { everyItem } from './pages.ts';
import { userNameOf } from './user-names.ts';

const DAY_MS = 24 * 3_600_000;

export type CertificateUse =
  | 'server'
  | 'client-authority'
  | 'cluster-authority'
  | 'cluster-identity'
  | 'receiver-authority'
  | 'provider-authority'
  | 'client';

export type ExpiryLevel = 'ok' | 'notice' | 'warning' | 'critical' | 'expired' | 'unknown';

export interface RegisteredCertificate {
  readonly use: CertificateUse;
  /** The cluster, or the user; null: the server. */
  readonly of: string | null;
  readonly subject: string | null;
  readonly issuer: string | null;
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  readonly daysLeft: number | null;
  readonly level: ExpiryLevel;
  readonly fingerprint: string | null;
  readonly trouble: Pick<AppError, 'code' | 'message' | 'nextStep'> | null;
}

type Place = Pick<RegisteredCertificate, 'use' | 'of'>;

/** Which certificates are looked at, besides those of clusters. */
export type CertificateFiles = Pick<
  OptionValues,
  'server.tls.certFile' | 'server.tls.clientCaFile' | 'monitoring.push.caFile' | 'auth.oidc.caFile'
>;

/** The one that ends first at the top; before it those of which it is not known. */
export async function registeredCertificates({
  ports,
  configuration,
}: Pick<Context, 'ports' | 'configuration'>): Promise<readonly RegisteredCertificate[]> {
  const found = await namedCertificates(ports, configuration.resolved.values);
  const clients = await clientCertificates(ports);
  return [...found, ...clients].toSorted((a, b) => (a.notAfter ?? 0) - (b.notAfter ?? 0));
}

/** Those that clusters of the store name, and options. */
export async function namedCertificates(
  {
    store,
    clock,
    readCertificate,
  }: Pick<ServerPorts, 'clock' | 'readCertificate'> & { readonly store: Pick<ServerPorts['store'], 'clusters'> },
  files: CertificateFiles,
): Promise<readonly RegisteredCertificate[]> {
  const now = clock.now();
  const found: RegisteredCertificate[] = [];
  const read = (place: Place, ref: SecretRef | null): void => {
    if (ref === null) return;
    try {
      const certificates = parseCertificates(readCertificate(ref));
      if (certificates === null)
        throw new AppError('SECRET_UNAVAILABLE', `What is given as ${place.use} holds no certificate in PEM.`, {
          nextStep: 'Look at the file that is named.',
        });
      found.push(...certificates.map((certificate) => knownOf(place, certificate, now)));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message, nextStep } = error;
      found.push({ ...place, ...NOTHING, trouble: { code, message, nextStep } });
    }
  };
  const fileOf = (path: string | null): SecretRef | null => (path === null ? null : { file: path });
  read({ use: 'server', of: null }, fileOf(files['server.tls.certFile']));
  read({ use: 'client-authority', of: null }, fileOf(files['server.tls.clientCaFile']));
  read({ use: 'receiver-authority', of: null }, fileOf(files['monitoring.push.caFile']));
  read({ use: 'provider-authority', of: null }, fileOf(files['auth.oidc.caFile']));
  const filter = { state: 'active' } as const; // nothing connects to one that was deleted
  for await (const cluster of everyItem((request) => store.clusters.list({ ...request, filter }))) {
    const { data: resource } = serverClusterSchema.safeParse(cluster.document);
    if (resource === undefined) {
      // What was stored was checked then; this version sees it otherwise.
      found.push({ use: 'cluster-authority', of: cluster.name, ...NOTHING, trouble: unusable(cluster.name) });
      continue;
    }
    const { tls } = resource.spec.security;
    read({ use: 'cluster-authority', of: cluster.name }, tls?.ca ?? null);
    read({ use: 'cluster-identity', of: cluster.name }, tls?.identity?.certificate ?? null);
  }
  return found;
}

function unusable(name: string): RegisteredCertificate['trouble'] {
  return {
    code: 'CONFIG_INVALID',
    message: `The document of cluster "${name}" cannot be used.`,
    nextStep: 'Change it to what this version takes.',
  };
}

async function clientCertificates({
  store,
  clock,
}: Pick<ServerPorts, 'store' | 'clock'>): Promise<readonly RegisteredCertificate[]> {
  const now = clock.now();
  const found: RegisteredCertificate[] = [];
  for (const { userId, subject, fingerprint, createdAt, expiresAt, revokedAt } of await store.certificates.list(null)) {
    if (expiresAt === null || revokedAt !== null) continue;
    const of = await userNameOf(store, userId);
    const dates = { notBefore: createdAt, notAfter: expiresAt, ...leftOf(expiresAt, now) };
    found.push({ use: 'client', of, subject, issuer: null, fingerprint, trouble: null, ...dates });
  }
  return found;
}

const NOTHING = {
  subject: null,
  issuer: null,
  notBefore: null,
  notAfter: null,
  daysLeft: null,
  level: 'unknown',
  fingerprint: null,
} as const;

function knownOf(place: Place, certificate: X509Certificate, now: number): RegisteredCertificate {
  const { subject, issuer, notBefore, notAfter, fingerprint } = factsOf(certificate);
  return { ...place, subject, issuer, notBefore, notAfter, fingerprint, trouble: null, ...leftOf(notAfter, now) };
}

/** Steps at which people are told. */
const LEVELS = [
  { days: 0, level: 'expired' },
  { days: 7, level: 'critical' },
  { days: 14, level: 'warning' },
  { days: 30, level: 'notice' },
] as const;

function leftOf(notAfter: number, now: number): Pick<RegisteredCertificate, 'daysLeft' | 'level'> {
  const level = LEVELS.find(({ days }) => notAfter - now <= days * DAY_MS)?.level ?? 'ok';
  return { daysLeft: Math.floor((notAfter - now) / DAY_MS), level };
}
