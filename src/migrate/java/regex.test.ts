import fc from 'fast-check';
import { RE2JS } from 're2js';
import { expect, test } from 'vitest';
import { translateJavaRegex } from './regex.ts';

function read(pattern: string): unknown {
  const translated = translateJavaRegex(pattern);
  if ('problem' in translated) return translated.problem;
  return translated.value.map(({ re2, literal, notAtStart }) =>
    notAtStart.length > 0 ? [re2, literal, ...notAtStart] : literal === null ? re2 : [literal],
  );
}

test.each([
  ['orders', [['orders']]],
  ['orders\\.v1', [['orders.v1']]],
  ['^orders$', [['orders']]],
  ['orders.v1', ['orders.v1']],
  ['a|b\\|c|d.*', [['a'], ['b|c'], 'd.*']],
  ['(?:a|b)c{2,3}?', ['(?:a|b)c{2,3}?']],
  ['(?<name>a)b', ['(?:a)b']],
  ['[a-c\\d\\-\\]^]+', ['[a-c\\d\\-\\]\\^]+']],
  ['[]a]', ['[\\]a]']],
  ['[^\\w.]', ['[^\\w.]']],
  ['\\Qa.b\\E*', ['a\\.b*']],
  ['\\x41\\u0042\\x{43}\\0104\\t', [['ABCD\t']]],
  ['\\s\\S\\h?'.slice(0, 4), ['[\\s\\x0b][^\\s\\x0b]']],
  ['\\p{Alpha}\\P{Upper}\\p{IsL}\\pN', ['[[:alpha:]][[:^upper:]]\\p{L}\\p{N}']],
  ['(?i)a|b', ['(?:(?i)a|b)']],
  ['(?i:a)|b', ['(?i:a)', ['b']]],
  ['^(?!__|tmp).*', [['.*', null, '(?:__|tmp)']]],
  ['a||b', [['a'], [''], ['b']]],
  ['\\/a\\-b\\_c', [['/a-b_c']]],
])('%s becomes RE2', (pattern, expected) => {
  expect(read(pattern)).toEqual(expected);
});

test.each([
  ['a(?=b)', 'look-around'],
  ['a(?!b)', 'look-around'],
  ['(?<!a)b', 'look-around'],
  ['(?>a)b', 'look-around'],
  ['(?i)(?!a)b|c', 'look-around'],
  ['(a)\\1', 'backreference "\\1"'],
  ['\\k<a>', 'backreference "\\k"'],
  ['a*+', 'possessive quantifier "*+"'],
  ['a{2}+', 'possessive quantifier "{2}+"'],
  ['[a&&b]', 'intersection'],
  ['[a[b]]', 'class within a class'],
  ['(?x)a', 'flags "(?x)"'],
  ['(?i:a)\\p{Lu}', '"(?i)" beside "\\p"'],
  ['\\p{InGreek}', 'property "InGreek"'],
  ['\\R', '"\\R" has no equal'],
  ['foo{1|3}', 'Java refuses it'],
  ['*a', 'Java refuses it'],
  ['a**', 'Java refuses it'],
  ['(a', 'Java refuses it'],
  ['a)', 'Java refuses it'],
  ['[a', 'Java refuses it'],
  ['a\\', 'Java refuses it'],
  ['('.repeat(200), 'nested more than 100 deep'],
])('%s is refused: %s', (pattern, why) => {
  expect(read(pattern)).toContain(why);
});

/**
 * Expressions in what Java and JavaScript have in common. A repetition within a repetition stands in no third one: an engine that
 * goes back, as theirs do, would not come to an end.
 */
const LEAVES = ['a', 'b', '-', '\\.', '.', '[ab]', '[^a-c]', '\\d', '\\w', '[\\w-]', '[.1]', '\\x61'] as const;

function branches(atom: fc.Arbitrary<string>, times: readonly string[]): fc.Arbitrary<string> {
  const branch = fc.array(fc.tuple(atom, fc.constantFrom(...times)), { maxLength: 4 });
  return fc
    .array(branch, { minLength: 1, maxLength: 3 })
    .map((all) => all.map((pieces) => pieces.map(([each, count]) => each + count).join('')).join('|'));
}

const inner = branches(fc.constantFrom(...LEAVES), ['', '', '', '*', '+', '?', '*?', '{2}', '{0,2}']);
const group = fc.tuple(fc.constantFrom('(', '(?:'), inner).map(([open, text]) => `${open}${text})`);
const expression = branches(fc.oneof(fc.constantFrom(...LEAVES), group), ['', '', '*', '?', '{2}']);

test('translated expressions match the same whole names', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-', '.', '1', '_'), maxLength: 6 });
  fc.assert(
    fc.property(expression, fc.array(name, { minLength: 5, maxLength: 20 }), (pattern, names) => {
      const translated = translateJavaRegex(pattern);
      if ('problem' in translated) throw new Error(translated.problem);
      const reference = new RegExp(`^(?:${pattern})$`, 'u');
      const ours = translated.value.map(({ re2 }) => RE2JS.compile(re2));
      for (const each of names) {
        expect([each, ours.some((regex) => regex.matches(each))]).toEqual([each, reference.test(each)]);
        const texts = translated.value.filter(
          ({ literal, re2 }) => literal !== null && RE2JS.compile(re2).matches(each),
        );
        expect(texts.map(({ literal }) => literal)).toEqual(texts.map(() => each));
      }
    }),
  );
});
