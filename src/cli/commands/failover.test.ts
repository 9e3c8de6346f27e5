import { expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import type { FailbackReport, FailoverEvidence, FailoverPlan } from '#contract/failover.ts';
import type { App, Context } from '../context.ts';
import { runCommandLine } from '../program.ts';

const mirror = (name: string): string => `---
apiVersion: lockstep/v1
kind: Mirror
metadata: { name: ${name} }
spec: { source: east, target: west, topics: [{ match: orders }] }
`;
const clusters = `apiVersion: lockstep/v1
kind: Cluster
metadata: { name: east }
spec: { bootstrap: ['127.0.0.1:19092'] }
---
apiVersion: lockstep/v1
kind: Cluster
metadata: { name: west }
spec: { bootstrap: ['127.0.0.1:29092'] }
`;

const plan: FailoverPlan = {
  mirror: 'link',
  source: 'east',
  target: 'west',
  isSourceReachable: true,
  done: ['fence'],
  isPromoted: false,
  topics: 2,
  partitions: 6,
  lag: 17,
  openTransactions: 1,
  fence: 'deny WRITE',
  groups: 'moved',
};

const evidence: FailoverEvidence = {
  mirror: 'link',
  source: 'east',
  sourceClusterId: 'E',
  target: 'west',
  targetClusterId: 'W',
  outcome: 'promoted',
  isSourceLost: true,
  startedAt: 1_000,
  endedAt: 9_500,
  rtoMs: 8_500,
  rpo: { records: null, ms: null },
  fence: { topics: [], why: 'the source does not answer, or is given up' },
  steps: [],
  cut: [],
  transactions: [{ topic: 'orders', partition: 0, from: 3, to: 9, transactionalId: 'lockstep-x-orders-0-0' }],
  verified: null,
  next: ['Producers and consumers: bootstrap.servers=127.0.0.1:29092'],
};

const report: FailbackReport = {
  mirror: 'link',
  oldPrimary: 'east',
  newPrimary: 'west',
  diverged: [{ topic: 'orders', partition: 0, from: 9, to: 12, records: 2 }],
  records: 2,
  exportedTo: null,
  decision: null,
  topics: ['orders'],
  kept: ['users'],
  isDone: false,
  document: 'apiVersion: lockstep/v1\nkind: Mirror\n',
  next: ['Nothing was changed.'],
};

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly files: Readonly<Record<string, string>>;
}

let interrupt = (): void => {};

async function lockstep(
  line: string,
  app: Partial<App>,
  disk: { readonly text?: string; readonly files?: Record<string, string> } = {},
): Promise<Result> {
  let [out, err] = ['', ''];
  const { text = clusters + mirror('link'), files = {} } = disk;
  const synced = new Set<string>();
  const missing = (): Error => Object.assign(new Error('no such file'), { code: 'ENOENT' });
  const context = {
    version: '1.0.0',
    io: {
      out: (more: string) => (out += more),
      err: (more: string) => (err += more),
      isTty: false,
      columns: () => 200,
      rows: () => 50,
      style: (_: string, styled: string) => styled,
      isDebug: false,
      onInterrupt: (listener: () => void) => (interrupt = listener),
    },
    host: {
      clock: { now: () => 0, monotonic: () => 0, schedule: () => () => {} },
      disk: {
        readText: () => text,
        writeText: (path: string, more: string) => (files[path] = more),
        appendText: (path: string, more: string) => (files[path] = (files[path] ?? '') + more),
        sync: (path: string) => {
          if (files[path] === undefined) throw missing();
          synced.add(path);
        },
        rename: (from: string, to: string) => {
          const content = files[from];
          if (content === undefined) throw missing();
          expect(synced, 'what is deleted next is safe in the file').toContain(from);
          delete files[from];
          files[to] = content;
        },
      },
    },
    app,
  } as unknown as Context;
  const code = await runCommandLine(line.split(' '), context);
  return { code, out, err, files };
}

