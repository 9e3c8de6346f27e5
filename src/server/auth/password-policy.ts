/**
 * Which new passwords are taken. Long ones, of any characters; nothing about their composition, and no expiry (OWASP ASVS 5.0
 * 6.2). What is long only by repeating, counting, our own words or what is found in every breach is not long.
 */
import { AppError } from '#contract/errors.ts';
import { commonPasswords } from './common-passwords.ts';

const PASSWORD_LENGTH_MIN = 15;

/** Words that a guesser tries first here. */
const OWN_WORDS = [
  'lockstep',
  'kafka',
  'mirror',
  'password',
  'passwort',
  'admin',
  'administrator',
  'letmein',
  'welcome',
  'qwerty',
  'changeme',
  'secret',
];

const DISTINCT_MIN = 6;

/** Throws PASSWORD_UNFIT. */
export function checkNewPassword(password: string, username: string): void {
  const problem = problemOf(password.normalize('NFC'), username);
  if (problem === null) return;
  throw new AppError('PASSWORD_UNFIT', `This password cannot be taken: ${problem}.`, {
    nextStep: `Take ${PASSWORD_LENGTH_MIN} characters or more that nobody would guess, for example four random words.`,
  });
}

function problemOf(password: string, username: string): string | null {
  const { length } = Array.from(password);
  if (length < PASSWORD_LENGTH_MIN) return `it has ${length} characters and needs ${PASSWORD_LENGTH_MIN}`;
  const lower = password.toLowerCase();
  const words = [username.toLowerCase(), ...OWN_WORDS].filter(({ length }) => length >= 3);
  const withoutWords = (text: string): string => words.reduce((rest, word) => rest.replaceAll(word, ''), text);
  // Either may hide the other: "admin18533362" is a common one, and so is none of its halves.
  if (isThin(withoutCommon(withoutWords(lower))) || isThin(withoutWords(withoutCommon(lower))))
    return 'it is made of few characters, or of names and words that are tried first';
  return null;
}

function isThin(rest: string): boolean {
  return new Set(rest).size < DISTINCT_MIN || withoutRuns(rest).length < PASSWORD_LENGTH_MIN / 2;
}

const lengths = [...commonPasswords].map(({ length }) => length);
const COMMON_LENGTH_MIN = Math.min(...lengths);
const COMMON_LENGTH_MAX = Math.max(...lengths);

/** Whoever puts two passwords of everybody's together has made none of their own. */
function withoutCommon(text: string): string {
  let kept = '';
  for (let at = 0; at < text.length;) {
    let length = Math.min(COMMON_LENGTH_MAX, text.length - at);
    while (length >= COMMON_LENGTH_MIN && !commonPasswords.has(text.slice(at, at + length))) length--;
    if (length >= COMMON_LENGTH_MIN) at += length;
    else kept += text[at++] ?? '';
  }
  return kept;
}

/** `abcdef`, `987` and `aaa` are one character each; what is written twice or more often counts once. */
function withoutRuns(text: string): string {
  const once = text.replaceAll(/(.+?)\1+/gsu, '$1');
  const kept = Array.from(once).filter((character, index, all) => {
    const before = all[index - 1];
    return before === undefined || Math.abs((character.codePointAt(0) ?? 0) - (before.codePointAt(0) ?? 0)) > 1;
  });
  return kept.join('');
}
