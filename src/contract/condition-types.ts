/**
 * The types of a condition on records (docs/conditions.md). What passes here costs at most its own length times the size of
 * a record: there are no loops, and headers and regular expressions stand in the text. The library has a checker that it
 * does not export, and no limits of its own.
 */
import type { parse } from '@bufbuild/cel';
import { RE2JS, RE2JSSyntaxException } from 're2js';
import { assert, must } from '#util/assert.ts';
import { nearest } from '#util/nearest.ts';

export type Expression = ReturnType<typeof parse>['expr'];
type Constant = Extract<Expression['exprKind'], { case: 'constExpr' }>['value']['constantKind'];
type Call = Extract<Expression['exprKind'], { case: 'callExpr' }>['value'];

/** `list(…)` of another one; `headers` is a map that is only asked for names that stand in the text. */
type Type = string;

export const variables = {
  key: 'string',
  headers: 'headers',
  timestamp: 'timestamp',
  size: 'int',
  deletion: 'bool',
  topic: 'string',
  partition: 'int',
} as const satisfies Record<string, Type>;

export type Variable = keyof typeof variables;

/** Beyond it the evaluation, which calls itself, could end for want of stack. */
const DEPTH_MAX = 50;

const order = ['int int', 'double double', 'string string', 'bytes bytes', 'timestamp timestamp', 'duration duration'];
const sums = ['int int = int', 'double double = double', 'duration duration = duration'];
const products = ['int int = int', 'double double = double'];
const comparison = order.map((types) => `${types} = bool`);
const ofTimes = ['timestamp = int', 'timestamp string = int'];

/** By name, a method with the type before its dot as its first argument: `arguments = result`. */
const signatures: Readonly<Record<string, readonly string[]>> = {
  '!_': ['bool = bool'],
  '_&&_': ['bool bool = bool'],
  '_||_': ['bool bool = bool'],
  '_<_': comparison,
  '_<=_': comparison,
  '_>_': comparison,
  '_>=_': comparison,
  '_+_': [
    ...sums,
    'string string = string',
    'bytes bytes = bytes',
    'timestamp duration = timestamp',
    'duration timestamp = timestamp',
  ],
  '_-_': [...sums, 'timestamp timestamp = duration', 'timestamp duration = timestamp'],
  '_*_': products,
  '_/_': products,
  '_%_': ['int int = int'],
  '-_': ['int = int', 'double = double'],
  '.startsWith': ['string string = bool'],
  '.endsWith': ['string string = bool'],
  '.contains': ['string string = bool'],
  '.matches': ['string string = bool'],
  '.size': ['string = int', 'bytes = int'],
  size: ['string = int', 'bytes = int'],
  int: ['int = int', 'double = int', 'string = int', 'timestamp = int'],
  double: ['int = double', 'double = double', 'string = double'],
  string: ['string = string', 'int = string', 'double = string', 'bool = string', 'bytes = string'],
  bytes: ['bytes = bytes', 'string = bytes'],
  timestamp: ['string = timestamp', 'int = timestamp'],
  duration: ['string = duration'],
  '.getFullYear': ofTimes,
  '.getMonth': ofTimes,
  '.getDayOfMonth': ofTimes,
  '.getDayOfWeek': ofTimes,
  '.getHours': ofTimes,
  '.getMinutes': ofTimes,
};

const operators: Readonly<Record<string, string>> = { '!_': '!', '-_': '-' };
const constants: Readonly<Record<string, Type>> = {
  stringValue: 'string',
  bytesValue: 'bytes',
  boolValue: 'bool',
  int64Value: 'int',
  doubleValue: 'double',
  nullValue: 'null',
};
/** A key can be any of them, and is compared without an error. */
const COMPARABLE = new Set(['string', 'bytes', 'null']);
const METHODS = Object.keys(signatures).filter((name) => name.startsWith('.'));

/** What is wrong, and at which part of the expression. */
export class ConditionProblem extends Error {
  override name = 'ConditionProblem';
  readonly id: bigint;

  constructor(at: Expression, message: string) {
    super(message);
    this.id = at.id;
  }
}

export interface CheckedCondition {
  readonly variables: ReadonlySet<Variable>;
  /** Names of the headers that it asks for. */
  readonly headers: ReadonlySet<string>;
  /** Lists and calls of nothing but constants: to be evaluated once. */
  readonly constants: readonly Expression[];
}

/** Throws ConditionProblem for what is no condition: another result than true or false, or what is unknown or unbounded. */
export function checkCondition(expression: Expression): CheckedCondition {
  const found = { variables: new Set<Variable>(), headers: new Set<string>(), constants: [] };
  const type = new Checker(found).typeOf(expression, 1);
  if (type !== 'bool') throw new ConditionProblem(expression, `gives ${article(type)}, and has to give true or false`);
  return found;
}

class Checker {
  readonly #found: { variables: Set<Variable>; headers: Set<string>; constants: Expression[] };

  constructor(found: { variables: Set<Variable>; headers: Set<string>; constants: Expression[] }) {
    this.#found = found;
  }

  typeOf(at: Expression, depth: number): Type {
    if (depth > DEPTH_MAX) throw new ConditionProblem(at, `is nested more than ${DEPTH_MAX} deep`);
    const { exprKind: kind } = at;
    switch (kind.case) {
      case 'constExpr':
        return this.#constant(at, kind.value.constantKind);
      case 'identExpr':
        return this.#variable(at, kind.value.name);
      case 'selectExpr':
        return this.#header(at, must(kind.value.operand, 'operand'), kind.value.field, depth, kind.value.testOnly);
      case 'listExpr':
        return this.#list(at, kind.value.elements, depth);
      case 'callExpr':
        return this.#call(at, kind.value, depth);
      case 'comprehensionExpr':
        throw new ConditionProblem(
          at,
          'goes through a list (all, exists, exists_one, map, filter): that is not available, as the cost of a record would have no bound',
        );
      default:
        throw new ConditionProblem(at, 'makes a map or a message, which nothing here can use');
    }
  }

