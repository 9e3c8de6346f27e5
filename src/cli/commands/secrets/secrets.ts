/** Secrets that a server keeps, for clusters that refer to them as { store: NAME }. Nothing shows a value. */
import { formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { askSecret } from '../../remote/secrets.ts';
import type { Verb } from '../../verb.ts';

export const listSecrets: Verb<RemoteOptions> = remoteVerb({
  summary: 'show names of secrets, and which clusters use them',
  examples: ['lockstep secrets list'],
  async run({ api }) {
    const secrets = await api.call('listSecrets', {});
    const rows = secrets.map((each) => [
      each.name,
      String(each.version),
      each.keyId,
      each.usedBy.join(', ') || UNKNOWN,
      formatMoment(each.updatedAt),
      each.updatedBy ?? UNKNOWN,
    ]);
    return {
      json: { secrets },
      lines: formatRows(['SECRET', '#VERSION', 'KEY', 'USED BY', 'SET', 'BY'], rows, 'secrets'),
    };
  },
});

interface SetOptions extends RemoteOptions {
  readonly valueStdin?: true;
}

export const setSecret: Verb<SetOptions> = remoteVerb({
  summary: 'set a secret; who connects with it uses the new value from the next connection on',
  description:
    'Sets a secret. Who connects with it uses the new value from the next connection on. With --value-stdin standard input is the value, but for one newline at its end.',
  examples: ['lockstep secrets set west-password --value-stdin < password', 'lockstep secrets set west-password'],
  options: { '--value-stdin': 'read the value from standard input' },
  async run({ api, io }, { valueStdin }, [name = '']) {
    const value = valueStdin
      ? (await io.readInput()).replace(/\r?\n$/, '')
      : await askSecret(io, 'Value: ', 'Hand it in on standard input with --value-stdin.');
    const secret = await api.call('setSecret', { params: { name }, body: { value } });
    return { json: { secret }, lines: [`${secret.name} is set, version ${secret.version}`] };
  },
});

export const removeSecret: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'delete a secret that no cluster refers to',
  aliases: ['delete'],
  examples: ['lockstep secrets remove west-password --yes'],
  options: YES_OPTION,
  async run({ api, io }, options, [name = '']) {
    await confirm(io, options, `Delete the secret ${name}?`);
    await api.call('deleteSecret', { params: { name } });
    return { json: { name, removed: true }, lines: [`${name} is deleted`] };
  },
});

export const rotateSecrets: Verb<RemoteOptions> = remoteVerb({
  summary: "wrap the keys of all secrets by the first key of the server's key file",
  examples: ['lockstep secrets rotate'],
  async run({ api }) {
    const { rewrapped, left } = await api.call('rotateSecrets', {});
    const more = left === 0 ? 'none is left under another key' : `${left} are left under another key: run it again`;
    return { json: { rewrapped, left }, lines: [`${rewrapped} wrapped anew; ${more}`] };
  },
});
