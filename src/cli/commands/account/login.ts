import { AppError } from '#contract/errors.ts';
import type { Context } from '../../context.ts';
import { formatMoment } from '../../format.ts';
import { connect, keepToken, show, type Remote, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { readContexts, writeContexts, type ServerContext } from '../../remote/contexts.ts';
import {
  inputLines,
  PASSWORD_OPTION,
  readNewPassword,
  readPassword,
  type SecretOptions,
} from '../../remote/secrets.ts';
import { requireServer, SERVER_OPTIONS, type ServerChoice } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';

interface Options extends RemoteOptions, SecretOptions {
  readonly tokenStdin?: true;
  readonly code?: string;
}

export const login: Verb<Options> = {
  summary: 'sign in to a server',
  description:
    'Signs in to the server of the context, or of --server, which gets a context of its own then. What it is given is kept in the file of contexts, which nobody else may read, and is never shown.\n\nThe session lasts a day at most. Programs are better served by an API token ("lockstep tokens create"): --token-stdin keeps one, LOCKSTEP_TOKEN uses one without keeping it.',
  examples: [
    'lockstep login ada',
    'lockstep login ada --server https://lockstep.example:8443',
    'pass show lockstep | lockstep login ada --password-stdin --code 123456',
    'lockstep login --token-stdin < token',
  ],
  options: {
    ...PASSWORD_OPTION,
    '--token-stdin': 'keep an API token, read from standard input, instead of a session',
    '--code <code>': 'of the authenticator application, or a recovery code, where the account has one',
    ...SERVER_OPTIONS,
  },
  takesFiles: false,
  async run(context, options, username) {
    const choice = requireServer(context, options);
    if (context.host.environment['LOCKSTEP_TOKEN'])
      context.io.err('note: LOCKSTEP_TOKEN is set, and goes before what is kept here\n');
    const remote = await connect(context, { ...choice, token: null });
    remote.api.useToken(null);
    return show(
      context,
      options,
      await (options.tokenStdin ? byToken(remote, choice) : byPassword(remote, options, username)),
    );
  },
};

async function byToken({ api, ...context }: Remote, choice: ServerChoice): Promise<Shown> {
  const [token = ''] = await inputLines(context.io, 1, 'a token');
  api.useToken(token.trim());
  const { username, signedInBy } = await api.call('getMe', {});
  const kind = signedInBy === 'token' ? 'token' : 'session';
  keep(context, choice, { username, credential: { kind, token: token.trim(), expiresAt: null } });
  return {
    json: { server: choice.address, username, signedInBy: kind },
    lines: [`${username} is signed in to ${choice.address} by a ${kind === 'token' ? 'token' : 'session'}`],
  };
}

async function byPassword({ api, choice, ...context }: Remote, options: Options, given: string): Promise<Shown> {
  const { io } = context;
  const username = given || choice.username || (await askName(context));
  const password = await readPassword(io, options);
  const factor = options.code === undefined ? {} : factorOf(options.code);
  const tell = (more: object) => api.call('getToken', { body: { username, password, ...more } });
  const signedIn = await tell(factor).catch(async (error: unknown) => {
    // The server does not say whether it was the password, or the second factor that is missing.
    if (options.code !== undefined || !isRefused(error)) throw error;
    const code = (await io.ask?.('Code of the second factor, if the account has one: '))?.trim() ?? '';
    if (code === '') throw error;
    return tell(factorOf(code));
  });
  const { token, expiresAt, mustChangePassword } = signedIn;
  const name = keep(context, choice, { username, credential: { kind: 'session', token, expiresAt } });
  api.useToken(token);
  const json = { server: choice.address, username, signedInBy: 'session', expiresAt, mustChangePassword };
  const signedInLine = `${username} is signed in to ${choice.address} until ${formatMoment(expiresAt)}`;
  if (!mustChangePassword) return { json, lines: [signedInLine] };
  if (!io.askSecret || options.passwordStdin)
    return { json, lines: [signedInLine, 'The password has to be changed first: lockstep change-password'] };
  io.out('The password has to be changed first.\n');
  await api.call('changePassword', { body: { oldPassword: password, newPassword: await readNewPassword(io, {}) } });
  keepToken(context, { ...choice, context: name }, token);
  return { json: { ...json, mustChangePassword: false }, lines: [signedInLine, 'The password is changed.'] };
}

/** Six digits are of the application; everything else is a recovery code. */
function factorOf(code: string): { code: string } | { recoveryCode: string } {
  return /^\d{6}$/.test(code) ? { code } : { recoveryCode: code };
}

function isRefused(error: unknown): boolean {
  return error instanceof AppError && error.code === 'AUTH_INVALID';
}

async function askName({ io }: Pick<Context, 'io'>): Promise<string> {
  const name = (await io.ask?.('User: '))?.trim() ?? '';
  if (name !== '') return name;
  throw new AppError('REQUEST_INVALID', 'it is not said who signs in', { nextStep: 'lockstep login NAME' });
}

/** In the context of the server; one that has none gets one of its host's name, in use where none is. Returns its name. */
export function keep(
  context: Pick<Context, 'host'>,
  choice: ServerChoice,
  signedIn: Pick<ServerContext, 'username' | 'credential'>,
): string {
  const { current, contexts } = readContexts(context);
  const name = choice.context ?? freeName(new URL(choice.address).hostname, Object.keys(contexts));
  const held = contexts[name] ?? { server: choice.address, ...choice.files };
  writeContexts(context, { current: current ?? name, contexts: { ...contexts, [name]: { ...held, ...signedIn } } });
  return name;
}

function freeName(host: string, taken: readonly string[]): string {
  const base = host.replace(/[^a-z0-9.-]/g, '').replace(/^[.-]+|[.-]+$/g, '') || 'server';
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.includes(name)) return name;
  }
}
