/** Rows as tables for people. */
import { conditionOf } from './cell.ts';
import { columns, figures } from './figure.ts';
import type { CellResult } from './result.ts';
import { spreadIn, type Row } from './row.ts';
import { formatSpread, spreadOf } from './statistics.ts';

/** A Markdown table of rows of one kind: a line for each condition and system, `median (least–most)`. */
export function formatTable(rows: readonly Row[]): string {
  const kind = rows[0]?.condition.kind;
  if (kind === undefined) return '';
  const names = columns[kind];
  const headers = ['condition', 'system', 'runs', ...names.map((name) => figures[name].label), 'date'];
  const lines = rows.flatMap((row) =>
    [...row.systems].map(([system, results]) => {
      const measured = results.filter(({ state }) => state === 'measured');
      const cells = names.map((name) => formatSpread(spreadIn(row, system, name), figures[name].digits));
      const date = results.at(-1)?.at.slice(0, 10) ?? '';
      return [conditionOf(row.condition), system, String(measured.length), ...cells, date];
    }),
  );
  return markdownTable(headers, lines);
}

/** The first two columns on the left, figures on the right. */
function markdownTable(headers: readonly string[], lines: readonly (readonly string[])[]): string {
  const isLeft = (column: number): boolean => column < 2;
  const widths = headers.map((header, column) =>
    Math.max(...[header, ...lines.map((line) => line[column] ?? '')].map((cell) => cell.length)),
  );
  const format = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (isLeft(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) => (isLeft(i) ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`));
  return [format(headers), `|${rule.join('|')}|`, ...lines.map(format)].join('\n');
}

/** Cells without figures, and why: one line for each system and reason. */
export function formatUnmeasured(rows: readonly Row[]): string {
  const lines = rows.flatMap((row) =>
    [...row.systems.values()].flat().flatMap(({ cell, state, reason }) => {
      if (state === 'measured') return [];
      return [`- ${conditionOf(row.condition)}, ${cell.system}: ${state}: ${reason?.split('\n')[0]}`];
    }),
  );
  return [...new Set(lines)].join('\n');
}

/** `n1k_16: …; 480,776 records, 0.50 GB; batches of 15,661 B …`: that the data is what its name says. */
export function formatData({ cell, data }: CellResult): string | null {
  if (!data) return null;
  const { bytesMedian, bytesMax, recordsMedian, compression } = data.batches;
  const number = (value: number): string => value.toLocaleString('en');
  return (
    `${conditionOf(cell)}: ${number(data.records)} records; batches of ${number(bytesMedian)} B ` +
    `(median; largest ${number(bytesMax)} B) with ${recordsMedian}, compressed ${compression.toFixed(2)} : 1`
  );
}

/** How busy the machine was: with more than its cores, CPU-seconds rise a little and the wall a lot. */
export function formatLoad(results: readonly CellResult[]): string {
  return `load average when the cells began: ${formatSpread(spreadOf(results.map(({ load }) => load)), 1)}`;
}

/** One line on a cell that has just ended. */
export function formatResult({ cell, state, reason, figures: found, compared }: CellResult): string {
  const name = `  ${cell.system} ${cell.run}`;
  if (state !== 'measured') return `${name}: ${state.toUpperCase()}: ${reason}`;
  const parts = columns[cell.kind].flatMap((figure) => {
    const value = found[figure];
    return value === undefined ? [] : [`${figures[figure].label} ${value.toFixed(figures[figure].digits)}`];
  });
  return `${name}: ${parts.join(', ')}${compared ? `; equal by ${compared}` : ''}`;
}
