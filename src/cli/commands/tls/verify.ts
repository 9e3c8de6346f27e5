import { AppError } from '#contract/errors.ts';
import { printable, printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readText } from '../../files.ts';
import type { Verb } from '../../verb.ts';
import { needs } from './import-cert.ts';

interface Options {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly insecure?: true;
  readonly json?: true;
}

export const verifyTls: Verb<Options> = {
  summary: 'look at the TLS of a server or broker: version, cipher, certificates',
  description:
    'Shakes hands with a server or broker and shows version, cipher and certificates, and whether it is believed. Nothing is sent to it.\n\nExit code 0 where it is believed and holds for a week and more, 5 where not, 1 where no handshake comes about. With --insecure, for development, what is not believed is shown and ends with 0.',
  examples: [
    'lockstep tls verify https://lockstep.example:8080 --ca ca.pem',
    'lockstep tls verify broker-1.example:9093 --ca ca.pem --cert client.pem --key client-key.pem',
  ],
  options: {
    '--ca <file>': 'authorities that are trusted; without it those that Node trusts',
    '--cert <file>': 'our certificate, where the server asks for one',
    '--key <file>': 'its key',
    '--server-name <name>': 'the name that the certificate must carry; without it the host',
    '--insecure': 'ends with 0 although it is not believed',
  },
  takesFiles: false,
  async run({ io, host, app }, options, address) {
    const { ca, cert, key, serverName, insecure } = options;
    const target = targetOf(address);
    if ((cert === undefined) !== (key === undefined)) throw needs('--cert and --key');
    const read = (path: string): string => readText(host.disk, path);
    const identity =
      cert === undefined || key === undefined ? null : { certificate: read(cert), key: read(key), keyPassword: null };
    const found = await app.inspectTls(host, {
      ...target,
      serverName: serverName ?? target.host,
      ca: ca === undefined ? null : read(ca),
      identity,
    });
    const isGood = found.problem === null && found.expiry?.verdict !== 'failed';
    if (options.json) io.out(`${printableJson({ address, ...found })}\n`);
    else {
      io.out(`${io.style('bold', address)}  ${found.protocol}  ${found.cipher}\n`);
      for (const { subject, issuer, hosts, notAfter } of found.chain) {
        const until = new Date(notAfter).toISOString().slice(0, 10);
        io.out(`  ${printable(subject)}, signed by ${printable(issuer)}, until ${until}\n`);
        if (hosts.length > 0) io.out(`    for ${printable(hosts.join(', '))}\n`);
      }
      if (found.expiry && found.expiry.verdict !== 'ok') io.out(`${printable(found.expiry.text)}\n`);
      io.out(
        found.problem === null ? `${io.style('green', 'believed')}\n` : `not believed: ${printable(found.problem)}\n`,
      );
    }
    return isGood || insecure ? exitCodes.ok : exitCodes.findings;
  },
};

function targetOf(address: string): { host: string; port: number } {
  const text = /^https:\/\//i.test(address) ? address : `https://${address}`;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || url.hostname === '' || url.pathname !== '/')
    throw new AppError('REQUEST_INVALID', `"${address}" is no address`, {
      nextStep: 'Write host:port, or https://host:port.',
    });
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 443 : Number(url.port) };
}
