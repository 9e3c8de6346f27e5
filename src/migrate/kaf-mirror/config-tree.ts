/** The YAML of kaf-mirror, or its `full_config`, as settings: one for each value. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Setting } from '../report.ts';

/** Null where it is no YAML, or no mapping. */
export function settingsOfTree(file: string, text: string, label: string): Setting[] | null {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  if (document.errors.length > 0 || !isMap(document.contents)) return null;
  // Of a text within a database lines say nothing.
  const lineOf = (offset: number | undefined): number | null =>
    label === '' && offset !== undefined ? lines.linePos(offset).line : null;
  const walk = (node: unknown, path: string): Setting[] => {
    if (isMap(node) && node.items.length > 0)
      return node.items.flatMap(({ key, value }) => {
        const name = isScalar(key) ? String(key.value) : '';
        return walk(value, path === '' ? name : `${path}.${name}`);
      });
    if (isSeq(node) && node.items.length > 0)
      return node.items.flatMap((item, index) => walk(item, `${path}[${index}]`));
    const value = isScalar(node) ? node.value : null;
    const offset = isScalar(node) ? node.range?.[0] : undefined;
    const shown = value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
    return [{ file, line: lineOf(offset), name: `${label}${path}`, value: shown }];
  };
  return walk(document.contents, '');
}
