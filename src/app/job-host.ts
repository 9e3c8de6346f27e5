/**
 * The host as jobs of the API see it. Who may add a cluster says where its password stands, and whom it is sent to: what
 * belongs to the server itself is not among the places.
 */
import { resolve } from 'node:path';
import type { SecretRef } from '#contract/cluster-security.ts';
import { optionKeys, rowOf, type OptionValues } from '#contract/options.ts';
import type { Host } from './host.ts';

const OWN_VARIABLES = 'LOCKSTEP_';
/** Where the variables of this process can be read as a file. */
const PROCESSES = '/proc/';

/** `environment`: without what is ours, and with what is stored. */
export function createJobHost(host: Host, values: OptionValues, environment: Host['environment']): Host {
  const isOwn = (path: string): boolean => {
    const identity = host.disk.look(path)?.identity;
    // Under whatever name: a link leads to the same file.
    return identity !== undefined && ownFiles(values).some((own) => host.disk.look(own)?.identity === identity);
  };
  return {
    ...host,
    environment,
    disk: {
      ...host.disk,
      readText(path) {
        if (!resolve(path).startsWith(PROCESSES) && !isOwn(path)) return host.disk.readText(path);
        throw Object.assign(new Error(`EACCES: ${path} is the server's own`), { code: 'EACCES' });
      },
    },
  };
}

/** The variables that may be named. */
export function foreignVariables({ environment }: Pick<Host, 'environment'>): Host['environment'] {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith(OWN_VARIABLES)));
}

function ownFiles(values: OptionValues): string[] {
  const files = [
    values['secrets.keyFile'],
    values['secrets.transit.tokenFile'],
    values['audit.keyFile'],
    values['database.path'],
    values['server.tls.keyFile'],
    values['server.setupTokenFile'],
  ];
  const refs = optionKeys.flatMap((key) => (rowOf(key).type.isSecret ? (values[key] as SecretRef | null) : []));
  const named = refs.map((ref) => (ref !== null && 'file' in ref ? ref.file : null));
  return [...files, ...named].filter((path) => path !== null);
}
