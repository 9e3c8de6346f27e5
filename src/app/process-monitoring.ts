/** Metrics of a process whose jobs come and go. */
import { AppError } from '#contract/errors.ts';
import type { MonitoringSettings } from '#contract/monitoring-settings.ts';
import { formatAddress } from '#contract/option-types.ts';
import { readSecret } from '#jobs/secret-host.ts';
import { Monitoring, type MonitoringOptions } from '#watch/monitoring.ts';
import type { Announcer } from './announcer.ts';
import type { Host } from './host.ts';

/** Throws REQUEST_INVALID where it cannot listen. */
export async function openProcessMonitoring(
  host: Host,
  {
    settings,
    version,
    waitsFor,
    announcer,
  }: {
    readonly settings: MonitoringSettings;
    readonly version: string;
    readonly waitsFor: () => readonly string[];
    readonly announcer: Announcer;
  },
): Promise<Monitoring> {
  const { clock } = host;
  const onTrouble: MonitoringOptions['onTrouble'] = (receiver, why) =>
    announcer.trouble(`what is pushed to ${receiver} does not arrive`, unavailable(why));
  const monitoring = await openMonitoring(host, { settings, version, jobs: [], certificates: [], waitsFor, onTrouble });
  if (monitoring.address !== null)
    announcer.tell({ event: 'metrics', url: `http://${monitoring.address}/metrics`, at: clock.now() });
  return monitoring;
}

/** Throws REQUEST_INVALID where it cannot listen. */
export async function openMonitoring(host: Host, options: MonitoringOptions): Promise<Monitoring> {
  const { listen } = options.settings;
  try {
    return await Monitoring.open({ ...host, readSecret: (ref, what) => readSecret(ref, what, host) }, options);
  } catch (cause) {
    if (!listen) throw cause;
    throw new AppError('REQUEST_INVALID', `--metrics: cannot listen on ${formatAddress(listen)}`, {
      cause,
      nextStep: 'Name an address of this machine, and a port that is free.',
    });
  }
}

function unavailable(why: string): AppError {
  return new AppError('RECEIVER_UNAVAILABLE', `${why}.`, { nextStep: 'It is tried again; jobs go on.' });
}
