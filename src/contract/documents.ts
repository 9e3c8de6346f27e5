/**
 * Reads resource files: YAML (so JSON too), several documents to a file. Everything that is wrong is reported at once,
 * each with its place, in the order of the files.
 */
import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  LineCounter,
  parseAllDocuments,
  type Document,
  type Node,
  type Pair,
} from 'yaml';
import type { z } from 'zod';
import { nearest } from '#util/nearest.ts';
import { NOT_BUILT } from './complaints.ts';
import { AppError, type ErrorCode } from './errors.ts';
import {
  apiVersion,
  resolveVerify,
  schemas,
  verifySchema,
  type ClusterResource,
  type Documents,
  type Kind,
  type MirrorResource,
} from './resources.ts';

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** One thing that is wrong in a file. Line and column count from 1. */
export interface Problem {
  readonly code: ErrorCode;
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

type Path = readonly PropertyKey[];
type Report = (message: string, at?: Path, options?: { code?: ErrorCode; key?: boolean }) => void;

/** A document that has an apiVersion and kind that we know, not yet held against its schema. */
interface Entry {
  readonly kind: Kind;
  readonly value: unknown;
  readonly name: string | null;
  readonly place: string;
  readonly report: Report;
}

/** An anchor may be used this often; what grows faster than a person writes is an attack ('billion laughs'). */
const ALIASES_MAX = 100;

const kinds = Object.keys(schemas) as Kind[];
const kindNames = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(kinds);

/**
 * The resources of `files`, with defaults filled in and every reference resolved. Throws an AppError that lists every
 * problem as `path:line:column: message` and carries them in `details.problems`: CONFIG_INVALID, or the problems' own
 * code (FEATURE_NOT_BUILT, CLUSTER_SAME) where all have the same.
 */
export function parseDocuments(files: readonly SourceFile[]): Documents {
  const problems: Problem[] = [];
  const entries = files.flatMap((file) => readFile(file, problems));
  reportDuplicates(entries);
  const clusters: ClusterResource[] = [];
  const mirrors: MirrorResource[] = [];
  for (const entry of entries) {
    const result = schemas[entry.kind].safeParse(entry.value);
    if (!result.success) reportIssues(result.error.issues, entry);
    else if (result.data.kind === 'Cluster') clusters.push(result.data);
    else if (result.data.kind === 'Mirror') mirrors.push(result.data);
    if (entry.kind === 'Mirror') reportReferences(entry, entries, ['spec']);
    if (entry.kind === 'Verify') reportMirror(entry, entries);
  }
  if (problems.length > 0) throw invalid(files, problems);
  const verifications = entries.flatMap((entry) => {
    const resolved = entry.kind === 'Verify' ? resolveVerify(verifySchema.parse(entry.value), mirrors) : null;
    return resolved ? [resolved] : [];
  });
  return { clusters, mirrors, verifications };
}

function invalid(files: readonly SourceFile[], problems: readonly Problem[]): AppError {
  const order = new Map(files.map((file, index) => [file.path, index]));
  const sorted = problems.toSorted(
    (a, b) => (order.get(a.path) ?? 0) - (order.get(b.path) ?? 0) || a.line - b.line || a.column - b.column,
  );
  const codes = new Set(sorted.map((problem) => problem.code));
  const [code] = codes;
  const lines = sorted.map(({ path, line, column, message }) => `${path}:${line}:${column}: ${message}`);
  return new AppError(codes.size === 1 && code !== undefined ? code : 'CONFIG_INVALID', lines.join('\n'), {
    details: { problems: sorted },
    nextStep: `Correct ${problems.length === 1 ? 'this' : `these ${problems.length} problems`} and try "lockstep validate" again.`,
  });
}

function readFile(file: SourceFile, problems: Problem[]): Entry[] {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { path: file.path, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const add = (offset: number, message: string, code: ErrorCode = 'CONFIG_INVALID') =>
    void problems.push({ ...at(offset), code, message });
  const documents = parseYaml(file, lines, add);
  const entries: Entry[] = [];
  for (const document of documents) {
    for (const error of document.errors) add(error.pos[0], `malformed YAML: ${sentence(error.message)}`);
    if (document.errors.length > 0 || document.contents === null || isNull(document.contents)) continue;
    const report: Report = (message, path = [], options = {}) =>
      add(offsetOf(document, path, options.key ?? false), message, options.code);
    const value = valueOf(document, report);
    const kind = value === undefined ? null : kindOf(value, report);
    if (kind === null) continue;
    const { line } = at(offsetOf(document, [], false));
    entries.push({ kind, value, name: nameOf(value), place: `${file.path}:${line}`, report });
  }
  const empty = documents.every(
    (document) => document.errors.length === 0 && (document.contents === null || isNull(document.contents)),
  );
  if (empty && !problems.some((problem) => problem.path === file.path))
    add(0, 'holds no resource; a file holds documents of kind Cluster, Mirror and Verify');
  return entries;
}

function parseYaml(
  file: SourceFile,
  lines: LineCounter,
  add: (offset: number, message: string) => void,
): Document.Parsed[] {
  try {
    const documents = parseAllDocuments(file.text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'silent',
      // In a resource `0` and `"0"` are one key: a partition.
      uniqueKeys: (a, b) => isScalar(a) && isScalar(b) && String(a.value) === String(b.value),
    });
    return 'empty' in documents ? [] : documents;
  } catch (error) {
    // Nesting that is deeper than the parser's stack.
    if (!(error instanceof RangeError)) throw error;
    add(0, 'malformed YAML: the nesting is too deep');
    return [];
  }
}

function valueOf(document: Document.Parsed, report: Report): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    // ReferenceError: an alias without its anchor, or more aliases than the bound.
    if (!(error instanceof ReferenceError) && !(error instanceof RangeError)) throw error;
    report(`malformed YAML: ${sentence(error.message)}`);
    return undefined;
  }
}

