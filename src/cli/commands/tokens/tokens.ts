/** API tokens: for programs, with scopes and an end. */
import { permissionNames } from '#contract/api/permissions.ts';
import { createSecret, refuseExisting } from '../../files.ts';
import { formatMoment, formatRows } from '../../format.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, listFrom, needed, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

export const listTokens: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the own API tokens; with users:list those of all',
  examples: ['lockstep tokens list'],
  async run({ api, host }) {
    const tokens = await api.call('listTokens', {});
    const rows = tokens.map((token) => [
      token.id,
      token.name,
      token.ownerId,
      token.scopes === null ? 'all of the owner' : token.scopes.join(', '),
      stateOf(token, host.clock.now()),
      formatMoment(token.expiresAt),
      formatMoment(token.lastUsedAt),
    ]);
    return {
      json: { tokens },
      lines: formatRows(['ID', 'NAME', 'OWNER', 'SCOPES', 'STATE', 'ENDS', 'LAST USED'], rows, 'tokens'),
    };
  },
});

function stateOf({ revokedAt, expiresAt }: { revokedAt: number | null; expiresAt: number }, now: number): string {
  return revokedAt !== null ? 'revoked' : expiresAt <= now ? 'over' : 'good';
}

interface CreateOptions extends RemoteOptions {
  readonly name?: string;
  readonly owner?: string;
  readonly scopes?: string;
  readonly from?: string;
  readonly days?: string;
  readonly tokenFile?: string;
}

export const createToken: Verb<CreateOptions> = remoteVerb({
  summary: 'create an API token',
  description:
    'Creates an API token for oneself, or with --owner for a service account. It is shown once; with --token-file it is written to a new file that nobody else may read, and not shown.',
  examples: [
    'lockstep tokens create --name ci --days 90 --scopes jobs:view,jobs:start --token-file ci.token',
    'LOCKSTEP_TOKEN=$(lockstep tokens create --name deploy --owner deployer --json | jq -r .token.token)',
  ],
  options: {
    '--name <text>': 'what it is for',
    '--owner <user>': 'a service account',
    '--scopes <permissions>': 'at most these permissions, with commas; without it all that the owner has',
    '--from <ranges>': 'addresses from where it is taken, with commas: 10.0.0.0/8; without it from anywhere',
    '--days <number>': 'until it ends, 1 to 365; without it 30',
    '--token-file <file>': 'write it there; the file must not be there yet',
  },
  async run({ api, host }, { name, owner, scopes, from, days = '30', tokenFile }) {
    needed({ '--name': name });
    if (tokenFile !== undefined) refuseExisting(host.disk, tokenFile);
    const token = await api.call('createToken', {
      body: {
        name: name ?? '',
        ...(owner === undefined ? {} : { owner }),
        scopes:
          scopes === undefined
            ? null
            : listFrom(scopes).map((each) => choiceFrom('a permission of --scopes', each, permissionNames)),
        allowedRanges: listFrom(from ?? ''),
        expiresInDays: wholeNumber('--days', days, 1),
      },
    });
    const until = `until ${formatMoment(token.expiresAt)}`;
    if (tokenFile === undefined)
      return {
        json: { token },
        lines: [token.token, `Shown once; good ${until}; revoke it with: lockstep tokens revoke ${token.id}`],
      };
    createSecret(host.disk, tokenFile, `${token.token}\n`);
    const { token: _, ...shown } = token;
    return { json: { token: shown, tokenFile }, lines: [`${token.id} is in ${tokenFile}, good ${until}`] };
  },
});

export const revokeToken: Verb<RemoteOptions> = remoteVerb({
  summary: 'revoke an API token',
  examples: ['lockstep tokens revoke ID'],
  async run({ api }, _, [id = '']) {
    await api.call('revokeToken', { params: { id } });
    return { json: { id, revoked: true }, lines: [`${id} is revoked`] };
  },
});
