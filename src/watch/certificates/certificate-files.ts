import { AppError } from '#contract/errors.ts';
import type { Clock } from '#util/clock.ts';
import type { Disk } from '#util/host.ts';
import { createAuthority, issueCertificate, type KeyPair } from './issue.ts';

export interface MadeCertificates {
  /** Paths, in the order in which they were written. */
  readonly files: readonly string[];
  /** The authority was there already. */
  readonly isAuthorityKept: boolean;
}

export interface CertificateRequest {
  readonly directory: string;
  /** Names and addresses of the server. */
  readonly hosts: readonly string[];
  readonly organisation: string;
  /** Of server and client; the authority has ten years. */
  readonly days: number;
}

const AUTHORITY_DAYS = 3650;
const NAMES = {
  ca: ['ca.pem', 'ca-key.pem'],
  server: ['server.pem', 'server-key.pem'],
  client: ['client.pem', 'client-key.pem'],
} as const;
/** A host name, or with a star for its first part, or an address. */
const HOST = /^(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$|^[0-9A-Fa-f:.]{2,45}$/;

/**
 * An authority with certificates for a server and a client. An authority that the directory holds already signs again, so that
 * certificates are renewed by moving the old ones away. Nothing that is there is replaced. Throws AppError REQUEST_INVALID.
 */
export async function makeCertificateFiles(
  { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
  { directory, hosts, organisation, days }: CertificateRequest,
): Promise<MadeCertificates> {
  checkNames(hosts, organisation);
  const at = (name: string): string => `${directory}/${name}`;
  disk.makeDirectory(directory);
  for (const name of [...NAMES.server, ...NAMES.client]) if (isThere(disk, at(name))) throw isInTheWay(at(name));
  const kept = readPair(disk, NAMES.ca.map(at));
  const names = { commonName: 'Lockstep authority', organisation };
  const authority = kept ?? (await createAuthority(names, { clock, days: AUTHORITY_DAYS }));
  const [commonName = 'localhost'] = hosts;
  const server = await issueCertificate(authority, { commonName, organisation, hosts }, { clock, days });
  const client = await issueCertificate(
    authority,
    { commonName: 'lockstep-client', organisation, hosts: [] },
    { clock, days },
  );
  const files: string[] = [];
  const write = ({ certificate, key }: KeyPair, [certificateName, keyName]: readonly [string, string]): void => {
    disk.createSecret(at(keyName), key);
    disk.writeText(at(certificateName), certificate);
    files.push(at(certificateName), at(keyName));
  };
  if (!kept) write(authority, NAMES.ca);
  write(server, NAMES.server);
  write(client, NAMES.client);
  return { files, isAuthorityKept: kept !== null };
}

function checkNames(hosts: readonly string[], organisation: string): void {
  const wrong = hosts.find((host) => !HOST.test(host));
  if (wrong !== undefined || hosts.length === 0)
    throw new AppError('REQUEST_INVALID', `--host: "${wrong ?? ''}" is no host name and no address`, {
      nextStep: 'Name the hosts under which the server is reached: --host lockstep.example --host 10.0.0.7',
    });
  if (!/^[^\p{Cc}\p{Cf}#][^\p{Cc}\p{Cf}]{0,63}$/u.test(organisation))
    throw new AppError(
      'REQUEST_INVALID',
      '--organisation must be 1 to 64 printable characters, and not begin with "#"',
      {
        nextStep: 'Choose another name.',
      },
    );
}

function readPair(disk: Disk, [certificatePath = '', keyPath = '']: readonly string[]): KeyPair | null {
  const [hasCertificate, hasKey] = [isThere(disk, certificatePath), isThere(disk, keyPath)];
  if (!hasCertificate && !hasKey) return null;
  if (!hasCertificate || !hasKey) throw isInTheWay(hasCertificate ? certificatePath : keyPath);
  return { certificate: disk.readText(certificatePath), key: disk.readText(keyPath) };
}

function isThere(disk: Disk, path: string): boolean {
  try {
    disk.readText(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw new AppError('REQUEST_INVALID', `cannot look at ${path}`, {
      cause: error,
      nextStep: 'Name a directory that can be read and written.',
    });
  }
}

function isInTheWay(path: string): AppError {
  return new AppError('REQUEST_INVALID', `${path} is there already; nothing was changed`, {
    nextStep: 'Move it away, or name another directory. An authority is used again where both of its files are there.',
  });
}
