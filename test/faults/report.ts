/** docs/reliability.md, from the results of the faults, and the same as JSON and HTML: nothing in it is written by hand. */
import { countsOf, figuresOf } from './counts.ts';
import type { FaultResult } from './results.ts';

/** A fault that exists, and what its last run came to; null where it has not run. */
export interface Listed {
  readonly id: string;
  readonly title: string;
  /** The area: what its file is called before `.fault.test.ts`. */
  readonly area: string;
  readonly result: FaultResult | null;
  /** The result is of the sources as they are. */
  readonly isCurrent: boolean;
}

const head = `# Reliability

What was done to a mirror while it worked, how it was seen that it really happened, and what came of it. Written by
\`npm run test:faults -- --report\` from the results of the runs, never by hand. \`npm run test:faults\` runs all of it on
real brokers; those marked with ✓ run in every \`npm test\`. Each ends in one of two ways: the target is identical, judged
by a checker on raw batches and by Kafka's Java consumer, and incidents, where there were any, ended by themselves; or
the partition stopped with exactly one incident that names the offsets, and what lies below them is identical.
`;

export function formatReliability(faults: readonly Listed[]): string {
  const areas = [...new Set(faults.map(({ area }) => area))].sort();
  return [head, summaryOf(faults), ...areas.map((area) => sectionOf(area, faults))].join('\n');
}

function summaryOf(faults: readonly Listed[]): string {
  const inState = (state: FaultResult['state']): Listed[] => faults.filter(({ result }) => result?.state === state);
  const passed = inState('passed').filter(({ isCurrent }) => isCurrent);
  const minutes = passed.reduce((sum, { result }) => sum + (result?.seconds ?? 0), 0) / 60;
  const others = [
    [inState('passed').length - passed.length, 'passed before a change of the sources'],
    [inState('failed').length, 'failed'],
    [inState('started').length, 'interrupted'],
    [faults.filter(({ result }) => result === null).length, 'not run'],
  ] as const;
  const rest = others.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : []));
  const shared = faults.filter(({ result }) => result?.isShared).length;
  const runs = `${[`${faults.length} faults: ${passed.length} passed in ${minutes.toFixed(0)} minutes`, ...rest].join(', ')}. ${shared} of them run in every \`npm test\`.`;
  return [runs, '', '| Counted | |', '|---|---|', ...totalsOf(faults).map((total) => row(total)), ''].join('\n');
}

/** Of the faults that passed last; nothing is known of the others. */
export function totalsOf(faults: readonly Listed[]): readonly (readonly [name: string, value: string])[] {
  const results = faults.map(({ result }) => result);
  const counts = results.flatMap((result) => countsOf(result) ?? []);
  const sum = (of: (each: (typeof counts)[number]) => number): number =>
    counts.reduce((total, each) => total + of(each), 0);
  const counted = counts.filter(({ kills }) => kills !== null);
  const missed = sum(({ expected, raised }) => without(expected, raised).length);
  const unasked = sum(({ expected, raised }) => without(raised, expected).length);
  const quiet = counts.filter(({ expected }) => expected.length === 0);
  const recovered = figuresOf(results, 'all partitions went on within s').toSorted((a, b) => a - b);
  const share = figuresOf(results, 'throughput in the fault, % of before');
  const found = figuresOf(results, 'stopped within s').toSorted((a, b) => a - b);
  const spread = (values: readonly number[]): string =>
    values.length === 0
      ? 'not measured'
      : `${values[values.length >> 1]} median, ${values.at(-1)} most, of ${values.length}`;
  return [
    ['scenarios that passed', `${counts.length} of ${faults.length}`],
    [
      'faults that took effect',
      `${results.filter((result) => result?.state === 'passed' && result.evidence.length > 0).length}`,
    ],
    ['records that a checker compared, equal on both sides', sum(({ records }) => records).toLocaleString('en')],
    ['differences that were not meant', `${sum(({ differences }) => differences)}`],
    [
      'processes killed with SIGKILL',
      `${sum(({ kills }) => kills ?? 0)} in ${counted.length} scenarios; ${counts.length - counted.length} results are older than the count`,
    ],
    ['incidents expected', `${sum(({ expected }) => expected.length)}`],
    ['incidents raised', `${sum(({ raised }) => raised.length)}`],
    ['expected and not raised', `${missed}`],
    ['raised and not expected', `${unasked}`],
    [
      'scenarios in which none may be raised, and none was',
      `${quiet.filter(({ raised }) => raised.length === 0).length}`,
    ],
    ['s until a partition that must stop had stopped', spread(found)],
    ['s until all partitions went on, once the cause had ended', spread(recovered)],
    [
      'throughput in a fault that leaves a way, % of that before',
      share.length === 0 ? 'not measured' : `${Math.min(...share)} least, of ${share.length}`,
    ],
  ];
}

