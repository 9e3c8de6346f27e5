/**
 * `lockstep worker`: one more process that runs the jobs of a store. The processes of a mirror share its partitions by a group on
 * its target cluster; the store only says which jobs there are.
 */
import { AppError } from '#contract/errors.ts';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { HistoryKeeper } from '#server/features/history-keeper.ts';
import { openStore } from '#store/open-store.ts';
import type { Host } from './host.ts';
import { createJobAccount } from './job-account.ts';
import { createJobHost } from './job-host.ts';
import { JobSupervisor } from './job-supervisor.ts';
import { openProcessMonitoring } from './process-monitoring.ts';
import { aborted, Ends, type ProcessOptions, type RunOn } from './process.ts';
import { storeLocation } from './server-options.ts';
import { troubleEvent } from './trouble.ts';

const STORE_CLOSE_MS = 5_000;

/** Resolves when it has ended in good order. Throws AppError where it cannot begin. */
export async function runWorker(host: Host, options: ProcessOptions, runOn: RunOn): Promise<void> {
  const ends = new Ends(host, options);
  try {
    await startWorker(host, { options, runOn, ends });
    await aborted(options.signal);
  } finally {
    await ends.endAll();
  }
}

async function startWorker(
  host: Host,
  { options, runOn, ends }: { readonly options: ProcessOptions; readonly runOn: RunOn; readonly ends: Ends },
): Promise<void> {
  const { clock, random } = host;
  const { values, version, onEvent } = options;
  const location = storeLocation(values, host);
  if (location.engine !== 'postgres')
    throw new AppError('CONFIG_INVALID', 'A worker shares the database of its server, which has to be PostgreSQL.', {
      nextStep: 'Set LOCKSTEP_DATABASE_URL, for the server too. With SQLite, the server runs all jobs itself.',
    });
  const store = await openStore(location, { clock });
  ends.push(() => store.close(STORE_CLOSE_MS));
  const settings = monitoringOf(values);
  const waitsFor = (): readonly string[] => (store.health().state === 'ok' ? [] : ['the store']);
  const monitoring = settings && (await openProcessMonitoring(host, { settings, version, waitsFor, onEvent }));
  if (monitoring) ends.push(() => monitoring.close());
  const jobs = new JobSupervisor({
    store,
    clock,
    random,
    run: runOn(createJobHost(host, values)),
    observers: createJobAccount({ clock, monitoring, onEvent, note: null }),
  });
  jobs.start();
  ends.push(() => jobs.close());
  const log = (entry: Parameters<typeof troubleEvent>[0]): void => onEvent(troubleEvent(entry, clock.now()));
  const keeper = new HistoryKeeper({ store, jobs, clock, log }, host.process);
  ends.push(() => keeper.close());
}
