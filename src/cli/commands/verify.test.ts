import { expect, test } from 'vitest';
import type { MirrorVerification, PartitionVerification, ShownRecord } from '#contract/verification.ts';
import type { App, Context } from '../context.ts';
import { runCommandLine } from '../program.ts';

const link = `apiVersion: lockstep/v1
kind: Cluster
metadata: { name: east }
spec: { bootstrap: ['127.0.0.1:19092'] }
---
apiVersion: lockstep/v1
kind: Cluster
metadata: { name: west }
spec: { bootstrap: ['127.0.0.1:29092'] }
---
apiVersion: lockstep/v1
kind: Mirror
metadata: { name: link }
spec: { source: east, target: west, topics: [{ match: orders }] }
`;

const partition = (of: Partial<PartitionVerification> = {}): PartitionVerification => ({
  topic: 'orders',
  targetTopic: 'orders',
  partition: 0,
  verdict: 'identical',
  from: 0,
  provenThrough: 1500,
  sourceStart: 0,
  sourceEnd: 1504,
  targetStart: 0,
  targetEnd: 1500,
  lag: 4,
  records: 1490,
  compacted: 0,
  source: { control: 10, aborted: 0, absent: 0 },
  target: { control: 10, aborted: 0, absent: 0 },
  unexplained: 0,
  differences: 0,
  shown: [],
  unverified: [],
  bytes: { whole: 1_000_000, byRecord: 500_000 },
  error: null,
  ...of,
});
const shownBytes = (text: string) => ({ bytes: text.length, from: 0, text, hex: Buffer.from(text).toString('hex') });
const shownRecord = (value: string): ShownRecord => ({
  timestamp: 1_700_000_000_000,
  key: shownBytes('k'),
  value: shownBytes(value),
  headers: [{ key: shownBytes('trace'), value: null }],
  headerCount: 1,
});
const different = partition({
  partition: 1,
  verdict: 'different',
  provenThrough: 7,
  differences: 1,
  shown: [
    {
      kind: 'changed',
      offset: 7,
      fields: ['value'],
      message: 'value differs',
      source: shownRecord('a'),
      target: { ...shownRecord('b'), value: { bytes: 5000, from: 100, text: null, hex: '0102' } },
    },
  ],
});
const unverified = partition({
  partition: 2,
  verdict: 'unverified',
  unverified: [{ from: 0, to: 14, reason: "the target's log begins at offset 14" }],
});
const failed = partition({
  partition: 3,
  verdict: 'failed',
  lag: null,
  error: { code: 'PERMISSION_DENIED', message: 'READ is missing' },
});

/** Runs one command line over a verifier that answers with these partitions. */
async function verify(line: string, partitions: readonly PartitionVerification[] = [partition()], file: string = link) {
  let [out, err] = ['', ''];
  const asked: Parameters<App['verifyMirrors']>[2][] = [];
  const mirrors: string[] = [];
  const verifyMirrors: App['verifyMirrors'] = async (documents, _, options) => {
    asked.push(options);
    mirrors.push(...documents.mirrors.map(({ metadata }) => metadata.name));
    const bytes = { whole: 1000, byRecord: 0 };
    options.onProgress({ mirror: 'link', partitions: 4, partitionsDone: 1, records: 5, bytes, differences: 0 });
    const mirror: MirrorVerification = {
      mirror: 'link',
      source: 'east',
      target: 'west',
      class: options.class,
      partitions,
      notes: [],
    };
    return [mirror];
  };
  const io = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    isTty: false,
    columns: () => 100,
    rows: () => 30,
    style: (_: unknown, text: string) => text,
    isDebug: false,
    onInterrupt: () => {},
    onResize: () => () => {},
    readInput: () => Promise.resolve(''),
  };
  const host = {
    disk: { readText: () => file },
    clock: { now: () => 0, monotonic: () => 0, schedule: () => () => {} },
  };
  const context = { io, host, app: { verifyMirrors }, version: '1' } as unknown as Context;
  return { code: await runCommandLine(line.split(' '), context), out, err, asked, mirrors };
}

