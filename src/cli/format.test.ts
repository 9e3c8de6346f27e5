import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clip, formatBytes, formatCount, formatDuration, formatNumberOf, formatTable, wrap } from './format.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1.00 kB'],
  [12_345, '12.3 kB'],
  [123_456, '123 kB'],
  [999_499, '999 kB'],
  [999_500, '1.00 MB'],
  [1_234_000_000, '1.23 GB'],
  [9.007e15, '9.01 PB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [null, '–'],
  [-5, '0.0 s'],
  [0, '0.0 s'],
  [340, '0.3 s'],
  [9_949, '9.9 s'],
  [9_950, '10 s'],
  [59_499, '59 s'],
  [59_500, '1 min'],
  [200_000, '3 min 20 s'],
  [7_500_000, '2 h 5 min'],
  [274_000_000, '3 d 4 h'],
])('%s ms are %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test('counts have groups, and one is singular', () => {
  expect(formatCount(1_204_331)).toBe('1,204,331');
  expect(formatCount(null)).toBe('–');
  expect([formatNumberOf(1, 'record'), formatNumberOf(0, 'record')]).toEqual(['1 record', '0 records']);
});

test('columns are as wide as their widest cell, and no line has blanks at its end', () => {
  expect(
    formatTable(
      [{ title: 'NAME' }, { title: 'N', align: 'right' }, { title: 'X' }],
      [
        ['a', '1,000', ''],
        ['longer', '1', 'y'],
      ],
    ),
  ).toEqual(['NAME        N  X', 'a       1,000', 'longer      1  y']);
});

test('text is cut to the width of the terminal', () => {
  expect([clip('orders', 6), clip('orders', 5), clip('orders', 0)]).toEqual(['orders', 'orde…', '…']);
});

test('wrapped lines keep every word and stay within the width where words do', () => {
  expect(wrap('  next: stop it now', 12, '    ')).toEqual(['  next: stop', '    it now']);
  const words = fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(words, fc.integer({ min: 10, max: 40 }), (text, width) => {
      const lines = wrap(text.join(' '), width, '  ');
      expect(lines.map((line) => line.trim()).join(' ')).toBe(text.join(' '));
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    }),
  );
});
