import { expect, test } from 'vitest';
import { capacityOf } from '#contract/capacity.ts';
import type { MirrorPlan, PlannedChange, PlannedTopic } from '#contract/plan.ts';
import { AppError } from '#contract/errors.ts';
import type { Migration } from '#contract/migration.ts';
import type { Incident, MirrorStatus, RunEvent, ShardStatus } from '#contract/status.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import { systemFigures, systemNetwork } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import type { Host } from '../main.ts';
import type { App } from './context.ts';
import type { Io } from './io.ts';
import { runCommandLine } from './program.ts';

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
metadata: { name: east-to-west }
spec: { source: east, target: west, topics: [{ match: orders }] }
`;

const files: Readonly<Record<string, string>> = {
  'link.yaml': link,
  database: 'not one',
  'clusters.yaml': link.split('---\n').slice(0, 2).join('---\n'),
  'bad.yaml': link.replace('source: east', 'soruce: east'),
};

/** What no command of these tests asks for. */
const unexpectedly = (): never => {
  throw new Error('not expected to be called');
};
const unusedDisk = {
  list: unexpectedly,
  remove: unexpectedly,
  writeDurably: unexpectedly,
  syncDirectory: unexpectedly,
  move: unexpectedly,
  discard: unexpectedly,
  chunks: unexpectedly,
  look: unexpectedly,
};

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly written: ReadonlyMap<string, string>;
}

/** Runs one command line with `app` in place of the composition root. Its clock stands at 12:00:00. */
async function lockstep(
  line: string,
  app: Partial<App> = {},
  terminal: Partial<Io> = {},
  outside: Partial<Host> = {},
): Promise<Result> {
  let out = '';
  let err = '';
  const written = new Map<string, string>();
  const io: Io = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    isTty: false,
    columns: () => 100,
    rows: () => 30,
    style: (_, text) => text,
    isDebug: false,
    onInterrupt: () => {},
    onResize: () => () => {},
    readInput: () => Promise.resolve(''),
    ...terminal,
  };
  const now = Date.UTC(2026, 10, 21, 12);
  const host = {
    network: systemNetwork,
    clock: { now: () => now, monotonic: () => 0, schedule: () => () => {} },
    random: createRandom(1),
    disk: {
      readText(path: string) {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
        return text;
      },
      readBytes(path: string) {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
        return Buffer.from(text, 'utf8');
      },
      writeText: (path: string, text: string) => void written.set(path, text),
      appendText: (path: string, text: string) => void written.set(path, (written.get(path) ?? '') + text),
      sync: () => {},
      createSecret: () => {},
      makeDirectory: () => {},
      rename: () => {},
      ...unusedDisk,
      filesOf: () => Promise.resolve([]),
      createAppendFile: (path: string) =>
        Promise.resolve({
          append: async (bytes: Uint8Array) =>
            void written.set(path, (written.get(path) ?? '') + Buffer.from(bytes).toString()),
          close: async () => {},
        }),
    },
    tables: {
      open: () => {
        throw new Error('not expected to be called');
      },
    },
    environment: {},
    web: {
      send: () => Promise.reject(new Error('not expected to be called')),
      postForm: () => Promise.reject(new Error('not expected to be called')),
      open: () => Promise.reject(new Error('not expected to be called')),
    },
    listen: () => Promise.reject(new Error('not expected to be called')),
    figures: systemFigures,
    probeTls: () => Promise.reject(new Error('not expected to be called')),
    nonce: () => 'nonce',
    growHeap: () => {},
    entropy: { bytes: (count: number) => Buffer.alloc(count, 7) },
    process: 'host 1',
    ...outside,
  };
  const unexpected = () => Promise.reject(new Error('not expected to be called'));
  const whole: App = {
    planMirrors: unexpected,
    exportLedgers: unexpected,
    rebuildCopy: unexpected,
    planMirrorFailover: unexpected,
    failOverMirror: unexpected,
    abandonMirrorFailover: unexpected,
    failBackMirror: unexpected,
    drillMirror: unexpected,
    migrate: unexpected,
    capacityOfMirrors: unexpected,
    permissionsOfMirrors: () => [],
    runMirrors: unexpected,
    serve: unexpected,
    administer: unexpected,
    work: unexpected,
    openMonitoring: unexpected,
    makeCertificates: unexpected,
    checkCertificate: () => [],
    checkAuthority: () => [],
    inspectTls: unexpected,
    diagnose: unexpected,
    verifyMirrors: unexpected,
    verifyLogDirectory: unexpected,
    verifyLogProof: unexpectedly,
    verifyEvidence: unexpectedly,
    describeClusters: unexpected,
    describeTopics: unexpected,
    ...app,
  };
  const code = await runCommandLine(
    line.split(' ').filter((word) => word !== ''),
    { io, host, app: whole, version: '1.2.3' },
  );
  return { code, out, err, written };
}

test.each([
  [
    'vaildate -f link.yaml',
    'REQUEST_INVALID: unknown command \'vaildate\' (Did you mean validate?)\nnext: "lockstep --help" shows what can be written.\n',
  ],
  [
    'validate',
    'REQUEST_INVALID: required option \'-f, --file <file...>\' not specified\nnext: "lockstep validate --help" shows what can be written.\n',
  ],
  [
    'run -f link.yaml --utnil x',
    'REQUEST_INVALID: unknown option \'--utnil\' (Did you mean --until?)\nnext: "lockstep run --help" shows what can be written.\n',
  ],
  [
    'topics get -f link.yaml',
    'REQUEST_INVALID: missing required argument \'name\'\nnext: "lockstep topics get --help" shows what can be written.\n',
  ],
  [
    'run -f link.yaml --until soon',
    'REQUEST_INVALID: --until does not understand "soon"\nnext: Write caught-up, offset=N, time=30s (or 5m, 2h, 1d), or time=2026-11-21T18:00:00Z.\n',
  ],
  [
    'validate -f none.yaml',
    'CONFIG_INVALID: cannot read none.yaml: there is no such file\nbecause: ENOENT: none.yaml\nnext: Name a file that exists and may be read with -f.\n',
  ],
  [
    'topics list -f link.yaml',
    'REQUEST_INVALID: the files hold 2 clusters: east, west\nnext: Choose one, for example with --cluster east.\n',
  ],
  [
    'validate -f bad.yaml',
    'CONFIG_INVALID:\n  bad.yaml:14:7: spec.source is missing; it must be the name of a Cluster\n  bad.yaml:14:9: unknown key "spec.soruce"; did you mean "source"?\nnext: Correct these 2 problems and try "lockstep validate" again.\n',
  ],
])('%s is a usage error with one clear message', async (line, message) => {
  const { code, out, err } = await lockstep(line);
  expect(err).toBe(message);
  expect(out).toBe('');
  expect(code).toBe(2);
});

test.each([
  [
    'run -f clusters.yaml',
    'RESOURCE_NOT_FOUND: there is no Mirror in clusters.yaml\nnext: Add a document of kind Mirror, or name the file that holds it with -f.\n',
  ],
  [
    'topics list -f link.yaml --cluster wset',
    'RESOURCE_NOT_FOUND: there is no Cluster "wset" in the files; did you mean "west"?\nnext: Choose one of east, west.\n',
  ],
])('%s names what is not there', async (line, message) => {
  expect(await lockstep(line)).toMatchObject({ code: 1, out: '', err: message });
});

test.each([
  '',
  'run',
  'plan',
  'validate',
  'clusters',
  'clusters list',
  'topics',
  'topics list',
  'topics get',
  'migrate',
  'migrate mm2',
  'migrate strimzi',
  'migrate kaf-mirror',
  'completion',
])('lockstep %s --help shows examples', async (line) => {
  const { code, out } = await lockstep(`${line} --help`);
  expect(code).toBe(0);
  expect(out).toContain(`\nExamples:\n  lockstep ${line}`);
});

test('the version is printed', async () => {
  expect(await lockstep('--version')).toMatchObject({ code: 0, out: '1.2.3\n' });
});

test('without a command the help is printed and the exit code is that of a usage error', async () => {
  const { code, err } = await lockstep('');
  expect(code).toBe(2);
  expect(err).toContain('Usage: lockstep');
});

test('validate says what a valid file holds, and as JSON what is wrong with another', async () => {
  expect(await lockstep('validate -f link.yaml')).toMatchObject({
    code: 0,
    out: 'valid: 2 clusters, 1 mirror\n',
    err: '',
  });
  expect(await lockstep('validate -f clusters.yaml -f clusters.yaml')).toMatchObject({
    code: 0,
    out: 'valid: 2 clusters, 0 mirrors\n',
  });
  const { code, out, err } = await lockstep('validate -f bad.yaml --json');
  expect({ code, err }).toEqual({ code: 2, err: '' });
  expect(JSON.parse(out)).toMatchObject({
    valid: false,
    problems: [
      { line: 14 },
      {
        code: 'CONFIG_INVALID',
        path: 'bad.yaml',
        line: 14,
        column: 9,
        message: 'unknown key "spec.soruce"; did you mean "source"?',
      },
    ],
  });
});

test('an error of a cluster is one message with its cause and next step, and a line of JSON with --json', async () => {
  const planMirrors = () => {
    const cause = new Error('connect ECONNREFUSED 127.0.0.1:19092', {
      cause: new Error('connect ECONNREFUSED 127.0.0.1:19092'),
    });
    return Promise.reject(
      new AppError('CLUSTER_UNREACHABLE', 'cluster "east": no broker answers', { cause, nextStep: 'start it' }),
    );
  };
  expect(await lockstep('plan -f link.yaml', { planMirrors })).toEqual({
    code: 1,
    out: '',
    err: 'CLUSTER_UNREACHABLE: cluster "east": no broker answers\nbecause: connect ECONNREFUSED 127.0.0.1:19092\nnext: start it\n',
    written: new Map(),
  });
  const { err } = await lockstep('plan -f link.yaml --json', { planMirrors });
  expect(JSON.parse(err)).toEqual({
    error: {
      code: 'CLUSTER_UNREACHABLE',
      message: 'cluster "east": no broker answers',
      causes: ['connect ECONNREFUSED 127.0.0.1:19092'],
      nextStep: 'start it',
      details: {},
    },
  });
});

test('a bug is INTERNAL, without a stack trace unless it is asked for', async () => {
  const planMirrors = () => Promise.reject(new TypeError('x is undefined'));
  const quiet = await lockstep('plan -f link.yaml', { planMirrors });
  expect(quiet.code).toBe(1);
  expect(quiet.err).toBe(
    'INTERNAL: x is undefined\nnext: This is a bug of Lockstep: run it again with LOCKSTEP_DEBUG=1 and report what it prints.\n',
  );
  const loud = await lockstep('plan -f link.yaml', { planMirrors }, { isDebug: true });
  expect(loud.err).toContain('program.test.ts');
});

const planned = (topic: Partial<PlannedTopic>): PlannedTopic => ({
  source: 'orders',
  target: 'orders',
  partitions: 6,
  targetPartitions: 6,
  mode: 'identical',
  why: 'log start at 0',
  action: 'resume',
  replicationFactor: 3,
  configs: {},
  differences: [],
  findings: [],
  ...topic,
});
const aclChange = (action: PlannedChange['action']): PlannedChange => ({
  what: 'acl',
  subject: 'ALLOW READ on topic orders for User:alice from *',
  action,
  source: null,
  target: null,
  reason: 'why',
  isChosen: false,
});
const planOf = (...topics: PlannedTopic[]): MirrorPlan => ({
  mirror: 'east-to-west',
  source: 'east',
  target: 'west',
  access: { source: accessOf('east'), target: accessOf('west') },
  topics,
  around: [],
  usersToProvision: [],
  groups: null,
  findings: [],
  missingRights: [],
  grants: [],
  notChecked: [],
});
function accessOf(cluster: string) {
  return { cluster, bootstrap: `${cluster}:9092`, principal: 'User:mirror', how: 'the user of PLAIN' };
}
const refusal = {
  code: 'TOPIC_NOT_EMPTY',
  severity: 'error',
  message: 'target topic "orders" holds 7 records of others.',
  nextStep: 'Rename it with "to".',
} as const;

test.each<[string, MirrorPlan, number]>([
  ['nothing to do', planOf(planned({})), 0],
  ['a topic to create', planOf(planned({ action: 'create', targetPartitions: null })), 3],
  ['partitions to add', planOf(planned({ targetPartitions: 4 })), 3],
  ['a setting to write', planOf(planned({ configs: { 'retention.ms': '1000' } })), 3],
  ['a topic to adopt', planOf(planned({ action: 'adopt' })), 3],
  ['an ACL to create', { ...planOf(planned({})), around: [aclChange('create')] }, 3],
  ['an ACL that stays as it is', { ...planOf(planned({})), around: [aclChange('leave-out')] }, 0],
  ['a refused topic', planOf(planned({ action: 'refused', findings: [refusal] })), 5],
  [
    'a refusal of the mirror beside changes',
    { ...planOf(planned({ action: 'create', targetPartitions: null })), findings: [refusal] },
    5,
  ],
  ['a warning only', { ...planOf(planned({})), findings: [{ ...refusal, severity: 'warning' }] }, 0],
])('plan with %s ends with the exit code for it', async (_, mirror, code) => {
  const result = await lockstep('plan -f link.yaml', { planMirrors: () => Promise.resolve([mirror]) });
  expect(result.code).toBe(code);
});

test('plan reads as a table with what is refused and what to do', async () => {
  const mirror = planOf(
    planned({
      source: 'cards',
      target: 'dr.cards',
      action: 'create',
      targetPartitions: null,
      configs: { 'retention.ms': '1000' },
    }),
    planned({ targetPartitions: 4 }),
    planned({ source: 'old', target: 'old', action: 'refused', findings: [refusal] }),
  );
  const { out } = await lockstep('plan -f link.yaml', { planMirrors: () => Promise.resolve([mirror]) });
  expect(out).toBe(`Mirror east-to-west: east → west
  east: as User:mirror, the user of PLAIN
  west: as User:mirror, the user of PLAIN

  SOURCE TOPIC  TARGET TOPIC  PARTITIONS  REPLICAS  ACTION   OFFSETS
  cards         dr.cards               6         3  create   identical: log start at 0
    set retention.ms = 1000
  orders        orders             4 → 6         3  resume   identical: log start at 0
  old           old                    6         3  refused  identical: log start at 0

  error TOPIC_NOT_EMPTY old: target topic "orders" holds 7 records of others.
    next: Rename it with "to".

  3 topics: 1 to create, 1 to go on with, 1 refused.
