/**
 * The host as jobs of the API see it. Who may add a cluster says where its password stands, and whom it is sent to: what
 * belongs to the server itself is not among the places.
 */
import type { OptionValues } from '#contract/options.ts';
import type { Host } from './host.ts';

const OWN_VARIABLES = 'LOCKSTEP_';

export function createJobHost(host: Host, values: OptionValues): Host {
  const own = ownFiles(values).flatMap((path) => identityOf(host, path));
  const others = Object.entries(host.environment).filter(([name]) => !name.startsWith(OWN_VARIABLES));
  return {
    ...host,
    environment: Object.fromEntries(others),
    disk: {
      ...host.disk,
      readText(path) {
        // Under whatever name: a link leads to the same file.
        if (!identityOf(host, path).some((identity) => own.includes(identity))) return host.disk.readText(path);
        throw Object.assign(new Error(`EACCES: ${path} is the server's own`), { code: 'EACCES' });
      },
    },
  };
}

function ownFiles(values: OptionValues): string[] {
  const files = [
    values['secrets.keyFile'],
    values['audit.keyFile'],
    values['database.path'],
    values['server.tls.keyFile'],
    values['server.setupTokenFile'],
  ];
  const refs = [
    values['database.url'],
    values['secrets.key'],
    values['monitoring.token'],
    values['monitoring.splunk.hecToken'],
    values['monitoring.loki.token'],
    values['monitoring.prometheus.token'],
  ];
  return [...files, ...refs.map((ref) => (ref !== null && 'file' in ref ? ref.file : null))].filter(
    (path) => path !== null,
  );
}

function identityOf({ disk }: Host, path: string): string[] {
  const facts = disk.look(path);
  return facts === null ? [] : [facts.identity];
}
