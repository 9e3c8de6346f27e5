import type { SecretRef } from './cluster-security.ts';
import type { Address } from './option-types.ts';
import type { OptionValues } from './options.ts';

/** What a process tells of itself, and to whom. */
export interface MonitoringSettings {
  readonly listen: Address | null;
  readonly token: SecretRef | null;
  readonly partitionsMax: number;
  readonly topicsMax: number;
  readonly hasOriginalNames: boolean;
  readonly push: {
    readonly everyMs: number;
    readonly queueBytesMax: number;
    readonly ca: string | null;
  };
  readonly prometheus: { readonly pushGateway: string; readonly token: SecretRef | null } | null;
  readonly splunk: {
    readonly hecEndpoint: string;
    readonly hecToken: SecretRef;
    readonly index: string | null;
    readonly source: string;
  } | null;
  readonly loki: { readonly endpoint: string; readonly token: SecretRef | null; readonly tenant: string | null } | null;
  readonly traces: { readonly endpoint: string; readonly token: SecretRef | null; readonly percent: number } | null;
}

/** Null where nobody is to be told anything. */
export function monitoringOf(values: OptionValues): MonitoringSettings | null {
  const gateway = values['monitoring.prometheus.pushGateway'];
  const hec = values['monitoring.splunk.hecEndpoint'];
  const hecToken = values['monitoring.splunk.hecToken'];
  const loki = values['monitoring.loki.endpoint'];
  const traces = values['monitoring.traces.endpoint'];
  const settings: MonitoringSettings = {
    listen: values['monitoring.listen'],
    token: values['monitoring.token'],
    partitionsMax: values['monitoring.partitionsMax'],
    topicsMax: values['monitoring.topicsMax'],
    hasOriginalNames: values['monitoring.originalNames'],
    push: {
      everyMs: values['monitoring.push.interval'],
      queueBytesMax: values['monitoring.push.queueBytes'],
      ca: values['monitoring.push.caFile'],
    },
    prometheus: gateway === null ? null : { pushGateway: gateway, token: values['monitoring.prometheus.token'] },
    splunk:
      hec === null || hecToken === null
        ? null
        : {
            hecEndpoint: withPath(hec, '/services/collector/event'),
            hecToken,
            index: values['monitoring.splunk.index'],
            source: values['monitoring.splunk.source'],
          },
    loki:
      loki === null
        ? null
        : {
            endpoint: withPath(loki, '/loki/api/v1/push'),
            token: values['monitoring.loki.token'],
            tenant: values['monitoring.loki.tenant'],
          },
    traces:
      traces === null
        ? null
        : {
            endpoint: withPath(traces, '/v1/traces'),
            token: values['monitoring.traces.token'],
            percent: values['monitoring.traces.percent'],
          },
  };
  const { listen, prometheus, splunk } = settings;
  const isWanted = listen ?? prometheus ?? splunk ?? settings.loki ?? settings.traces;
  return isWanted ? settings : null;
}

/** An address that names more than a host is taken as it stands. */
function withPath(address: string, path: string): string {
  return new URL(address).pathname === '/' ? new URL(path, address).href : address;
}
