import { AppError } from '#contract/errors.ts';
import { printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import type { Verb } from '../../verb.ts';

interface Options {
  readonly dir?: string;
  readonly host?: readonly string[];
  readonly organisation?: string;
  readonly days?: string;
  readonly json?: true;
}

const DEFAULTS = { dir: './certs', host: 'localhost', organisation: 'Lockstep', days: '365' };

export const generateCerts: Verb<Options> = {
  summary: 'make an authority, and certificates of a server and a client',
  description:
    'Makes an authority and certificates that it signs, for a server and a client: ca.pem, server.pem, client.pem, and their keys (-key.pem), which their owner alone may read. Nothing that is there is replaced; an authority that is there signs again, so certificates are renewed by moving the old ones away.\n\nKeep ca-key.pem where the server cannot read it. At a terminal it asks for what no flag says.',
  examples: [
    'lockstep tls generate-certs --host lockstep.example --host 10.0.0.7',
    'lockstep tls generate-certs --dir /etc/lockstep/certs --organisation "Example Bank" --days 90',
  ],
  options: {
    '--dir <directory>': `where the files go; without it ${DEFAULTS.dir}`,
    '--host <name...>': `names and addresses of the server; without it ${DEFAULTS.host}`,
    '--organisation <name>': `of all certificates; without it ${DEFAULTS.organisation}`,
    '--days <number>': `how long server and client certificates hold; without it ${DEFAULTS.days}`,
  },
  takesFiles: false,
  async run({ io, host, app }, options) {
    const answer = async (given: string | undefined, question: string, fallback: string): Promise<string> =>
      given ?? (((await io.ask?.(`${question} [${fallback}] `)) ?? '').trim() || fallback);
    const directory = await answer(options.dir, 'Directory', DEFAULTS.dir);
    const hosts = options.host ?? (await answer(undefined, 'Host names and addresses', DEFAULTS.host)).split(/[\s,]+/);
    const organisation = await answer(options.organisation, 'Organisation', DEFAULTS.organisation);
    const days = Number(options.days ?? DEFAULTS.days);
    if (!Number.isInteger(days) || days < 1 || days > 3650)
      throw new AppError('REQUEST_INVALID', '--days must be a whole number from 1 to 3650', { nextStep: 'Try 365.' });
    const made = await app.makeCertificates(host, { directory, hosts, organisation, days });
    if (options.json) io.out(`${printableJson(made)}\n`);
    else {
      for (const file of made.files) io.out(`wrote ${file}\n`);
      if (made.isAuthorityKept) io.out('signed by the authority that was there\n');
      io.out(`next: lockstep tls import-cert --cert ${directory}/server.pem --key ${directory}/server-key.pem\n`);
    }
    return exitCodes.ok;
  },
};