  #constant(at: Expression, constant: Constant): Type {
    const type = constant.case === undefined ? undefined : constants[constant.case];
    if (constant.case === 'int64Value' && BigInt.asIntN(64, constant.value) !== constant.value)
      throw new ConditionProblem(at, 'is a number beyond 64 bits');
    if (type === undefined) throw new ConditionProblem(at, 'is a number without a sign (as in 1u); write it as 1');
    return type;
  }

  #variable(at: Expression, name: string): Type {
    if (!isVariable(name)) {
      const similar = nearest(name, Object.keys(variables));
      const hint = similar === null ? `known here: ${Object.keys(variables).join(', ')}` : `did you mean "${similar}"?`;
      const isValue = name === 'value' ? ' (values are not decoded)' : '';
      throw new ConditionProblem(at, `unknown variable "${name}"${isValue}; ${hint}`);
    }
    this.#found.variables.add(name);
    return variables[name];
  }

  #header(at: Expression, map: Expression, name: string, depth: number, isAsked: boolean): Type {
    if (this.typeOf(map, depth + 1) !== 'headers') throw new ConditionProblem(at, `has no field "${name}"`);
    this.#found.headers.add(name);
    return isAsked ? 'bool' : 'string';
  }

  #list(at: Expression, elements: readonly Expression[], depth: number): Type {
    const types = new Set(elements.map((each) => this.typeOf(each, depth + 1)));
    if (areConstant(elements)) this.#found.constants.push(at);
    if (types.size > 1) throw new ConditionProblem(at, `is a list of ${[...types].join(' and ')}; one type is needed`);
    return `list(${[...types][0] ?? 'nothing'})`;
  }

  #call(at: Expression, call: Call, depth: number): Type {
    const given = call.target ? [call.target, ...call.args] : call.args;
    const [first, second] = given;
    if (call.function === '_[_]' && first && second)
      return this.#header(at, first, this.#literal(second, 'the name of a header'), depth, false);
    const isHeader = call.function === '@in' && second?.exprKind.case === 'identExpr';
    if (isHeader && first && this.typeOf(second, depth + 1) === 'headers')
      return this.#header(at, second, this.#literal(first, 'the name of a header'), depth, true);
    const types = given.map((each) => this.typeOf(each, depth + 1));
    const [a = '', b = '', c = ''] = types;
    switch (call.function) {
      case '_==_':
      case '_!=_':
        if (a !== 'headers' && (a === b || (COMPARABLE.has(a) && COMPARABLE.has(b)))) return 'bool';
        throw new ConditionProblem(at, `compares ${article(a)} with ${article(b)}, which are never equal`);
      case '@in':
        if (b === `list(${a})` || b === 'list(nothing)') return 'bool';
        throw new ConditionProblem(at, `looks for ${article(a)} in ${article(b)}`);
      case '_?_:_':
        if (a === 'bool' && b === c) return b;
        throw new ConditionProblem(at, `chooses between ${article(b)} and ${article(c)} by ${article(a)}`);
      default:
        return this.#function(at, call, types);
    }
  }

  #function(at: Expression, { function: name, target, args }: Call, types: readonly Type[]): Type {
    const shown = operators[name] ?? name.replaceAll('_', '');
    const known = signatures[target ? `.${name}` : name];
    if (known === undefined) {
      const names = target ? METHODS.map((method) => method.slice(1)) : Object.keys(signatures).filter(isWord);
      const similar = nearest(name, names);
      const hint = similar === null ? `known here: ${names.join(', ')}` : `did you mean "${similar}"?`;
      throw new ConditionProblem(at, `unknown ${target ? 'method' : 'function'} "${name}"; ${hint}`);
    }
    const result = known.find((each) => each.startsWith(`${types.join(' ')} = `))?.split(' = ')[1];
    if (result === undefined) throw new ConditionProblem(at, `"${shown}" is not there for ${types.join(' and ')}`);
    if (name === 'matches') this.#checkPattern(must(args[0], 'pattern'));
    if (isWord(name) && areConstant([...(target ? [target] : []), ...args])) this.#found.constants.push(at);
    return result;
  }

  #checkPattern(at: Expression): void {
    try {
      RE2JS.compile(this.#literal(at, 'a regular expression'));
    } catch (error) {
      if (!(error instanceof RE2JSSyntaxException)) throw error;
      throw new ConditionProblem(at, `is no regular expression of RE2: ${error.message}`);
    }
  }

  #literal(at: Expression, what: string): string {
    const { exprKind: kind } = at;
    const constant = kind.case === 'constExpr' ? kind.value.constantKind : null;
    if (constant?.case === 'stringValue') return constant.value;
    throw new ConditionProblem(at, `must be ${what}, in quotes`);
  }
}

function isVariable(name: string): name is Variable {
  return Object.hasOwn(variables, name);
}

function areConstant(expressions: readonly Expression[]): boolean {
  return expressions.every(({ exprKind }) => exprKind.case === 'constExpr');
}

function isWord(name: string): boolean {
  return /^[a-zA-Z]+$/.test(name);
}

function article(type: Type): string {
  assert(type !== '', 'every argument has a type');
  return type === 'null' || type === 'headers' ? type : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}
