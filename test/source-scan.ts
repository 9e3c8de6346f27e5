/**
 * Reads TypeScript just well enough to see imports and calls: comments are dropped, strings stay whole, so a banned
 * name inside either is never mistaken for a call. Not a parser: it knows no types and no scopes.
 */

export interface Token {
  /** `template` is the literal text of a template; what stands in `${}` comes as tokens of its own. */
  readonly kind: 'word' | 'string' | 'template' | 'regex' | 'punctuation';
  /** The word or sign itself; of a string, what stands between the quotes. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/** After these words a slash begins a regular expression; after other words it divides. */
const BEFORE_REGEX = new Set([
  'return',
  'typeof',
  'case',
  'do',
  'else',
  'in',
  'of',
  'void',
  'throw',
  'new',
  'delete',
  'await',
  'yield',
]);

const SPACE_OR_COMMENT = /(?:\s|^#!.*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const WORD = /[\p{ID_Start}$_#\d][\p{ID_Continue}$\u200c\u200d]*/uy;
const STRING = /'((?:[^'\\\n]|\\[\s\S])*)'|"((?:[^"\\\n]|\\[\s\S])*)"/y;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_PART = /((?:[^`\\$]|\\[\s\S]|\$(?!\{))*)(`|\$\{)/y;

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each open `${`: how many braces are open inside it. */
  const templates: number[] = [];
  let at = 0;
  let line = 1;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  const take = (kind: Token['kind'], text: string, length: number): void => {
    tokens.push({ kind, text, line });
    advance(length);
  };
  const advance = (length: number): void => {
    for (let i = at; i < at + length; i++) if (source.charCodeAt(i) === 10) line++;
    at += length;
  };
  const takeTemplatePart = (): void => {
    const part = match(TEMPLATE_PART);
    if (!part) throw new Error(`line ${line}: a template without an end`);
    take('template', part[1] ?? '', part[0].length);
    if (part[2] === '${') templates.push(0);
  };
  const takeSign = (sign: string): void => {
    const depth = templates.at(-1);
    if (depth !== undefined && sign === '{') templates[templates.length - 1] = depth + 1;
    if (depth !== undefined && sign === '}') {
      if (depth === 0) {
        templates.pop();
        advance(1);
        return takeTemplatePart();
      }
      templates[templates.length - 1] = depth - 1;
    }
    take('punctuation', sign, 1);
  };

  while (at < source.length) {
    const skipped = match(SPACE_OR_COMMENT);
    if (skipped) {
      advance(skipped[0].length);
      continue;
    }
    const word = match(WORD);
    const string = match(STRING);
    const sign = source.charAt(at);
    const regex = sign === '/' && mayBeginRegex(tokens.at(-1)) ? match(REGEX) : null;
    if (word) take('word', word[0], word[0].length);
    else if (string) take('string', string[1] ?? string[2] ?? '', string[0].length);
    else if (regex) take('regex', regex[0], regex[0].length);
    else if (sign === '`') {
      advance(1);
      takeTemplatePart();
    } else takeSign(sign);
  }
  return tokens;
}

function mayBeginRegex(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === 'punctuation') return before.text !== ')' && before.text !== ']' && before.text !== '}';
  return before.kind === 'word' && BEFORE_REGEX.has(before.text);
}

export interface Import {
  /** As written; null for an `import()` whose argument is not a plain string. */
  readonly specifier: string | null;
  readonly line: number;
}

/** Every `import … from`, `export … from`, bare `import`, `import()` and `import type` of a file. */
export function importsOf(tokens: readonly Token[]): Import[] {
  const imports: Import[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token.kind !== 'word' || tokens[i - 1]?.text === '.') continue;
    const next = tokens[i + 1];
    if (token.text === 'from' && next?.kind === 'string' && isImportClause(tokens, i)) {
      imports.push({ specifier: next.text, line: token.line });
    }
    if (token.text !== 'import') continue;
    if (next?.kind === 'string') imports.push({ specifier: next.text, line: token.line });
    const argument = tokens[i + 2];
    if (next?.text === '(' && next.kind === 'punctuation') {
      const isPlain = argument?.kind === 'string' || (argument?.kind === 'template' && tokens[i + 3]?.text === ')');
      imports.push({ specifier: isPlain ? argument.text : null, line: token.line });
    }
  }
  return imports;
}