function kindOf(value: unknown, report: Report): Kind | null {
  if (!isRecord(value)) {
    report('a document must be a mapping with apiVersion, kind, metadata and spec');
    return null;
  }
  const version = value['apiVersion'];
  if (version === undefined) report(`apiVersion is missing; it must be ${apiVersion}`);
  else if (version !== apiVersion) report(`apiVersion: must be ${apiVersion}, not ${shown(version)}`, ['apiVersion']);
  const kind = value['kind'];
  if (kind === undefined) report(`kind is missing; it must be ${kindNames}`);
  else if (!kinds.some((known) => known === kind)) {
    report(`kind: must be ${kindNames}, not ${shown(kind)}${didYouMean(typeof kind === 'string' ? kind : '', kinds)}`, [
      'kind',
    ]);
  }
  const known = kinds.find((name) => name === kind);
  return version === apiVersion && known !== undefined ? known : null;
}

function reportDuplicates(entries: readonly Entry[]): void {
  const first = new Map<string, Entry>();
  for (const entry of entries) {
    if (entry.name === null) continue;
    const key = `${entry.kind} ${entry.name}`;
    const earlier = first.get(key);
    if (earlier === undefined) first.set(key, entry);
    else
      entry.report(`metadata.name: there is another ${entry.kind} "${entry.name}" at ${earlier.place}`, [
        'metadata',
        'name',
      ]);
  }
}

/** A Verify names a Mirror of the files, or says itself what one does. */
function reportMirror(entry: Entry, entries: readonly Entry[]): void {
  const path = ['spec', 'mirror'];
  const named = valueAt(entry.value, path);
  if (isRecord(named)) return reportReferences(entry, entries, path);
  if (typeof named !== 'string') return;
  const names = entries.flatMap(({ kind, name }) => (kind === 'Mirror' && name !== null ? [name] : []));
  if (names.includes(named)) return;
  const hint =
    didYouMean(named, names) ||
    '; where its file is not among them, write its name, source, target and topics as a mapping';
  entry.report(`spec.mirror: there is no Mirror "${named}"${hint}`, path);
}

/** `path`: where source and target of a mirror stand. */
function reportReferences(mirror: Entry, entries: readonly Entry[], path: Path): void {
  const spec = valueAt(mirror.value, path);
  if (!isRecord(spec)) return;
  const names = entries.flatMap((entry) => (entry.kind === 'Cluster' && entry.name !== null ? [entry.name] : []));
  for (const key of ['source', 'target'] as const) {
    const name = spec[key];
    if (typeof name !== 'string' || names.includes(name)) continue;
    const hint =
      didYouMean(name, names) ||
      (names.length === 0
        ? '; the files hold no Cluster'
        : `; the files hold ${names.map((each) => `"${each}"`).join(', ')}`);
    mirror.report(`${pathName([...path, key])}: there is no Cluster "${name}"${hint}`, [...path, key]);
  }
  if (typeof spec['source'] === 'string' && spec['source'] === spec['target']) {
    mirror.report(
      `${pathName([...path, 'target'])}: source and target are both "${spec['source']}"; a mirror goes from one cluster to another`,
      [...path, 'target'],
      { code: 'CLUSTER_SAME' },
    );
  }
}

