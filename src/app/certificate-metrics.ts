/**
 * When the certificates end that a process of a store depends on, for its metrics: those that clusters name, and its own. They
 * are read when clusters or options have changed, and every hour, because files are replaced too.
 */
import type { OptionValues } from '#contract/options.ts';
import { namedCertificates, type CertificateUse } from '#server/features/certificate-register.ts';
import type { ServerPorts } from '#server/ports.ts';
import type { Store } from '#store/store.ts';
import type { Clock } from '#util/clock.ts';
import type { MetricSet } from '#watch/metric-set.ts';
import type { Monitoring } from '#watch/monitoring.ts';
import type { Announcer } from './announcer.ts';
import type { Ends } from './process.ts';
import { repeat } from './repeat.ts';

/** How soon those of a cluster that was changed are shown. */
const LOOK_MS = 10_000;
const READ_MS = 3_600_000;

/** As `lockstep run` names those of clusters, by the key of their security. */
const SHOWN: Partial<Record<CertificateUse, string>> = { 'cluster-authority': 'ca', 'cluster-identity': 'certificate' };

export interface CertificateMetricsOptions {
  readonly store: Pick<Store, 'clusters' | 'maintenance'>;
  readonly clock: Clock;
  readonly readCertificate: ServerPorts['readCertificate'];
  /** Has what clusters refer to ready. */
  readonly prepare: () => Promise<void>;
  readonly values: () => OptionValues;
  /** A worker shows no certificate of a server, though their options may stand in one file. */
  readonly isServer: boolean;
}

/** Until the process ends. */
export function showCertificates(
  monitoring: Pick<Monitoring, 'also'>,
  {
    announcer,
    ends,
    ...options
  }: CertificateMetricsOptions & { readonly announcer: Announcer; readonly ends: Pick<Ends, 'push'> },
): void {
  const certificates = new CertificateMetrics(options);
  monitoring.also(certificates.collect);
  const ended = new AbortController();
  const looking = repeat(options.clock, LOOK_MS, {
    work: () => certificates.look(),
    onTrouble: (error) => announcer.trouble('certificates were not looked at', error),
    signal: ended.signal,
  });
  ends.push(async () => {
    ended.abort();
    await looking;
  });
}

interface End {
  readonly cluster: string | null;
  readonly certificate: string;
  readonly at: number;
}

export class CertificateMetrics {
  readonly #options: CertificateMetricsOptions;
  #ends: readonly End[] = [];
  #seen = '';
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: CertificateMetricsOptions) {
    this.#options = options;
  }

  /** Rejects with STORE_… where the store does not answer: what was known is shown on. */
  async look(): Promise<void> {
    const { store, clock, readCertificate, prepare } = this.#options;
    const files = this.#files();
    const { resources } = await store.maintenance.versions();
    const seen = JSON.stringify([resources, files]);
    if (seen === this.#seen && clock.monotonic() - this.#readAt < READ_MS) return;
    await prepare();
    const found = await namedCertificates({ store, clock, readCertificate }, files);
    const first = new Map<string, End>();
    for (const { use, of, notAfter } of found) {
      if (notAfter === null) continue; // not known: whoever connects with it says so
      const end = { cluster: of, certificate: SHOWN[use] ?? use, at: notAfter };
      const key = JSON.stringify([end.cluster, end.certificate]);
      if (notAfter < (first.get(key)?.at ?? Infinity)) first.set(key, end);
    }
    this.#ends = [...first.values()];
    this.#seen = seen;
    this.#readAt = clock.monotonic();
  }

  readonly collect = (into: MetricSet): void => {
    for (const { cluster, certificate, at } of this.#ends) {
      const labels = cluster === null ? { certificate } : { cluster, certificate };
      into.add('lockstep_certificate_end_timestamp_seconds', labels, at / 1000);
    }
  };

  #files() {
    const { values, isServer } = this.#options;
    const {
      'server.tls.certFile': certFile,
      'server.tls.clientCaFile': clientCaFile,
      'auth.oidc.caFile': oidcCaFile,
      'monitoring.push.caFile': pushCaFile,
    } = values();
    return {
      'server.tls.certFile': isServer ? certFile : null,
      'server.tls.clientCaFile': isServer ? clientCaFile : null,
      'auth.oidc.caFile': isServer ? oidcCaFile : null,
      'monitoring.push.caFile': pushCaFile,
    };
  }
}
