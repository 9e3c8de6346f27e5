import fc from 'fast-check';
import { expect, test } from 'vitest';
import { javaTrim, latin1Of, listOf, parseProperties } from './properties.ts';

function read(text: string): [string, string][] {
  const parsed = parseProperties(text);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed.value.map(({ key, value }) => [key, value]);
}

test.each([
  ['a=b', [['a', 'b']]],
  ['  a  =  b  ', [['a', 'b  ']]],
  [
    'a:b\nc d\ne\tf\ng',
    [
      ['a', 'b'],
      ['c', 'd'],
      ['e', 'f'],
      ['g', ''],
    ],
  ],
  ['a = = b', [['a', '= b']]],
  ['a == b', [['a', '= b']]],
  ['a\\=b\\:c\\ d=e', [['a=b:c d', 'e']]],
  ['# x\n! y\n  # z\na=#b', [['a', '#b']]],
  ['# not continued \\\na=b', [['a', 'b']]],
  ['a=b,\\\n   c,\\\r\n\td', [['a', 'b,c,d']]],
  ['a=b\\\n# not a comment', [['a', 'b# not a comment']]],
  [
    'a=b\\\\\nc=d',
    [
      ['a', 'b\\'],
      ['c', 'd'],
    ],
  ],
  ['a=b\\\\\\\nc', [['a', 'b\\c']]],
  ['a=b\\', [['a', 'b']]],
  [
    'a=b\rc=d\r\ne=f',
    [
      ['a', 'b'],
      ['c', 'd'],
      ['e', 'f'],
    ],
  ],
  ['a=\\t\\n\\r\\f\\q\\u0041\\u00e9', [['a', '\t\n\r\fqAé']]],
  ['=b', [['', 'b']]],
  ['A->B.enabled = true', [['A->B.enabled', 'true']]],
  ['A -> B.enabled = true', [['A', '-> B.enabled = true']]],
  ['', []],
  ['\\\n#a=b\nc=d', [['c', 'd']]],
])('%j is read as Java reads it', (text, expected) => {
  expect(read(text)).toEqual(expected);
});

test('a bad escape is named with its line', () => {
  expect(parseProperties('a=b\n\nc=\\u12g4')).toEqual({
    problem: 'line 3: a "\\u" without four hexadecimal digits',
  });
});

test('a property has the line on which it begins', () => {
  const parsed = parseProperties('# one\n\na = b,\\\n  c\nd = e\n');
  expect('value' in parsed && parsed.value.map(({ key, line }) => [key, line])).toEqual([
    ['a', 3],
    ['d', 5],
  ]);
});

test('bytes are characters of ISO 8859-1, as Kafka lets Java read them', () => {
  expect(latin1Of(new Uint8Array([0x61, 0xe9, 0xc3, 0xa9]))).toBe('aéÃ©');
});

test('a list is cut at its commas, with the spaces around them', () => {
  expect(listOf(' a , b,\tc ')).toEqual(['a', 'b', 'c']);
  expect(listOf('a,,b,')).toEqual(['a', '', 'b', '']);
  expect(listOf('  ')).toEqual([]);
  expect(javaTrim('\u0000\u001f a\u00a0 ')).toBe('a\u00a0');
});

/** As Properties.store escapes, with breaks of lines in between. */
function written(
  text: string,
  { isKey, breaks }: { readonly isKey: boolean; readonly breaks: readonly number[] },
): string {
  return Array.from(text, (sign, index) => {
    const code = sign.charCodeAt(0);
    const escaped =
      code < 0x20 || code > 0x7e
        ? Array.from({ length: sign.length }, (_, i) => `\\u${sign.charCodeAt(i).toString(16).padStart(4, '0')}`).join(
            '',
          )
        : /[\\=:#!]/.test(sign) || (sign === ' ' && (isKey || index === 0))
          ? `\\${sign}`
          : sign;
    // What continues a line loses its leading white space, so the sign behind is one that stays.
    return breaks.includes(index) && !/^[ \t\f]/.test(escaped) ? `\\\n \t${escaped}` : escaped;
  }).join('');
}

test('whatever is written with escapes and continued lines is read back', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 });
  const breaks = fc.array(fc.nat(20), { maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, text, breaks, fc.constantFrom('=', ':', ' = ', '\t:\f')), { maxLength: 6 }),
      (entries) => {
        const lines = entries.map(
          ([key, value, at, separator]) =>
            `${written(key, { isKey: true, breaks: at.filter((index) => index > 0) })}${separator}${written(value, { isKey: false, breaks: at })}`,
        );
        expect(read(lines.join('\n# between\r\n'))).toEqual(entries.map(([key, value]) => [key, value]));
      },
    ),
  );
});
