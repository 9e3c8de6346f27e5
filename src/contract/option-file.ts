/** The configuration file: reads it with places for what is wrong, and changes one value with its comments kept. */
import { isMap, isScalar, LineCounter, parseDocument, type Document, type Node, type Pair, type YAMLMap } from 'yaml';
import { nearest } from '#util/nearest.ts';
import { AppError } from './errors.ts';
import type { Problem } from './documents.ts';
import { optionKeys, rowOf, type OptionKey } from './options.ts';

/** What a file states, not yet validated by type: by key, with its place. */
export interface StatedOption {
  readonly key: OptionKey;
  readonly value: unknown;
  readonly line: number;
  readonly column: number;
}

const ALIASES_MAX = 100;

/** Throws AppError CONFIG_INVALID with every problem, as parseDocuments does. */
export function parseOptionFile(path: string, text: string): ReadonlyMap<OptionKey, unknown> {
  const { stated, problems } = readOptionFile(path, text);
  const values = new Map<OptionKey, unknown>();
  for (const { key, value, line, column } of stated) {
    const result = rowOf(key).type.schema.safeParse(value);
    if (result.success) values.set(key, result.data);
    else
      for (const message of complaints(result.error.issues))
        problems.push({ code: 'CONFIG_INVALID', path, line, column, message: `${key} ${message}` });
  }
  if (problems.length > 0) throw invalidFile(problems);
  return values;
}

/** `metrics` → `monitoring`; empty where nothing is near. */
export function nearestOption(key: string): OptionKey | null {
  return nearest(key, optionKeys) as OptionKey | null;
}

/** The key of the table for one that may be written as kaf-mirror wrote it (`hec_endpoint`); null where there is none. */
export function optionKeyOf(written: string): OptionKey | null {
  const key = camelCase(written);
  return optionKeys.find((each) => each === key) ?? null;
}

/**
 * `text` with the option set to `value`, as a file holds it, or taken out with undefined. Comments and the order of the rest
 * stay. Throws CONFIG_INVALID where the file is none.
 */
export function editOptionFile(path: string, text: string, { key, value }: { key: OptionKey; value: unknown }): string {
  readable(path, text);
  const document = parseDocument(text);
  const steps = writtenPath(document, key);
  if (value === undefined) removeAt(document, steps);
  // A plain value goes into the node that is there, which has the comment.
  else document.setIn(steps, typeof value === 'object' ? document.createNode(value, { flow: true }) : value);
  const edited = String(document);
  return edited === 'null\n' || edited === '{}\n' ? '' : edited;
}

function readable(path: string, text: string): void {
  const { problems } = readOptionFile(path, text);
  const broken = problems.filter(({ message }) => message.startsWith('malformed') || message.startsWith('must be a'));
  if (broken.length > 0) throw invalidFile(broken);
}

/** A key that stands in the file in its old spelling is changed where it stands. */
function writtenPath(document: Document, key: OptionKey): string[] {
  const steps: string[] = [];
  let node: unknown = document.contents;
  for (const step of key.split('.')) {
    const pair = isMap(node) ? pairsOf(node).find((each) => camelCase(keyText(each)) === step) : undefined;
    steps.push(pair ? keyText(pair) : step);
    node = pair?.value;
  }
  return steps;
}

function removeAt(document: Document, steps: readonly string[]): void {
  document.deleteIn(steps);
  // A mapping that holds nothing any more would be an unknown value.
  for (let length = steps.length - 1; length > 0; length--) {
    const parent = document.getIn(steps.slice(0, length), true);
    if (isMap(parent) && parent.items.length === 0) document.deleteIn(steps.slice(0, length));
  }
}

function readOptionFile(path: string, text: string): { stated: StatedOption[]; problems: Problem[] } {
  const lines = new LineCounter();
  const document = parseYaml(text, lines);
  if (document === null) {
    const message = 'malformed YAML: the nesting is too deep';
    return { stated: [], problems: [{ code: 'CONFIG_INVALID', path, line: 1, column: 1, message }] };
  }
  const at = (node: unknown): { line: number; column: number } => {
    const offset = (node as Node | null)?.range?.[0] ?? 0;
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problems: Problem[] = document.errors.map(({ message, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    return { code: 'CONFIG_INVALID', path, line, column: col, message: `malformed YAML: ${message.split('\n')[0]}` };
  });
  const stated: StatedOption[] = [];
  const complain = (node: unknown, message: string): void =>
    void problems.push({ code: 'CONFIG_INVALID', path, ...at(node), message });
  const { contents } = document;
  if (problems.length > 0 || contents === null || (isScalar(contents) && contents.value === null))
    return { stated, problems };
  if (!isMap(contents)) {
    complain(contents, 'must be a mapping of options');
    return { stated, problems };
  }
  const walk = (map: YAMLMap, above: string): void => {
    for (const pair of pairsOf(map)) {
      const key = `${above}${camelCase(keyText(pair))}`;
      const known = optionKeyOf(key);
      if (known !== null) {
        const value = valueOf(document, pair.value);
        if (value === undefined)
          complain(pair.value, `${key} has more aliases than a file needs, or one without its anchor`);
        else stated.push({ key: known, value, ...at(pair.value ?? pair.key) });
      } else if (!optionKeys.some((each) => each.startsWith(`${key}.`))) complain(pair.key, unknownOption(key));
      else if (isMap(pair.value)) walk(pair.value, `${key}.`);
      else if (!isScalar(pair.value) || pair.value.value !== null) complain(pair.value, `${key} must be a mapping`);
    }
  };
  walk(contents, '');
  return { stated, problems };
}

/** undefined where an alias cannot be followed. */
function valueOf(document: Document, node: Node | null): unknown {
  try {
    return node === null ? null : node.toJS(document, { maxAliasCount: ALIASES_MAX });
  } catch (error) {
    if (error instanceof ReferenceError) return undefined;
    throw error;
  }
}

/** Null where the nesting is deeper than the parser's stack. */
function parseYaml(text: string, lineCounter: LineCounter): Document.Parsed | null {
  try {
    return parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'silent' });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function unknownOption(key: string): string {
  const near = nearestOption(key);
  if (near !== null) return `unknown option "${key}"; did you mean "${near}"?`;
  const groups = [...new Set(optionKeys.map((each) => each.split('.')[0]))];
  return `unknown option "${key}"; there are ${groups.join(', ')}`;
}

function invalidFile(problems: readonly Problem[]): AppError {
  const lines = problems.map(({ path, line, column, message }) => `${path}:${line}:${column}: ${message}`);
  return new AppError('CONFIG_INVALID', lines.join('\n'), {
    details: { problems },
    nextStep: 'Correct this; "lockstep config check" tries again, and docs/configuration.md has all options.',
  });
}

/** What a schema says of a value, without repeating itself. */
export function complaints(issues: readonly { readonly message: string }[]): string[] {
  return [...new Set(issues.map(({ message }) => message))];
}

function pairsOf(map: YAMLMap): Pair<Node, Node | null>[] {
  return map.items as Pair<Node, Node | null>[];
}

function keyText(pair: Pair<Node, Node | null>): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

/** `hec_endpoint` → hecEndpoint: kaf-mirror's files are read as well. */
export function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