`);
});

test('plan shows which consumer groups follow the source, and why others do not', async () => {
  const groups = [
    { group: 'billing', type: 'classic', action: 'sync', partitions: 1_200, why: null },
    { group: 'search', type: 'consumer', action: 'leave', partitions: 6, why: 'it has members on the target' },
  ] as const;
  const { out } = await lockstep('plan -f link.yaml', {
    planMirrors: () => Promise.resolve([{ ...planOf(planned({})), groups }]),
  });
  expect(out).toContain(`
  CONSUMER GROUP  TYPE      PARTITIONS  OFFSETS
  billing         classic        1,200  follow the source
  search          consumer           6  left alone: it has members on the target
`);
});

test('plan shows what is around the records with the reason of each, and counts what the file leaves out', async () => {
  const kept = {
    name: 'retention.ms',
    source: '5',
    target: '9',
    action: 'keep',
    value: null,
    reason: 'weaker',
  } as const;
  const set = { name: 'segment.ms', source: '5', target: '9', action: 'set', value: '5', reason: 'set there' } as const;
  const plan: MirrorPlan = {
    ...planOf(planned({ configs: { 'segment.ms': '5' }, differences: [kept, set] })),
    around: [
      aclChange('create'),
      { ...aclChange('set'), what: 'quota', subject: 'producer_byte_rate of user alice', source: '10', target: '7' },
      { ...aclChange('leave-out'), isChosen: true },
      { ...aclChange('expand'), isChosen: true },
      ...Array.from({ length: 20 }, () => aclChange('keep')),
    ],
    usersToProvision: [{ user: 'alice', mechanism: 'SCRAM-SHA-512', iterations: 4096 }],
  };
  const { out } = await lockstep('plan -f link.yaml', { planMirrors: () => Promise.resolve([plan]) });
  expect(out).toContain('    set segment.ms = 5 (was 9; set there)\n');
  expect(out).toContain('    keep retention.ms = 9; the source has 5: weaker\n');
  expect(out).toContain('    create ALLOW READ on topic orders for User:alice from * (why)\n');
  expect(out).toContain('    set producer_byte_rate of user alice to 10, was 7 (why)\n');
  expect(out).toContain('    and 2 more, which --json lists\n');
  expect(out).toContain(
    '    1 ACL left out by sync.acls.write; 1 ACL about many topics made one for each that is copied; --json lists them\n',
  );
  expect(out).toContain("--entity-name alice --add-config 'SCRAM-SHA-512=[iterations=4096,password=…]'\n");
});

test('plan names each missing right with the command that grants it, whole, and what it could not look at', async () => {
  const command = `kafka-acls.sh --bootstrap-server east:9092 --add --allow-principal User:mirror --operation Read ${'--topic orders '.repeat(20).trim()}`;
  const right = {
    side: 'source',
    cluster: 'east',
    resourceType: 'topic',
    resource: 'orders',
    pattern: 'literal',
  } as const;
  const mirror: MirrorPlan = {
    ...planOf(planned({ action: 'refused', partitions: null })),
    access: {
      source: accessOf('east'),
      target: { ...accessOf('west'), principal: null, how: 'the broker takes it from the token' },
    },
    missingRights: [
      { ...right, operation: 'READ', when: 'always', why: 'w', without: 'Not copied.', stops: 'topic', command },
    ],
    grants: [
      {
        side: 'source',
        cluster: 'east',
        what: 'READ on topic "orders"',
        without: ['Not copied.'],
        stops: 'topic',
        command,
      },
    ],
    notChecked: [{ what: 'Quotas are not known.', why: 'nobody tells', command: null }],
  };
  const { code, out } = await lockstep('plan -f link.yaml', { planMirrors: () => Promise.resolve([mirror]) });
  expect(code).toBe(5);
  expect(out).toContain('  west: as a principal that is not known: the broker takes it from the token\n');
  expect(out).toContain(
    `\n  Rights to grant, as an administrator:\n  missing on east: READ on topic "orders". Not copied.\n    ${command}\n`,
  );
  expect(out).toContain('\n  Not checked:\n  Quotas are not known: nobody tells\n');
});

test.each([
  ['20MB', 20e6],
  ['1.5GB', 1.5e9],
])('plan --rate %s states what can be copied in a second', async (rate, rateBytesPerSecond) => {
  let asked: unknown;
  const planMirrors: App['planMirrors'] = (_documents, _host, options) => {
    asked = options;
    return Promise.resolve([planOf(planned({}))]);
  };
  expect((await lockstep(`plan -f link.yaml --rate ${rate}`, { planMirrors })).code).toBe(0);
  expect(asked).toEqual({ rateBytesPerSecond });
});

test('plan --capacity says what the mirrors take, and what is not known', async () => {
  const load = { topics: 1, partitions: 12, groups: 2, groupPlaces: 24, recordsPerSecond: 1_000 };
  const sampled = { ...load, recordBytes: 500, sampledMs: 10_000, unanswered: 0 };
  const question = { ...sampled, bytesPerSecond: 500_000, brokers: { source: 3, target: 3 }, tlsSides: 0 };
  const plan = capacityOf({ ...question, groupsEveryMs: 5_000, refreshMs: 5_000 });
  const names = { mirror: 'east-to-west', source: 'east', target: 'west' };
  let asked: unknown;
  const capacityOfMirrors: App['capacityOfMirrors'] = (_documents, _host, options) => {
    asked = options;
    const unknown = { ...names, load: { ...sampled, recordBytes: null, unanswered: 1 }, plan: null };
    return Promise.resolve([{ ...names, load: sampled, plan }, unknown]);
  };
  const { code, out } = await lockstep('plan -f link.yaml --capacity --sample 60 --processes 2', { capacityOfMirrors });
  expect([code, asked]).toEqual([0, { sampleMs: 60_000, recordsPerSecond: null, recordBytes: null, processes: 2 }]);
  expect(out).toContain('1 topic, 12 partitions; 1,000 records/s of 500 B, 500 kB/s (measured over 10 s)');
  expect(out).toContain('  connections  13 a process\n');
  expect(out).toContain('State it with --record-bytes');
  const { out: json } = await lockstep('plan -f link.yaml --capacity --json', { capacityOfMirrors });
  expect(JSON.parse(json)).toMatchObject({ mirrors: [{ plan: { processes: 1 } }, { plan: null }] });
});

test.each([
  ['--sample 5', '--sample is for --capacity'],
  ['--capacity --processes 1.5', '--processes: "1.5" is no whole number above 0'],
  ['--capacity --record-bytes much', '--record-bytes: "much" is no number above 0'],
])('plan %s is refused', async (options, problem) => {
  const { code, err } = await lockstep(`plan -f link.yaml ${options}`);
  expect([code, err.split('\n')[0]]).toEqual([2, `REQUEST_INVALID: ${problem}`]);
});

test('plan --rate refuses what is no size', async () => {
  const { code, err } = await lockstep('plan -f link.yaml --rate fast');
  expect([code, err.split('\n')[0]]).toEqual([2, 'REQUEST_INVALID: --rate: "fast" is no size']);
});

test('plan says once what is set on every topic', async () => {
  const same = { 'message.timestamp.type': 'CreateTime' };
  const mirror = planOf(
    planned({
      source: 'a',
      target: 'a',
      action: 'create',
      targetPartitions: null,
      configs: { 'retention.ms': '1000', ...same },
    }),
    planned({ source: 'b', target: 'b', action: 'create', targetPartitions: null, configs: same }),
    planned({ source: 'c', target: 'c' }),
  );
  const { out } = await lockstep('plan -f link.yaml', { planMirrors: () => Promise.resolve([mirror]) });
  expect(out).toBe(`Mirror east-to-west: east → west
  east: as User:mirror, the user of PLAIN
  west: as User:mirror, the user of PLAIN

  SOURCE TOPIC  TARGET TOPIC  PARTITIONS  REPLICAS  ACTION  OFFSETS
  a             a                      6         3  create  identical: log start at 0
    set retention.ms = 1000
  b             b                      6         3  create  identical: log start at 0
  c             c                      6         3  resume  identical: log start at 0

  On each topic that is created or changed:
    set message.timestamp.type = CreateTime

  3 topics: 2 to create, 1 to go on with.
