/** What a server shows of a log: entries, pages, tables, proofs, evidence bundles. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { event, LOG_DIRECTORY, LOG_KEY, openLog, OTHER_KEY } from '#testing/audit-events.ts';
import type { SimulatedDisk } from '#testing/simulated-disk.ts';
import { readZip, writeZip } from '#util/zip.ts';
import type { AuditLog } from './audit-log.ts';
import { browse, browseForward } from './browse.ts';
import { splitNotes } from './checkpoint.ts';
import { createBundle, verifyBundle } from './evidence-bundle.ts';
import { csvHeader, csvOf } from './log-csv.ts';
import { LogReader } from './log-reader.ts';
import { isConsistent } from './merkle.ts';
import { verifyProof } from './tlog-proof.ts';

const SIZE = 700;
const T0 = 1_700_000_000_000;
let log: AuditLog;
let disk: SimulatedDisk;
let reader: LogReader;
/** Each checkpoint that there was. */
const checkpoints: LogReader[] = [];

beforeAll(async () => {
  const opened = await openLog();
  ({ log, disk } = opened);
  checkpoints.push(log.reader());
  for (let seq = 1; seq < SIZE; seq++) {
    const action = seq % 10 === 0 ? 'auth.login' : seq % 3 === 0 ? 'jobs.start' : 'jobs.stop';
    await log.record(
      event(action, { resource: { type: 'job', id: `job-${seq % 7}` } }),
      seq % 20 === 0 ? 'denied' : 'succeeded',
    );
    if (seq % 100 === 0) await opened.clock.advance(1_000);
    if (seq % 64 !== 0) continue;
    await log.publish();
    checkpoints.push(log.reader());
  }
  await log.publish();
  reader = log.reader();
  checkpoints.push(reader);
});

test('each entry has a proof that holds with the key alone, and not with another', () => {
  for (const seq of [0, 1, 255, 256, 511, 512, SIZE - 1]) {
    const proof = reader.proof(seq);
    expect(verifyProof(proof, [LOG_KEY.verifier])).toEqual({
      verdict: 'verified',
      origin: 'lockstep.example/audit',
      index: seq,
      size: SIZE,
      signedBy: LOG_KEY.verifier.text,
      entry: reader.entry(seq),
      problem: null,
    });
    expect(verifyProof(proof, [OTHER_KEY.verifier])).toMatchObject({ verdict: 'tampered' });
  }
});

test('a proof in which anything is changed is none', () => {
  const proof = reader.proof(300);
  fc.assert(
    fc.property(fc.nat(proof.length - 2), fc.integer({ min: 33, max: 126 }), (at, code) => {
      const changed = `${proof.slice(0, at)}${String.fromCharCode(code)}${proof.slice(at + 1)}`;
      const { verdict, entry } = verifyProof(changed, [LOG_KEY.verifier]);
      // Names and base64 of signatures by nobody that is known do not count.
      const isAnother = verdict === 'verified' && !isDeepStrictEqual(entry, reader.entry(300));
      expect(isAnother).toBe(false);
    }),
  );
  expect(verifyProof(proof.replace('index 300', 'index 301'), [LOG_KEY.verifier])).toMatchObject({
    verdict: 'tampered',
    problem: expect.stringContaining('path'),
  });
  expect(verifyProof(proof.replace(/extra .*\n/, ''), [LOG_KEY.verifier])).toMatchObject({
    problem: 'the proof holds no entry',
  });
});

test('every earlier checkpoint is consistent with every later one', () => {
  for (const [i, old] of checkpoints.entries())
    for (const later of checkpoints.slice(i)) {
      expect(later.rootAt(old.size)).toEqual(old.checkpoint.root);
      expect(isConsistent(old.checkpoint, later.checkpoint, later.consistencyPath(old.size))).toBe(true);
    }
});

test('checkpoints that stand one behind the other are found again, whatever is between them', () => {
  const notes = checkpoints.map(({ checkpoint }) => checkpoint.note);
  expect(splitNotes(notes.join(''))).toEqual(notes);
  expect(splitNotes(`\njunk\n\n${notes.join('\n\njunk\n\n')}\n`)).toEqual(notes);
  expect(splitNotes('junk')).toEqual([]);
});

test('what is damaged is said, with what to do', () => {
  const gone = Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
  const broken = {
    readBytes(path: string): Buffer {
      if (path.includes('entries/001')) throw gone;
      return disk.readBytes(path);
    },
  };
  const read = () => new LogReader(broken, LOG_DIRECTORY, reader.checkpoint).entry(300);
  expect(read).toThrow(
    expect.objectContaining({ code: 'LOG_INVALID', message: expect.stringContaining('tile/entries/001') }),
  );
});

