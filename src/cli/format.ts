/** Numbers, times and tables as people read them. Bytes are decimal: 1 GB is 10^9 bytes. null is shown as `–`, unknown. */
import { stringify } from 'yaml';
import { printable } from '#util/printable.ts';

export const UNKNOWN = '–';

const groups = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `1,204,331` */
export function formatCount(count: number | null): string {
  return count === null ? UNKNOWN : groups.format(count);
}

/** `1,204,331 records`, `1 record` */
export function formatNumberOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** `1.23 GB`, three digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  // 999.5 and more would be shown with four digits.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : threeDigits(value)} ${units[unit]}`;
}

/** `0.3 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  if (ms < 9_950) return `${(Math.max(ms, 0) / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return pair(minutes, 'min', seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? pair(hours, 'h', minutes % 60, 'min') : pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** `12:03:41Z` of a time in milliseconds since the epoch. */
export function formatTime(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(11, 19)}Z`;
}

/** `2026-11-22 12:03:41Z` of a time in milliseconds since the epoch. */
export function formatMoment(atMs: number | null): string {
  return atMs === null
    ? UNKNOWN
    : new Date(atMs)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z');
}

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** Lines of a table, the titles first, each column as wide as its widest cell. Cells are made printable. */
export function formatTable(columns: readonly Column[], cells: readonly (readonly string[])[]): string[] {
  const rows = cells.map((row) => row.map(printable));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const cell = row[index] ?? '';
        const width = widths[index] ?? 0;
        return align === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)];
}

/** As `formatTable`; a title that begins with "#" is of numbers, which stand right. Where there is nothing, it says so. */
export function formatRows(titles: readonly string[], rows: readonly (readonly string[])[], what: string): string[] {
  if (rows.length === 0) return [`no ${what}`];
  const columns = titles.map((title): Column => {
    return title.startsWith('#') ? { title: title.slice(1), align: 'right' } : { title };
  });
  return formatTable(columns, rows);
}

/** As in a file, made printable. */
export function formatYaml(value: unknown): string[] {
  return stringify(value).trimEnd().split('\n').map(printable);
}

/** Lines of `name  value`, the values below each other. Values are made printable. */
export function formatFacts(facts: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`);
}

/** `unsafe`, made printable, in at most `width` columns, with `…` where something was cut. */
export function clip(unsafe: string, width: number): string {
  const text = printable(unsafe);
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 0))}…`;
}

/** `unsafe`, made printable, in lines of at most `width` columns, the later ones indented further; words that are longer stay whole. */
export function wrap(unsafe: string, width: number, indent: string): string[] {
  const text = printable(unsafe);
  const lines: string[] = [];
  let line = /^ */.exec(text)?.[0] ?? '';
  let isEmpty = true;
  for (const word of text.trimStart().split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}
