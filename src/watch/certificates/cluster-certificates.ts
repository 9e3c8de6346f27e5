import type { SecretRef } from '#contract/cluster-security.ts';
import type { ClusterResource } from '#contract/resources.ts';

/** A file of certificates that the security of a cluster names. */
export interface ClusterCertificate {
  readonly cluster: string;
  /** As the key of the security: ca, certificate. */
  readonly name: string;
  readonly ref: SecretRef;
}

export function certificatesOf({ metadata, spec }: ClusterResource): ClusterCertificate[] {
  const { tls } = spec.security;
  const files = { ca: tls?.ca, certificate: tls?.identity?.certificate };
  return Object.entries(files).flatMap(([name, ref]) => (ref ? [{ cluster: metadata.name, name, ref }] : []));
}
