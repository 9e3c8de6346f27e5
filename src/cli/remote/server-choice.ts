/** Which server a command talks to, and as whom: what stands nearest to the command counts. */
import { AppError } from '#contract/errors.ts';
import type { TlsOptions } from '#util/network.ts';
import type { Context } from '../context.ts';
import { readText } from '../files.ts';
import { readOptions } from '../options.ts';
import { contextNamed, readContexts, type Contexts, type ServerContext } from './contexts.ts';
import { parseServer } from './server-address.ts';

export interface ServerOptions {
  readonly context?: string;
  readonly server?: string;
}

/** For `Verb.options`. */
export const SERVER_OPTIONS = {
  '--context <name>': 'which context; without it LOCKSTEP_CONTEXT, else the one in use',
  '--server <address>': 'https://host:port of a server; without it LOCKSTEP_SERVER, else the context',
} as const;

export interface ServerChoice {
  readonly address: string;
  /** Under which credentials are kept; null: they come from the environment, or there are none. */
  readonly context: string | null;
  readonly username: string | null;
  readonly token: string | null;
  /** Of a token that is kept: how it came. */
  readonly kind: 'session' | 'token' | null;
  readonly files: Pick<ServerContext, 'caFile' | 'certFile' | 'keyFile'>;
  /** What is in them. */
  readonly ca: string | null;
  readonly identity: TlsOptions['identity'];
}

/** Null: none is set. Throws AppError where what is set cannot be used. */
export function chooseServer(context: Pick<Context, 'host'>, options: ServerOptions): ServerChoice | null {
  const { environment } = context.host;
  if (options.context !== undefined && options.server !== undefined)
    throw new AppError('REQUEST_INVALID', '--context and --server both name a server', {
      nextStep: 'Leave one of them out.',
    });
  const fromFlag = options.context !== undefined;
  const stated = fromFlag ? undefined : options.server || environment['LOCKSTEP_SERVER'] || undefined;
  const known = readContexts(context);
  const name = stated === undefined ? options.context || environment['LOCKSTEP_CONTEXT'] || known.current : null;
  if (name !== null) return choiceOf(context, name, contextNamed(known, name));
  const { values } = readOptions(context, {}, 'client');
  const address = stated ?? values['client.url'];
  if (address === null) return null;
  const origin = parseServer(address);
  const held = contextOf(known, origin);
  if (held !== null) return choiceOf(context, held, contextNamed(known, held));
  return choiceOf(context, null, {
    server: origin,
    caFile: values['client.tls.caFile'],
    certFile: values['client.tls.certFile'],
    keyFile: values['client.tls.keyFile'],
    username: null,
    credential: null,
  });
}

/** As `chooseServer`. Throws AppError REQUEST_INVALID where none is set. */
export function requireServer(context: Pick<Context, 'host'>, options: ServerOptions, without = ''): ServerChoice {
  const choice = chooseServer(context, options);
  if (choice !== null) return choice;
  const files = without === '' ? '' : ` ${without}`;
  throw new AppError('REQUEST_INVALID', `no server is set${without === '' ? '' : ', and no file is named'}`, {
    nextStep: `Add one with "lockstep context add NAME https://HOST:PORT" and sign in with "lockstep login"; or set LOCKSTEP_SERVER and LOCKSTEP_TOKEN.${files}`,
  });
}

/** The context of that server: the one in use where several have it. */
function contextOf({ current, contexts }: Contexts, origin: string): string | null {
  const names = Object.keys(contexts).filter((name) => contexts[name]?.server === origin);
  return names.find((name) => name === current) ?? names[0] ?? null;
}

function choiceOf({ host }: Pick<Context, 'host'>, name: string | null, held: ServerContext): ServerChoice {
  const { server, caFile, certFile, keyFile, username, credential } = held;
  const given = host.environment['LOCKSTEP_TOKEN'] || null;
  const read = (path: string): string => readText(host.disk, path);
  return {
    address: parseServer(server),
    context: name,
    username: given === null ? username : null,
    token: given ?? credential?.token ?? null,
    kind: given === null ? (credential?.kind ?? null) : null,
    files: { caFile, certFile, keyFile },
    ca: caFile === null ? null : read(caFile),
    identity:
      certFile === null || keyFile === null
        ? null
        : { certificate: read(certFile), key: read(keyFile), keyPassword: null },
  };
}
