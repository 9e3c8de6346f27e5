/** As whom the brokers see us, as far as our own settings tell. Pure. */
import type { Access } from '#contract/plan.ts';
import type { ClusterResource } from '#contract/resources.ts';

/** Brokers may map names by rules of their own (`principal.builder.class`, `ssl.principal.mapping.rules`); they do not say. */
export function accessOf({ metadata, spec }: ClusterResource): Access {
  return { cluster: metadata.name, bootstrap: spec.bootstrap.join(','), ...principalOf(spec.security) };
}

function principalOf({ sasl, tls }: ClusterResource['spec']['security']): Pick<Access, 'principal' | 'how'> {
  if (sasl !== null && 'username' in sasl)
    return { principal: `User:${sasl.username}`, how: `the user of ${sasl.mechanism}` };
  if (sasl !== null) return { principal: null, how: 'the broker takes it from the token' };
  if (tls?.identity) return { principal: null, how: "the broker takes it from the certificate's subject" };
  return { principal: 'User:ANONYMOUS', how: 'without a login' };
}
