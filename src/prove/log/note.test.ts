/** Vectors: RFC 8032 section 7.1, the example of c2sp.org/signed-note, and golang.org/x/mod/sumdb/note. */
import { describe, expect, test } from 'vitest';
import { FormatError } from './format-error.ts';
import {
  formatSignerKey,
  isSignedText,
  parseNote,
  parseSignerKey,
  parseVerifierKey,
  signerKeyOf,
  signersOf,
  signNote,
  signText,
} from './note.ts';

const EXAMPLE_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const EXAMPLE =
  'This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
const PETER_SECRET = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const PETER_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_LINE =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';

// Secret key, public key, message, signature: tests 1 and 2.
test.each([
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
])('RFC 8032: seed %s', (seed, publicKey, message, signature) => {
  const key = signerKeyOf('test', Buffer.from(seed, 'hex'));
  const base64 = Buffer.from(signature, 'hex').toString('base64');
  const text = Buffer.from(message, 'hex').toString();
  expect(Buffer.from(key.verifier.text.split('+').slice(2).join('+'), 'base64').toString('hex', 1)).toBe(publicKey);
  expect(signText(text, key)).toBe(base64);
  expect(isSignedText(text, base64, key.verifier)).toBe(true);
  expect(isSignedText(`${text}x`, base64, key.verifier)).toBe(false);
});

test('the notes of the specification and of Go are signed by their keys', () => {
  const example = parseNote(EXAMPLE);
  expect(example.text).toBe('This is an example message.\n');
  expect(signersOf(example, [parseVerifierKey(EXAMPLE_KEY)])).toHaveLength(1);
  expect(signersOf(parseNote(`${TEXT}\n${PETER_LINE}`), [parseVerifierKey(PETER_KEY)])).toHaveLength(1);
});

test('a key of Go signs as Go does, and its texts come back', () => {
  const peter = parseSignerKey(PETER_SECRET);
  expect(peter.verifier.text).toBe(PETER_KEY);
  expect(signNote(TEXT, [peter])).toBe(`${TEXT}\n${PETER_LINE}`);
  const seed = Buffer.from(PETER_SECRET.split('+').slice(4).join('+'), 'base64').subarray(1);
  expect(formatSignerKey('PeterNeumann', seed)).toBe(PETER_SECRET);
});

test('signatures of unknown keys are ignored, and a wrong one of a known key spoils the note', () => {
  const peter = parseVerifierKey(PETER_KEY);
  const beside = `${TEXT}\n\u2014 other AAAAAAAA\n${PETER_LINE}`;
  expect(signersOf(parseNote(beside), [peter])).toEqual([peter]);
  expect(signersOf(parseNote(EXAMPLE), [peter])).toEqual([]);
  const wrong = parseNote(`${TEXT.replace('answer', 'question')}\n${PETER_LINE}`);
  expect(() => signersOf(wrong, [peter])).toThrow(FormatError);
});

describe('refused', () => {
  test.each([
    ['no signature', 'text\n'],
    ['no empty line', `text\n${PETER_LINE}`],
    ['no newline at the end', `text\n\n${PETER_LINE.trimEnd()}`],
    ['a control character', `te\rxt\n\n${PETER_LINE}`],
    ['a signature without a name', 'text\n\n\u2014  AAAAAAAA\n'],
    ['a signature with three parts', 'text\n\n\u2014 a AAAAAAAA b\n'],
    ['a signature that is an id only', 'text\n\n\u2014 a AAAAAA==\n'],
    ['another spelling of base64', 'text\n\n\u2014 a AAAAAAB=\n'],
    ['too many signatures', `text\n\n${'\u2014 a AAAAAAAA\n'.repeat(65)}`],
  ])('a note with %s', (_, note) => {
    expect(() => parseNote(note)).toThrow(FormatError);
  });

  test('every part of a verifier key, and every byte of it that is another', () => {
    const parts = Array.from({ length: PETER_KEY.length }, (_, from) =>
      Array.from({ length: PETER_KEY.length - from }, (__, i) => PETER_KEY.slice(from, from + i + 1)),
    ).flat();
    for (const part of parts.filter((each) => each !== PETER_KEY))
      expect(() => parseVerifierKey(part)).toThrow(FormatError);
    for (let i = 0; i < PETER_KEY.length; i++) {
      const other = String.fromCharCode(PETER_KEY.charCodeAt(i) + 1);
      expect(() => parseVerifierKey(PETER_KEY.slice(0, i) + other + PETER_KEY.slice(i + 1))).toThrow(FormatError);
    }
  });

  test('a signing key that is not one, without its text in the message', () => {
    for (const text of [PETER_KEY, PETER_SECRET.slice(0, -4), PETER_SECRET.replace('c74f', 'c74e')]) {
      expect(() => parseSignerKey(text)).toThrow(FormatError);
      expect(() => parseSignerKey(text)).not.toThrow('AYEKFALV');
    }
  });
});
