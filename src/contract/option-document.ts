/** Options as one nested document, as the API takes and shows them: `{ server: { port: 8080 } }`. */
import { camelCase, complaints, nearestOption, optionKeyOf } from './option-file.ts';
import { optionKeys, rowOf, type OptionKey } from './options.ts';

interface StatedDocument {
  /** By key, as a file would hold them. A null states nothing. */
  readonly stated: ReadonlyMap<OptionKey, unknown>;
  readonly problems: readonly { readonly path: string; readonly message: string }[];
}

/** Keys may be written as kaf-mirror wrote them (`cert_file`). */
export function readOptionDocument(document: Readonly<Record<string, unknown>>): StatedDocument {
  const stated = new Map<OptionKey, unknown>();
  const problems: { path: string; message: string }[] = [];
  const walk = (group: Readonly<Record<string, unknown>>, above: string): void => {
    for (const [name, value] of Object.entries(group)) {
      const path = `${above}${name}`;
      const key = optionKeyOf(path);
      if (key !== null) {
        if (stated.has(key)) problems.push({ path, message: 'is stated twice' });
        else if (value !== null) stated.set(key, value);
        const result = value === null ? null : rowOf(key).type.schema.safeParse(value);
        if (result?.error) for (const message of complaints(result.error.issues)) problems.push({ path: key, message });
      } else if (isGroup(path) && isRecord(value)) walk(value, `${path}.`);
      else if (!isGroup(path)) problems.push({ path, message: unknownOption(path) });
      else if (value !== null) problems.push({ path, message: 'must be a mapping' });
    }
  };
  walk(document, '');
  return { stated, problems };
}

/** Each value as a file would hold it. */
export function nestOptions(values: Iterable<readonly [OptionKey, unknown]>): Record<string, unknown> {
  const document: Record<string, unknown> = {};
  for (const [key, value] of values) {
    const steps = key.split('.');
    const last = steps.pop() ?? key;
    let group = document;
    for (const step of steps) group = (group[step] ??= {}) as Record<string, unknown>;
    group[last] = fileValueOf(key, value);
  }
  return document;
}

export function fileValueOf(key: OptionKey, value: unknown): unknown {
  return value === null ? null : rowOf(key).type.toFile(value);
}

function isGroup(path: string): boolean {
  const start = `${camelCase(path)}.`;
  return optionKeys.some((key) => key.startsWith(start));
}

function unknownOption(path: string): string {
  const near = nearestOption(path);
  return near === null ? 'is no option' : `is no option; did you mean "${near}"?`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
