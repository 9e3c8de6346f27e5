/** Writes the figures of the checked-in run into docs/performance.md: `node bench/update-docs.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '#testing/kafka-home.ts';
import type { ResultLine } from './report.ts';
import { expectations, formatDataSet, formatExpectations, formatLoad, formatMachine, formatTable } from './report.ts';

const BEGIN = '<!-- figures: written by `node bench/update-docs.ts` from bench/results/reference.jsonl -->';
const END = '<!-- end of figures -->';

export const performancePage = join(repository, 'docs', 'performance.md');
const referenceRun = join(repository, 'bench', 'results', 'reference.jsonl');

/** The page with the figures of the run between its two marks. Throws when a mark is missing. */
export function withFigures(page: string, lines: readonly ResultLine[]): string {
  const [before, rest] = split(page, BEGIN);
  const [, after] = split(rest, END);
  return `${before}${BEGIN}\n\n${formatFigures(lines)}\n\n${END}${after}`;
}

export function readReferenceRun(): ResultLine[] {
  const text = readFileSync(referenceRun, 'utf8').trimEnd();
  return text.split('\n').map((line) => JSON.parse(line) as ResultLine);
}

function formatFigures(lines: readonly ResultLine[]): string {
  const facts = lines.flatMap((line) => {
    if (line.kind === 'machine') return [`- ${formatMachine(line)}`, `- ${formatLoad(lines)}`];
    return line.kind === 'data-set' ? [`- ${formatDataSet(line)}`] : [];
  });
  const expected = formatExpectations(expectations(lines));
  return [facts.join('\n'), formatTable(lines), `Expected, and found:\n\n\`\`\`\n${expected}\n\`\`\``].join('\n\n');
}

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`docs/performance.md has no line ${mark}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(performancePage, withFigures(readFileSync(performancePage, 'utf8'), readReferenceRun()));
}
