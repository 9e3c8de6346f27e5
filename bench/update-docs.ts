/** Writes figures and charts of the kept results into docs/: `node bench/update-docs.ts`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '#testing/kafka-home.ts';
import { cellKinds, conditionOf, type CellKind } from './cell.ts';
import { barChart } from './chart.ts';
import type { FigureName } from './figure.ts';
import { formatVerdicts, judge } from './goal.ts';
import { goals } from './goals.ts';
import { formatMachine } from './machine.ts';
import { formatData, formatLoad, formatTable, formatUnmeasured } from './report.ts';
import { readResults, type CellResult } from './result.ts';
import { rowsOf, type Row } from './row.ts';

const BEGIN = '<!-- figures: written by `node bench/update-docs.ts` from bench/results/reference.jsonl -->';
const END = '<!-- end of figures -->';

export const performancePage = join(repository, 'docs', 'performance.md');
export const chartsFolder = join(repository, 'docs', 'charts');

const titles: Readonly<Record<CellKind, string>> = {
  copy: 'Copying what is there',
  latency: 'Added latency of live traffic',
  'catch-up': 'After a pause of the mirror',
  kill: 'After kill -9',
  idle: 'Partitions without traffic',
  soak: 'Soak',
  'dead-target': 'While the target is dead',
};
const charted: readonly (readonly [CellKind, FigureName])[] = [
  ['copy', 'cpuPerGb'],
  ['copy', 'estateCpuPerGb'],
  ['copy', 'mbPerSecond'],
  ['latency', 'p99Ms'],
];

export function readReference(): CellResult[] {
  return readResults(join(repository, 'bench', 'results', 'reference.jsonl'));
}

/** The page with the figures between its two marks. Throws when a mark is missing. */
export function withFigures(page: string, results: readonly CellResult[]): string {
  const [before, rest] = split(page, BEGIN);
  const [, after] = split(rest, END);
  return `${before}${BEGIN}\n\n${formatFigures(results)}\n\n${END}${after}`;
}

/** By file name. */
export function chartsOf(results: readonly CellResult[]): Map<string, string> {
  const rows = rowsOf(results);
  return new Map(
    charted.flatMap(([kind, figure]) => {
      const chart = barChart(ofKind(rows, kind), figure);
      return chart === null ? [] : [[chartName(kind, figure), chart] as const];
    }),
  );
}

function formatFigures(results: readonly CellResult[]): string {
  const rows = rowsOf(results);
  const facts = [...new Set(results.map(machineLine)), formatLoad(results), ...dataLines(rows)];
  const sections = cellKinds.flatMap((kind) => sectionOf(kind, ofKind(rows, kind), chartsOf(results)));
  const unmeasured = formatUnmeasured(rows);
  const verdicts = formatVerdicts(judge(goals, rows));
  return [
    facts.map((fact) => `- ${fact}`).join('\n'),
    ...sections,
    ...(unmeasured === '' ? [] : [`Not measured:\n\n${unmeasured}`]),
    `### Goals\n\nWhat each is held to, and the distance:\n\n\`\`\`\n${verdicts}\n\`\`\``,
  ].join('\n\n');
}

function sectionOf(kind: CellKind, rows: readonly Row[], charts: ReadonlyMap<string, string>): string[] {
  if (rows.length === 0) return [];
  const pictures = charted
    .filter(([of, figure]) => of === kind && charts.has(chartName(of, figure)))
    .map(([, figure]) => `![${figure}](charts/${chartName(kind, figure)})`);
  return [`### ${titles[kind]}`, formatTable(rows), ...pictures];
}

function machineLine({ machine, at, commit }: CellResult): string {
  return `${formatMachine(machine)}; ${at.slice(0, 10)}, commit ${commit}`;
}

/** Of each condition once. */
function dataLines(rows: readonly Row[]): string[] {
  const all = rows.flatMap(({ systems }) => [...systems.values()].flat().filter(({ data }) => data));
  const first = new Map(all.toReversed().map((result) => [conditionOf(result.cell), result]));
  return [...first.values()].toReversed().flatMap((result) => formatData(result) ?? []);
}

function ofKind(rows: readonly Row[], kind: CellKind): Row[] {
  return rows.filter(({ condition }) => condition.kind === kind);
}

function chartName(kind: CellKind, figure: FigureName): string {
  return `${kind}-${figure.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}.svg`;
}

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`docs/performance.md has no line ${mark}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

if (import.meta.main) {
  const results = readReference();
  writeFileSync(performancePage, withFigures(readFileSync(performancePage, 'utf8'), results));
  mkdirSync(chartsFolder, { recursive: true });
  for (const [name, chart] of chartsOf(results)) writeFileSync(join(chartsFolder, name), chart);
}
