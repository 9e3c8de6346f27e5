/** Which context is used, and which are forgotten. */
import { printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { contextNamed, readContexts, writeContexts } from '../../remote/contexts.ts';
import type { Verb } from '../../verb.ts';

interface Options {
  readonly json?: true;
}

export const useContext: Verb<Options> = {
  summary: 'talk to another server from now on',
  examples: ['lockstep context use prod'],
  options: {},
  takesFiles: false,
  async run(context, { json }, name) {
    const known = readContexts(context);
    const { server } = contextNamed(known, name);
    writeContexts(context, { ...known, current: name });
    context.io.out(json ? `${printableJson({ name, server, current: true })}\n` : `${name} (${server}) is in use\n`);
    return exitCodes.ok;
  },
};

export const removeContext: Verb<Options> = {
  summary: 'forget a server, and how to sign in there',
  description:
    'Forgets a server, and how to sign in there. A session that is open goes on until it ends by itself: "lockstep logout" ends it.',
  examples: ['lockstep logout --context old && lockstep context remove old'],
  options: {},
  takesFiles: false,
  async run(context, { json }, name) {
    const known = readContexts(context);
    contextNamed(known, name);
    const { [name]: _, ...contexts } = known.contexts;
    writeContexts(context, { current: known.current === name ? null : known.current, contexts });
    context.io.out(json ? `${printableJson({ name, removed: true })}\n` : `${name} is forgotten\n`);
    return exitCodes.ok;
  },
};