describe('browsing', () => {
  const all = (filter: Parameters<typeof browse>[1], limit = 50, scanMax = 100) => {
    const pages: number[][] = [];
    let before: number | null | undefined;
    while (before !== null) {
      const page = browse(reader, filter, { ...(before === undefined ? {} : { before }), limit, scanMax });
      pages.push(page.entries.map(({ seq }) => seq));
      before = page.next;
    }
    return pages;
  };

  test.each([
    [{ action: 'auth' }, (seq: number) => seq % 10 === 0],
    [{ action: 'auth.login', outcome: 'denied' }, (seq: number) => seq % 20 === 0],
    [{ resourceId: 'job-3', resourceType: 'job' }, (seq: number) => seq % 7 === 3],
    [{ actorId: 'nobody' }, () => false],
    [{ fromTs: T0 + 1_000, toTs: T0 + 2_000 }, (seq: number) => seq > 100 && seq <= 200],
    [{ phase: 'intent' }, () => false],
  ] as const)('%o finds what it says, the newest first, in pages', async (filter, isMeant) => {
    const expected = Array.from({ length: SIZE - 1 }, (_, i) => SIZE - 1 - i).filter(isMeant);
    const pages = all(filter);
    expect(pages.flat()).toEqual(expected);
    expect(pages.every((page) => page.length <= 50)).toBe(true);
    const { entries, next } = browseForward(reader, filter, { from: 0, limit: SIZE + 1 });
    expect([entries.map(({ seq }) => seq), next]).toEqual([expected.toReversed(), null]);
  });
});

test('a table has a row for each entry, and no cell that a program takes for a formula', () => {
  const entry = { ...reader.entry(5), resource: { type: 'topic', id: '=HYPERLINK("http://x","y")\n' } };
  expect(csvHeader().split(',')).toHaveLength(14);
  expect(csvOf(entry)).toContain(`topic,"'=HYPERLINK(""http://x"",""y"")\n",`);
  for (const id of ['+1', '-1', '@x', '\tx'])
    expect(csvOf({ ...entry, resource: { type: 'topic', id } })).toContain(`,'${id}`);
});

describe('an evidence bundle', () => {
  const change = (bundle: Buffer, edit: (files: Map<string, Buffer>) => void): Buffer => {
    const files = readZip(bundle, { bytesMax: 2 ** 26 });
    edit(files);
    return writeZip(files);
  };
  let bundle: Buffer;

  let turns = 0;
  const turn = async (): Promise<void> => void turns++;

  beforeAll(async () => {
    bundle = (await createBundle(reader, { fromTs: T0 + 1_000, toTs: T0 + 2_000 }, turn))!;
  });

  test('is proven by itself, and made in turns', async () => {
    expect(turns).toBeGreaterThan(1);
    expect(verifyBundle(bundle, LOG_KEY.verifier)).toMatchObject({
      verdict: 'verified',
      size: SIZE,
      entries: 100,
      isContiguous: true,
      problems: [],
    });
    const selection = (await createBundle(reader, { action: 'auth' }, turn))!;
    expect(verifyBundle(selection, LOG_KEY.verifier)).toMatchObject({
      verdict: 'verified',
      entries: 69,
      isContiguous: false,
    });
  });

  test.each([
    ['a proof is missing', 'incomplete', (files) => void files.delete('proofs/150.tlog-proof')],
    [
      'a proof is another',
      'tampered',
      (files) => void files.set('proofs/150.tlog-proof', files.get('proofs/151.tlog-proof')!),
    ],
    [
      'a proof says another entry',
      'tampered',
      (files) => void files.set('proofs/150.tlog-proof', Buffer.from(reader.proof(150).replace('extra e', 'extra f'))),
    ],
    [
      'the table is another',
      'tampered',
      (files) =>
        void files.set(
          'entries.csv',
          Buffer.from(files.get('entries.csv')!.toString().replace('jobs.stop', 'jobs.halt')),
        ),
    ],
    [
      'the checkpoint is older',
      'tampered',
      (files) => void files.set('checkpoint', Buffer.from(checkpoints[2]!.checkpoint.note)),
    ],
    [
      'the checkpoint is changed',
      'tampered',
      (files) => void files.set('checkpoint', Buffer.from(reader.checkpoint.note.replace('700', '701'))),
    ],
    ['the report is none', 'error', (files) => void files.set('report.json', Buffer.from('{}'))],
    ['the checkpoint is missing', 'tampered', (files) => void files.delete('checkpoint')],
  ] as [string, string, (files: Map<string, Buffer>) => void][])('is not verified where %s', (_, verdict, edit) => {
    const found = verifyBundle(change(bundle, edit), LOG_KEY.verifier);
    expect(found.verdict).toBe(verdict);
    expect(found.problems.length).toBeGreaterThan(0);
  });

  test('is not verified with another key, nor where it is no zip file', () => {
    expect(verifyBundle(bundle, OTHER_KEY.verifier).verdict).toBe('tampered');
    expect(verifyBundle(Buffer.from('no zip'), LOG_KEY.verifier)).toMatchObject({
      verdict: 'error',
      problems: ['it is no zip file'],
    });
  });
});
