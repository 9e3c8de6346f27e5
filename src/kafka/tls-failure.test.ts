import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Pki } from '#testing/pki.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { tlsProblemOf } from './tls-failure.ts';

const UNKNOWN = Object.assign(new Error('alert'), { code: 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN' });
const DAY_MS = 24 * 3_600_000;

test('a broker that does not say what is wrong with our certificate: its time is looked at', () => {
  const pki = new Pki(join(temporaryDirectory('tls-failure'), 'pki'));
  const certificate = readFileSync(pki.issue({ commonName: 'mirror', days: 2 }).certificateFile, 'utf8');
  const now = Date.now();
  const said = (nowMs: number): string | null => tlsProblemOf(UNKNOWN, { shown: { certificate, nowMs } });
  expect(said(now)).toMatch(/^it does not trust our certificate \(ERR_SSL_/);
  expect(said(now + 3 * DAY_MS)).toMatch(/^our certificate has expired \(ERR_SSL_/);
  expect(said(now - DAY_MS)).toMatch(/^our certificate is not valid yet; compare the clocks \(ERR_SSL_/);
  const damaged = { certificate: 'none', nowMs: now };
  expect(tlsProblemOf(UNKNOWN, { shown: damaged })).toMatch(/^it does not trust our certificate/);
  expect(tlsProblemOf(UNKNOWN)).toMatch(/^it does not trust our certificate/);
  const unknownAuthority = Object.assign(new Error('alert'), { code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' });
  const late = { certificate, nowMs: now + 3 * DAY_MS };
  expect(tlsProblemOf(unknownAuthority, { shown: late }), 'what it does say counts').toMatch(
    /^it does not trust the a/,
  );
});
