/** The dashboard as lines: never wider or higher than the terminal, and readable without colours. */
import {
  clip,
  formatCount,
  formatDuration,
  formatMoment,
  formatTable,
  formatTime,
  UNKNOWN,
  type Column,
} from '../format.ts';
import type { Io } from '../io.ts';
import { renderShards } from '../progress/live-view.ts';
import type { Rates } from '../progress/rates.ts';
import { describeLag, describeRates, describeStates } from '../progress/words.ts';
import { stateOf } from '../commands/jobs/shown.ts';
import {
  ACTION_KEYS,
  incidentsOf,
  jobsOf,
  rowsOf,
  VIEWS,
  type Action,
  type Board,
  type JobBoard,
  type View,
} from './board.ts';

export interface Frame {
  readonly board: Board;
  /** Records and bytes a second, by the id of the job; null: not measured for long enough. */
  readonly rates: ReadonlyMap<string, Rates | null>;
  readonly who: string;
  readonly where: string;
  readonly allowed: ReadonlySet<Action>;
  readonly now: number;
}

/** Heading, tabs, a blank line above and below the middle, and the line of keys. */
const AROUND = 5;

export function renderFrame(io: Io, frame: Frame): string[] {
  const width = io.columns();
  const { board, who, where, now } = frame;
  const room = Math.max(io.rows() - 1 - AROUND, 1);
  const heading = `lockstep  ${where}  ${who}`;
  const link = linkText(board, now);
  const middle = board.isOpen ? detailLines(io, frame, room) : listLines(io, frame, room);
  return [
    `${io.style('bold', clip(heading, Math.max(width - link.length - 2, 10)))}  ${io.style(board.link.isLive ? 'green' : 'yellow', link)}`,
    clip(tabs(board), width),
    '',
    ...middle.slice(0, room),
    '',
    footer(io, frame, width),
  ];
}

function linkText({ link }: Board, now: number): string {
  if (link.isLive) return `live ${formatTime(now)}`;
  const since = formatDuration(now - link.since);
  return link.why === null ? 'connecting' : `not live for ${since}: ${link.why}`;
}

const TITLES: Readonly<Record<View, string>> = {
  clusters: 'Clusters',
  jobs: 'Jobs',
  incidents: 'Incidents',
  compliance: 'Compliance',
};

/** The view that is shown stands in brackets: colours alone would not say it. */
function tabs(board: Board): string {
  return VIEWS.map((view, index) => {
    const text = `${index + 1} ${TITLES[view]} ${countOf(board, view)}`;
    return view === board.view ? `[${text}]` : ` ${text} `;
  }).join('  ');
}

function countOf(board: Board, view: View): string {
  return view === 'compliance' && board.reports === null ? UNKNOWN : formatCount(rowsOf({ ...board, view }));
}

function footer(io: Io, { board, allowed }: Frame, width: number): string {
  const { asked, note } = board;
  if (asked !== null)
    return io.style('yellow', clip(`${asked.action} ${asked.job.name}? y does it, every other key does not`, width));
  if (note !== null) return clip(note, width);
  const actions = Object.entries(ACTION_KEYS).flatMap(([key, action]) =>
    allowed.has(action) ? [`${key} ${action}`] : [],
  );
  const keys = [
    '1-4 view',
    '↑↓ select',
    board.isOpen ? 'b back' : 'return open',
    ...(board.view === 'jobs' ? actions : []),
    'r refresh',
    'q quit',
  ];
  return io.style('dim', clip(keys.join('  '), width));
}

function listLines(io: Io, frame: Frame, room: number): string[] {
  switch (frame.board.view) {
    case 'clusters':
      return clusterList(io, frame, room);
    case 'jobs':
      return jobList(io, frame, room);
    case 'incidents':
      return incidentList(io, frame, room);
    case 'compliance':
      return reportList(io, frame, room);
  }
}

/** The rows around the one that is selected, with as many as are left out above and below. */
function selectable(
  io: Io,
  { columns, rows, isBad }: { columns: readonly Column[]; rows: readonly string[][]; isBad: readonly boolean[] },
  { row, room, none }: { row: number; room: number; none: string },
): string[] {
  if (rows.length === 0) return [none];
  const shown = Math.max(room - 2, 1);
  const from = Math.max(0, Math.min(row - Math.floor(shown / 2), rows.length - shown));
  const width = io.columns();
  const [titles = '', ...lines] = formatTable(columns, rows).map((line) => clip(line, width - 2));
  const visible = lines.slice(from, from + shown).map((line, index) => {
    const at = from + index;
    const marked = `${at === row ? '>' : ' '} ${line}`;
    return isBad[at] ? io.style('red', marked) : at === row ? io.style('bold', marked) : marked;
  });
  const left = rows.length - visible.length;
  return [
    io.style('dim', `  ${titles}`),
    ...visible,
    ...(left > 0 ? [io.style('dim', `  ${from} above, ${left - from} below`)] : []),
  ];
}

function jobList(io: Io, { board, rates }: Frame, room: number): string[] {
  const jobs = jobsOf(board);
  const columns: readonly Column[] = [
    { title: 'JOB' },
    { title: 'STATE' },
    { title: 'SOURCE' },
    { title: 'TARGET' },
    { title: 'LAG', align: 'right' },
    { title: 'RECORDS/S', align: 'right' },
    { title: 'INCIDENTS', align: 'right' },
  ];
  const rows = jobs.map(({ job }) => [
    job.name,
    stateOf(job),
    job.source ?? UNKNOWN,
    job.target ?? UNKNOWN,
    formatCount(job.lagRecords),
    formatCount(rates.get(job.id)?.recordsPerSecond ?? null),
    formatCount(job.incidents),
  ]);
  const isBad = jobs.map(({ job }) => job.state === 'failed' || (job.incidents ?? 0) > 0);
  return selectable(io, { columns, rows, isBad }, { row: board.row, room, none: 'no jobs' });
}