`);
});

const shard = (fields: Partial<ShardStatus>): ShardStatus => ({
  topic: 'orders',
  targetTopic: 'orders',
  partition: 0,
  state: 'copying',
  position: 1200,
  sourceLogStart: 0,
  sourceStableOffset: 1300,
  sourceHighWatermark: 1300,
  lagRecords: 100,
  lagMs: 3_200,
  measuredAt: Date.UTC(2026, 10, 21, 12) - 400,
  recordsCopied: 1200,
  bytesCopied: 1_200_000,
  holesFilled: 0,
  refusals: 0,
  incident: null,
  ...fields,
});
const status = (shards: readonly ShardStatus[]): MirrorStatus => ({
  mirror: 'east-to-west',
  source: 'east',
  target: 'west',
  shards,
  bytes: { passedThrough: 1_200_000, reencoded: { merged: 0, split: 0, trimmed: 0, 'append-time': 0, gaps: 0 } },
  recordsCopied: 1200,
  bytesCopied: 1_200_000,
  batchesCopied: 12,
  at: Date.UTC(2026, 10, 21, 12),
});
const at = Date.UTC(2026, 10, 21, 12);
const incident: Incident = {
  code: 'SHARD_DIVERGED',
  severity: 'error',
  mirror: 'east-to-west',
  topic: 'orders',
  partition: 1,
  offsets: { from: 120, to: 125 },
  cause: 'The target returned base offset 125 where 120 was expected.',
  consequence: 'Another program writes to orders.',
  nextStep: 'Stop that writer.',
  endsByItself: false,
  at,
};
const stopped = shard({
  partition: 1,
  state: 'stopped',
  incident,
  lagRecords: null,
  lagMs: null,
  measuredAt: null,
  position: 120,
});
const events: readonly RunEvent[] = [
  { event: 'started', mirror: 'east-to-west', sourceClusterId: 'A', targetClusterId: 'B', at },
  {
    event: 'topic',
    mode: 'identical',
    why: null,
    mirror: 'east-to-west',
    topic: 'orders',
    targetTopic: 'orders',
    partitions: 2,
    action: 'created',
    at,
  },
  { event: 'warning', mirror: 'east-to-west', code: 'TOPIC_RULE_EMPTY', message: 'rule 2 matches nothing', at },
  { event: 'incident', incident },
  { event: 'incident-ended', incident: { ...incident, code: 'PERMISSION_DENIED', partition: 0 }, at: at + 95_000 },
  { event: 'progress', status: status([shard({}), stopped]) },
  {
    event: 'ended',
    mirror: 'east-to-west',
    outcome: 'incidents',
    status: status([shard({ position: 1300, sourceHighWatermark: 1317, lagRecords: 0, holesFilled: 12 }), stopped]),
    at,
  },
];
const running: Partial<App> = {
  runMirrors(_documents, _host, options) {
    for (const event of events) options.onEvent(event);
    return Promise.resolve('incidents');
  },
};

test('run without a terminal prints a line for every event', async () => {
  const { code, out } = await lockstep('run -f link.yaml --until caught-up', running);
  expect(code).toBe(5);
  expect(out).toBe(`12:00:00Z east-to-west: connecting to east and west
