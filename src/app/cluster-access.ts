/** What jobs and questions of the API connect to clusters with: the host without what is the server's own, with what is stored. */
import { StoredSecrets } from '#server/stored-secrets.ts';
import type { OptionValues } from '#contract/options.ts';
import type { Vault } from '#store/vault.ts';
import type { Announcer } from './announcer.ts';
import type { Host } from './host.ts';
import { createJobHost, foreignVariables } from './job-host.ts';
import type { RunOn } from './process.ts';
import type { RunJob } from './supervised-job.ts';

export interface ClusterAccess {
  readonly host: Host;
  /** Reads what is stored. Where that cannot be had, what was read before holds, and whoever needs it is told by name. */
  readonly prepare: () => Promise<void>;
}

/** `vault` is null where there is no key to open it with. */
export function createClusterAccess(
  host: Host,
  {
    values,
    vault,
    announcer,
  }: { readonly values: OptionValues; readonly vault: Vault | null; readonly announcer: Announcer },
): ClusterAccess {
  const environment = foreignVariables(host);
  if (vault === null) return { host: createJobHost(host, values, environment), prepare: async () => {} };
  const secrets = new StoredSecrets({ vault, environment });
  return {
    host: createJobHost(host, values, secrets.environment),
    prepare: () =>
      secrets.refresh().catch((error: unknown) => announcer.trouble('stored secrets cannot be read', error)),
  };
}

/** Jobs that see what is stored when they begin. */
export function runWith({ host, prepare }: ClusterAccess, runOn: RunOn): RunJob {
  const run = runOn(host);
  return async (documents, options) => {
    await prepare();
    return run(documents, options);
  };
}
