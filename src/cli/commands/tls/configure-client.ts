import type { OptionKey } from '#contract/options.ts';
import { FILE_OPTION, type FileOption, readOrMake, valueFrom, writeChanges } from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import type { Verb } from '../../verb.ts';
import { checkPair, needs, refuse } from './import-cert.ts';

interface Options extends FileOption {
  readonly dir?: string;
  readonly url?: string;
}

export const configureClient: Verb<Options> = {
  summary: 'have commands show a client certificate to a server',
  description:
    "Checks the client's certificate, key and authority in a directory (client.pem, client-key.pem, ca.pem, as generate-certs writes them), and writes their paths and the address of the server into the configuration file.\n\nExit code 5 where something speaks against them; nothing is written then.",
  examples: ['lockstep tls configure-client --dir ./certs --url https://lockstep.example:8080'],
  options: {
    '--dir <directory>': 'where client.pem, client-key.pem and ca.pem are',
    '--url <address>': 'the server, https://host:port',
    ...FILE_OPTION,
  },
  takesFiles: false,
  async run(context, options) {
    const { dir, url } = options;
    if (dir === undefined || url === undefined) throw needs('--dir and --url');
    const [cert, key, ca] = [`${dir}/client.pem`, `${dir}/client-key.pem`, `${dir}/ca.pem`];
    const problems = checkPair(context, { cert, key, ca }, 'client');
    if (!/^https:/i.test(url)) problems.push('--url must begin with https://: certificates are shown nowhere else');
    if (problems.length > 0) return refuse(context, problems);
    const values: [OptionKey, string][] = [
      ['client.url', url],
      ['client.tls.caFile', ca],
      ['client.tls.certFile', cert],
      ['client.tls.keyFile', key],
    ];
    const changes = values.map(([option, value]) => ({ key: option, value: valueFrom(option, value) }));
    writeChanges(context, readOrMake(context, options), changes);
    return exitCodes.ok;
  },
};
