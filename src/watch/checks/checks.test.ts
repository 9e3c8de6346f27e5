import { expect, test } from 'vitest';
import type { MirrorPlan } from '#contract/plan.ts';
import { checkCertificate, checkServer, judgeTimes } from './cluster.ts';
import { judgePlan } from './doctor.ts';
import { checkNode, checkOpenFiles } from './machine.ts';

test.each([
  ['v24.21.0', 'warning'],
  ['v24.22.0', 'warning'],
  ['v24.22.1', 'ok'],
  ['v24.23.0', 'ok'],
  ['v26.12.0', 'warning'],
  ['v26.12.1', 'ok'],
  ['v27.0.0', 'ok'],
])('Node %s is judged %s', (version, verdict) => {
  expect(checkNode(version)).toMatchObject({ verdict, found: version });
});

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft}                 1048576              files\n`;

test.each([
  [limits('1024'), 'warning', 'at most 1024'],
  [limits('4096'), 'ok', 'at most 4096'],
  [limits('unlimited'), 'ok', 'unlimited'],
  ['', 'unknown', 'the limit cannot be read here'],
  [null, 'unknown', 'the limit cannot be read here'],
])('open files: %j', (text, verdict, found) => {
  expect(checkOpenFiles(text)).toMatchObject({ verdict, found });
});

test.each([
  [[], 'unknown'],
  [[1_000, 2_000], 'ok'],
  [[15_000], 'ok'],
  [[1_000, 15_001], 'warning'],
])('records of %j beside a clock of 10 s are judged %s', (times, verdict) => {
  expect(judgeTimes(times, 10_000).verdict).toBe(verdict);
});

test('a file without certificates, and a broker that is not believed, have failed', () => {
  expect(checkCertificate({ subject: 'cluster "a"', what: 'ca' }, 'x', 0)).toMatchObject({ verdict: 'failed' });
  const shown = { protocol: 'TLSv1.3', cipher: 'c', chain: [], problem: 'self-signed certificate', expiry: null };
  expect(checkServer('cluster "a"', 'b:1', shown)).toMatchObject({
    verdict: 'failed',
    what: 'TLS of b:1',
    found: 'TLSv1.3, not believed: self-signed certificate',
  });
  const ending = { verdict: 'warning', days: 20, at: 0, text: 'CN=b holds 20 more days, until 2026-12-12' } as const;
  expect(checkServer('cluster "a"', 'b:1', { ...shown, problem: null, expiry: ending })).toMatchObject({
    verdict: 'warning',
    nextStep: 'Have the certificate of the broker renewed.',
  });
});

const plan = (fields: Partial<MirrorPlan>): MirrorPlan =>
  ({ grants: [], findings: [], topics: [], ...fields }) as unknown as MirrorPlan;

test('missing rights fail a mirror with the command that grants them, settings warn', () => {
  expect(judgePlan('mirror "m"', plan({}))).toMatchObject([{ verdict: 'ok' }]);
  const grant = { what: 'WRITE on topic a', cluster: 'west', command: 'kafka-acls.sh …', without: [], resource: 'x' };
  const finding = { code: 'TOPIC_SETTING_UNFIT', severity: 'warning', message: 'm', nextStep: 'n' } as const;
  const found = judgePlan('mirror "m"', plan({ grants: [grant as never], findings: [finding] }));
  expect(found).toEqual([
    {
      subject: 'mirror "m"',
      what: 'rights',
      verdict: 'failed',
      found: 'missing on cluster "west": WRITE on topic a',
      nextStep: 'kafka-acls.sh …',
    },
    { subject: 'mirror "m"', what: 'TOPIC_SETTING_UNFIT', verdict: 'warning', found: 'm', nextStep: 'n' },
  ]);
});
