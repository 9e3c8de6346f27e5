/** docs/reliability.md, from the results of the faults: nothing in it is written by hand. */
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
  return [head, countsOf(faults), ...areas.map((area) => sectionOf(area, faults))].join('\n');
}

function countsOf(faults: readonly Listed[]): string {
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
  return `${[`${faults.length} faults: ${passed.length} passed in ${minutes.toFixed(0)} minutes`, ...rest].join(', ')}. ${shared} of them run in every \`npm test\`.\n`;
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
