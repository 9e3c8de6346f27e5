/** Creating, changing and removing users. */
import { AppError } from '#contract/errors.ts';
import { refuseExisting } from '../../files.ts';
import { confirm, pick, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type Remote, type RemoteOptions } from '../../remote/remote-verb.ts';
import { PASSWORD_OPTION, readNewPassword, type SecretOptions } from '../../remote/secrets.ts';
import { choiceFrom, needed } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

interface AddOptions extends RemoteOptions, SecretOptions {
  readonly role?: string;
  readonly kind?: string;
}

export const addUser: Verb<AddOptions> = remoteVerb({
  summary: 'create a user or a service account',
  description:
    'Creates a user, whose password is good for the first sign-in and has to be changed then; or with --kind service an account for programs, which has tokens and certificates only.',
  examples: [
    'lockstep users add ada --role operator',
    'pass show ada | lockstep users add ada --role operator --password-stdin',
    'lockstep users add deployer --role operator --kind service',
  ],
  options: {
    '--role <name>': 'admin, operator, monitoring, compliance, or a role of your own',
    '--kind <kind>': 'local (as without it) or service',
    ...PASSWORD_OPTION,
  },
  async run({ api, io }, options, [username = '']) {
    const kind = choiceFrom('--kind', options.kind ?? 'local', ['local', 'service']);
    const role = await pick(io, options.role, { what: 'role (--role)', names: () => roleNames(api) });
    const password = kind === 'local' ? { password: await readNewPassword(io, options) } : {};
    const user = await api.call('createUser', { body: { username, role, kind, ...password } });
    const next = kind === 'service' ? `; give it a token: lockstep tokens create --owner ${username} …` : '';
    return { json: { user }, lines: [`${user.username} is ${role}${next}`] };
  },
});

async function roleNames(api: Remote['api']): Promise<string[]> {
  return (await api.call('listRoles', {})).map(({ name }) => name);
}

const userNames = (api: Remote['api']) => async (): Promise<string[]> =>
  (await api.all('listUsers', {})).map(({ username }) => username);

export const setUserRole: Verb<RemoteOptions> = remoteVerb({
  summary: 'replace the role of a user, at once',
  description: 'Replaces the role of a user. It holds at once, for open streams too. Nobody changes their own.',
  examples: ['lockstep users set-role ada operator'],
  async run({ api }, _, [username = '', role = '']) {
    const user = await api.call('setUserRole', { params: { username }, body: { role } });
    return { json: { user }, lines: [`${user.username} is ${user.roles.join(', ')}`] };
  },
});

function statusVerb(isDisabled: boolean): Verb<RemoteOptions> {
  const word = isDisabled ? 'disable' : 'enable';
  return remoteVerb({
    summary: isDisabled ? 'keep a user out; sessions end at once' : 'let a user in again',
    examples: [`lockstep users ${word} ada`],
    async run({ api }, _, [username = '']) {
      const user = await api.call('setUserStatus', { params: { username }, body: { isDisabled } });
      return { json: { user }, lines: [`${user.username} is ${word}d`] };
    },
  });
}

export const disableUser = statusVerb(true);
export const enableUser = statusVerb(false);

export const removeUser: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'delete a user, with sessions and tokens',
  aliases: ['delete'],
  description:
    'Deletes a user, with sessions and tokens. Not oneself, not the initial user, not the last administrator. What the user did stays in the audit log.',
  examples: ['lockstep users remove ada --yes'],
  options: YES_OPTION,
  async run({ api, io }, options, [named]) {
    const username = await pick(io, named, { what: 'user', names: userNames(api) });
    await confirm(io, options, `Delete the user ${username}?`);
    await api.call('deleteUser', { params: { username } });
    return { json: { username, removed: true }, lines: [`${username} is deleted`] };
  },
});

interface ResetOptions extends RemoteOptions {
  readonly passwordFile?: string;
}

export const resetUserPassword: Verb<ResetOptions> = remoteVerb({
  summary: 'give a user a random password, written to a file',
  description:
    'Gives a user a random password, which has to be changed at the next sign-in; sessions and tokens end, second factors stay. It is written to a new file that nobody else may read, and shown nowhere.',
  examples: ['lockstep users reset-password ada --password-file ada.txt'],
  options: { '--password-file <file>': 'where the new password is written; it must not be there yet' },
  async run({ api, io, host }, { passwordFile }, [named]) {
    needed({ '--password-file': passwordFile });
    const path = passwordFile ?? '';
    // Before the old one is gone: a password that nobody can read helps nobody.
    refuseExisting(host.disk, path);
    const username = await pick(io, named, { what: 'user', names: userNames(api) });
    const { password } = await api.call('resetUserPassword', { params: { username } });
    try {
      host.disk.createSecret(path, `${password}\n`);
    } catch (cause) {
      throw new AppError('REQUEST_INVALID', `The password of ${username} is reset, but ${path} cannot be written`, {
        cause,
        nextStep: 'Reset it again, with a file in a directory that exists and may be written.',
      });
    }
    return {
      json: { username, passwordFile: path },
      lines: [`${username} has a new password, in ${path}; it has to be changed at the next sign-in`],
    };
  },
});

export const endUserSessions: Verb<RemoteOptions> = remoteVerb({
  summary: 'end all sessions of a user',
  examples: ['lockstep users end-sessions ada'],
  async run({ api }, _, [username = '']) {
    await api.call('endUserSessions', { params: { username } });
    return { json: { username, ended: true }, lines: [`All sessions of ${username} have ended`] };
  },
});
