import { printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatTable, UNKNOWN } from '../../format.ts';
import { readContexts, type ServerContext } from '../../remote/contexts.ts';
import type { Verb } from '../../verb.ts';

interface Options {
  readonly json?: true;
}

export const listContexts: Verb<Options> = {
  summary: 'show the servers that are known, and which is in use',
  description:
    'Shows the servers that are known, which is in use, and who is signed in there. Credentials are never shown.',
  examples: ['lockstep context list', 'lockstep context list --json | jq -r .current'],
  options: {},
  takesFiles: false,
  async run(context, { json }) {
    const { io, host } = context;
    const { current, contexts } = readContexts(context);
    const shown = Object.entries(contexts).map(([name, held]) => ({
      name,
      server: held.server,
      current: name === current,
      username: held.username,
      signedIn: signedInBy(held, host.clock.now()),
      caFile: held.caFile,
      certFile: held.certFile,
    }));
    if (json) io.out(`${printableJson({ current, contexts: shown })}\n`);
    else if (shown.length === 0) io.out('none; "lockstep context add NAME https://HOST:PORT" adds one\n');
    else {
      const rows = shown.map((each) => [
        each.current ? '*' : '',
        each.name,
        each.server,
        each.username ?? UNKNOWN,
        each.signedIn,
      ]);
      const columns = [
        { title: '' },
        { title: 'NAME' },
        { title: 'SERVER' },
        { title: 'USER' },
        { title: 'SIGNED IN' },
      ];
      io.out(`${formatTable(columns, rows).join('\n')}\n`);
    }
    return exitCodes.ok;
  },
};

function signedInBy({ credential, certFile }: ServerContext, now: number): 'session' | 'token' | 'certificate' | 'no' {
  if (credential !== null && (credential.expiresAt === null || credential.expiresAt > now)) return credential.kind;
  return certFile === null ? 'no' : 'certificate';
}
