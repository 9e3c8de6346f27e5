/** Entries as a table (RFC 4180). The log itself is the truth: a table leaves out digests and commitments. */
import type { AuditEntry } from '#contract/audit.ts';

const COLUMNS: readonly [string, (entry: AuditEntry) => string | number | undefined][] = [
  ['seq', ({ seq }) => seq],
  ['time', ({ ts }) => new Date(ts).toISOString()],
  ['actorKind', ({ actor }) => actor.kind],
  ['actorId', ({ actor }) => actor.id],
  ['authn', ({ actor }) => actor.authn],
  ['action', ({ action }) => action],
  ['phase', ({ phase }) => phase],
  ['outcome', ({ outcome }) => outcome],
  ['reason', ({ reason }) => reason],
  ['resourceType', ({ resource }) => resource.type],
  ['resourceId', ({ resource }) => resource.id],
  ['cluster', ({ resource }) => resource.cluster],
  ['requestId', ({ requestId }) => requestId],
  ['intent', ({ parentSeq }) => parentSeq],
];

export function csvHeader(): string {
  return csvLine(COLUMNS.map(([name]) => name));
}

export function csvOf(entry: AuditEntry): string {
  return csvLine(COLUMNS.map(([, read]) => String(read(entry) ?? '')));
}

function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/** Programs that open tables take a cell that begins like a formula for one (ASVS 1.2.10): an apostrophe makes it text. */
function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
