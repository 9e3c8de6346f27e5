import { expect, test } from 'vitest';
import { Redaction } from './redact.ts';

test('named secrets are taken out of texts, and nothing else is', () => {
  const redaction = new Redaction();
  expect(redaction.cell('details', '{"username":"ann","password":"pw1","n":1}')).toBe(
    '{"username":"ann","password":"[removed]","n":1}',
  );
  expect(redaction.cell('details', '"{\\"api_secret\\":\\"s3 x\\",\\"role\\":\\"admin\\"}"')).toBe(
    '"{\\"api_secret\\":\\"[removed]\\",\\"role\\":\\"admin\\"}"',
  );
  expect(redaction.cell('details', 'reset password: hunter2; by ann')).toBe('reset password: [removed]; by ann');
  expect(redaction.cell('details', '{"tokens_issued": 5, "has_token": true}')).toBe(
    '{"tokens_issued": 5, "has_token": true}',
  );
  expect(redaction.cell('details', "Created cluster 'src' (provider: plain)")).toBe(
    "Created cluster 'src' (provider: plain)",
  );
});

test('what is known to be a secret is taken out wherever it stands', () => {
  const redaction = new Redaction();
  redaction.know('abc');
  redaction.know('s3cr3t');
  expect(redaction.cell('details', 'login with s3cr3t by abc')).toBe('login with [removed] by abc');
});

test('columns of secrets are empty, numbers stay', () => {
  const redaction = new Redaction();
  expect([
    redaction.cell('api_key_prefix', 'ABCD'),
    redaction.cell('token_hash', new Uint8Array([1])),
    redaction.cell('api_secret', ''),
    redaction.cell('offset', 5),
    redaction.cell('details', null),
  ]).toEqual(['[removed]', '[removed]', '', 5, null]);
});
