/**
 * JSON of strangers. JSON.parse takes the last of two equal keys, so that whoever checked the first one has checked nothing;
 * it takes any depth; and an own `__proto__` becomes a prototype where objects are copied carelessly. All three are refused.
 */
import { AppError } from '#contract/errors.ts';

const DEPTH_MAX = 32;

export function parseStrictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refused('The body is not JSON.');
  }
  checkKeys(text);
  return value;
}

/** `text` is JSON: only strings, braces and commas need to be looked at. */
function checkKeys(text: string): void {
  const open: (Set<string> | null)[] = [];
  let isKeyNext = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === '"') {
      const end = endOfString(text, index);
      const keys = open.at(-1);
      if (isKeyNext && keys) addKey(keys, JSON.parse(text.slice(index, end + 1)) as string);
      isKeyNext = false;
      index = end;
    } else if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null);
      if (open.length > DEPTH_MAX) throw refused(`The body is nested deeper than ${DEPTH_MAX} levels.`);
      isKeyNext = character === '{';
    } else if (character === '}' || character === ']') open.pop();
    else if (character === ',') isKeyNext = open.at(-1) !== null;
  }
}

function addKey(keys: Set<string>, key: string): void {
  if (key === '__proto__') throw refused('The body has a key "__proto__".');
  if (keys.has(key)) throw refused(`The body has the key ${JSON.stringify(key.slice(0, 100))} twice in one object.`);
  keys.add(key);
}

function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    if (text[index] === '\\') index++;
    else if (text[index] === '"') return index;
  }
  return text.length;
}

function refused(message: string): AppError {
  return new AppError('REQUEST_INVALID', message, { nextStep: 'Send one JSON document without repeated keys.' });
}