12:00:00Z east-to-west: from cluster A to cluster B
12:00:00Z east-to-west: topic orders, 2 partitions: created on the target
12:00:00Z east-to-west: warning TOPIC_RULE_EMPTY: rule 2 matches nothing
12:00:00Z east-to-west: SHARD_DIVERGED orders/1 at offsets 120 to 124: The target returned base offset 125 where 120 was expected. Another program writes to orders.
12:00:00Z   next: Stop that writer.
12:01:35Z east-to-west: PERMISSION_DENIED orders/0: over after 1 min 35 s
12:00:00Z east-to-west: 1,200 records, 1.20 MB copied; not yet measured; lag 100 records + 1 partition unknown, 3.2 s (measured 0.4 s ago at LSO); 1 stopped (SHARD_DIVERGED), 1 copying
12:00:00Z east-to-west: ended with incidents: 1,200 records, 1.20 MB in 0.0 s
12:00:00Z   partitions: 1 stopped (SHARD_DIVERGED), 1 copying
12:00:00Z   100 % passed through
12:00:00Z   12 holes filled
12:00:00Z   orders/0 is held back by an open transaction: 17 offsets from 1300 on
`);
});

test('an incident from an offset on has no end', async () => {
  const open = { ...incident, offsets: { from: 7, to: 7 } };
  const runMirrors: App['runMirrors'] = (_documents, _host, options) => {
    options.onEvent({ event: 'incident', incident: open });
    return Promise.resolve('incidents');
  };
  const { out } = await lockstep('run -f link.yaml', { runMirrors });
  expect(out).toContain('east-to-west: SHARD_DIVERGED orders/1 from offset 7 on: The target returned');
});

test('run on a terminal keeps a block below what stays, within the terminal', async () => {
  const { out } = await lockstep('run -f link.yaml', running, { isTty: true, columns: () => 70, rows: () => 20 });
  const frames = out.replaceAll('\u001B[', '<').split(/<\d+A<J/);
  expect(frames[0]).toBe(`12:00:00Z east-to-west: connecting to east and west
