/**
 * Java's properties files, read as `java.util.Properties.load` reads them: its LineReader and loadConvert, character by
 * character, since what a continuation, a comment or an escape means at the edges is only what that code does.
 */

export interface Property {
  readonly key: string;
  readonly value: string;
  /** On which it begins, from 1. */
  readonly line: number;
}

/** The properties in the order of the file, those that a later one replaces among them; or why Java refuses the file. */
export function parseProperties(text: string): { readonly value: Property[] } | { readonly problem: string } {
  const properties: Property[] = [];
  for (const { content, line } of logicalLines(text)) {
    const { keyEnd, valueStart } = splitAt(content);
    const key = unescape(content.slice(0, keyEnd));
    const value = unescape(content.slice(valueStart));
    if (key === null || value === null) return { problem: `line ${line}: a "\\u" without four hexadecimal digits` };
    properties.push({ key, value, line });
  }
  return { value: properties };
}

/** What `Properties.load(InputStream)` sees of a file: each byte is a character of ISO 8859-1. */
export function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** `String.trim`: what is a space or a control character at both ends. Kafka trims every value so. */
export function javaTrim(text: string): string {
  return text.replace(/^[\u0000- ]+|[\u0000- ]+$/g, '');
}

/** A value of Kafka's type LIST: `trimmed.split("\\s*,\\s*", -1)`. */
export function listOf(value: string): string[] {
  const trimmed = javaTrim(value);
  return trimmed === '' ? [] : trimmed.split(/[ \t\n\v\f\r]*,[ \t\n\v\f\r]*/);
}

function* logicalLines(text: string): Generator<{ content: string; line: number }> {
  let content = '';
  let at = 0;
  let line = 1;
  let beginsAt = 1;
  let isSkipping = true;
  let isContinued = false;
  let isEscaped = false;
  while (at < text.length) {
    const sign = text[at++] ?? '';
    const isBreak = sign === '\n' || sign === '\r';
    if (sign === '\n' && text[at - 2] !== '\r') line++;
    if (sign === '\r') line++;
    if (isSkipping) {
      if (isSpace(sign) || (!isContinued && isBreak)) continue;
      isSkipping = false;
      isContinued = false;
    }
    if (content === '' && (sign === '#' || sign === '!')) {
      while (at < text.length && text[at] !== '\n' && text[at] !== '\r') at++;
      isSkipping = true;
      continue;
    }
    if (!isBreak) {
      if (content === '') beginsAt = line;
      content += sign;
      isEscaped = sign === '\\' && !isEscaped;
    } else if (content === '') isSkipping = true;
    else if (isEscaped && at < text.length) {
      content = content.slice(0, -1);
      isSkipping = true;
      isContinued = true;
      isEscaped = false;
      if (sign === '\r' && text[at] === '\n') at++;
    } else {
      yield { content: isEscaped ? content.slice(0, -1) : content, line: beginsAt };
      content = '';
      isSkipping = true;
      isEscaped = false;
    }
  }
  if (content !== '') yield { content: isEscaped ? content.slice(0, -1) : content, line: beginsAt };
}

function splitAt(content: string): { keyEnd: number; valueStart: number } {
  let keyEnd = 0;
  let isEscaped = false;
  for (; keyEnd < content.length; keyEnd++) {
    const sign = content[keyEnd] ?? '';
    if (!isEscaped && (sign === '=' || sign === ':' || isSpace(sign))) break;
    isEscaped = sign === '\\' && !isEscaped;
  }
  let hasSeparator = content[keyEnd] === '=' || content[keyEnd] === ':';
  let valueStart = Math.min(keyEnd + 1, content.length);
  for (; valueStart < content.length; valueStart++) {
    const sign = content[valueStart] ?? '';
    if (isSpace(sign)) continue;
    if (hasSeparator || (sign !== '=' && sign !== ':')) break;
    hasSeparator = true;
  }
  return { keyEnd, valueStart };
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n', f: '\f' };

/** Null where Java throws IllegalArgumentException. */
function unescape(text: string): string | null {
  let result = '';
  for (let at = 0; at < text.length; at++) {
    const sign = text[at] ?? '';
    if (sign !== '\\') {
      result += sign;
      continue;
    }
    const escaped = text[++at] ?? '';
    if (escaped === 'u') {
      const digits = text.slice(at + 1, at + 5);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) return null;
      result += String.fromCharCode(Number.parseInt(digits, 16));
      at += 4;
    } else result += ESCAPES[escaped] ?? escaped;
  }
  return result;
}

function isSpace(sign: string): boolean {
  return sign === ' ' || sign === '\t' || sign === '\f';
}
