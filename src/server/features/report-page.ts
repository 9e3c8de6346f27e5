/** A compliance report as a page to print. */
import { escapeHtml, htmlPage } from '../http/html.ts';
import { tablesOf, type ReportHead, type ReportTable, type Sections } from './compliance-report.ts';

export function reportPage(
  head: ReportHead,
  sections: Sections,
  { names, nonce }: { readonly names: ReadonlyMap<string, string>; readonly nonce: string },
): string {
  const tables = tablesOf(head, sections, names).map(tableOf);
  const title = `Evidence for ${new Date(head.from).toISOString().slice(0, 10)} to ${new Date(head.to).toISOString().slice(0, 10)}`;
  return htmlPage({ title, body: `<h1>${escapeHtml(title)}</h1>${tables.join('')}`, nonce });
}

function tableOf({ title, rows }: ReportTable): string {
  const cells = rows.map(
    (row) =>
      `<tr>${row.map((cell) => `<td>${escapeHtml(cell === null ? 'not measured' : String(cell))}</td>`).join('')}</tr>`,
  );
  return `${title === null ? '' : `<h2>${escapeHtml(title)}</h2>`}<table>${cells.join('')}</table>`;
}
