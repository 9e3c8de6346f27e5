/** Resources of files as they are stated, for a server that fills in defaults and checks references itself. */
import { parseAllDocuments } from 'yaml';
import { AppError } from '#contract/errors.ts';
import { nearest } from '#util/nearest.ts';
import type { Context } from '../context.ts';
import { readText } from '../files.ts';

export type Stated = { readonly name: string } & Readonly<Record<string, unknown>>;

const KINDS = ['Cluster', 'Mirror', 'Verify'];

/** As `lockstep validate` takes them, too. */
const ALIASES_MAX = 100;

/** Those of a kind, with the name beside the keys of the spec, as the API takes them. Throws AppError CONFIG_INVALID. */
export function readStated(
  { host }: Pick<Context, 'host'>,
  paths: readonly string[],
  kind: 'Cluster' | 'Mirror',
): Stated[] {
  const found = [...new Set(paths)].flatMap((path) => documentsOf(path, readText(host.disk, path)));
  const stated = found.filter((each) => each.kind === kind);
  if (stated.length > 0) return stated.map(({ name, spec }) => ({ ...spec, name }));
  throw new AppError('RESOURCE_NOT_FOUND', `there is no ${kind} in ${paths.join(', ')}`, {
    nextStep: `Add a document of kind ${kind}, or name the file that holds it with -f.`,
  });
}

interface Found {
  readonly kind: string;
  readonly name: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

function documentsOf(path: string, text: string): Found[] {
  const documents = parseAllDocuments(text, { prettyErrors: true });
  if ('empty' in documents) return [];
  return documents.flatMap((document, index) => {
    const [error] = document.errors;
    if (error !== undefined) throw invalid(path, error.message.split('\n')[0] ?? 'malformed YAML');
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
    return value === null ? [] : [foundIn(path, index, value)];
  });
}

function foundIn(path: string, index: number, value: unknown): Found {
  const { kind, metadata, spec } = (isMapping(value) ? value : {}) as Record<string, unknown>;
  const name = isMapping(metadata) ? metadata['name'] : undefined;
  const place = `document ${index + 1}`;
  if (typeof kind !== 'string' || !KINDS.includes(kind)) {
    const near = typeof kind === 'string' ? nearest(kind, KINDS) : null;
    const meant = near === null ? '' : `; did you mean "${near}"?`;
    throw invalid(path, `${place}: "kind" must be ${KINDS.join(', ')}${meant}`);
  }
  if (typeof name !== 'string' || !isMapping(spec))
    throw invalid(path, `${place}: "metadata.name" and "spec" are needed`);
  return { kind, name, spec };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(path: string, message: string): AppError {
  return new AppError('CONFIG_INVALID', `${path}: ${message}`, {
    nextStep: `"lockstep validate -f ${path}" names every place that is wrong.`,
  });
}
