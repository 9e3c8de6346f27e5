import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableJson } from './printable.ts';

const HOSTILE = 'a\u001B[2J\u009B1m\u202Eb\u2028\n\r\u0007\u200B\uFEFF\u{E0041}\uD800c ä€😀';

test('what would act on a terminal is shown by its number, and nothing else changes', () => {
  expect(printable(HOSTILE)).toBe(
    'a\\u{1b}[2J\\u{9b}1m\\u{202e}b\\u{2028}\\u{a}\\u{d}\\u{7}\\u{200b}\\u{feff}\\u{e0041}\\u{d800}c ä€😀',
  );
  expect(printable(printable(HOSTILE))).toBe(printable(HOSTILE));
});

test('JSON means what it meant', () => {
  const value = { [HOSTILE]: [HOSTILE, 1, null] };
  expect(printableJson(value)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  fc.assert(
    fc.property(
      fc.json(),
      (json) => printableJson(JSON.parse(json)) === printableJson(JSON.parse(printableJson(JSON.parse(json)))),
    ),
  );
  expect(JSON.parse(printableJson(value))).toEqual(value);
});
