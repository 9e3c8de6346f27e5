/** The audit log, through the server. `lockstep log` verifies it from its files. */
import { AppError } from '#contract/errors.ts';
import { printable } from '#util/printable.ts';
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { remoteVerb, type Remote, type RemoteOptions } from '../../remote/remote-verb.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
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

export const getEvent: Verb<RemoteOptions> = remoteVerb({
  summary: 'show one entry of the audit log',
  examples: ['lockstep audit get 1204'],
  async run({ api }, _, [seq = '']) {
    const entry = await api.call('getEvent', { params: { seq: wholeNumber('the number of the entry', seq) } });
    const facts = Object.entries(entry).map(([name, value]): [string, string] => [
      name,
      value === null ? UNKNOWN : name === 'at' ? formatMoment(Number(value)) : String(value),
    ]);
    return { json: { entry }, lines: formatFacts(facts) };
  },
});

export const proveEvent: Verb<RemoteOptions & { readonly out?: string }> = remoteVerb({
  summary: 'get the proof that an entry is in the log, for "lockstep log entry"',
  examples: ['lockstep audit proof 1204 --out 1204.tlog-proof', 'lockstep audit proof 1204 > 1204.tlog-proof'],
  options: { '--out <file>': 'a new file; without it standard output' },
  async run(remote, { out }, [seq = '']) {
    const params = { seq: wholeNumber('the number of the entry', seq) };
    return saveFile(remote, await remote.api.open('getEventProof', { params }, 'text/plain'), out);
  },
});

export const erasePersonal: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'destroy an address, a user agent or the name of a deleted user that entries of the audit log show',
  description:
    'Destroys what the server keeps beside the audit log of an address, a user agent, a name that was typed, or the name of a user who was deleted: entries show none from then on. The log itself holds only commitments and ids, and is not changed; every proof still holds. That something was erased is an entry, what it was is not. Backups of the database still have it: erase it again after a restore.',
  examples: ['lockstep audit erase 192.0.2.7 --yes', 'lockstep audit erase ada'],
  options: YES_OPTION,
  async run({ api, io }, options, [value = '']) {
    await confirm(io, options, `Erase "${printable(value)}" from what is shown of the audit log?`);
    const { erased } = await api.call('erasePersonal', { body: { value } });
    return { json: { erased }, lines: [`${formatCount(erased)} erased`] };
  },
});

export const logCheckpoint: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the newest signed checkpoint of the log, and the key that verifies it',
  description:
    'Shows the newest signed checkpoint of the log, and the key that verifies it. Whoever keeps it can show later that nothing was taken out: lockstep log verify --since.',
  examples: ['lockstep audit checkpoint > checkpoint', 'lockstep audit checkpoint --json | jq -r .verifierKey'],
  async run({ api, io }, { json }) {
    const checkpoint = await api.call('getLogCheckpoint', {});
    if (json) return { json: checkpoint, lines: [] };
    io.out(checkpoint.note); // its bytes are what is signed
    io.err(`${formatCount(checkpoint.size)} entries; key ${printable(checkpoint.verifierKey)}\n`);
    return { json: undefined, lines: [] };
  },
});

interface ExportOptions extends FilterOptions {
  readonly out?: string;
  readonly format?: string;
  readonly bundle?: string;
}

export const exportEvents: Verb<ExportOptions> = remoteVerb({
  summary: 'export entries of the audit log as CSV or JSON, up to 100,000 of them, or as evidence',
  description:
    'Exports entries of the audit log: as CSV or JSON, up to 100,000 of them, or, with --bundle, up to 10,000 as an evidence bundle: a zip file in which each has the proof that it is in the log. "lockstep log report" verifies it without a server, with the public key of the log alone.',
  examples: [
    'lockstep audit export --from 2026-11-01 --to 2026-12-01 --bundle evidence-2026-11.zip',
    'lockstep audit export --from 30d --out audit.csv',
    'lockstep audit export --actor ada --format json > ada.json',
  ],
  options: {
    ...FILTER_OPTIONS,
    '--format <format>': 'csv (as without it) or json',
    '--out <file>': 'a new file; without it standard output',
    '--bundle <file>': 'a new zip file, with the proof of each entry',
  },
  async run(remote, { out, format, bundle, ...options }) {
    const query = filterOf(remote, options);
    if (bundle !== undefined) {
      if (out !== undefined || format !== undefined)
        throw new AppError('REQUEST_INVALID', '--bundle names a file of its own kind: without --out and --format', {
          nextStep: 'Export twice.',
        });
      return saveFile(remote, await remote.api.open('exportEvidence', { query }, 'application/zip'), bundle);
    }
    const stream =
      choiceFrom('--format', format ?? 'csv', ['csv', 'json']) === 'csv'
        ? await remote.api.open('exportEvents', { query }, 'text/csv')
        : await remote.api.open('exportEventsAsJson', { query }, 'application/json');
    return saveFile(remote, stream, out);
  },
});
