/** The page that explains `lockstep plan --capacity` has the coefficients that it computes with. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { COEFFICIENTS } from '#contract/capacity.ts';

test('docs/capacity.md names each coefficient with its value', () => {
  const page = readFileSync(new URL('../docs/capacity.md', import.meta.url), 'utf8');
  const plain = (value: number): string => (value < 1e-3 ? value.toFixed(9).replace(/0+$/, '') : String(value));
  const missing = Object.entries(COEFFICIENTS).filter(
    ([name, value]) => !page.includes(`| \`${name}\` | ${plain(value)} |`),
  );
  expect(missing).toEqual([]);
});
