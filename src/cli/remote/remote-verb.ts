/** Commands that ask a server: which one, as whom, and what is shown of the answer, is the same for all of them. */
import { AppError } from '#contract/errors.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Verb } from '../verb.ts';
import { ApiClient } from './api-client.ts';
import { changeContext } from './contexts.ts';
import { askSecret } from './secrets.ts';
import { requireServer, SERVER_OPTIONS, type ServerChoice, type ServerOptions } from './server-choice.ts';

export interface RemoteOptions extends ServerOptions {
  readonly json?: true;
}

/** What a command came to. */
export interface Shown {
  /** Undefined: what there was to say is on standard output already. */
  readonly json: unknown;
  /** For people; made printable when they are shown. */
  readonly lines: readonly string[];
  readonly code?: number;
}

export interface Remote extends Context {
  readonly api: ApiClient;
  readonly choice: ServerChoice;
  readonly signal: AbortSignal;
}

interface RemoteVerb<Options> {
  readonly summary: string;
  readonly description?: string;
  readonly examples: readonly string[];
  readonly options?: Readonly<Record<string, string>>;
  readonly aliases?: readonly string[];
  readonly run: (remote: Remote, options: Options, args: readonly string[]) => Promise<Shown>;
}

export function remoteVerb<Options extends RemoteOptions>(verb: RemoteVerb<Options>): Verb<Options> {
  const { options = {}, run, ...rest } = verb;
  return {
    ...rest,
    takesFiles: false,
    options: { ...options, ...SERVER_OPTIONS },
    run: (context, given, _, args) => runRemotely(context, given, (remote) => run(remote, given, args)),
  };
}

/** What else can be done where no server is set. */
export const OR_FILES = 'Or name files with -f FILE.';

/** The same for a command that also works on files: `ask` runs where none are named. */
export async function runRemotely(
  context: Context,
  options: RemoteOptions,
  ask: (remote: Remote) => Promise<Shown>,
  without = '',
): Promise<number> {
  const remote = await connect(context, requireServer(context, options, without));
  try {
    return show(context, options, await ask(remote));
  } catch (error) {
    if (remote.signal.aborted) return exitCodes.interrupted;
    throw signInHint(error, remote.choice);
  }
}

export function show({ io }: Context, { json }: RemoteOptions, shown: Shown): number {
  if (!json) io.out(shown.lines.map((line) => `${printable(line)}\n`).join(''));
  else if (shown.json !== undefined) io.out(`${printableJson(shown.json)}\n`);
  return shown.code ?? exitCodes.ok;
}

export async function connect(context: Context, choice: ServerChoice): Promise<Remote> {
  const { io, host, version } = context;
  const stop = new AbortController();
  io.onInterrupt(() => stop.abort());
  const api: ApiClient = await ApiClient.create({
    web: host.web,
    address: choice.address,
    token: choice.token,
    ca: choice.ca,
    identity: choice.identity,
    nonce: host.nonce,
    version,
    signal: stop.signal,
    stepUp: io.askSecret && choice.kind === 'session' ? () => stepUp(context, api, choice) : undefined,
  });
  return { ...context, api, choice, signal: stop.signal };
}

/** A session that has been open for a while proves that its person is still there. */
async function stepUp(context: Context, api: ApiClient, choice: ServerChoice): Promise<string | null> {
  const { io } = context;
  const { secondFactors } = await api.call('getMe', {});
  io.out('This is dangerous enough to ask who is there.\n');
  const again = 'Try it again.';
  const body = secondFactors.includes('totp')
    ? ({ method: 'totp', code: await askSecret(io, 'Code of the authenticator application: ', again) } as const)
    : ({ method: 'password', password: await askSecret(io, 'Password: ', again) } as const);
  const { token } = await api.call('stepUp', { body });
  if (token === null) return choice.token;
  keepToken(context, choice, token);
  return token;
}

/** The server has replaced the token of the session: the old one is worth nothing any more. */
export function keepToken(context: Context, { context: name }: ServerChoice, token: string): void {
  if (name === null) return;
  changeContext(context, name, (before) => ({
    ...before,
    credential: before.credential && { ...before.credential, token },
  }));
}

/** What the server cannot know: how this command signs in. */
function signInHint(error: unknown, { context, token, address }: ServerChoice): unknown {
  if (!(error instanceof AppError) || (error.code !== 'AUTH_REQUIRED' && error.code !== 'AUTH_INVALID')) return error;
  const which = context === null ? `--server ${address}` : `--context ${context}`;
  const message =
    error.code === 'AUTH_REQUIRED' && token === null ? `nobody is signed in to ${address}` : error.message;
  return new AppError(error.code, message, {
    details: error.details,
    nextStep: `Sign in: lockstep login ${which}; a program sets LOCKSTEP_TOKEN to an API token.`,
  });
}
