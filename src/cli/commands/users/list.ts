import { formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { LIST_OPTIONS, listed, type ListOptions } from '../../remote/list.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

interface Options extends RemoteOptions, ListOptions {
  readonly role?: string;
  readonly kind?: string;
}

export const listUsers: Verb<Options> = remoteVerb({
  summary: 'show users and service accounts',
  examples: ['lockstep users list', 'lockstep users list --role admin --json'],
  options: {
    '--role <name>': 'only those who have it',
    '--kind <kind>': 'only local, oidc or service',
    ...LIST_OPTIONS,
  },
  async run({ api }, options) {
    const { query, wanted } = listed(options);
    const { role, kind } = options;
    const users = await api.all(
      'listUsers',
      {
        query: {
          ...query,
          ...(role === undefined ? {} : { role }),
          ...(kind === undefined ? {} : { kind: choiceFrom('--kind', kind, ['local', 'oidc', 'service']) }),
        },
      },
      wanted,
    );
    const rows = users.map((user) => [
      user.username,
      user.kind,
      user.roles.join(', ') || UNKNOWN,
      user.isDisabled ? 'disabled' : user.mustChangePassword ? 'password to be changed' : 'active',
      user.secondFactors.join('+') || 'none',
      formatMoment(user.lastLoginAt),
    ]);
    return {
      json: { users },
      lines: formatRows(['USER', 'KIND', 'ROLES', 'STATE', 'SECOND FACTOR', 'LAST SIGN-IN'], rows, 'users'),
    };
  },
});

export const getUser: Verb<RemoteOptions> = remoteVerb({
  summary: 'show one user, with the certificates that stand for it',
  examples: ['lockstep users get ada'],
  async run({ api }, _, [username = '']) {
    const params = { username };
    const [user, certificates] = await Promise.all([
      api.call('getUser', { params }),
      api.call('listCertificates', { params }),
    ]);
    const facts = formatFacts([
      ['user', user.username],
      ['id', user.id],
      ['kind', user.kind],
      ['roles', user.roles.join(', ') || UNKNOWN],
      ['initial', user.isInitial ? 'yes' : 'no'],
      ['disabled', user.isDisabled ? 'yes' : 'no'],
      ['second factors', user.secondFactors.join(', ') || 'none'],
      ['created', formatMoment(user.createdAt)],
      ['last sign-in', formatMoment(user.lastLoginAt)],
    ]);
    const rows = certificates.map((each) => [
      each.id,
      each.subject,
      each.revokedAt === null ? 'good' : `revoked ${formatMoment(each.revokedAt)}`,
      formatMoment(each.lastUsedAt),
    ]);
    const table = rows.length === 0 ? [] : ['', ...formatRows(['CERTIFICATE', 'NAME', 'STATE', 'LAST USED'], rows, '')];
    return { json: { user, certificates }, lines: [...facts, ...table] };
  },
});