12:00:00Z east-to-west: from cluster A to cluster B
12:00:00Z east-to-west: topic orders, 2 partitions: created on the target
12:00:00Z east-to-west: warning TOPIC_RULE_EMPTY: rule 2 matches nothing
12:00:00Z east-to-west: SHARD_DIVERGED orders/1 at offsets 120 to 124:
  The target returned base offset 125 where 120 was
  expected. Another program writes to orders.
  next: Stop that writer.
12:01:35Z east-to-west: PERMISSION_DENIED orders/0: over after 1 min
  35 s
east-to-west  east → west  running for 0.0 s
  copied  1,200 records, 1.20 MB
  rate    not yet measured
  lag     100 records + 1 partition unknown, 3.2 s (measured 0.4 s ag…
  bytes   100 % passed through
  shards  1 stopped (SHARD_DIVERGED), 1 copying

  TOPIC/PARTITION  STATE    LAG  BEHIND  POSITION  STABLE END   COPIED
  orders/1         stopped    –       –       120       1,300  1.20 MB
  orders/0         copying  100   3.2 s     1,200       1,300  1.20 MB

`);
  expect(frames[1]).toMatch(/^12:00:00Z east-to-west: ended with incidents: /);
});

test('run --json prints every event and nothing else, and --log keeps them', async () => {
  const { out, err, written } = await lockstep('run -f link.yaml --json --log logs', running);
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(events);
  expect(err).toBe('');
  expect([...written]).toEqual([['logs/run-2026-11-21T12-00-00-000Z.jsonl', out]]);
});

test('serve and worker keep what they say in a file of their own, but for the token of the set-up', async () => {
  const token = { event: 'setup-token', token: 'canary', file: null, expiresAt: 1, at: 0 } as const;
  const listening = { event: 'listening', url: 'http://127.0.0.1:1', at: 0 } as const;
  const say: App['serve'] & App['work'] = async (_, { onEvent }) => {
    onEvent(listening);
    onEvent(token);
  };
  for (const [verb, app] of [
    ['serve', { serve: say }],
    ['worker', { work: say }],
  ] as const) {
    const { code, out, written } = await lockstep(`${verb} --log logs`, app);
    expect([code, out.includes('canary')]).toEqual([0, true]);
    const text = `${JSON.stringify(listening)}\n${JSON.stringify({ ...token, token: null })}\n`;
    expect([...written]).toEqual([[`logs/${verb}-2026-11-21T12-00-00-000Z.jsonl`, text]]);
  }
});

test.each([
  ['caught-up', 0],
  ['until-reached', 0],
  ['incidents', 5],
  ['interrupted', 130],
  ['failed', 1],
] as const)('a run that ends %s exits with %i', async (outcome, code) => {
  expect(await lockstep('run -f link.yaml', { runMirrors: () => Promise.resolve(outcome) })).toMatchObject({ code });
});

test('an interrupt ends the run in good order', async () => {
  let interrupt = (): void => {};
  const result = lockstep(
    'run -f link.yaml',
    {
      runMirrors: (_documents, _host, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve('interrupted'));
          interrupt();
        }),
    },
    { onInterrupt: (listener) => (interrupt = listener) },
  );
  const { code, out } = await result;
  expect(code).toBe(130);
  expect(out).toContain('stopping: waiting for what is in flight; Ctrl-C again ends at once');
});

test('run hands over when to end, and how often to report', async () => {
  const seen: unknown[] = [];
  const runMirrors: App['runMirrors'] = (documents, _host, { until, progressMs }) => {
    seen.push(documents.mirrors[0]?.metadata.name, until, progressMs);
    return Promise.resolve('until-reached');
  };
  await lockstep('run -f link.yaml --until time=30s', { runMirrors });
  expect(seen).toEqual(['east-to-west', { kind: 'time', at: at + 30_000 }, 5_000]);
});

const cluster: ClusterView = {
  name: 'east',
  bootstrap: ['127.0.0.1:19092'],
  clusterId: 'A',
  controller: 1,
  brokers: [{ id: 1, address: '127.0.0.1:19092', rack: null }],
  topics: 12,
  partitions: 1048,
  error: null,
};

test('clusters lists those that answer, says why others do not, and then fails', async () => {
  const dead: ClusterView = {
    ...cluster,
    name: 'west',
    bootstrap: ['127.0.0.1:29092'],
    clusterId: null,
    brokers: [],
    topics: null,
    partitions: null,
    error: { code: 'CLUSTER_UNREACHABLE', message: 'cluster "west": no broker answers', nextStep: 'start it' },
  };
  const { code, out, err } = await lockstep('clusters -f link.yaml', {
    describeClusters: () => Promise.resolve([cluster, dead]),
  });
  expect(out).toBe(`NAME  CLUSTER ID  BROKERS  TOPICS  PARTITIONS  ADDRESSES
east  A                 1      12       1,048  1@127.0.0.1:19092
west  –                 –       –           –  127.0.0.1:29092
`);
  expect(err).toBe('CLUSTER_UNREACHABLE: cluster "west": no broker answers\nnext: start it\n');
  expect(code).toBe(1);
});

const topic = (name: string, highWatermark: number | null, isInternal = false): TopicView => ({
  name,
  topicId: 'id',
  isInternal,
  partitions: [
    {
      partition: 0,
      leader: 1,
      leaderEpoch: 4,
      replicas: [1, 2],
      inSyncReplicas: [1],
      logStart: 100,
      stableOffset: 1500,
      highWatermark,
    },
  ],
  configs: { 'retention.ms': '1000' },
});

test('topics lists what is there, without internal ones unless asked', async () => {
  const describeTopics = () =>
    Promise.resolve([topic('__consumer_offsets', 5, true), topic('orders', 1600), topic('unknown', null)]);
  const { out, err, code } = await lockstep('topics -f link.yaml --cluster east', { describeTopics });
  expect(code).toBe(0);
  expect(out).toBe(`TOPIC    PARTITIONS  REPLICAS  OFFSETS HELD  STATE
orders            1         2         1,500  1 under-replicated
unknown           1         2             –  1 under-replicated
`);
  expect(err).toBe('1 internal topic not shown; --internal shows it\n');
  const all = await lockstep('topics list -f link.yaml --cluster east --internal --json', { describeTopics });
  expect(JSON.parse(all.out)).toMatchObject({ cluster: 'east', topics: [{ name: '__consumer_offsets' }, {}, {}] });
});

test('topics get shows partitions and settings', async () => {
  const describeTopics = () => Promise.resolve([topic('orders', 1600)]);
  const { out } = await lockstep('topics get orders -f link.yaml --cluster east', { describeTopics });
  expect(out).toBe(`orders  id id

PARTITION  LEADER  EPOCH  LOG START  STABLE    END  REPLICAS  IN SYNC
        0       1      4        100   1,500  1,600  1,2       1

Settings that differ from the default:
  retention.ms = 1000
`);
});

/** What a broker could call a topic, or say in an error: it would clear the screen, forge a line and turn what follows around. */
const HOSTILE = 'x\u001B[2J\u009B31m\nnext: forged\r\u202Eevil\u2028\u0007';

/** `value` with the hostile text behind every text in it that is no word of ours. */
function hostile<T>(value: T): T {
  const ours =
    /^(event|mirror|topicId|state|action|outcome|code|severity|stops|side|pattern|resourceType|mode|command)$/;
  const poison = (part: unknown, key: string): unknown => {
    if (typeof part === 'string') return ours.test(key) ? part : `${part}${HOSTILE}`;
    if (Array.isArray(part)) return part.map((each) => poison(each, key));
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([name, each]) => [name, poison(each, name)]));
  };
  return poison(value, '') as T;
}

test.each([
  'run -f link.yaml',
  'run -f link.yaml --log logs',
  'plan -f link.yaml',
  'clusters -f link.yaml',
  'topics -f link.yaml --cluster east',
  'topics get orders -f link.yaml --cluster east',
])('%s shows hostile text of brokers without letting it act, and its JSON means the same', async (line) => {
  const views = {
    clusters: [
      hostile(cluster),
      hostile({ ...cluster, error: { code: 'CLUSTER_REFUSED' as const, message: 'm', nextStep: 'n' } }),
    ],
    topics: [hostile(topic('orders', 1500))],
    plans: [hostile(planOf(planned({ action: 'refused', findings: [refusal], configs: { 'a.b': 'c' } })))],
    events: events.map(hostile),
  };
  const app: Partial<App> = {
    describeClusters: () => Promise.resolve(views.clusters),
    describeTopics: () => Promise.resolve(views.topics),
    planMirrors: () => Promise.resolve(views.plans),
    runMirrors: (_documents, _host, options) => {
      for (const event of views.events) options.onEvent(event);
      return Promise.reject(
        new AppError('CLUSTER_REFUSED', `m${HOSTILE}`, { nextStep: HOSTILE, cause: new Error(HOSTILE) }),
      );
    },
  };
  for (const terminal of [{}, { isTty: true }]) {
    const { out, err, written } = await lockstep(line, app, terminal);
    const shown = out.replaceAll(/\u001B\[\d+A\u001B\[J/g, ''); // the live view's own
    expect(`${shown}${err}${[...written.values()].join('')}`).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(shown).toContain('\\u{1b}[2J');
    expect(out).not.toMatch(/^next: forged/m);
  }
  const { out } = await lockstep(`${line} --json`, app);
  const lines = out
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as unknown);
  const known = [...views.events, ...views.clusters, ...views.topics, ...views.plans].map((view) =>
    JSON.stringify(view),
  );
  const told = lines
    .flatMap((value) => [value, ...Object.values(value as object).flat()])
    .map((value) => JSON.stringify(value));
  expect(known.filter((text) => told.includes(text)).length).toBeGreaterThan(0);
  expect(out).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
});

test('rebuild shows what it would delete, and deletes only with --yes', async () => {
  const asked: unknown[] = [];
  const rebuildCopy: App['rebuildCopy'] = async (_, __, question) => {
    asked.push(question);
    return {
      mirror: 'east-to-west',
      source: 'east',
      target: 'west',
      sourceTopic: question.topic,
      targetTopic: 'dr.orders',
      targetTopicId: 'tTOPICxxxxxxxxxxxxxxxx',
      mode: 'mapped',
      partitions: [
        { partition: 0, from: 100, to: 1500, goneBelow: 300 },
        { partition: 1, from: 0, to: 7, goneBelow: null },
      ],
      isDone: question.isConfirmed,
    };
  };
  const planned = await lockstep('rebuild orders -f link.yaml', { rebuildCopy });
  expect(planned).toMatchObject({ code: 3, err: '' });
  expect(planned.out.replaceAll(/ +/g, ' ')).toBe(
    'Would delete topic dr.orders on west (id tTOPICxxxxxxxxxxxxxxxx)\n the mapped copy of orders on east, in mirror east-to-west\n\n PARTITION FROM TO ONLY ON THE TARGET\n 0 100 1,500 200\n 1 0 7 –\n\n Nothing was changed. --yes deletes it; "lockstep run" then copies it from the beginning.\n',
  );
  const done = await lockstep('rebuild orders/0 -f link.yaml --yes --json', { rebuildCopy });
  expect([done.code, (JSON.parse(done.out) as { isDone: boolean }).isDone]).toEqual([0, true]);
  expect(asked).toEqual([
    { topic: 'orders', partition: null, isConfirmed: false },
    { topic: 'orders', partition: 0, isConfirmed: true },
  ]);
  expect((await lockstep('rebuild a/b/c -f link.yaml', { rebuildCopy })).err).toContain('"a/b/c" is no topic');
});

test('run says why offsets are mapped', async () => {
  const mapped = {
    event: 'topic',
    mirror: 'm',
    topic: 'a',
    targetTopic: 'all',
    partitions: 1,
    mode: 'mapped',
    at,
  } as const;
  const runMirrors: App['runMirrors'] = (_documents, _host, options) => {
    options.onEvent({ ...mapped, action: 'adopted', why: 'the file says so' });
    return Promise.resolve('caught-up');
  };
  const { out } = await lockstep('run -f link.yaml --until caught-up', { runMirrors });
  expect(out).toContain('m: topic a as all, 1 partition: found on the target; offsets are mapped: the file says so');
});

test('ledger shows what became of each offset', async () => {
  const counts = {
    delivered: 5,
    control: 1,
    aborted: 2,
    compacted: 0,
    filtered: 3,
    'dead-lettered': 0,
    'lost-at-source': 0,
  };
  const partition = {
    mirror: 'm',
    sourceTopic: 'orders',
    targetTopic: 'all',
    partition: 2,
    isShared: true,
    start: 10,
    end: 21,
    identicalFrom: null,
    mappedFrom: 0,
    counts,
    unexplained: 0,
    firstUnexplained: null,
    recounted: { from: 12, to: 21 },
    dispositions: [],
    map: [{ source: 10, target: 0, length: 5 }],
  };
  const exportLedgers = async () => [partition];
  const { code, out } = await lockstep('ledger orders/2 -f link.yaml', { exportLedgers });
  expect([code, out.replaceAll(/ +/g, ' ')]).toEqual([
    0,
    'PARTITION FROM TO DELIVERED CONTROL ABORTED COMPACTED OTHER UNEXPLAINED RECOUNTED FROM RUNS\norders/2 10 21 5 1 2 0 3 0 12 1\n',
  ]);
  const json = await lockstep('ledger orders -f link.yaml --json', { exportLedgers });
  expect(JSON.parse(json.out)).toEqual({ partitions: [partition] });
  const unexplained = async () => [{ ...partition, unexplained: 3, firstUnexplained: 14 }];
  expect((await lockstep('ledger orders -f link.yaml', { exportLedgers: unexplained })).code).toBe(5);
  const asked: unknown[] = [];
  for (const argv of ['', ' --recount all', ' --recount 0', ' --recount some'])
    await lockstep(`ledger orders/1 -f link.yaml${argv}`, {
      exportLedgers: async (_documents, _host, question) => {
        asked.push(question.recountMax);
        return [];
      },
    });
  expect(asked).toEqual([100_000, Infinity, 0]);
  const none = await lockstep('ledger orders -f link.yaml', { exportLedgers: async () => [] });
  expect(none.out).toBe('There is no map: its offsets are identical, or nothing of it was copied yet.\n');
});

const migration: Migration = {
  resources: link,
  clusters: ['east', 'west'],
  mirrors: ['east-to-west'],
  settings: [
    {
      file: 'link.yaml',
      line: 3,
      setting: 'topics',
      value: '.*',
      fate: 'exact',
      to: ['Mirror east-to-west: spec.topics'],
      notes: [],
      steps: [],
    },
    {
      file: 'link.yaml',
      line: null,
      setting: 'topicz',
      value: null,
      fate: 'unknown',
      to: [],
      notes: ['Why?'],
      steps: ['See.'],
    },
  ],
  defaults: ['It does so unless told.'],
  secrets: [
    {
      key: 'Cluster east: spec.security.password',
      reference: { env: 'EAST_PASSWORD' },
      from: 'a file',
      isThere: false,
    },
    { key: 'Cluster west: spec.security.password', reference: { file: '/x' }, from: 'b', isThere: true },
  ],
  users: [{ name: 'ann', roles: ['admin'], wasInitial: true, mustSetPassword: true }],
  history: [{ table: 'events', shape: 'base', rows: [{ a: 1 }, { a: 'x' }] }],
  figures: [],
};

const ACCOUNT = `2 clusters, 1 mirror

To do
  See.

Secrets to put in place
  variable EAST_PASSWORD: Cluster east: spec.security.password, from a file

Unknown settings (1)
  topicz (link.yaml)
      Why?

Settings taken over exactly (1)
  topics (link.yaml:3)  Mirror east-to-west: spec.topics

What the files did not say
  It does so unless told.

Users, who set new passwords
  ann: admin

History, which --history writes
  events (base): 2 rows
`;

test('migrate prints resources, and the account beside them', async () => {
  const asked: string[][] = [];
  const migrate: App['migrate'] = async ({ system, files: given }) => {
    asked.push([system, ...given.map(({ path }) => path)]);
    return migration;
  };
  expect(await lockstep('migrate mm2 link.yaml clusters.yaml', { migrate })).toMatchObject({
    code: 5,
    out: link,
    err: ACCOUNT,
  });
  expect(asked).toEqual([['mm2', 'link.yaml', 'clusters.yaml']]);
  const closed: Migration = { ...migration, settings: migration.settings.slice(0, 1) };
  expect(await lockstep('migrate strimzi link.yaml', { migrate: async () => closed })).toMatchObject({ code: 0 });
  const json = await lockstep('migrate mm2 link.yaml --json', { migrate });
  expect(JSON.parse(json.out)).toMatchObject({
    isOpen: true,
    resources: link,
    history: [{ table: 'events', shape: 'base', rows: 2 }],
  });
});

test('migrate writes where nothing is, and history a row a line', async () => {
  const tables = { columns: new Map(), rows: () => [], close: () => {} };
  const migrate: App['migrate'] = async ({ files: given }) => {
    expect(given).toMatchObject([
      { path: 'link.db', tables },
      { path: 'link.yaml', text: link },
    ]);
    return migration;
  };
  const line = 'migrate kaf-mirror link.db link.yaml --out new.yaml --history past.jsonl';
  const done = await lockstep(line, { migrate }, {}, { tables: { open: () => tables } });
  expect([done.code, done.err]).toEqual([5, '']);
  expect(done.out).toBe(ACCOUNT.replace('1 mirror\n', '1 mirror in new.yaml\n'));
  expect([...done.written]).toEqual([
    [
      'past.jsonl',
      '{"table":"events","shape":"base","row":{"a":1}}\n{"table":"events","shape":"base","row":{"a":"x"}}\n',
    ],
    ['new.yaml', link],
  ]);
  const refused = await lockstep('migrate mm2 link.yaml --out clusters.yaml', { migrate: async () => migration });
  expect([refused.code, refused.written.size]).toEqual([2, 0]);
  expect(refused.err).toContain('there is something at clusters.yaml already');
});

test('a database that is none, and a file that is not there, are named', async () => {
  const open = (): never => {
    throw new Error('file is not a database');
  };
  const none = await lockstep('migrate kaf-mirror link.yaml.db', {}, {}, { tables: { open } });
  expect([none.code, none.err.split('\n')[0]]).toEqual([
    2,
    'CONFIG_INVALID: cannot read link.yaml.db: there is no such file',
  ]);
  const other = await lockstep('migrate kaf-mirror database', {}, {}, { tables: { open } });
  expect(other.err).toContain('database is no SQLite database that can be read\nbecause: file is not a database\n');
});

test.each(['bash', 'zsh', 'fish', 'powershell'])(
  'completion for %s knows the commands of the program',
  async (shell) => {
    const { code, out } = await lockstep(`completion ${shell}`);
    expect(code).toBe(0);
    for (const word of ['migrate', 'kaf-mirror', 'failover', 'until']) expect(out).toContain(word);
  },
);

test('completion knows four shells', async () => {
  const { code, err } = await lockstep('completion tcsh');
  expect(code).toBe(2);
  expect(err).toContain('Allowed choices are bash, zsh, fish, powershell');
});