function reportIssues(issues: readonly z.core.$ZodIssue[], entry: Entry, base: Path = []): void {
  const misspelt = new Set(
    issues.filter((issue) => issue.code === 'unrecognized_keys').map((issue) => pathName(issue.path)),
  );
  for (const issue of issues) {
    const path = [...base, ...issue.path];
    const name = pathName(path);
    // What a mapping lacks is most likely what its unknown key was meant to be: one problem, not two.
    if (issue.code === 'custom' && misspelt.has(pathName(issue.path))) continue;
    if (issue.code === 'unrecognized_keys') {
      const known = knownKeys(schemas[entry.kind], path);
      for (const key of issue.keys) {
        const hint = didYouMean(key, known) || `; known here: ${known.join(', ')}`;
        entry.report(`unknown key "${pathName([...path, key])}"${hint}`, [...path, key], { key: true });
      }
    } else if (issue.code === 'invalid_union' && isRecord(valueAt(entry.value, path))) {
      // A mapping was meant for the option that is a mapping, which is the last one.
      reportIssues(issue.errors.at(-1) ?? [], entry, path);
    } else if (issue.code === 'invalid_key') {
      for (const inner of issue.issues) entry.report(`${name}: ${inner.message}`, path, { key: true });
    } else {
      const code =
        issue.code === 'custom' && issue.params?.[NOT_BUILT] === true ? 'FEATURE_NOT_BUILT' : 'CONFIG_INVALID';
      const missing = issue.message.startsWith('is ');
      entry.report(`${name}${missing ? '' : ':'} ${issue.message}`, path, { code, key: missing });
    }
  }
}

/** The keys of the mapping at `path`, as its schema names them. */
function knownKeys(schema: unknown, path: Path): string[] {
  const def = isRecord(schema) && isRecord(schema['def']) ? schema['def'] : {};
  if (def['type'] === 'object' && isRecord(def['shape'])) {
    const [key, ...rest] = path;
    return key === undefined ? Object.keys(def['shape']) : knownKeys(def['shape'][String(key)], rest);
  }
  if (def['type'] === 'array') return knownKeys(def['element'], path.slice(1));
  if (def['type'] === 'union' && Array.isArray(def['options'])) return knownKeys(def['options'].at(-1), path);
  const inner = def['innerType'] ?? def['in'];
  return inner === undefined ? [] : knownKeys(inner, path);
}

/** Where the value (or with `key` its key) at `path` begins; of what is missing, where the mapping begins that lacks it. */
function offsetOf(document: Document.Parsed, path: Path, key: boolean): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [index, step] of path.entries()) {
    const collection: Node | undefined | null = isAlias(node) ? node.resolve(document) : node;
    if (!isCollection(collection)) return offset;
    const pair = isMap(collection)
      ? (collection.items as Pair<Node, Node | null>[]).find(
          (item) => isScalar(item.key) && String(item.key.value) === String(step),
        )
      : undefined;
    const next: Node | null | undefined = isMap(collection)
      ? pair?.value
      : (collection.items[Number(step)] as Node | undefined);
    const keyOffset = pair?.key.range?.[0];
    if (pair === undefined && !next) return offset;
    const last = index === path.length - 1;
    offset = (last && key ? keyOffset : undefined) ?? next?.range?.[0] ?? keyOffset ?? offset;
    node = next ?? null;
  }
  return offset;
}

function didYouMean(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  return near === null ? '' : `; did you mean "${near}"?`;
}

/** `spec.topics[0].match` */
function pathName(path: Path): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${String(step)}`))
    .join('');
}

function nameOf(value: unknown): string | null {
  const name = valueAt(value, ['metadata', 'name']);
  return typeof name === 'string' ? name : null;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, step) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, step) : undefined),
    value,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNull(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? `"${value}"` : 'this';
}

/** The parser's message as the rest of a sentence of ours. */
function sentence(message: string): string {
  const line = message.split('\n')[0] ?? '';
  return `${line.charAt(0).toLowerCase()}${line.slice(1)}`.replace(/[.:]$/, '');
}
