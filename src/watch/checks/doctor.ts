import type { Check } from '#contract/check.ts';
import type { SecretRef } from '#contract/cluster-security.ts';
import type { MirrorPlan } from '#contract/plan.ts';
import type { ClusterResource, Documents, MirrorResource } from '#contract/resources.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { TlsOptions } from '#util/network.ts';
import { certificatesOf } from '../certificates/cluster-certificates.ts';
import type { InspectedServer } from '../certificates/inspect-server.ts';
import { checkCertificate, checkClock, checkServer } from './cluster.ts';

export interface DoctorPorts {
  readonly now: () => number;
  /** Rejects where no broker answers. */
  readonly connect: (cluster: string) => Promise<Cluster>;
  readonly plan: (mirror: MirrorResource) => Promise<MirrorPlan>;
  /** Throws where it cannot be had. */
  readonly readSecret: (ref: SecretRef, what: string) => string;
  /** What a connection to a host of the cluster would use. Throws where a secret cannot be had. */
  readonly tlsOf: (cluster: ClusterResource, host: string) => TlsOptions;
  readonly inspect: (
    options: TlsOptions & { readonly host: string; readonly port: number },
  ) => Promise<InspectedServer>;
  /** An error in words. */
  readonly describe: (
    error: unknown,
    subject: string,
  ) => { readonly message: string; readonly nextStep: string | null };
}

/** Looks at the clusters and mirrors of files, all at once; changes nothing. Rejects with bugs only. */
export async function examine({ clusters, mirrors }: Documents, ports: DoctorPorts): Promise<Check[]> {
  const all = await Promise.all([
    ...clusters.map((resource) => examineCluster(resource, ports)),
    ...mirrors.map((mirror) => examineMirror(mirror, ports)),
  ]);
  return all.flat();
}

async function examineCluster(resource: ClusterResource, ports: DoctorPorts): Promise<Check[]> {
  const { name } = resource.metadata;
  const subject = `cluster "${name}"`;
  const tls = await examineTls(resource, ports);
  try {
    const cluster = await ports.connect(name);
    const found = `${cluster.brokers().length} brokers, id ${cluster.clusterId}`;
    const reached: Check = { subject, what: 'reachable', verdict: 'ok', found, nextStep: null };
    return [reached, ...tls, await checkClock(cluster)];
  } catch (error) {
    return [failed(ports, error, { subject, what: 'reachable' }), ...tls];
  }
}

async function examineTls(resource: ClusterResource, ports: DoctorPorts): Promise<Check[]> {
  const { spec } = resource;
  if (!spec.security.tls) return [];
  const subject = `cluster "${resource.metadata.name}"`;
  const files = certificatesOf(resource).map(({ name: what, ref }): Check => {
    try {
      return checkCertificate({ subject, what }, ports.readSecret(ref, what), ports.now());
    } catch (error) {
      return failed(ports, error, { subject, what });
    }
  });
  const servers = spec.bootstrap.map(async (address): Promise<Check> => {
    const [, name = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
    const host = name.replace(/^\[|\]$/g, '');
    try {
      const shown = await ports.inspect({ ...ports.tlsOf(resource, host), host, port: Number(port) });
      return checkServer(subject, address, shown);
    } catch (error) {
      return failed(ports, error, { subject, what: `TLS of ${address}` });
    }
  });
  return [...files, ...(await Promise.all(servers))];
}

async function examineMirror(mirror: MirrorResource, ports: DoctorPorts): Promise<Check[]> {
  const subject = `mirror "${mirror.metadata.name}"`;
  try {
    return judgePlan(subject, await ports.plan(mirror));
  } catch (error) {
    return [failed(ports, error, { subject, what: 'rights and settings' })];
  }
}

export function judgePlan(subject: string, { grants, findings, topics }: MirrorPlan): Check[] {
  const missing = grants.map(({ what, cluster, command }): Check => {
    const found = `missing on cluster "${cluster}": ${what}`;
    return { subject, what: 'rights', verdict: 'failed', found, nextStep: command };
  });
  const unfit = [...findings, ...topics.flatMap((topic) => topic.findings)].map(
    ({ code, severity, message, nextStep }): Check => ({
      subject,
      what: code,
      verdict: severity === 'error' ? 'failed' : 'warning',
      found: message,
      nextStep,
    }),
  );
  if (missing.length + unfit.length > 0) return [...missing, ...unfit];
  const found = `${topics.length} topics, all rights, nothing that stands against it`;
  return [{ subject, what: 'rights and settings', verdict: 'ok', found, nextStep: null }];
}

function failed({ describe }: DoctorPorts, error: unknown, of: Pick<Check, 'subject' | 'what'>): Check {
  const { message, nextStep } = describe(error, of.subject);
  return { ...of, verdict: 'failed', found: message, nextStep };
}
