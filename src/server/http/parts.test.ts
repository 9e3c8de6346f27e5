import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ManualClock } from '#testing/manual-clock.ts';
import { alternativeNames, shownCertificate } from '../auth/peer-certificate.ts';
import { checkNewPassword } from '../auth/password-policy.ts';
import { createCredential, readCredential } from '../auth/credential.ts';
import { Buckets } from './buckets.ts';
import { canonicalJson } from './canonical.ts';
import { csvRow } from './csv.ts';
import { parseStrictJson } from './strict-json.ts';
import { addressKey, isLoopback } from './transport.ts';

describe('strict JSON', () => {
  test('reads what JSON.parse reads, where no object has a key twice', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.boolean(), (text, isSpread) => {
        const shown = isSpread ? JSON.stringify(JSON.parse(text), null, 1) : JSON.stringify(JSON.parse(text));
        if (shown.includes('"__proto__"')) return;
        expect(parseStrictJson(shown)).toEqual(JSON.parse(shown));
      }),
    );
  });

  test('finds a repeated key at any place, however it is written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.nat(3), (object, depth) => {
        const [key = ''] = Object.keys(object);
        const body = `${JSON.stringify(object).slice(0, -1)},${JSON.stringify(key)}:1}`;
        const nested = `${'[{"in":'.repeat(depth)}${body}${'}]'.repeat(depth)}`;
        expect(() => parseStrictJson(nested)).toThrow(/twice|__proto__/);
      }),
    );
  });

  test('the same key in two objects is no repetition', () => {
    expect(parseStrictJson('[{"a":{"a":1},"b":["a","a"]},{"a":"{\\"a\\":1,\\"a\\":2}"}]')).toHaveLength(2);
  });
});

test('canonical JSON is the same for the same document', () => {
  expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: undefined })).toBe('{"b":[1,{"c":"x","d":null}]}');
  expect(canonicalJson(undefined)).toBe('null');
});

test.each([
  ['=1+1', `"'=1+1"`],
  ['+1', `"'+1"`],
  ['-1', `"'-1"`],
  ['@x', `"'@x"`],
  ['\t=1', `"'\t=1"`],
  ['\uff1d1', `"'\uff1d1"`],
  ['a,"b"\n', `"a,""b""\n"`],
  ['plain', 'plain'],
])('a cell with %j is %s', (value, cell) => {
  expect(csvRow([value, 1, null, true])).toBe(`${cell},1,,true\r\n`);
});

test('a bucket gives so many at once, then so many a second, and each key has its own', async () => {
  const clock = new ManualClock();
  const buckets = new Buckets({ clock, limits: () => ({ perSecond: 2, burst: 3 }) });
  expect([1, 2, 3].map(() => buckets.take('a'))).toEqual([0, 0, 0]);
  expect(buckets.take('a')).toBe(500);
  expect(buckets.take('b')).toBe(0);
  await clock.advance(500);
  expect(buckets.take('a')).toBe(0);
  expect(buckets.take('a')).toBe(500);
});

test('addresses: loopback in every spelling, and one IPv6 network is one key', () => {
  expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'].map(isLoopback)).toEqual([true, true, true, true]);
  expect(['10.0.0.1', '::2', '', 'localhost'].map(isLoopback)).toEqual([false, false, false, false]);
  expect(addressKey('2001:db8::1')).toBe(addressKey('2001:db8::ffff:1'));
  expect(addressKey('2001:db8::1')).not.toBe(addressKey('2001:db8:0:1::1'));
  expect(addressKey('10.0.0.1')).not.toBe(addressKey('10.0.0.2'));
});

describe('credentials', () => {
  const entropy = { bytes: (count: number) => new Uint8Array(count).fill(7) };

  test('are told from what is mistyped, and from those of another kind', () => {
    const { text, hash } = createCredential('token', entropy);
    expect(readCredential(text)).toEqual({ kind: 'token', hash });
    expect(readCredential(text.replace('lkt_', 'lks_'))).toBeNull();
    expect(readCredential(`${text.slice(0, -1)}${text.endsWith('0') ? '1' : '0'}`)).toBeNull();
    expect(readCredential(`${text}\n`)).toBeNull();
  });
});

describe('new passwords', () => {
  test.each([
    'short-but-odd',
    'aaaaaaaaaaaaaaaaaaaa',
    'abcdefghijklmnopqrst',
    '12345678901234567890',
    'passwordpassword1',
    'lockstepadmin2026',
    'ann@example.organn@example.org',
    'abcabcabcabcabcabc',
  ])('%s is not taken', (password) => {
    expect(() => checkNewPassword(password, 'ann@example.org')).toThrow('cannot be taken');
  });

  test.each([
    'gravel otter pinwheel sunday',
    '  leading space and more',
    'ñandú-über-čaj-日本語-xyz',
    'x'.concat('qzmwnebrvtcy-4817'),
    'z9'.repeat(3).concat('k!Qp7#vLm2@w'.repeat(5)),
  ])('%s is taken', (password) => {
    expect(() => checkNewPassword(password, 'ann')).not.toThrow();
  });
});

describe('client certificates', () => {
  test('names are read as the certificate has them, not as its text could be misread', () => {
    expect(alternativeNames('DNS:a.test, URI:spiffe://x/y, email:a@b, IP Address:10.0.0.1')).toEqual([
      'DNS:a.test',
      'URI:spiffe://x/y',
      'email:a@b',
    ]);
    expect(alternativeNames('URI:"http://a/, DNS:admin"')).toEqual(['URI:http://a/, DNS:admin']);
  });

  test('one that the TLS layer has not verified is none', () => {
    const certificate = { subjectaltname: 'DNS:a', fingerprint256: 'AA:BB' };
    const socket = (authorized: boolean) => ({ authorized, getPeerCertificate: () => certificate });
    expect(shownCertificate(socket(true))).toEqual({ subjects: ['DNS:a'], fingerprint: 'aabb' });
    expect(shownCertificate(socket(false))).toBeNull();
    expect(shownCertificate({})).toBeNull();
    expect(shownCertificate({ authorized: true, getPeerCertificate: () => ({}) })).toBeNull();
  });
});
