import { expect, test } from 'vitest';
import { KeyTally } from './distinct-records.ts';

test('a key counts as distinct once', () => {
  const tally = new KeyTally(3);
  for (const key of ['key-0', 'key-2', 'key-0', 'key-0']) tally.add(Buffer.from(key));
  expect(tally).toMatchObject({ records: 4, distinct: 2 });
});

test.each([null, Buffer.from('key-3'), Buffer.from('other'), Buffer.from('key--1')])('%s was never written', (key) => {
  expect(() => new KeyTally(3).add(key)).toThrow('never written');
});
