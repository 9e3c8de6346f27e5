import { expect, test } from 'vitest';
import { commonPasswords } from './common-passwords.ts';
import { checkNewPassword } from './password-policy.ts';

test('holds more than three thousand, and finds each of them', () => {
  const words = [...commonPasswords];
  expect(words.length).toBeGreaterThan(3_000);
  const taken = words.filter((word, index) => {
    const next = [0, 1, 2].map((step) => words[(index + step * 7) % words.length]).join('-');
    try {
      checkNewPassword(next, 'ann');
      return true;
    } catch {
      return false;
    }
  });
  expect(taken).toEqual([]);
});

test.each(['Football1Monkey12', 'sunshine princess', 'DRAGON-mustang-99', 'correcthorsepassword1'])(
  '%s is two of them, and is not taken',
  (password) => {
    expect(() => checkNewPassword(password, 'ann')).toThrow('tried first');
  },
);
