/** The picture of the demo on a terminal: a pure function of what is known, never wider or higher than the terminal. */
import { clip, formatCount, formatDuration, formatNumberOf } from '#cli/format.ts';
import { describeField, formatPlace } from './words.ts';
import type { Snapshot, TopicRow } from './snapshot.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Paint = (style: Style | readonly Style[], text: string) => string;

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
}

const WIDTH_MIN = 40;
/** Wider lines are harder to read, not richer. */
const WIDTH_MAX = 110;
/** Lag in records above which it is worth a colour: a second of the traffic. */
const LAG_NOTABLE = 400;

/** A piece of text in a style. Widths are counted before the style is put on. */
type Span = readonly [text: string, style?: Style | readonly Style[]];

interface Column {
  readonly title: string;
  readonly width: number;
  readonly text: (row: TopicRow) => string;
  /** Shown in colour while the lag is notable. */
  readonly isLag?: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: 'PARTITIONS', width: 10, text: (row) => formatCount(row.partitions) },
  { title: 'POSITION', width: 10, text: (row) => formatCount(row.position) },
  { title: 'LAG', width: 8, text: (row) => formatCount(row.lag), isLag: true },
  { title: 'BEHIND', width: 11, text: (row) => formatDuration(row.behindMs), isLag: true },
  { title: 'RECORDS/S', width: 10, text: (row) => formatCount(row.perSecond) },
];

/** Lines of the picture. */
export function renderView(snapshot: Snapshot, terminal: Terminal): string[] {
  const width = Math.max(WIDTH_MIN, Math.min(terminal.columns, WIDTH_MAX));
  const line = (...spans: Span[]): string => paintLine(spans, width, terminal.paint);
  const head = [
    ...renderTitle(snapshot, width, line),
    line(),
    ...renderTable(snapshot, width, line),
    line(),
    ...renderFacts(snapshot, line),
    line(),
  ];
  const foot = renderHelp(snapshot, line);
  const free = terminal.rows - head.length - foot.length - 1;
  const events = snapshot.events.slice(-Math.max(0, Math.min(free, 8)));
  const log = events.map(({ atMs, text }) => line([` ${formatDuration(atMs).padStart(11)}  `, 'dim'], [text, 'dim']));
  const spare = Array.from({ length: Math.max(0, free - log.length) }, () => '');
  const isRoomy = free > log.length + 8;
  const body = isRoomy ? [...head, ...log, '', ...foot] : [...head, ...log, ...spare, '', ...foot];
  return body.slice(0, terminal.rows);
}

type Line = (...spans: Span[]) => string;

function renderTitle({ elapsedMs }: Snapshot, width: number, line: Line): string[] {
  const left: Span[] = [
    [' Lockstep ', ['bold', 'cyan']],
    ['  east → west', 'bold'],
    ['   two Kafka clusters, one mirror', 'dim'],
  ];
  const right = `live for ${formatDuration(elapsedMs)} `;
  const used = left.reduce((sum, [text]) => sum + text.length, 0);
  return [line(...left, [right.padStart(Math.max(right.length + 1, width - used)), 'dim'])];
}

function renderTable({ topics, total }: Snapshot, width: number, line: Line): string[] {
  // A narrow terminal loses the first columns: lag and rate are what moves.
  const columns = width < 78 ? COLUMNS.slice(2) : COLUMNS;
  const numbers = columns.reduce((sum, column) => sum + column.width + 1, 0);
  const nameWidth = Math.min(34, width - numbers - 2);
  const titles = columns.map(({ title, width: columnWidth }) => ` ${title.padStart(columnWidth)}`).join('');
  return [
    line([` ${'TOPIC'.padEnd(nameWidth)}${titles}`, 'dim']),
    ...topics.map((row) => line(...renderRow(row, nameWidth, columns))),
    line(...renderRow(total, nameWidth, columns).map(([text, style]): Span => [text, style ?? 'bold'])),
  ];
}

function renderRow(row: TopicRow, nameWidth: number, columns: readonly Column[]): Span[] {
  const isLate = (row.lag ?? 0) >= LAG_NOTABLE;
  const cells = columns.map(({ width, text, isLag = false }): Span => {
    const cell = ` ${text(row).padStart(width)}`;
    return isLag && isLate ? [cell, 'yellow'] : [cell];
  });
  return [[` ${clip(row.name, nameWidth).padEnd(nameWidth)}`], ...cells];
}

function renderFacts(snapshot: Snapshot, line: Line): string[] {
  const fact = (name: string, ...spans: Span[]): string => line([` ${name.padEnd(9)}`, 'dim'], ...spans);
  const { records, committed, aborted } = snapshot.traffic;
  return [
    fact(
      'TRAFFIC',
      [formatNumberOf(records, 'record')],
      [` on east; transactions: ${formatCount(committed)} committed, ${formatCount(aborted)} aborted`],
    ),
    ...renderMirror(snapshot, fact),
    ...renderProof(snapshot, fact),
  ];
}