test('what a Verify of the files says of a mirror is compared like the mirror itself, once', async () => {
  const proof = (mirror: string) => `---
apiVersion: lockstep/v1
kind: Verify
metadata: { name: proof }
spec: { mirror: ${mirror} }
`;
  const own = '{ name: other, source: east, target: west, topics: [{ match: orders }] }';
  const beside = await verify('verify -f link.yaml', [partition()], `${link}${proof('link')}`);
  expect([beside.code, beside.mirrors]).toEqual([0, ['link']]);
  const clusters = link.slice(0, link.lastIndexOf('---'));
  const alone = await verify('verify -f proof.yaml', [partition()], `${clusters}${proof(own)}`);
  expect([alone.code, alone.mirrors]).toEqual([0, ['other']]);
});

test.each([
  [[partition()], 0],
  [[partition(), unverified], 0],
  [[partition(), unverified, failed], 1],
  [[failed, different], 5],
])('the worst partition decides the exit code', async (partitions, code) => {
  expect((await verify('verify -f link.yaml', partitions)).code).toBe(code);
});

test('differences stand with both copies, and what is unverified or could not be read with its reason', async () => {
  const { out, err } = await verify('verify -f link.yaml', [partition(), different, unverified, failed]);
  expect(out).toBe(`Mirror link: east → west, content

  PARTITION  FROM  PROVEN THROUGH  LAG  RECORDS THE SAME  COMPACTED  UNEXPLAINED  VERDICT
  orders/0      0           1,500    4             1,490          0            0  identical
  orders/1      0               7    4             1,490          0            0  different
  orders/2      0           1,500    4             1,490          0            0  unverified
  orders/3      0           1,500    –             1,490          0            0  failed

  different orders/1 offset 7, changed: value differs
    source: time 1700000000000 key "k" value "a" headers ["trace"=null]
    target: time 1700000000000 key "k" value 0x0102 (bytes 100 to 101 of 5000) headers ["trace"=null]
  unverified orders/2 offsets 0 to 13: the target's log begins at offset 14
  failed PERMISSION_DENIED orders/3: READ is missing
  compared 6.00 MB of the source in 0.0 s: 4.00 MB as whole batches, 2.00 MB record by record.
  1 difference in 1 partition.
`);
  expect(err).toBe('link: 1 of 4 partitions, 5 records the same, 1.00 kB compared, 0 differences\n');
});

test('of many partitions a row stands for each topic', async () => {
  const many = Array.from({ length: 60 }, (_, i) => partition({ partition: i }));
  const { out } = await verify('verify -f link.yaml', [...many, partition({ topic: 'payments', lag: null })]);
  expect(out).toContain(`
  TOPIC     PARTITIONS  LAG  RECORDS THE SAME  COMPACTED  UNEXPLAINED  VERDICT
  orders            60  240            89,400          0            0  identical
  payments           1    –             1,490          0            0  identical
`);
});

test('without differences the last line says what is not identical as a whole', async () => {
  const { out } = await verify('verify -f link.yaml', [partition(), unverified]);
  expect(out).toContain('\n  1 partition identical, 1 partition not verified as a whole.\n');
  expect((await verify('verify -f link.yaml')).out).toContain('\n  1 partition identical.\n');
});

test('--json prints progress and, last, everything', async () => {
  const { out } = await verify('verify -f link.yaml --json', [different]);
  const [progress, last] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(progress).toMatchObject({ event: 'progress', partitionsDone: 1 });
  expect(last).toMatchObject({
    event: 'verified',
    verdict: 'different',
    mirrors: [{ partitions: [{ partition: 1 }] }],
  });
});

test('class, window and --full are handed on', async () => {
  const { asked } = await verify('verify -f link.yaml --class counts --from 5 --to 10 --full');
  expect(asked[0]).toMatchObject({ class: 'counts', from: 5, to: 10, isFull: true });
  expect((await verify('verify -f link.yaml')).asked[0]).toMatchObject({
    class: 'content',
    from: null,
    to: null,
    isFull: false,
  });
});

test.each([
  ['--class all', '--class does not know "all"'],
  ['--from soon', '--from: "soon" is no offset'],
  ['--from 7 --to 7', '--to must be above --from'],
])('%s is a usage error', async (argv, message) => {
  const { code, err, asked } = await verify(`verify -f link.yaml ${argv}`);
  expect([code, asked]).toEqual([2, []]);
  expect(err).toContain(message);
});
