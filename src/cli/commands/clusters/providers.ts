import { UNKNOWN } from '../../format.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import type { Verb } from '../../verb.ts';

export const listProviders: Verb<RemoteOptions> = remoteVerb({
  summary: 'show what need not be said of clusters of known providers, and what is missing there',
  examples: ['lockstep clusters providers'],
  async run({ api }) {
    const providers = await api.call('listProviders', {});
    const lines = providers.flatMap(({ name, defaults, mechanisms, limits }) => [
      `${name}: ${[defaults.protocol, defaults.mechanism, defaults.username].filter((each) => each !== null).join(', ') || UNKNOWN}`,
      ...(mechanisms === null ? [] : [`  takes ${mechanisms.join(', ')}`]),
      ...limits.map(({ fact, source }) => `  ${fact} (${source})`),
    ]);
    return { json: { providers }, lines };
  },
});
