import { AppError } from '#contract/errors.ts';
import type { OptionKey } from '#contract/options.ts';
import { FILE_OPTION, type FileOption, readOrMake, writeChanges } from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readText } from '../../files.ts';
import type { Verb } from '../../verb.ts';
import type { Context } from '../../context.ts';

interface Options extends FileOption {
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly clientCa?: string;
}

export const importCert: Verb<Options> = {
  summary: 'check a certificate with its key, and have the server use it',
  description:
    'Checks that certificate and key belong together, that the certificate is one for servers, names hosts and has not ended, and with --ca that the authority has signed it; then writes their paths into the configuration file. The files stay where they are.\n\nExit code 5 where something speaks against it; nothing is written then.',
  examples: [
    'lockstep tls import-cert --cert server.pem --key server-key.pem --ca ca.pem',
    'lockstep tls import-cert --cert server.pem --key server-key.pem --client-ca ca.pem -f /etc/lockstep/lockstep.yaml',
  ],
  options: {
    '--cert <file>': 'certificate chain of the server, PEM, its own first',
    '--key <file>': 'its key, PEM, without a password',
    '--ca <file>': 'authority to hold it against',
    '--client-ca <file>': 'authorities of client certificates; with it, clients may sign in by certificate',
    ...FILE_OPTION,
  },
  takesFiles: false,
  async run(context, options) {
    const { cert, key, ca, clientCa } = options;
    if (cert === undefined || key === undefined) throw needs('--cert and --key');
    const problems = checkPair(context, { cert, key, ca }, 'server');
    if (clientCa !== undefined) problems.push(...context.app.checkAuthority(readText(context.host.disk, clientCa)));
    if (problems.length > 0) return refuse(context, problems);
    const changes: [OptionKey, string | undefined][] = [
      ['server.tls.certFile', cert],
      ['server.tls.keyFile', key],
      ['server.tls.clientCaFile', clientCa],
    ];
    const stated = changes.flatMap(([option, value]) => (value === undefined ? [] : [{ key: option, value }]));
    writeChanges(context, readOrMake(context, options), stated);
    return exitCodes.ok;
  },
};

export function checkPair(
  { host, app }: Context,
  { cert, key, ca }: { readonly cert: string; readonly key: string; readonly ca: string | undefined },
  purpose: 'server' | 'client',
): string[] {
  const pair = {
    certificate: readText(host.disk, cert),
    key: readText(host.disk, key),
    ca: ca === undefined ? null : readText(host.disk, ca),
  };
  return app.checkCertificate(pair, { purpose, now: host.clock.now() });
}

export function refuse({ io }: Context, problems: readonly string[]): number {
  for (const problem of problems) io.err(`${problem}\n`);
  io.err('nothing was changed\n');
  return exitCodes.findings;
}

export function needs(what: string): AppError {
  return new AppError('REQUEST_INVALID', `${what} ${what.includes(' and ') ? 'are' : 'is'} needed`, {
    nextStep: '--help shows examples.',
  });
}
