/** Bars as SVG, without a library: one group for each condition, one bar for each system. */
import type { FigureName } from './figure.ts';
import { figures } from './figure.ts';
import { spreadIn, type Row } from './row.ts';
import { conditionOf } from './cell.ts';

const BAR_HEIGHT = 16;
const LABEL_WIDTH = 130;
const BARS_WIDTH = 460;
const VALUE_WIDTH = 80;
const TITLE_HEIGHT = 28;
const GROUP_GAP = 26;
/** Readable on white and on black. */
const OURS_COLOR = '#2f81f7';
const PEER_COLOR = '#8b949e';

/**
 * A figure of all rows that have it. Bars are on a logarithmic scale from a tenth of the least value to the most, since
 * the systems are up to a hundred times apart; the value stands beside each. Null where no row has the figure.
 */
export function barChart(rows: readonly Row[], figure: FigureName): string | null {
  const groups = rows
    .map((row) => ({ title: conditionOf(row.condition), bars: barsOf(row, figure) }))
    .filter(({ bars }) => bars.length > 0);
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value));
  if (values.length === 0) return null;
  const scale = logScale(Math.min(...values) / 10, Math.max(...values));
  const parts: string[] = [text(0, 16, `${figures[figure].label}, median, logarithmic`, 'font-weight="bold"')];
  let y = TITLE_HEIGHT;
  for (const { title, bars } of groups) {
    parts.push(text(0, y + 12, title, 'font-style="italic"'));
    y += GROUP_GAP - 8;
    for (const { system, value } of bars) {
      const width = Math.max(1, scale(value) * BARS_WIDTH);
      const color = system.startsWith('lockstep') ? OURS_COLOR : PEER_COLOR;
      parts.push(
        text(0, y + 12, system),
        `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${width.toFixed(1)}" height="${BAR_HEIGHT - 4}" fill="${color}"/>`,
        text(LABEL_WIDTH + width + 6, y + 12, value.toFixed(figures[figure].digits)),
      );
      y += BAR_HEIGHT;
    }
    y += 8;
  }
  const width = LABEL_WIDTH + BARS_WIDTH + VALUE_WIDTH;
  const style = 'font-family="sans-serif" font-size="12"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" ${style}>\n${parts.join('\n')}\n</svg>\n`;
}

function barsOf(row: Row, figure: FigureName): { system: string; value: number }[] {
  return [...row.systems.keys()].flatMap((system) => {
    const value = spreadIn(row, system, figure)?.median;
    return value === undefined || value <= 0 ? [] : [{ system, value }];
  });
}

/** 0 at `from`, 1 at `to`. */
function logScale(from: number, to: number): (value: number) => number {
  return (value) => Math.log(value / from) / Math.log(to / from);
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${Number(x.toFixed(1))}" y="${y}" fill="#656d76" ${attributes}>${safe}</text>`.replace(' >', '>');
}