/** What is left of `codes` when each of `others` is taken out once. */
function without(codes: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return codes.filter((code) => {
    const at = left.indexOf(code);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

export interface ReportedFault {
  readonly id: string;
  readonly title: string;
  readonly area: string;
  readonly state: FaultResult['state'] | 'not run';
  readonly isCurrent: boolean;
  readonly tookEffect: readonly string[];
  readonly happened: readonly string[];
  readonly expected: string;
  readonly seconds: number | null;
}

/** What is asked of each fault, beside what came of it; for programs. */
export function toJson(faults: readonly Listed[]): {
  readonly totals: object;
  readonly faults: readonly ReportedFault[];
} {
  return { totals: Object.fromEntries(totalsOf(faults)), faults: faults.map(toReported) };
}

function toReported({ id, title, area, result, isCurrent }: Listed): ReportedFault {
  const counts = countsOf(result);
  const codes = counts?.expected ?? [];
  const isStop = result?.outcomes.some((text) => text.startsWith('stopped')) ?? false;
  const incidents = codes.length === 0 ? 'no incident' : codes.join(', ');
  const expected = isStop ? `a stop with ${incidents}, identical below it` : `identical, ${incidents}`;
  return {
    id,
    title,
    area,
    state: result?.state ?? 'not run',
    isCurrent,
    tookEffect: result?.evidence ?? [],
    happened: result?.state === 'failed' ? [(result.error ?? '').split('\n')[0] ?? ''] : (result?.outcomes ?? []),
    expected: counts ? expected : 'see its test',
    seconds: result?.seconds ?? null,
  };
}

/** One page without anything from elsewhere. */
export function formatHtml(faults: readonly Listed[]): string {
  const rows = faults.map(toReported).map((fault) => {
    const cells = [
      `<code>${escape(fault.id)}</code><br>${escape(fault.title)}`,
      list(fault.tookEffect),
      list(fault.happened),
      escape(fault.expected),
      `${fault.state}${fault.isCurrent || fault.state === 'not run' ? '' : ', before a change'}`,
    ];
    return `<tr class="${fault.state.replace(' ', '-')}">${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const totals = totalsOf(faults).map(([name, value]) => `<tr><td>${escape(name)}</td><td>${escape(value)}</td></tr>`);
  const columns = ['Fault', 'Took effect', 'Happened', 'Expected', 'State'];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Faults</title><style>
body{font:14px system-ui;margin:2em}table{border-collapse:collapse;margin-bottom:2em}td,th{border:1px solid #ccc;padding:4px 8px;vertical-align:top;text-align:left}
.passed td:last-child{background:#dfd}.failed td:last-child{background:#fdd}
</style><h1>Faults</h1><table>${totals.join('')}</table>
<table><tr>${columns.map((column) => `<th>${column}</th>`).join('')}</tr>
${rows.join('\n')}
</table></html>
`;
}

function list(texts: readonly string[]): string {
  return texts.map(escape).join('<br>');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function sectionOf(area: string, faults: readonly Listed[]): string {
  const rows = faults.filter((fault) => fault.area === area).map(rowOf);
  const title = `${area.slice(0, 1).toUpperCase()}${area.slice(1).replaceAll('-', ' ')}`;
  return [
    `## ${title}\n`,
    '| Fault | | It took effect | Then | Figures | Run |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function rowOf({ id, title, result, isCurrent }: Listed): string {
  const name = `\`${id}\`: ${title}`;
  if (result === null) return row([name, '', '', '**not run**', '', '']);
  const { state, evidence, outcomes, figures, startedAt, version, commit, isShared, seconds } = result;
  const then = `${isCurrent ? '' : 'before a change: '}${outcomes.join('; ')}`;
  const outcome = state === 'passed' ? then : state === 'failed' ? '**failed**' : '**interrupted**';
  const measured = figures.map(([label, value]) => `${label} ${value}`).join('; ');
  const run = `${startedAt.slice(0, 10)}, ${version}${commit === null ? '' : ` at ${commit}`}, ${seconds.toFixed(0)} s`;
  return row([name, isShared ? '✓' : '', evidence.join('; '), outcome, measured, run]);
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ')).join(' | ')} |`;
}
