/** What the server has noticed, and which certificates need somebody soon. */
import { exitCodes } from '../../exit-codes.ts';
import { formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

interface NoticeOptions extends RemoteOptions {
  readonly level?: string;
  readonly type?: string;
  readonly cluster?: string;
  readonly limit?: string;
}

export const listNotices: Verb<NoticeOptions> = remoteVerb({
  summary: 'show what the server has noticed by itself, the newest first',
  examples: ['lockstep notices list --level warning'],
  options: {
    '--level <level>': 'only info, warning or error',
    '--type <name>': 'only of this type',
    '--cluster <name>': 'only about this cluster',
    '--limit <number>': 'at most so many; without it 100',
  },
  async run({ api }, { level, type, cluster, limit = '100' }) {
    const query = {
      sort: '-id',
      ...(level === undefined ? {} : { level: choiceFrom('--level', level, ['info', 'warning', 'error']) }),
      ...(type === undefined ? {} : { type }),
      ...(cluster === undefined ? {} : { cluster }),
    };
    const notices = await api.all('listNotices', { query }, wholeNumber('--limit', limit, 1));
    const rows = notices.map((each) => [formatMoment(each.at), each.level, each.type, each.message]);
    return { json: { notices }, lines: formatRows(['TIME', 'LEVEL', 'TYPE', 'MESSAGE'], rows, 'notices') };
  },
});

export const listExpiry: Verb<RemoteOptions> = remoteVerb({
  summary: 'show when the certificates of server, clusters and users end; exit code 5 where one ends within a week',
  examples: ['lockstep certificates expiry', 'lockstep certificates expiry --json | jq .certificates[0]'],
  async run({ api }) {
    const certificates = await api.call('listCertificateExpiry', {});
    const rows = certificates.map((each) => [
      each.level,
      each.use,
      each.of ?? 'the server',
      each.subject ?? UNKNOWN,
      formatMoment(each.notAfter),
      each.daysLeft === null ? UNKNOWN : String(each.daysLeft),
      each.trouble === null ? '' : `${each.trouble.code}: ${each.trouble.message}`,
    ]);
    const isUrgent = certificates.some(({ level }) => level === 'critical' || level === 'expired');
    return {
      json: { certificates },
      lines: formatRows(['LEVEL', 'USE', 'OF', 'SUBJECT', 'ENDS', '#DAYS LEFT', ''], rows, 'certificates'),
      code: isUrgent ? exitCodes.findings : exitCodes.ok,
    };
  },
});
