/**
 * `KafkaMirrorMaker2` of Strimzi: kafka.strimzi.io/v1beta2, where `clusters` holds all clusters and `connectCluster` names
 * the target, and v1, where each mirror has its `source` and all have one `target`. v1alpha1 is read as v1beta2.
 */
import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document, type Node } from 'yaml';
import type { Setting } from '../report.ts';

/** A value with its place: every scalar of the resource is one setting that has to be accounted for. */
export interface Leaf extends Setting {
  /** The keys that lead there; a number is a place in a list. */
  readonly path: readonly (string | number)[];
}

export interface CustomResource {
  readonly file: string;
  readonly leaves: readonly Leaf[];
  readonly value: unknown;
}

/** The resources of this kind in a file; others that stand beside them are left alone. Null where it is no YAML. */
export function customResourcesOf(file: string, text: string): CustomResource[] | null {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  if ('empty' in documents) return [];
  if (documents.some(({ errors }) => errors.length > 0)) return null;
  return documents.flatMap((document: Document.Parsed) => {
    const value = valueOf(document);
    if (!isRecord(value) || value['kind'] !== 'KafkaMirrorMaker2') return [];
    const leaves = leavesOf(document.contents, [], (node, path) => ({
      file,
      line: node?.range ? lines.linePos(node.range[0]).line : null,
      name: nameOf(path),
      value: scalarText(path.reduce<unknown>(inside, value)),
      path,
    }));
    return [{ file, leaves, value }];
  });
}

function valueOf(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // An alias without its anchor, or more of them than a person writes.
    if (error instanceof ReferenceError) return null;
    throw error;
  }
}

type MakeLeaf = (node: Node | null, path: readonly (string | number)[]) => Leaf;

/** What is empty is a leaf, too: `tls: {}` says something. */
function leavesOf(node: unknown, path: readonly (string | number)[], make: MakeLeaf): Leaf[] {
  if (isMap(node) && node.items.length > 0)
    return node.items.flatMap(({ key, value }) =>
      leavesOf(value, [...path, isScalar(key) ? String(key.value) : ''], make),
    );
  if (isSeq(node) && node.items.length > 0)
    return node.items.flatMap((item, index) => leavesOf(item, [...path, index], make));
  return [make((node ?? null) as Node | null, path)];
}

function nameOf(path: readonly (string | number)[]): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`))
    .join('');
}

function inside(value: unknown, step: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined;
}

function scalarText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
