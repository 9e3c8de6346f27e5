/** The audit log, through the server. `lockstep log` verifies it from its files. */
import { formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { remoteVerb, type Remote, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, momentFrom, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { saveFile } from '../save-file.ts';

interface FilterOptions extends RemoteOptions {
  readonly from?: string;
  readonly to?: string;
  readonly action?: string;
  readonly actor?: string;
  readonly outcome?: string;
}

const FILTER_OPTIONS = {
  '--from <time>': 'at or after: a day, a time with its zone, or how long ago (30m, 24h, 7d)',
  '--to <time>': 'before it',
  '--action <name>': '"job" finds "job.start" too',
  '--actor <user>': 'who did it',
  '--outcome <word>': 'succeeded, failed, denied or unknown',
} as const;

function filterOf({ host }: Pick<Remote, 'host'>, options: FilterOptions) {
  const { from, to, action, actor, outcome } = options;
  const now = host.clock.now();
  return {
    ...(from === undefined ? {} : { from: momentFrom('--from', from, now) }),
    ...(to === undefined ? {} : { to: momentFrom('--to', to, now) }),
    ...(action === undefined ? {} : { action }),
    ...(actor === undefined ? {} : { actor }),
    ...(outcome === undefined
      ? {}
      : { outcome: choiceFrom('--outcome', outcome, ['succeeded', 'failed', 'denied', 'unknown']) }),
  };
}

export const listEvents: Verb<FilterOptions & { readonly limit?: string }> = remoteVerb({
  summary: 'show entries of the audit log, the newest first',
  examples: ['lockstep audit list --from 24h --outcome denied', 'lockstep audit list --action user --limit 20 --json'],
  options: { ...FILTER_OPTIONS, '--limit <number>': 'at most so many; without it 100' },
  async run(remote, { limit = '100', ...options }) {
    const wanted = wholeNumber('--limit', limit, 1);
    const entries = await remote.api.all('listEvents', { query: filterOf(remote, options) }, wanted);
    const rows = entries.map((each) => [
      String(each.seq),
      formatMoment(each.at),
      each.actor ?? each.actorKind,
      each.action,
      each.resource ?? UNKNOWN,
      each.outcome ?? each.phase,
      each.reason ?? '',
    ]);
    return {
      json: { entries },
      lines: formatRows(['#SEQ', 'TIME', 'WHO', 'ACTION', 'ON', 'OUTCOME', 'REASON'], rows, 'entries'),
    };
  },
});

export const exportEvents: Verb<FilterOptions & { readonly out?: string }> = remoteVerb({
  summary: 'export entries of the audit log as CSV, up to 100,000 of them',
  examples: ['lockstep audit export --from 30d --out audit.csv', 'lockstep audit export --actor ada > ada.csv'],
  options: { ...FILTER_OPTIONS, '--out <file>': 'a new file; without it standard output' },
  async run(remote, { out, ...options }) {
    const stream = await remote.api.open('exportEvents', { query: filterOf(remote, options) }, 'text/csv');
    return saveFile(remote, stream, out);
  },
});
