/** What belongs to one's own account: who one is, the password, the session, tokens. */
import { AppError } from '#contract/errors.ts';
import { printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { createSecret, refuseExisting } from '../../files.ts';
import { formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { changeContext } from '../../remote/contexts.ts';
import { connect, remoteVerb, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { inputLines, readNewPassword, readPassword, type SecretOptions } from '../../remote/secrets.ts';
import { requireServer, SERVER_OPTIONS } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { keep } from './login.ts';

export const whoami: Verb<RemoteOptions> = remoteVerb({
  summary: 'show who is signed in, where, and what that one may do',
  examples: ['lockstep whoami', 'lockstep whoami --json | jq -r .roles[]'],
  async run({ api, choice }) {
    const me = await api.call('getMe', {});
    const facts: [string, string][] = [
      ['user', me.username],
      ['roles', me.roles.join(', ') || UNKNOWN],
      ['server', choice.address],
      ['context', choice.context ?? UNKNOWN],
      ['signed in by', me.signedInBy],
      ['second factors', me.secondFactors.join(', ') || 'none'],
    ];
    const more = me.mustChangePassword ? ['The password has to be changed first: lockstep change-password'] : [];
    return {
      json: { ...me, server: choice.address, context: choice.context },
      lines: [...formatFacts(facts), ...more],
    };
  },
});

export const logout: Verb<RemoteOptions> = {
  summary: 'end the session, on the server too',
  description:
    'Ends the session on the server, and forgets it here. An API token is forgotten here, and goes on being good: "lockstep tokens revoke ID" ends it.',
  examples: ['lockstep logout', 'lockstep logout --context prod'],
  options: SERVER_OPTIONS,
  takesFiles: false,
  async run(context, options) {
    const choice = requireServer(context, options);
    const { context: name, kind, address } = choice;
    if (name === null || kind === null)
      throw new AppError('REQUEST_INVALID', `nothing is kept to sign in to ${address}`, {
        nextStep: context.host.environment['LOCKSTEP_TOKEN']
          ? 'LOCKSTEP_TOKEN is what signs in: unset it.'
          : '"lockstep context list" shows where somebody is signed in.',
      });
    const { api } = await connect(context, choice);
    // Whatever the server answers: who leaves a machine wants nothing left on it.
    changeContext(context, name, (held) => ({ ...held, credential: null }));
    if (kind === 'session') await api.call('signOut', {}).catch(unlessOver);
    const { io } = context;
    io.out(options.json ? `${printableJson({ server: address, signedOut: true })}\n` : `signed out of ${address}\n`);
    return exitCodes.ok;
  },
};

function unlessOver(error: unknown): void {
  if (!(error instanceof AppError) || error.code !== 'AUTH_INVALID') throw error;
}

interface PasswordOptions extends RemoteOptions, SecretOptions {}

export const changePassword: Verb<PasswordOptions> = remoteVerb({
  summary: 'change the own password; all other sessions and tokens end',
  description:
    'Changes the own password; all other sessions and tokens of the account end.\n\nWith --password-stdin standard input has the old password in its first line, and the new one in its second.',
  examples: ['lockstep change-password', 'lockstep change-password --password-stdin < old-and-new'],
  options: { '--password-stdin': 'read both from standard input: the old one, and in the next line the new one' },
  async run({ api, io }, { passwordStdin }) {
    const [oldPassword = '', newPassword = ''] = passwordStdin
      ? await inputLines(io, 2, 'the old and the new password')
      : [await readPassword(io, {}, 'Old password: '), await readNewPassword(io, {})];
    await api.call('changePassword', { body: { oldPassword, newPassword } });
    return { json: { changed: true }, lines: ['The password is changed; all other sessions and tokens have ended.'] };
  },
});

interface ResetOptions extends RemoteOptions {
  readonly tokenFile?: string;
}

export const resetToken: Verb<ResetOptions> = remoteVerb({
  summary: 'end all own sessions and tokens, and begin a new session',
  description:
    'Ends all sessions and revokes all tokens of the account, and begins a new session, which is kept in the context. With --token-file its token is written to a new file too, which nobody else may read.',
  examples: ['lockstep users reset-token', 'lockstep users reset-token --token-file new-token'],
  options: { '--token-file <file>': 'write the new token there' },
  async run({ api, choice, host, ...context }, { tokenFile }) {
    if (tokenFile !== undefined) refuseExisting(host.disk, tokenFile);
    const { username } = await api.call('getMe', {});
    const { token, expiresAt } = await api.call('resetToken', {});
    const name = keep({ host }, choice, { username, credential: { kind: 'session', token, expiresAt } });
    if (tokenFile !== undefined) createSecret(host.disk, tokenFile, `${token}\n`);
    if (host.environment['LOCKSTEP_TOKEN'])
      context.io.err('note: what LOCKSTEP_TOKEN holds is worth nothing any more\n');
    return {
      json: { username, context: name, expiresAt },
      lines: [`All sessions and tokens of ${username} have ended; the new session is kept in "${name}".`],
    };
  },
});

interface SetupOptions extends PasswordOptions {}

export const setUp: Verb<SetupOptions> = remoteVerb({
  summary: 'create the first administrator of a new server',
  description:
    'Creates the first administrator of a new server with the one-time token that the server showed when it first started, and signs in.\n\nWith --password-stdin standard input has the one-time token in its first line, and the password in its second.',
  examples: [
    'lockstep setup ada --server https://lockstep.example:8443',
    'lockstep setup ada --password-stdin < token-and-password',
  ],
  options: {
    '--password-stdin': 'read both from standard input: the one-time token, and in the next line the password',
  },
  async run({ api, choice, io, host }, { passwordStdin }, [username = '']) {
    const [setupToken = '', password = ''] = passwordStdin
      ? await inputLines(io, 2, 'the one-time token and a password')
      : [await readPassword(io, {}, 'One-time token: '), await readNewPassword(io, {})];
    api.useToken(null);
    await api.call('setUp', { body: { setupToken: setupToken.trim(), username, password } });
    const { token, expiresAt } = await api.call('getToken', { body: { username, password } });
    keep({ host }, choice, { username, credential: { kind: 'session', token, expiresAt } });
    return {
      json: { server: choice.address, username, expiresAt },
      lines: [
        `${username} is the administrator of ${choice.address}, and signed in until ${formatMoment(expiresAt)}.`,
        'Administrators need a second factor, unless the configuration says otherwise: lockstep second-factor add',
      ],
    };
  },
});

export const showVersion: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the versions of this command and of the server',
  examples: ['lockstep version', 'lockstep version --server https://lockstep.example:8443 --json'],
  async run({ api, choice, version }) {
    const [{ version: server }, health] = await Promise.all([api.call('getVersion', {}), api.call('getHealth', {})]);
    const failing = health.checks.filter(({ status }) => status === 'failing').map(({ name }) => name);
    return {
      json: { command: version, server, address: choice.address, health },
      lines: formatFacts([
        ['command', version],
        ['server', `${server} at ${choice.address}`],
        ['state', failing.length === 0 ? health.status : `${health.status}: ${failing.join(', ')}`],
      ]),
      code: health.status === 'ok' ? exitCodes.ok : exitCodes.failed,
    };
  },
});

interface FactorOptions extends RemoteOptions {
  readonly code?: string;
}

export const addSecondFactor: Verb<FactorOptions> = remoteVerb({
  summary: 'have the account ask for a code of an authenticator application',
  description:
    'Begins with an authenticator application: shows its secret, and asks for a code of it, from when on it counts. Without a terminal the secret is all that happens: give a code of it with --code then. Recovery codes are shown once.',
  examples: ['lockstep second-factor add', 'lockstep second-factor add --code 123456'],
  options: { '--code <code>': 'of the application that has the secret already' },
  async run({ api, io }, { code }): Promise<Shown> {
    if (code === undefined) {
      const { secret, uri } = await api.call('startTotp', {});
      const lines = formatFacts([
        ['secret', secret],
        ['address', uri],
      ]);
      if (!io.ask) return { json: { secret, uri }, lines: [...lines, 'Then: lockstep second-factor add --code CODE'] };
      io.out(`${lines.join('\n')}\n`);
    }
    const given = code ?? (await io.ask?.('Code of the application: '))?.trim() ?? '';
    const { recoveryCodes } = await api.call('confirmTotp', { body: { code: given } });
    return {
      json: { recoveryCodes },
      lines: [
        'The second factor counts from now on. Each of these codes replaces it once; keep them safe:',
        ...recoveryCodes,
      ],
    };
  },
});

export const removeSecondFactor: Verb<RemoteOptions> = remoteVerb({
  summary: 'take the authenticator application away from the account',
  examples: ['lockstep second-factor remove'],
  async run({ api }) {
    await api.call('removeTotp', {});
    return { json: { removed: true }, lines: ['The authenticator application is not asked any more.'] };
  },
});

export const listSessions: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the own sessions',
  examples: ['lockstep sessions list'],
  async run({ api }) {
    const sessions = await api.call('listSessions', {});
    const rows = sessions.map((each) => [
      each.id,
      each.methods.join('+'),
      each.address ?? UNKNOWN,
      formatMoment(each.lastSeenAt),
      formatMoment(each.expiresAt),
      each.isCurrent ? 'this one' : '',
    ]);
    return {
      json: { sessions },
      lines: formatRows(['ID', 'METHODS', 'FROM', 'LAST SEEN', 'ENDS', ''], rows, 'sessions'),
    };
  },
});

export const endSession: Verb<RemoteOptions> = remoteVerb({
  summary: 'end one of the own sessions',
  examples: ['lockstep sessions end ID'],
  async run({ api }, _, [id = '']) {
    await api.call('endSession', { params: { id } });
    return { json: { id, ended: true }, lines: [`Session ${id} has ended.`] };
  },
});
