import { expect, test } from 'vitest';
import { commitmentOf, digestOf } from './commitment.ts';

test('the digest of a value does not depend on the order of its keys', () => {
  expect(digestOf({ b: 1, a: [true, null] })).toBe(digestOf({ a: [true, null], b: 1 }));
  expect(digestOf({})).toBe('44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'); // of "{}"
});

test('a commitment is another with each salt, and needs a whole one', () => {
  const [one, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  expect(commitmentOf('192.0.2.7', one)).toBe(commitmentOf('192.0.2.7', one));
  expect(commitmentOf('192.0.2.7', one)).not.toBe(commitmentOf('192.0.2.7', other));
  expect(commitmentOf('192.0.2.7', one)).not.toBe(commitmentOf('192.0.2.8', one));
  expect(() => commitmentOf('192.0.2.7', Buffer.alloc(16))).toThrow('a salt has 32 bytes');
});