const planMirrorFailover: App['planMirrorFailover'] = async () => plan;

test('a failover without --yes shows what it would do, and so does --dry-run beside it', async () => {
  for (const line of ['failover -f link.yaml', 'failover -f link.yaml --yes --dry-run']) {
    const { code, out } = await lockstep(line, { planMirrorFailover });
    expect(code).toBe(3);
    expect(out).toContain('17 offsets not copied');
    expect(out).toContain('Nothing was changed. --yes does it.');
  }
  const done = await lockstep('failover -f link.yaml --json', {
    planMirrorFailover: async () => ({ ...plan, isPromoted: true }),
  });
  expect([done.code, JSON.parse(done.out)]).toEqual([0, { event: 'failover-plan', ...plan, isPromoted: true }]);
});

test('a failover is told step by step, measured, and written as evidence; what is unknown is said to be unknown', async () => {
  const asked: Parameters<App['failOverMirror']>[2][] = [];
  const failOverMirror: App['failOverMirror'] = async (_, __, question) => {
    asked.push(question);
    const step = { event: 'failover-step', mirror: 'link', step: 'fence', at: 0 } as const;
    question.onEvent({ ...step, state: 'begun', said: [], tookMs: null });
    question.onEvent({ ...step, state: 'done', said: ['NOT FENCED: the source does not answer.'], tookMs: 1_200 });
    return evidence;
  };
  const line = 'failover -f link.yaml --yes --source-lost --no-fence --drain-within 7 --evidence e.json';
  const { code, out, files } = await lockstep(line, { failOverMirror });
  expect(code).toBe(0);
  expect(out).toContain('NOT FENCED');
  expect(out).toContain('RTO          8.5 s');
  expect(out).toContain('RPO          unknown: the source could not be asked');
  expect(out).toContain('1 cut in two');
  expect(JSON.parse(files['e.json'] ?? '')).toEqual({ version: '1.0.0', ...evidence });
  expect(asked[0]).toMatchObject({
    isSourceLost: true,
    isFenced: false,
    isForced: false,
    drainWithinMs: 7_000,
    settleWithinMs: 90_000,
    groupsWithinMs: 10_000,
    verifyTail: 10_000,
  });
});

test('of several mirrors one has to be named', async () => {
  const several = clusters + mirror('link') + mirror('other');
  const unnamed = await lockstep('failover -f link.yaml', { planMirrorFailover }, { text: several });
  expect([unnamed.code, unnamed.err]).toEqual([2, expect.stringContaining('link, other')]);
  const wrong = await lockstep('failover -f link.yaml --mirror lnk', { planMirrorFailover }, { text: several });
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('no file holds a Mirror "lnk"')]);
  expect((await lockstep('failover -f link.yaml --mirror other', { planMirrorFailover }, { text: several })).code).toBe(
    3,
  );
});

