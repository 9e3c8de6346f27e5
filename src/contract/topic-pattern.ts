/**
 * The language of topic rules: exact names, and regular expressions between slashes with captures for the target name.
 * Expressions are RE2 (linear in the length of the name, whatever a user writes), so there are no backreferences and no
 * look-around. What is written here is checked when a file is read; topic-rules.ts applies it to topics.
 */
import { RE2JS, RE2JSSyntaxException } from 're2js';

export type TopicPattern =
  | { readonly kind: 'exact'; readonly name: string }
  | { readonly kind: 'regex'; readonly regex: RE2JS; readonly source: string };

/** Pieces of a target name: text, or the number of a capture (0 is the whole name). */
export type TargetTemplate = readonly (string | number)[];

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** Reads the value of `match` or `exclude`. The problem is worded to follow the key: 'match: …'. */
export function parseTopicPattern(text: string): Parsed<TopicPattern> {
  if (text.startsWith('/')) return parseExpression(text);
  const problem = topicNameProblem(text);
  if (problem === null) return { value: { kind: 'exact', name: text } };
  const hint = /[*+?()[\]|^$\\]/.test(text) ? '; a regular expression is written between slashes: /^orders-.*$/' : '';
  return { problem: `"${text}" is not a topic name: ${problem}${hint}` };
}

/**
 * Reads the value of `to`: text with `$1`, `${1}` or `${name}` for the captures of `pattern`. `$1` takes as many digits
 * as follow; `${1}0` is capture 1 and a zero.
 */
export function parseTargetTemplate(text: string, pattern: TopicPattern): Parsed<TargetTemplate> {
  const pieces: (string | number)[] = [];
  let rest = text;
  while (rest !== '') {
    const literal = /^[^$]+/.exec(rest)?.[0];
    const token = literal ?? /^\$(?:\d+|\{[^}]*\})/.exec(rest)?.[0];
    if (token === undefined) return { problem: `"${text}": "$" is followed by no capture; write $1 or \${name}` };
    rest = rest.slice(token.length);
    if (literal !== undefined) {
      const foreign = /[^a-zA-Z0-9._-]/u.exec(literal)?.[0];
      if (foreign !== undefined) return { problem: `"${text}": a topic name cannot hold "${foreign}"` };
      pieces.push(literal);
      continue;
    }
    const capture = captureOf(token.replace(/^\$\{?|\}$/g, ''), pattern);
    if ('problem' in capture) return { problem: `"${text}": ${capture.problem}` };
    pieces.push(capture.value);
  }
  if (pieces.every((piece) => typeof piece === 'string')) {
    const problem = topicNameProblem(text);
    if (problem !== null) return { problem: `"${text}" is not a topic name: ${problem}` };
  }
  return { value: pieces };
}

/** Why Kafka does not accept `name` as a topic name (org.apache.kafka.common.internals.Topic), or null. */
export function topicNameProblem(name: string): string | null {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return 'Kafka reserves it';
  if (name.length > 249) return `it has ${name.length} characters, and Kafka allows 249`;
  const foreign = /[^a-zA-Z0-9._-]/u.exec(name)?.[0];
  return foreign === undefined ? null : `it holds "${foreign}", and Kafka allows letters, digits, ".", "_" and "-"`;
}

/** Reads `/expression/`. */
export function parseExpression(text: string): Parsed<TopicPattern> {
  if (text.length < 3 || !text.endsWith('/')) {
    return {
      problem: `"${text}" begins with a slash but does not end with one; a regular expression is written /^orders-.*$/`,
    };
  }
  const source = text.slice(1, -1);
  try {
    return { value: { kind: 'regex', regex: RE2JS.compile(source), source } };
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    return { problem: `${text}: ${syntaxProblem(source, error)}` };
  }
}

function syntaxProblem(source: string, error: RE2JSSyntaxException): string {
  const piece = error.getPattern() ?? '';
  const column = source.indexOf(piece) + 1;
  const where = piece !== '' && column > 0 ? ` at character ${column}` : '';
  if (/^\(\?(?:<?[=!]|>)/.test(piece))
    return `look-around "${piece}"${where} does not exist here: expressions are RE2, so that each runs in linear time`;
  if (/^\\[1-9k]/.test(piece))
    return `backreference "${piece}"${where} does not exist here: expressions are RE2, so that each runs in linear time`;
  return `${error.getDescription()}${piece === '' ? '' : ` "${piece}"`}${where}`;
}

function captureOf(reference: string, pattern: TopicPattern): Parsed<number> {
  if (pattern.kind === 'exact') return { problem: `there is no capture "$${reference}" in an exact name` };
  const named = pattern.regex.namedGroups();
  const count = pattern.regex.groupCount();
  const number = /^\d+$/.test(reference) ? Number(reference) : named[reference];
  if (number !== undefined && number <= count) return { value: number };
  const captures = [
    ...Array.from({ length: count }, (_, index) => `$${index + 1}`),
    ...Object.keys(named).map((name) => `\${${name}}`),
  ];
  const has = captures.length === 0 ? 'has no captures' : `has ${captures.join(', ')}`;
  return { problem: `there is no capture "${reference}"; /${pattern.source}/ ${has}` };
}
