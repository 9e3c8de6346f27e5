/** Tells what providers are known to lack where it matters: in the plan, and where a request is not spoken there. */
import { AppError } from './errors.ts';
import type { Finding } from './plan.ts';
import { providers, type ProviderName } from './providers.ts';
import type { ClusterResource } from './resources.ts';

/** For the plan of a mirror that uses the cluster. */
export function limitFindings({ metadata, spec }: ClusterResource): Finding[] {
  const { provider } = spec.security;
  return providers[provider].limits.map(({ fact, source }) => ({
    code: 'CLUSTER_SETTING_UNFIT',
    severity: 'warning',
    message: `Cluster "${metadata.name}" (provider ${provider}): ${fact}`,
    nextStep: `See ${source}`,
  }));
}

/** The same error; that a request is not spoken is no matter of the version where the provider is known to lack it. */
export function withLimits(error: unknown, provider: ProviderName): unknown {
  const { limits } = providers[provider];
  if (!(error instanceof AppError) || error.code !== 'CLUSTER_API_UNSUPPORTED' || limits.length === 0) return error;
  return new AppError(error.code, error.message, { cause: error, nextStep: limits.map(({ fact }) => fact).join(' ') });
}
