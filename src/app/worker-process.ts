/**
 * `lockstep worker`: one more process that runs the jobs of a store. The processes of a mirror share its partitions by a group on
 * its target cluster; the store only says which jobs there are.
 */
import type { SecretRef } from '#contract/cluster-security.ts';
import { AppError } from '#contract/errors.ts';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { resolveOptions } from '#contract/option-values.ts';
import type { OptionValues } from '#contract/options.ts';
import { HistoryKeeper } from '#server/features/history-keeper.ts';
import { openStore } from '#store/open-store.ts';
import type { Store } from '#store/store.ts';
import { createVault, type Vault } from '#store/vault.ts';
import { Announcer } from './announcer.ts';
import { showCertificates } from './certificate-metrics.ts';
import { createClusterAccess, runWith } from './cluster-access.ts';
import { collectStore } from './control-plane-metrics.ts';
import type { Host } from './host.ts';
import { createJobAccount } from './job-account.ts';
import { JobSupervisor } from './job-supervisor.ts';
import { openProcessMonitoring } from './process-monitoring.ts';
import { aborted, Ends, type ProcessOptions, type RunOn } from './process.ts';
import { hasKeyring, keyringOf, readCertificateOf, storeLocation } from './server-options.ts';
import { troubleEvent } from './trouble.ts';

const STORE_CLOSE_MS = 5_000;

/** Resolves when it has ended in good order. Throws AppError where it cannot begin. */
export async function runWorker(host: Host, options: ProcessOptions, runOn: RunOn): Promise<void> {
  const announcer = new Announcer(host.clock, options.onEvent);
  const ends = new Ends(host.clock, announcer);
  try {
    await startWorker(host, { ...options, announcer, ends, runOn });
    await aborted(options.signal);
  } finally {
    await ends.endAll();
  }
}

async function startWorker(
  host: Host,
  {
    sources,
    version,
    announcer,
    ends,
    runOn,
  }: ProcessOptions & { readonly announcer: Announcer; readonly ends: Ends; readonly runOn: RunOn },
): Promise<void> {
  const { clock, random } = host;
  const { values } = resolveOptions(sources());
  announcer.level = values['logging.level'];
  const location = storeLocation(values, host);
  if (location.engine !== 'postgres')
    throw new AppError('CONFIG_INVALID', 'A worker shares the database of its server, which has to be PostgreSQL.', {
      nextStep: 'Set LOCKSTEP_DATABASE_URL, for the server too. With SQLite, the server runs all jobs itself.',
    });
  const store = await openStore(location, { clock });
  ends.push(() => store.close(STORE_CLOSE_MS));
  const settings = monitoringOf(values);
  const waitsFor = (): readonly string[] => (store.health().state === 'ok' ? [] : ['the store']);
  const monitoring = settings && (await openProcessMonitoring(host, { settings, version, waitsFor, announcer }));
  if (monitoring) ends.push(() => monitoring.close());
  const access = createClusterAccess(host, { values, vault: openVault(host, { values, store }), announcer });
  if (monitoring) {
    monitoring.also((into) => collectStore(into, store.health()));
    const readCertificate = (ref: SecretRef): string => readCertificateOf(ref, access.host);
    const reading = { readCertificate, prepare: access.prepare, values: () => values, isServer: false };
    showCertificates(monitoring, { store, clock, announcer, ends, ...reading });
  }
  const observers = createJobAccount({ clock, monitoring, announcer, note: null });
  const jobs = new JobSupervisor({
    store,
    clock,
    random,
    process: host.process,
    run: runWith(access, runOn),
    observers,
  });
  jobs.start();
  ends.push(() => jobs.close());
  const log = (entry: Parameters<typeof troubleEvent>[0]): void => announcer.tell(troubleEvent(entry, clock.now()));
  const keeper = new HistoryKeeper({ store, jobs, clock, log }, { isServer: false });
  ends.push(() => keeper.close());
  host.growHeap();
}

/** Null without the key: then no cluster may refer to a stored secret. */
function openVault(
  host: Host,
  { values, store }: { readonly values: OptionValues; readonly store: Store },
): Vault | null {
  return hasKeyring(values, host) ? createVault(store.secrets, keyringOf(values, host, { isNew: false })) : null;
}
