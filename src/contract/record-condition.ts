/**
 * A condition on records in CEL (https://cel.dev), as a topic rule states it. Compiled once; the answer for a record depends
 * on nothing but the record.
 */
import { celEnv, isCelError, parse, plan, type CelInput } from '@bufbuild/cel';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { RE2JS } from 're2js';
import { must } from '#util/assert.ts';
import { checkCondition, ConditionProblem, type CheckedCondition, type Variable } from './condition-types.ts';

/** What a condition may look at. Never the value. */
export interface RecordFacts {
  readonly topic: string;
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly headers: readonly { readonly key: Uint8Array; readonly value: Uint8Array | null }[];
  /** Of the value; null for a deletion. */
  readonly valueBytes: number | null;
  /** Milliseconds. */
  readonly timestamp: number;
}

/** A condition can say neither yes nor no of a record. `message` completes 'The condition …', without anything of the record. */
export class ConditionError extends Error {
  override name = 'ConditionError';
}

/** True for a record that is copied. Throws ConditionError. */
export type RecordCondition = (record: RecordFacts) => boolean;

/** Of text in UTF-16 units: a longer one is no condition but a list that belongs into a topic of its own. */
export const CONDITION_LENGTH_MAX = 4_096;

/** What is wrong with `text` begins with the place in it, counted from 1. */
export function compileCondition(text: string): { value: RecordCondition } | { problem: string } {
  if (text.length > CONDITION_LENGTH_MAX)
    return { problem: `has ${text.length} characters, and ${CONDITION_LENGTH_MAX} at most are read` };
  const parsed = parsedOf(text);
  if ('problem' in parsed) return parsed;
  const { expr, sourceInfo } = parsed.value;
  const at = (id: bigint): string => {
    const position = sourceInfo?.positions[String(id)];
    return position === undefined ? '' : `at character ${position + 1}: `;
  };
  try {
    const checked = checkCondition(expr);
    const environment = newEnvironment();
    const constants = checked.constants.map((constant, index) => {
      const value = plan(environment, constant)({});
      if (isCelError(value)) throw new ConditionProblem(constant, 'can never be evaluated');
      const name = `constant ${index}`; // no name that a text can have
      constant.exprKind = { case: 'identExpr', value: { $typeName: 'cel.expr.Expr.Ident', name } };
      return [name, value as CelInput] as const;
    });
    return { value: evaluator(plan(environment, expr), { ...checked, constants: Object.fromEntries(constants) }) };
  } catch (error) {
    if (!(error instanceof ConditionProblem)) throw error;
    return { problem: `${at(error.id)}${error.message}` };
  }
}

function parsedOf(text: string): { value: ReturnType<typeof parse> } | { problem: string } {
  try {
    return { value: parse(text) };
  } catch (error) {
    // The parser calls itself for each level: what is nested too deeply ends its stack.
    if (error instanceof RangeError) return { problem: 'must be nested less deeply' };
    const message = error instanceof Error ? error.message : String(error);
    const [, column = '', rest = ''] = /^<input>:\d+:(\d+): (.*)$/s.exec(message) ?? [];
    return { problem: `must be CEL: ${rest === '' ? message : `at character ${column}: ${rest}`}` };
  }
}

/** Expressions are compiled once; all of them stand in the text. */
function newEnvironment() {
  const compiled = new Map<string, RE2JS>();
  const compile = (pattern: string): RE2JS => {
    let regex = compiled.get(pattern);
    if (!regex) compiled.set(pattern, (regex = RE2JS.compile(pattern)));
    return regex;
  };
  return celEnv({ re2: { compile } });
}

function evaluator(
  evaluate: (bindings: Record<string, CelInput>) => unknown,
  checked: Pick<CheckedCondition, 'variables' | 'headers'> & { readonly constants: Readonly<Record<string, CelInput>> },
): RecordCondition {
  const names = [...checked.variables];
  const headers = [...checked.headers].map((name) => ({ name, bytes: new TextEncoder().encode(name) }));
  return (record) => {
    const bindings: Record<string, CelInput> = { ...checked.constants };
    for (const name of names) bindings[name] = valueOf(name, record, headers);
    const result = evaluate(bindings);
    if (typeof result === 'boolean') return result;
    throw new ConditionError(isCelError(result) ? why(result.message) : 'gives neither true nor false');
  };
}

interface HeaderName {
  readonly name: string;
  readonly bytes: Uint8Array;
}

function valueOf(name: Variable, record: RecordFacts, headers: readonly HeaderName[]): CelInput {
  switch (name) {
    case 'key':
      return record.key === null ? null : textOf(record.key);
    case 'headers':
      return headersOf(record, headers);
    case 'timestamp':
      return timestampFromMs(record.timestamp);
    case 'size':
      return BigInt(record.valueBytes ?? 0);
    case 'deletion':
      return record.valueBytes === null;
    case 'topic':
      return record.topic;
    case 'partition':
      return BigInt(record.partition);
  }
}

/** The last value of each name that is asked for; one without a value is as if it were not there. */
function headersOf({ headers }: RecordFacts, names: readonly HeaderName[]): Map<string, CelInput> {
  const found = new Map<string, CelInput>();
  for (const { name, bytes } of names) {
    const last = headers.findLast(({ key }) => areEqual(key, bytes));
    if (last?.value) found.set(name, textOf(last.value));
  }
  return found;
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Bytes that are not UTF-8 stay bytes: they equal no text, and are an error where text is needed. */
function textOf(bytes: Uint8Array): string | Uint8Array {
  return decoded(bytes) ?? bytes;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return null;
  }
}

/** Messages of the library can repeat what the record says. */
function why(message: string): string {
  const header = /^field not found: (.*)$/s.exec(message);
  if (header) return `asks for a header that is not there: "${must(header[1], 'name')}"`;
  const call = /^found no matching overload for '(?:string\.)?(\w+)'/.exec(message);
  if (call) return `needs text for "${call[1]}", and the key is missing, or the key or header is not UTF-8`;
  return 'fails in a conversion or a calculation';
}
