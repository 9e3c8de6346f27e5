/** The three verbs over real logs on a disk in memory: exact output, JSON, and exit codes. */
import { beforeAll, describe, expect, test } from 'vitest';
import { event, evidenceOf, LOG_DIRECTORY, LOG_KEY, openLog, OTHER_KEY } from '#testing/audit-events.ts';
import type { SimulatedDisk } from '#testing/simulated-disk.ts';
import { systemClock } from '#util/host.ts';
import { verifyEvidence, verifyLogDirectory, verifyLogProof } from '../../../main.ts';
import type { Context } from '../../context.ts';
import { runCommandLine } from '../../program.ts';

const vkey = LOG_KEY.verifier.text;
let disk: SimulatedDisk;
let reader: ReturnType<Awaited<ReturnType<typeof openLog>>['log']['reader']>;

beforeAll(async () => {
  const opened = await openLog();
  disk = opened.disk;
  disk.writeText('/old', opened.log.reader().checkpoint.note);
  await opened.log.record(
    event('topics.delete', { resource: { type: 'topic', id: 'orders\u001b[31m', cluster: 'west' } }),
    'denied',
  );
  await opened.clock.advance(200_000);
  await opened.log.close();
  reader = opened.log.reader();
  disk.writeText('/key', `${vkey}\n`);
  disk.writeText('/anchors', `${reader.checkpoint.note}\njunk\n`);
  disk.writeText('/one.tlog-proof', reader.proof(1));
  disk.writeText('/bad.tlog-proof', reader.proof(1).replace('index 1', 'index 0'));
  disk.writeText('/junk', 'junk');
  await disk.writeDurably('/all.zip', await evidenceOf(opened.log));
});

async function lockstep(line: string, { files = disk, interrupt = false } = {}) {
  let [out, err] = ['', ''];
  const io = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    isTty: false,
    columns: () => 100,
    rows: () => 30,
    style: (_: unknown, text: string) => text,
    isDebug: false,
    onInterrupt: (listener: () => void) => {
      if (interrupt) listener();
    },
  };
  const clock = { ...systemClock, monotonic: () => 0 };
  const host = { disk: files, clock };
  const app = { verifyLogDirectory, verifyLogProof, verifyEvidence };
  const context = { io, host, app, version: '1' } as unknown as Context;
  return { code: await runCommandLine(line.split(' '), context), out, err };
}

describe('log verify', () => {
  test('shows what was verified, and with what', async () => {
    const { code, out, err } = await lockstep(
      `log verify ${LOG_DIRECTORY} --vkey ${vkey} --since /old --anchors /anchors`,
    );
    expect([code, err]).toEqual([0, '']);
    expect(out).toBe(`Audit log lockstep.example/audit: 6 entries

  root         ${reader.checkpoint.root.toString('hex')}
  signed by    ${vkey}
  time         2023-11-14T22:13:20Z to 2023-11-14T22:16:40Z
  read         6 entries in 0.0 s
  starts       1, 0 changes of the key
  compared     the checkpoint of 1 entry, 1 anchor

  verified.
`);
  });

  test('says that nothing outside was compared, and takes the key from a file', async () => {
    const { code, out } = await lockstep(`log verify ${LOG_DIRECTORY} --vkey /key`);
    expect(code).toBe(0);
    expect(out).toContain('compared     with nothing outside of it');
  });

  test('names what contradicts, and what is not there', async () => {
    const { disk: other, log } = await openLog();
    await log.close();
    const tampered = await lockstep(`log verify ${LOG_DIRECTORY} --vkey /key --since ./longer`, {
      files: withFiles(other),
    });
    expect(tampered.code).toBe(5);
    expect(tampered.out).toContain('  truncated: the older checkpoint, of 6 entries, is larger than this log, of 2\n');
    expect(tampered.out).toContain('  LOG_TAMPERED: something contradicts.\n');
    other.remove(`${LOG_DIRECTORY}/tile/0/000.p/2`);
    const incomplete = await lockstep(`log verify ${LOG_DIRECTORY} --vkey /key`, { files: withFiles(other) });
    expect(incomplete.code).toBe(5);
    expect(incomplete.out).toContain('  tile-missing: tile/0/000.p/2 is missing\n');
    expect(incomplete.out).toContain('  LOG_INCOMPLETE: nothing contradicts, and not everything is there.\n');
  });

  const withFiles = (other: SimulatedDisk): SimulatedDisk => {
    other.writeText('/key', vkey);
    other.writeText('/longer', reader.checkpoint.note);
    return other;
  };

  test('--json prints one line with everything', async () => {
    const { code, out } = await lockstep(`log verify ${LOG_DIRECTORY} --vkey /key --json`);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      event: 'verified',
      verdict: 'verified',
      size: 6,
      findings: [],
      seconds: 0,
    });
  });

  test('is interrupted', async () => {
    expect(await lockstep(`log verify ${LOG_DIRECTORY} --vkey /key`, { interrupt: true })).toMatchObject({ code: 130 });
  });
});

test('log entry prints the entry, with names made harmless', async () => {
  const { code, out } = await lockstep('log entry /one.tlog-proof --vkey /key');
  expect(code).toBe(0);
  expect(out).toContain(`Entry 1 of 6 entries of lockstep.example/audit

  time      2023-11-14T22:13:20Z
  actor     user 7f1e1f3a-3d1c-4b62-9b7b-0a6b0e0d7a11, oidc
  action    topics.delete, event denied
  resource  topic orders\\u{1b}[31m on west
`);
  expect(out).toContain('\n  verified.\n');
  expect(await lockstep('log entry /one.tlog-proof --vkey /key --json')).toMatchObject({
    code: 0,
    out: expect.stringContaining('"index":1'),
  });
  const bad = await lockstep('log entry /bad.tlog-proof --vkey /key');
  expect([bad.code, bad.out]).toEqual([
    5,
    'LOG_TAMPERED: the path does not lead from the entry to the root of the checkpoint.\n',
  ]);
});

test('log report says what a bundle holds', async () => {
  const { code, out } = await lockstep('log report /all.zip --vkey /key');
  expect(code).toBe(0);
  expect(out).toBe(`/all.zip: 6 entries of 6 of lockstep.example/audit, of 2023-11-14T22:13:20Z to 2023-11-14T22:16:40Z

  every entry between the first and the last is there
  verified.
`);
  const other = await lockstep(`log report /all.zip --vkey ${OTHER_KEY.verifier.text}`);
  expect(other.code).toBe(5);
  expect(other.out).toContain('the checkpoint is not signed by the key');
});

test.each([
  ['log verify /nowhere --vkey /key', 1, 'LOG_INVALID: there is no checkpoint in /nowhere.'],
  ['log entry /nowhere --vkey /key', 1, 'LOG_INVALID: /nowhere cannot be read'],
  ['log report /junk --vkey /key', 1, 'it is no zip file'],
  ['log verify /audit', 2, 'the key of the log is missing'],
  ['log verify /audit --vkey /junk', 2, 'the key cannot be used'],
  ['log verify --vkey /key', 2, "missing required argument 'directory'"],
])('%s ends with %i', async (line, code, message) => {
  const found = await lockstep(line);
  expect([found.code, `${found.out}${found.err}`]).toEqual([code, expect.stringContaining(message)]);
});

test('the help of the verbs has examples, and no -f', async () => {
  for (const verb of ['verify', 'entry', 'report']) {
    const { code, out } = await lockstep(`log ${verb} --help`);
    expect([code, out.includes(`lockstep log ${verb} `), out.includes('--file')]).toEqual([0, true, false]);
  }
});