test('a failback shows what only the old primary has, and writes it to a file', async () => {
  const record = { topic: 'orders', partition: 0, timestamp: 5, key: null, value: 'YQ==', headers: [] };
  const failBackMirror: App['failBackMirror'] = async (_, __, question) => {
    const { exporter } = question;
    exporter?.begin();
    exporter?.add([{ ...record, offset: 9, transaction: null }]);
    exporter?.add([{ ...record, offset: 11, transaction: 'committed' }]);
    exporter?.finish();
    return { ...report, exportedTo: exporter?.file ?? null, isDone: question.isConfirmed, decision: question.decision };
  };
  const shown = await lockstep('failback -f link.yaml', { failBackMirror });
  expect(shown.code).toBe(3);
  expect(shown.out).toContain('2 records only on east');
  expect(shown.files).toEqual({});
  const line = 'failback -f link.yaml --yes --diverged export --export only.jsonl --json';
  const done = await lockstep(line, { failBackMirror });
  expect([done.code, JSON.parse(done.out)]).toEqual([
    0,
    { event: 'failback', ...report, exportedTo: 'only.jsonl', isDone: true, decision: 'export' },
  ]);
  expect(Object.keys(done.files)).toEqual(['only.jsonl']);
  const lines = (done.files['only.jsonl'] ?? '').trimEnd().split('\n');
  expect(lines.map((each) => (JSON.parse(each) as { offset: number }).offset)).toEqual([9, 11]);
  const kept: App['failBackMirror'] = async (_, __, { exporter }) => {
    exporter?.finish(); // as an earlier call has written it
    return report;
  };
  const moved = await lockstep(line, { failBackMirror: kept });
  expect([moved.code, moved.err], 'a file that is gone is not taken for one that is whole').toEqual([
    5,
    expect.stringContaining('only.jsonl, to which an earlier call exported, is not here'),
  ]);
  expect((await lockstep(line, { failBackMirror: kept }, { files: { 'only.jsonl': 'whole' } })).files).toEqual({
    'only.jsonl': 'whole',
  });
  expect((await lockstep(`${line} --dry-run`, { failBackMirror })).code, '--dry-run beside --yes').toBe(3);
  const wrong = await lockstep('failback -f link.yaml --diverged keep', { failBackMirror });
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('Write export, replay, discard')]);
});

test('a drill changes nothing, and ends with 5 where source and target differ', async () => {
  const counts = { identical: 5, different: 1, unverified: 0, failed: 0, records: 60 };
  const drillMirror: App['drillMirror'] = async () => ({
    ...evidence,
    outcome: 'drill',
    rpo: { records: 40, ms: 250 },
    verified: counts,
  });
  const { code, out } = await lockstep('drill -f link.yaml', { drillMirror });
  expect(code).toBe(5);
  expect(out).toContain('nothing was changed');
  expect(out).toContain('40 offsets of the source not copied, the first of them 0.3 s old');
});

test('a drill on copies names their prefix, and says what it measured', async () => {
  const copies = { prefix: 'drill.', topics: 2, copiedMs: 4_000, behind: { records: 7, ms: 40 }, isKept: true };
  const drillMirror: App['drillMirror'] = async (_, __, question) => {
    expect(question.copies).toEqual({ prefix: 'drill.', isKept: true });
    return { ...evidence, outcome: 'drill', rpo: { records: 0, ms: 0 }, copies, next: ['Consumers can be tried.'] };
  };
  const { code, out } = await lockstep('drill -f link.yaml --copies drill. --keep', { drillMirror });
  expect(code).toBe(0);
  for (const text of ['on copies of 2 topics (drill.…)', 'made in 4.0 s, kept', '7 offsets', 'Consumers can be tried.'])
    expect(out).toContain(text);
  const wrong = await lockstep('drill -f link.yaml --keep', { drillMirror });
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('--copies')]);
});

test('one that is interrupted says how it goes on, and ends with 130', async () => {
  const failOverMirror: App['failOverMirror'] = async (_, __, { signal }) => {
    interrupt();
    expect(signal.aborted).toBe(true);
    throw new AppError('FAILOVER_REFUSED', 'Interrupted before the step cut.', {
      nextStep: 'The same command goes on.',
    });
  };
  const { code, err } = await lockstep('failover -f link.yaml --yes', { failOverMirror });
  expect([code, err]).toEqual([130, expect.stringContaining('The same command goes on')]);
  const drill = await lockstep('drill -f link.yaml --copies drill.', { drillMirror: failOverMirror as never });
  expect([drill.code, drill.err]).toEqual([130, expect.stringContaining('The same command goes on')]);
  const drillMirror: App['drillMirror'] = async () => {
    interrupt();
    return { ...evidence, outcome: 'drill' };
  };
  expect((await lockstep('drill -f link.yaml', { drillMirror })).code).toBe(130);
});

test('giving a failover up is not rehearsed: beside --dry-run it is refused', async () => {
  const { code, err } = await lockstep('failover -f link.yaml --abandon --dry-run', {});
  expect([code, err]).toEqual([2, expect.stringContaining('--abandon')]);
});