type Fact = (name: string, ...spans: Span[]) => string;

function renderMirror({ mirror }: Snapshot, fact: Fact): string[] {
  const since = formatDuration(mirror.inStateMs);
  const copied = mirror.copied === null ? 'nothing copied yet' : `${formatNumberOf(mirror.copied, 'record')} copied`;
  const times = mirror.kills === 1 ? 'once' : `${mirror.kills} times`;
  switch (mirror.state) {
    case 'running':
      return [
        fact('MIRROR', ['running', ['bold', 'green']], [` for ${since}, pid ${mirror.pid}`]),
        mirror.incident !== null
          ? fact('', [mirror.incident, 'red'])
          : fact('', [
              mirror.kills === 0 ? `never killed; ${copied}` : `killed ${times}; ${copied} since the last kill`,
            ]),
      ];
    case 'killed':
      return [
        fact('MIRROR', ['killed', ['bold', 'red']], [` ${since} ago with kill -9`]),
        fact('', [`killed ${times}; nothing is copied now`]),
      ];
    case 'ended':
      return [
        fact('MIRROR', ['ended by itself', ['bold', 'red']], [` ${since} ago`]),
        fact('', [mirror.ending, 'red']),
      ];
  }
}

function renderProof({ proof }: Snapshot, fact: Fact): string[] {
  if (proof.comparedAgoMs === null) {
    return [fact('PROOF', ['nothing compared yet', 'yellow'], [': the reader waits until both sides have records'])];
  }
  const ago = ` (${formatDuration(proof.comparedAgoMs)} ago)`;
  const compared = `${formatNumberOf(proof.compared, 'record')} compared, `;
  if (proof.first !== null) {
    const { first } = proof;
    return [
      fact('PROOF', [`${compared}${formatNumberOf(proof.differences, 'difference')}`, ['bold', 'red']], [ago]),
      fact('', [`${formatPlace(first)}: `, 'red'], [describeField(first), 'red']),
      fact('   east', [first.source]),
      fact('   west', [first.target, 'red']),
    ];
  }
  const again =
    proof.roundAgoMs === null
      ? 'by a separate reader of both clusters, not by the mirror'
      : `by a separate reader; all of it again ${formatCount(proof.rounds)}×, the last time ${formatDuration(proof.roundAgoMs)} ago`;
  return [fact('PROOF', [`${compared}0 differences`, ['bold', 'green']], [ago]), fact('', [again, 'dim'])];
}

function renderHelp(snapshot: Snapshot, line: Line): string[] {
  const key = (letter: string, what: string): Span[] => [[` ${letter} `, ['bold', 'cyan']], [`${what}  `]];
  return [
    line([` → ${hintOf(snapshot)}`, 'yellow']),
    line(
      ...key('k', 'kill -9 the mirror'),
      ...key('r', 'start it again'),
      ...key('p', 'alter a record on west'),
      ...key('q', 'end'),
    ),
    line([' in another terminal: ', 'dim'], [`npx lockstep plan -f ${snapshot.linkFile}`]),
  ];
}

/** What to look at or to try next. */
export function hintOf({ mirror, proof, planted, total }: Snapshot): string {
  if (mirror.state === 'ended') return 'The mirror has ended by itself. Press r to start it again.';
  if (mirror.state === 'killed') return 'LAG grows. Press r: the mirror finds its position on west and goes on.';
  if (mirror.kills > 0 && (mirror.copied ?? 0) === 0)
    return 'The group on west waits up to 20 s for the one that was killed; then this one goes on.';
  if (proof.first !== null) return 'Altered below Kafka, with a right checksum, and found. Press q to end.';
  if (planted !== null) return 'Altered with a right checksum: Kafka cannot notice. Watch PROOF.';
  if (proof.comparedAgoMs === null) return 'The mirror is creating the topics on west.';
  if (mirror.kills === 0) return 'Press k: the mirror dies in the middle of its work. Watch LAG and PROOF.';
  if ((total.lag ?? LAG_NOTABLE) >= LAG_NOTABLE) return 'The mirror is catching up: LAG falls.';
  return 'Nothing lost, nothing twice. Press p: would PROOF notice one altered record?';
}

function paintLine(spans: readonly Span[], width: number, paint: Paint): string {
  let left = width;
  let painted = '';
  for (const [text, style] of spans) {
    if (left <= 0) break;
    const shown = clip(text, left);
    painted += style === undefined ? shown : paint(style, shown);
    left -= shown.length;
  }
  return painted;
}
