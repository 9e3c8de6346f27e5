/**
 * `sasl.jaas.config`: one login module with its options, read as Kafka's JaasConfig reads it, which is by a
 * java.io.StreamTokenizer with its ways: values that begin with a digit are numbers and so refused, and what stands
 * behind a slash is a comment.
 */

export interface LoginModule {
  readonly name: string;
  readonly options: ReadonlyMap<string, string>;
}

type Token =
  | { readonly kind: 'word' | 'quoted'; readonly text: string }
  | { readonly kind: 'number' | 'sign'; readonly text: string };

/** Null where Kafka's client would refuse it. */
export function parseJaas(text: string): LoginModule | null {
  const tokens = tokensOf(text);
  const [name, flag] = tokens;
  if (textOf(name) === null || !/^(?:required|requisite|sufficient|optional)$/i.test(textOf(flag) ?? '')) return null;
  const options = new Map<string, string>();
  let at = 2;
  for (; at < tokens.length && !isSign(tokens[at], ';'); at += 3) {
    const [key, equals, value] = [textOf(tokens[at]), tokens[at + 1], textOf(tokens[at + 2])];
    if (key === null || !isSign(equals, '=') || value === null) return null;
    options.set(key, value);
  }
  // Kafka allows one module; behind its semicolon nothing may stand.
  return at === tokens.length - 1 ? { name: textOf(name) ?? '', options } : null;
}

function isSign(token: Token | undefined, sign: string): boolean {
  return token?.kind === 'sign' && token.text === sign;
}

function textOf(token: Token | undefined): string | null {
  return token !== undefined && (token.kind === 'word' || token.kind === 'quoted') ? token.text : null;
}

const WORD_START = /[A-Za-z_$\u00a0-\uffff]/;
const WORD = /[A-Za-z0-9_$.\u00a0-\uffff-]/;

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const sign = text[at] ?? '';
    if (sign <= ' ') at++;
    else if (sign === '/') at = behindComment(text, at);
    else if (sign === '"' || sign === "'") {
      const [quoted, end] = readQuoted(text, at);
      tokens.push({ kind: 'quoted', text: quoted });
      at = end;
    } else if (WORD_START.test(sign)) {
      const start = at;
      while (at < text.length && WORD.test(text[at] ?? '')) at++;
      tokens.push({ kind: 'word', text: text.slice(start, at) });
    } else if (/^-?[0-9.]/.test(text.slice(at, at + 2))) {
      const number = /^-?[0-9.]+/.exec(text.slice(at))?.[0] ?? sign;
      tokens.push({ kind: 'number', text: number });
      at += number.length;
    } else {
      tokens.push({ kind: 'sign', text: sign });
      at++;
    }
  }
  return tokens;
}

/** `//`, `/*` and, as a slash is StreamTokenizer's comment sign from the start, a slash alone. */
function behindComment(text: string, at: number): number {
  if (text[at + 1] === '*') {
    const end = text.indexOf('*/', at + 2);
    return end < 0 ? text.length : end + 2;
  }
  const end = text.slice(at).search(/[\r\n]/);
  return end < 0 ? text.length : at + end;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\u000b',
};

/** The text up to the same quote, or to the end of the line, and where it ends. */
function readQuoted(text: string, start: number): [string, number] {
  const quote = text[start];
  let result = '';
  let at = start + 1;
  while (at < text.length && text[at] !== quote && text[at] !== '\n' && text[at] !== '\r') {
    if (text[at] !== '\\') {
      result += text[at++] ?? '';
      continue;
    }
    const octal = /^(?:[0-3][0-7]{0,2}|[4-7][0-7]?)/.exec(text.slice(at + 1))?.[0];
    if (octal !== undefined) {
      result += String.fromCharCode(Number.parseInt(octal, 8));
      at += 1 + octal.length;
    } else {
      const escaped = text[at + 1] ?? '';
      result += ESCAPES[escaped] ?? escaped;
      at += 2;
    }
  }
  return [result, text[at] === quote ? at + 1 : at];
}
