import { formatMoment, formatYaml } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { LIST_OPTIONS, listed, type ListOptions } from '../../remote/list.ts';
import { pick } from '../../remote/pick.ts';
import { remoteVerb, type Remote, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { jobLines } from './shown.ts';

interface Options extends RemoteOptions, ListOptions {
  readonly cluster?: string;
  readonly wanted?: string;
}

export const listJobs: Verb<Options> = remoteVerb({
  summary: 'show the jobs, with state and lag',
  examples: ['lockstep jobs list', 'lockstep jobs list --cluster east --json | jq -r .jobs[].name'],
  options: {
    '--cluster <name>': 'only those from or to it',
    '--wanted <state>': 'only those that shall be started, paused or stopped',
    ...LIST_OPTIONS,
  },
  async run({ api }, options) {
    const { query, wanted } = listed(options);
    const jobs = await api.all(
      'listJobs',
      {
        query: {
          ...query,
          ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
          ...(options.wanted === undefined
            ? {}
            : { desired: choiceFrom('--wanted', options.wanted, ['started', 'paused', 'stopped']) }),
        },
      },
      wanted,
    );
    return { json: { jobs }, lines: jobLines(jobs) };
  },
});

export const getJob: Verb<RemoteOptions> = remoteVerb({
  summary: 'show one job, as it was stated',
  examples: ['lockstep jobs get orders'],
  async run(remote, _, [named]) {
    const job = await remote.api.call('getJob', { params: { id: await pickJob(remote, named) } });
    const dates = `id ${job.id}, created ${formatMoment(job.createdAt)}, changed ${formatMoment(job.updatedAt)}`;
    return { json: { job }, lines: [...jobLines([job]), dates, '', ...formatYaml(job.spec)] };
  },
});

export function pickJob({ io, api }: Pick<Remote, 'io' | 'api'>, named: string | undefined): Promise<string> {
  return pick(io, named, { what: 'job', names: async () => (await allJobs(api)).map(({ name }) => name) });
}

export function allJobs(api: Remote['api']): Promise<ResultOf<'listJobs'>['items']> {
  return api.all('listJobs', {});
}