function clusterList(io: Io, { board }: Frame, room: number): string[] {
  const columns = ['CLUSTER', 'USE', 'ANSWERS', 'ID', 'BROKERS', 'TOPICS', 'PARTITIONS', 'MEASURED'].map((title) => ({
    title,
  }));
  const found = board.clusters.map((cluster) => ({ cluster, status: board.statuses.get(cluster.name) ?? null }));
  const rows = found.map(({ cluster, status }) => [
    cluster.name,
    cluster.status,
    status === null ? UNKNOWN : status.isReachable ? 'yes' : (status.error?.code ?? 'no'),
    status?.clusterId ?? UNKNOWN,
    status?.isReachable ? formatCount(status.brokers.length) : UNKNOWN,
    formatCount(status?.topics ?? null),
    formatCount(status?.partitions ?? null),
    status === null ? UNKNOWN : formatTime(status.measuredAt),
  ]);
  const isBad = found.map(({ status }) => status !== null && !status.isReachable);
  return selectable(io, { columns, rows, isBad }, { row: board.row, room, none: 'no clusters' });
}

function incidentList(io: Io, { board }: Frame, room: number): string[] {
  const columns = ['SINCE', 'JOB', 'CODE', 'WHERE', 'CAUSE'].map((title) => ({ title }));
  const incidents = incidentsOf(board);
  const rows = incidents.map(({ job, incident }) => [
    formatMoment(incident.at),
    job.name,
    incident.code,
    incident.topic === null
      ? UNKNOWN
      : `${incident.topic}${incident.partition === null ? '' : `/${incident.partition}`}`,
    incident.cause,
  ]);
  const isBad = incidents.map(({ incident }) => incident.severity === 'error');
  return selectable(io, { columns, rows, isBad }, { row: board.row, room, none: 'no incidents now' });
}

function reportList(io: Io, { board }: Frame, room: number): string[] {
  if (board.reports === null) return ['reports are not for this account'];
  const columns = ['PERIOD', 'FROM', 'TO', 'BY', 'ID'].map((title) => ({ title }));
  const rows = board.reports.map((each) => [
    each.period,
    formatMoment(each.start),
    formatMoment(each.end),
    each.generatedBy ?? 'schedule',
    each.id,
  ]);
  const none = 'no reports; "lockstep compliance generate daily" makes one';
  return selectable(io, { columns, rows, isBad: [] }, { row: board.row, room, none });
}

function detailLines(io: Io, frame: Frame, room: number): string[] {
  const { board } = frame;
  const width = io.columns();
  const lines = (texts: readonly string[]): string[] => texts.map((text) => clip(text, width));
  switch (board.view) {
    case 'jobs': {
      const at = jobsOf(board)[board.row];
      return at ? jobDetail(io, frame, at, room) : [];
    }
    case 'clusters': {
      const cluster = board.clusters[board.row];
      const status = board.statuses.get(cluster?.name ?? '');
      if (!cluster) return [];
      const brokers = status?.brokers.map(
        ({ id, address, rack }) => `  ${id}@${address}${rack === null ? '' : ` (${rack})`}`,
      );
      const trouble = status?.error
        ? [`${status.error.code}: ${status.error.message}`, `next: ${status.error.nextStep ?? UNKNOWN}`]
        : [];
      return lines([
        `${cluster.name}: ${cluster.bootstrap.join(', ')}`,
        ...trouble,
        'brokers',
        ...(brokers ?? [`  ${UNKNOWN}`]),
      ]);
    }
    case 'incidents': {
      const found = incidentsOf(board)[board.row];
      if (!found) return [];
      const { incident, job } = found;
      const range = incident.offsets === null ? [] : [`offsets ${incident.offsets.from} to ${incident.offsets.to}`];
      const place = `${job.name}: ${incident.topic ?? UNKNOWN}${incident.partition === null ? '' : `/${incident.partition}`}`;
      return lines([
        incident.code,
        place,
        ...range,
        incident.cause,
        incident.consequence,
        `next: ${incident.nextStep}`,
      ]);
    }
    case 'compliance':
      return lines([`lockstep compliance get ${board.reports?.[board.row]?.id ?? UNKNOWN} shows it`]);
  }
}

function jobDetail(io: Io, { rates }: Frame, { job, partitions, incidents, at }: JobBoard, room: number): string[] {
  const width = io.columns();
  const fact = (name: string, value: string): string => clip(`  ${name.padEnd(8)}${value}`, width);
  const facts = [
    io.style('bold', clip(`${job.name}  ${job.source ?? UNKNOWN} → ${job.target ?? UNKNOWN}  ${stateOf(job)}`, width)),
    fact('rate', describeRates(rates.get(job.id) ?? null)),
    fact('lag', describeLag({ shards: partitions, at })),
    fact('shards', describeStates(partitions)),
    ...(job.failedReason === null ? [] : [io.style('red', fact('failed', job.failedReason))]),
    ...incidents.slice(0, 3).map((each) => io.style('red', fact('stopped', `${each.code}: ${each.cause}`))),
    '',
  ];
  return [...facts, ...renderShards(io, partitions, Math.max(room - facts.length - 3, 0))];
}
