/** Incidents of jobs, those that are over too. */
import { formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, needed, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { allJobs } from '../jobs/list.ts';

interface ListOptions extends RemoteOptions {
  readonly open?: true;
  readonly topic?: string;
  readonly limit?: string;
}

export const listIncidents: Verb<ListOptions> = remoteVerb({
  summary: 'show the incidents of a job, or of all jobs, the newest first',
  examples: ['lockstep incidents list --open', 'lockstep incidents list orders --json'],
  options: {
    '--open': 'only those that are not over',
    '--topic <name>': 'only of this source topic',
    '--limit <number>': 'of each job; without it 100',
  },
  async run({ api }, { open, topic, limit = '100' }, [named]) {
    const jobs = named === undefined ? await allJobs(api) : [await api.call('getJob', { params: { id: named } })];
    const wanted = wholeNumber('--limit', limit, 1);
    const query = {
      sort: '-openedAt',
      ...(open ? ({ open: 'true' } as const) : {}),
      ...(topic === undefined ? {} : { topic }),
    };
    const byJob = await Promise.all(
      jobs.map(async ({ id, name }) => {
        const incidents = await api.all('listIncidents', { params: { id }, query }, wanted);
        return incidents.map((incident) => ({ ...incident, job: name }));
      }),
    );
    const incidents = byJob.flat().toSorted((a, b) => b.openedAt - a.openedAt);
    const rows = incidents.map((each) => [
      String(each.id),
      each.job,
      formatMoment(each.openedAt),
      each.closedAt === null ? 'open' : `over ${formatMoment(each.closedAt)}`,
      each.code,
      each.topic === null ? UNKNOWN : `${each.topic}${each.partition === null ? '' : `/${each.partition}`}`,
      each.resolution,
      each.cause,
    ]);
    return {
      json: { incidents },
      lines: formatRows(['ID', 'JOB', 'SINCE', 'STATE', 'CODE', 'WHERE', 'RESOLUTION', 'CAUSE'], rows, 'incidents'),
    };
  },
});

interface ResolveOptions extends RemoteOptions {
  readonly resolution?: string;
  readonly note?: string;
}

export const resolveIncident: Verb<ResolveOptions> = remoteVerb({
  summary: 'note what people make of an incident',
  description: 'Notes what people make of an incident. It is over when its cause is, whatever is noted.',
  examples: ['lockstep incidents resolve orders 17 --resolution in-progress --note "disk is being replaced"'],
  options: {
    '--resolution <word>': 'unresolved, in-progress, resolved or ignored',
    '--note <text>': 'for people',
  },
  async run({ api }, { resolution, note }, [id = '', incident = '']) {
    needed({ '--resolution': resolution });
    const resolved = await api.call('resolveIncident', {
      params: { id, incident: wholeNumber('the id of the incident', incident) },
      body: {
        resolution: choiceFrom('--resolution', resolution ?? '', ['unresolved', 'in-progress', 'resolved', 'ignored']),
        note: note ?? null,
      },
    });
    return { json: { incident: resolved }, lines: [`${resolved.id} ${resolved.code}: ${resolved.resolution}`] };
  },
});
