import { AppError } from '#contract/errors.ts';
import { printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readText } from '../../files.ts';
import { checkContextName, readContexts, writeContexts } from '../../remote/contexts.ts';
import { parseServer } from '../../remote/server-address.ts';
import type { Verb } from '../../verb.ts';

interface Options {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly json?: true;
}

export const addContext: Verb<Options> = {
  summary: 'remember a server under a name, and use it from now on',
  description:
    'Remembers a server under a name, and uses it from now on. Nothing is asked of it yet: sign in with "lockstep login".\n\nContexts stand in $XDG_CONFIG_HOME/lockstep/contexts.json (~/.config without that), which nobody else may read. A name that is there is replaced, and its credentials are forgotten.',
  examples: [
    'lockstep context add prod https://lockstep.example:8443 --ca ca.pem',
    'lockstep context add prod https://lockstep.example:8443 --cert client.pem --key client-key.pem',
  ],
  options: {
    '--ca <file>': "the authority of the server's certificate; without it those that Node trusts",
    '--cert <file>': 'our certificate, for servers that ask for one',
    '--key <file>': 'its key',
  },
  takesFiles: false,
  async run(context, { ca, cert, key, json }, name, args) {
    checkContextName(name);
    if ((cert === undefined) !== (key === undefined))
      throw new AppError('REQUEST_INVALID', '--cert and --key go together', { nextStep: 'Name both, or neither.' });
    const server = parseServer(args[1] ?? '');
    for (const path of [ca, cert, key]) if (path !== undefined) readText(context.host.disk, path);
    const { contexts } = readContexts(context);
    const files = { caFile: ca ?? null, certFile: cert ?? null, keyFile: key ?? null };
    writeContexts(context, {
      current: name,
      contexts: { ...contexts, [name]: { server, ...files, username: null, credential: null } },
    });
    const { io } = context;
    io.out(json ? `${printableJson({ name, server, current: true })}\n` : `${name} is ${server}, and in use\n`);
    return exitCodes.ok;
  },
};