/** `from 'x'` closes an import or export clause, which ends in a name, `}` or `*`. */
function isImportClause(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  return before !== undefined && (before.kind === 'word' || before.text === '}' || before.text === '*');
}

const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate']);
const GLOBALS = new Set(['globalThis', 'global', 'window', 'self']);
/** Object → what must not be read from it. */
const MEMBERS: Record<string, readonly string[]> = {
  Date: ['now'],
  performance: ['now'],
  Math: ['random'],
  process: ['hrtime', 'getBuiltinModule'],
};
const MODULES = new Set([
  'net',
  'tls',
  'fs',
  'fs/promises',
  'dns',
  'dns/promises',
  'timers',
  'timers/promises',
  'perf_hooks',
  'module',
]);

/** Where a file reaches for the clock, randomness, timers, the network or the disk by itself: `line: what`. */
export function bannedUses(tokens: readonly Token[]): string[] {
  const found: string[] = [];
  for (const { specifier, line } of importsOf(tokens)) {
    const name = specifier?.replace(/^node:/, '');
    if (name !== undefined && MODULES.has(name)) found.push(`${line}: import of node:${name}`);
  }
  for (const [i, token] of tokens.entries()) {
    if (token.kind !== 'word') continue;
    const use = bannedWord(tokens, i, token.text);
    if (use !== null) found.push(`${token.line}: ${use}`);
  }
  return found;
}

function bannedWord(tokens: readonly Token[], i: number, word: string): string | null {
  const before = tokens[i - 1];
  const isMember = before?.text === '.' && before.kind === 'punctuation' && tokens[i - 2]?.text !== '.'; // not `...word`
  if (isMember && !GLOBALS.has(ownerOf(tokens, i))) return null;
  if (TIMERS.has(word) && !isDeclaredName(tokens, i)) return word;
  if (word === 'require' && tokens[i + 1]?.text === '(') return 'require()';
  if (word === 'Date') {
    const isNew = before?.text === 'new' && before.kind === 'word';
    if (isNew && (tokens[i + 1]?.text !== '(' || tokens[i + 2]?.text === ')')) return 'new Date()';
    if (!isNew && tokens[i + 1]?.text === '(' && !isDeclaredName(tokens, i)) return 'Date()';
  }
  if (GLOBALS.has(word)) {
    const name = memberName(tokens, i);
    return name !== null && TIMERS.has(name) && tokens[i + 1]?.text === '[' ? name : null;
  }
  const banned = Object.hasOwn(MEMBERS, word) ? MEMBERS[word] : undefined;
  if (banned === undefined) return null;
  const member = memberName(tokens, i) ?? destructuredName(tokens, i, banned);
  return member !== null && banned.includes(member) ? `${word}.${member}` : null;
}

/** `globalThis` in `globalThis.setTimeout` and `globalThis?.setTimeout`. */
function ownerOf(tokens: readonly Token[], i: number): string {
  const before = tokens[i - 2];
  return (before?.text === '?' ? tokens[i - 3] : before)?.text ?? '';
}

/** The x of `word.x`, `word?.x`, `word['x']`; null where no member with a fixed name is read. */
function memberName(tokens: readonly Token[], i: number): string | null {
  const rest = tokens.slice(i + 1, i + 5).filter((token) => token.text !== '?' && token.text !== '.');
  const touches = tokens[i + 1]?.text === '.' || tokens[i + 1]?.text === '[' || tokens[i + 2]?.text === '.';
  if (!touches) return null;
  const [first, second] = rest;
  if (first?.kind === 'word') return first.text;
  return first?.text === '[' && (second?.kind === 'string' || second?.kind === 'template') ? second.text : null;
}

/** `const { now } = Date`: one of `banned` between the braces before `= word`. */
function destructuredName(tokens: readonly Token[], i: number, banned: readonly string[]): string | null {
  if (tokens[i - 1]?.text !== '=' || tokens[i - 2]?.text !== '}') return null;
  for (let at = i - 3; at >= 0 && tokens[at]?.text !== '{'; at--) {
    const name = tokens[at]?.text ?? '';
    if (banned.includes(name)) return name;
  }
  return null;
}

/** A property that only has the name: `{ setTimeout: 1 }`. */
function isDeclaredName(tokens: readonly Token[], i: number): boolean {
  const after = tokens[i + 1]?.text;
  const before = tokens[i - 1]?.text;
  return after === ':' && (before === '{' || before === ',' || before === ';');
}
