import { expect, test } from 'vitest';
import type { Check } from '#contract/check.ts';
import { MemoryDisk, runLine } from '#testing/command-line.ts';
import { diagnose } from '../../main.ts';

const played = (...checks: Partial<Check>[]) => ({
  diagnose: () =>
    Promise.resolve(
      checks.map((each) => ({ subject: 's', what: 'w', verdict: 'ok' as const, found: 'f', nextStep: null, ...each })),
    ),
});

test('each check has a line, and what to do', async () => {
  const app = played({}, { verdict: 'failed', found: 'no\u001b[2J', nextStep: 'mend it' });
  const { code, out } = await runLine(['doctor'], { app });
  expect(code).toBe(5);
  expect(out).toBe(
    'ok       this machine: options: valid, 0 stated\nok       s: w: f\nfailed   s: w: no\\u{1b}[2J\n         next: mend it\n',
  );
});

test('warnings and what could not be learnt do not fail it', async () => {
  const app = played({ verdict: 'warning' }, { verdict: 'unknown' });
  expect((await runLine(['doctor', '--json'], { app })).code).toBe(0);
});

test('options that are wrong are a failed check', async () => {
  const disk = new MemoryDisk({ 'bad.yaml': 'servr: 1\n' });
  const { code, out } = await runLine(['doctor', '--config', 'bad.yaml'], { app: played(), disk });
  expect([code, out]).toEqual([
    5,
    expect.stringContaining('failed   this machine: options: bad.yaml:1:1: unknown option'),
  ]);
});

const link = `apiVersion: lockstep/v1
kind: Cluster
metadata: { name: east }
spec:
  bootstrap: ['127.0.0.1:1']
  security: { protocol: SSL, ca: { file: ca.pem } }
`;

test('a cluster that does not answer, and a certificate that is none, are told apart', async () => {
  const disk = new MemoryDisk({ 'link.yaml': link, 'ca.pem': '-----BEGIN CERTIFICATE-----\nx\n' });
  const { systemClock, systemProbeTls } = await import('#util/host.ts');
  const host = { clock: systemClock, probeTls: systemProbeTls };
  const { code, out } = await runLine(['doctor', '-f', 'link.yaml'], { app: { diagnose }, disk, host });
  expect(code).toBe(5);
  expect(out).toMatch(/this machine: Node: v\d+/);
  expect(out).toMatch(/unknown +this machine: open files/);
  expect(out).toMatch(/failed +cluster "east": reachable: /);
  expect(out).toMatch(/failed +cluster "east": ca: it holds no certificate in PEM/);
  expect(out).toMatch(/failed +cluster "east": TLS of 127\.0\.0\.1:1: .*ECONNREFUSED/);
}, 90_000);
