/**
 * docs/operating/ against the product: each code that can be an incident has a page, each page such a code, and what a
 * page says of severity and end, and the lines that it shows, are the product's own. The incidents are made here, one of
 * each kind; LOCKSTEP_WRITE_PAGES=1 writes their lines into the pages.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Io } from '#cli/io.ts';
import type { Context } from '#cli/context.ts';
import { runCommandLine } from '#cli/program.ts';
import { LinePrinter } from '#cli/progress/line-printer.ts';
import { AppError, errorCodes, type ErrorCode } from '#contract/errors.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import type { Difference } from '#contract/verification.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  ClusterUnreachableError,
  ConnectionError,
  type ConnectionFailure,
  type KafkaError,
  MalformedBatchError,
  MalformedFrameError,
  SecretError,
  UnsupportedApiError,
} from '#kafka/errors.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { Outages } from '#mirror/outages.ts';
import { groupGrant } from '#mirror/rights.ts';
import * as stops from '#mirror/shard-stop.ts';
import type { ShardStop } from '#mirror/shard-stop.ts';
import { sharingIncident } from '#mirror/sharing.ts';
import { TopicIncidents } from '#mirror/topic-incidents.ts';
import { copyDifferent } from '#prove/verify-job.ts';
import type { Clock } from '#util/clock.ts';
import { must } from '#util/assert.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'docs/operating');
/** No incident's: first minutes, and planned work. */
const OTHER_PAGES = ['README.md', 'limits.md', 'planned-work.md', 'store.md'];
const SECTIONS = ['What you see', 'Find the cause', 'Cure', 'Do not', 'Cured when'];
/** 03:12:07Z */
const NIGHT = Date.UTC(2026, 10, 21, 3, 12, 7);
const WAITED_MS = 30_000;

const clock = { now: () => NIGHT, monotonic: () => WAITED_MS, schedule: () => () => {} } as Clock;
const refused = (code: number, api: string, subject: string, detail?: string): BrokerError =>
  new BrokerError(errorOf(code), api, subject, detail);

type Stops = Omit<typeof stops, 'ShardStop'>;

/** One stop or more of each function, with what a night could bring. */
const SHARD_STOPS: { readonly [Name in keyof Stops]: readonly Parameters<Stops[Name]>[] } = {
  diverged: [
    [
      1500,
      'The batch for offset 1500 was answered with offset 1501: another program wrote to the target, or an append was lost.',
    ],
  ],
  stampedByTarget: [[1500, 'orders']],
  stateLost: [[1500, 'orders']],
  stateUnreadable: [
    [
      new AppError(
        'STATE_TOPIC_INVALID',
        'record "partition/orders/0" at offset 48 of the state topic cannot be read',
        {
          nextStep: 'Find the other program that writes to the topic.',
        },
      ),
    ],
  ],
  beyondSource: [[1500, 1501]],
  retentionLoss: [[1500, 1620]],
  truncated: [[1480, 1500, "its leader's log ends at 1480 for leader epoch 4"]],
  recreated: [
    ['source', 'orders', 1500],
    ['target', 'orders', 1500],
  ],
  missing: [
    ['source', 'orders', 1500],
    ['target', 'orders', 1500],
  ],
  transactionCut: [[1500, 900_000]],
  transactionHangs: [[1500, 4711]],
  transactionForgotten: [[1500, 4711]],
  tooManyTransactions: [[1500, 256]],
  recordTooLarge: [[1500, 2_097_229, 1_048_588]],
  conditionFailed: [[1500, 0, 'asks for a header that is not there: "region"']],
  batchCorrupt: [
    [1500, 'when reading from the source', new MalformedBatchError('the batch at offset 1500 does not match its CRC')],
  ],
  batchRefused: [
    [
      1500,
      20,
      refused(
        32,
        'Produce',
        'orders/0',
        'record 0: Timestamp 1763694727000 of message with offset 0 is out of range. The timestamp should be within [1763691127000, 1763694727000]',
      ),
    ],
  ],
  fenced: [[1500, refused(90, 'Produce', 'orders/0')]],
  noProgress: [[1500, 30]],
  unexplained: [[1500, refused(-1, 'Produce', 'orders/0')]],
  otherCluster: [
    [
      1500,
      new ClusterIdChangedError('west', 'west:9092', {
        expected: 'kQ2uLk9oTdaRb3x0cS6hYA',
        found: 'Zt8pW1vXQ0mJf4n5eG7iBw',
      }),
    ],
  ],
  startBeyondEnd: [[5000, 1500]],
  fillTooLong: [[0, 2_000_000_000]],
  holesNotAllowed: [[1500, 'west', refused(31, 'WriteTxnMarkers', 'orders/0')]],
  notAllowed: [[1500, refused(29, 'Produce', 'orders/0')]],
  apiUnsupported: [
    [
      new UnsupportedApiError(
        { name: 'DescribeProducers', key: 61, minVersion: 0, maxVersion: 0 },
        'west-1.example:9092',
        undefined,
      ),
    ],
  ],
};

const WEST = 'west-1.example:9092';
const lost = (failure: ConnectionFailure, message: string): ConnectionError =>
  new ConnectionError(failure, WEST, message, { definite: true });
const unreachable = (failure: ConnectionFailure, message: string): ConnectionError =>
  new ClusterUnreachableError('west', [lost(failure, message)]);
const CLOSED = lost('closed', `the connection to ${WEST} was closed`);

/** Everything that partitions wait out. */
const WAITED_FOR: readonly KafkaError[] = [
  refused(19, 'Produce', 'orders/0'),
  ...Object.values({
    unresolved: unreachable('unresolved', 'west-1.example has no address'),
    refused: unreachable('refused', `nobody listens at ${WEST}`),
    unreachable: unreachable('unreachable', `${WEST} cannot be reached`),
    timeout: unreachable('timeout', `${WEST} did not answer within the deadline`),
    closed: CLOSED,
    local: CLOSED,
    'not-kafka': unreachable('not-kafka', `${WEST} does not answer in Kafka protocol`),
    tls: unreachable('tls', `${WEST}: its certificate has expired (CERT_HAS_EXPIRED)`),
    authentication: unreachable(
      'authentication',
      `${WEST}: the login of user "mirror" by SCRAM-SHA-512 failed: the broker answered SASL_AUTHENTICATION_FAILED (58): Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512`,
    ),
    denied: lost(
      'denied',
      'west-2.example:9092: a broker is advertised at 169.254.169.254, a link-local address (169.254.0.0/16)',
    ),
    secret: new ClusterUnreachableError('west', [
      new SecretError(`${WEST}: "password": file /etc/lockstep/west.password is not there`, { address: WEST }),
    ]),
  } satisfies Record<ConnectionFailure, KafkaError>),
  new MalformedFrameError('the answer to Produce ends in the middle'),
];

/** What else may keep a topic from being prepared, besides the decision about it. */
const TOPIC_FAILURES: readonly KafkaError[] = [
  refused(29, 'CreateTopics', 'orders'),
  refused(44, 'CreateTopics', 'orders'),
  new UnsupportedApiError({ name: 'DescribeConfigs', key: 32, minVersion: 1, maxVersion: 4 }, WEST, undefined),
  new ClusterIdChangedError('west', 'west:9092', { expected: 'a', found: 'b' }),
  new MalformedBatchError('damaged'),
];

/** What keeps a process out of the group of its mirror. */
const GROUP = 'group "lockstep-1f0c9a4be27d53a6c118"';
const GROUP_FAILURES: readonly AppError[] = [
  toAppError(refused(30, 'FindCoordinator', GROUP), GROUP),
  new AppError(
    'MIRROR_PEERS_DIFFER',
    `${GROUP}: west-2 4711 runs another file than the others: its content is 5b1d7c20e9f3a468, and that of west-1 411, which deals out, 90aa31be77c4d25f`,
    { nextStep: 'Run the same file and the same version of Lockstep in every process of the mirror.' },
  ),
  new AppError(
    'CLUSTER_SETTING_UNFIT',
    `${GROUP} on cluster west: the brokers do not accept a session timeout of 20000 ms`,
    { nextStep: 'Let group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers include it.' },
  ),
  new AppError(
    'FEATURE_NOT_BUILT',
    `${GROUP}: its members and 400000 shards take 540000 bytes, and a group may have 524288`,
    { nextStep: 'Divide the topics among several Mirrors.' },
  ),
];

type Scope = 'partition' | 'topic' | 'cluster' | 'process';

interface Kind {
  readonly scope: Scope;
  readonly code: ErrorCode;
  readonly severity: Incident['severity'];
  readonly endsByItself: boolean;
  /** As `lockstep run` prints it; null for a topic's, whose page has a line of a real run. */
  readonly printed: string | null;
}

/** What a verification finds. */
const DIFFERENCES: readonly Pick<Difference, 'kind' | 'message' | 'evidence'>[] = [
  { kind: 'changed', message: 'value differs', evidence: 'evidence/east-to-west.orders-0-1500.json' },
  {
    kind: 'absent',
    message:
      'topic orders of the target was created anew since it was copied: what was copied is gone, or is of the topic before',
  },
];

const kinds: readonly Kind[] = [
  ...shardKinds(),
  ...topicKinds(),
  ...outageKinds(),
  ...processKinds(),
  ...verifyKinds(),
];
const codes = [...new Set(kinds.map(({ code }) => code))].sort();

function shardKinds(): Kind[] {
  const builders: Readonly<Record<string, unknown>> = { ...stops };
  return Object.entries(SHARD_STOPS).flatMap(([name, samples]) => {
    const build = builders[name] as (...sample: readonly unknown[]) => ShardStop;
    return samples.map((sample) => {
      const incident: Incident = {
        ...build(...sample).reason,
        severity: 'error',
        mirror: 'east-to-west',
        topic: 'orders',
        partition: 0,
        at: NIGHT,
      };
      return kindOf('partition', incident, print(incident));
    });
  });
}

/** Codes that preparing a topic can end with: those of the decision, of the state topic, and of a cluster's refusal. */
function topicKinds(): Kind[] {
  const mirror = read('src/mirror/mirror.ts');
  const raised = [...mirror.matchAll(/#\w+Incidents\.raise\(\w+, \{ code: '(\w+)'/g)].map((match) => match[1] ?? '');
  const texts = ['topic-decision', 'target-topics', 'state-records'].map((name) => read(`src/mirror/${name}.ts`));
  const named = texts.flatMap((text) => [...text.matchAll(/'([A-Z][A-Z_]+)'/g)].map((match) => match[1] ?? ''));
  const refusals = TOPIC_FAILURES.map((error) => toAppError(error, 'topic').code);
  const found = [...raised, ...named, ...refusals].filter((code): code is ErrorCode => Object.hasOwn(errorCodes, code));
  expect(raised.length, 'mirror.ts raises incidents of its own').toBeGreaterThan(0);
  const severities = [...mirror.matchAll(/severity: '(\w+)'/g)].map((match) => match[1]);
  expect(severities, 'of topics that cannot be prepared, and of settings').toEqual(['error', 'warning']);
  const denied = toAppError(refused(29, 'DescribeConfigs', 'orders'), 'settings').code;
  return [...found.map((code) => topicKind(code, 'error')), topicKind(denied, 'warning')];
}

function topicKind(code: ErrorCode, severity: Incident['severity']): Kind {
  const told: RunEvent[] = [];
  const onEvent = (event: RunEvent): void => void told.push(event);
  const incidents = new TopicIncidents({ mirror: 'm', clock, severity, consequenceOf: () => '', onEvent });
  incidents.raise('orders', { code, cause: '', nextStep: '' });
  const event = must(told[0], 'event of a topic');
  if (event.event !== 'incident') throw new Error(`a topic told ${event.event}`);
  return { ...kindOf('topic', event.incident, ''), printed: null };
}

function verifyKinds(): Kind[] {
  return DIFFERENCES.map((difference) => {
    const found = copyDifferent({ ...difference, offset: 1500, fields: [], source: null, target: null });
    const incident = { ...found, mirror: 'east-to-west', topic: 'orders', partition: 0, at: NIGHT };
    return kindOf('partition', incident, print(incident));
  });
}

function outageKinds(): Kind[] {
  return WAITED_FOR.map((error) => {
    const told: RunEvent[] = [];
    const cluster = (name: string): Cluster => ({ name, has: () => name === 'west' }) as Partial<Cluster> as Cluster;
    const outages = new Outages({
      mirror: 'east-to-west',
      source: cluster('east'),
      target: cluster('west'),
      clock,
      onEvent: (event) => told.push(event),
    });
    outages.check([{ topic: 'orders', partition: 0, position: 1500, waiting: { error, sinceMs: 0, toldMs: 30_000 } }]);
    const event = must(told[0], 'event of an outage');
    if (event.event !== 'incident') throw new Error(`an outage told ${event.event}`);
    return kindOf('cluster', event.incident, print(event.incident));
  });
}

function processKinds(): Kind[] {
  const grant = groupGrant({ cluster: 'west', bootstrap: WEST, principal: 'User:mirror', how: '' });
  return GROUP_FAILURES.map((error) => {
    const incident = sharingIncident(error, { mirror: 'east-to-west', grant, at: NIGHT });
    return kindOf('process', incident, print(incident));
  });
}

function kindOf(scope: Scope, { code, severity, endsByItself }: Incident, printed: string): Kind {
  return { scope, code, severity, endsByItself, printed };
}

function print(incident: Incident): string {
  const { io, said } = paper();
  new LinePrinter(io, clock).print({ event: 'incident', incident });
  return said().trimEnd();
}

/** A terminal that keeps what is printed. */
function paper(): { readonly io: Io; readonly said: () => string } {
  let text = '';
  const io: Io = {
    out: (line) => void (text += line),
    err: (line) => void (text += line),
    isTty: false,
    columns: () => 80,
    rows: () => 24,
    style: (_, line) => line,
    isDebug: false,
    onInterrupt: () => {},
    onResize: () => () => {},
    readInput: () => Promise.resolve(''),
  };
  return { io, said: () => text };
}

/** `yes`, `no`, or each scope where they differ; `no or yes` where one scope has both. */
function endOf(code: ErrorCode, among = kinds): string {
  const ofCode = among.filter((kind) => kind.code === code);
  const scopes = [...new Set(ofCode.map(({ scope }) => scope))].map((scope): [Scope, string] => {
    const words = ofCode.filter((kind) => kind.scope === scope).map((kind) => (kind.endsByItself ? 'yes' : 'no'));
    return [scope, [...new Set(words)].sort().join(' or ')];
  });
  const [first, ...others] = [...new Set(scopes.map(([, words]) => words))];
  return others.length === 0 ? (first ?? '') : scopes.map(([scope, words]) => `a ${scope}: ${words}`).join(', ');
}

function severityOf(code: ErrorCode): string {
  const severities = kinds.filter((kind) => kind.code === code).map(({ severity }) => severity);
  return [...new Set(severities)].sort().join(' or ');
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function pageOf(code: string): string {
  return `${code.toLowerCase().replaceAll('_', '-')}.md`;
}

/** Cells of the first row below `| Severity | …`. */
function factsOf(page: string): string[] {
  const row = /^\| Severity \| Ends by itself \| Data at risk \|\n\|[-|]+\|\n\| (.*) \|$/m.exec(page)?.[1] ?? '';
  return row.split(' | ');
}

/** Code → cells of the index. */
function indexOf(readme: string): Map<string, string[]> {
  const rows = readme.matchAll(/^\| \[([A-Z_]+)\]\(([a-z-]+\.md)\) \| (.*) \|$/gm);
  return new Map([...rows].map(([, code = '', page = '', cells = '']) => [code, [...cells.split(' | '), page]]));
}

/** The lines below 'What you see'. */
function shownIn(page: string): string {
  return /## What you see\n[\s\S]*?```\n([\s\S]*?)\n```/.exec(page)?.[1] ?? '';
}

function printedOf(code: ErrorCode): string[] {
  const texts = kinds.flatMap((kind) => (kind.code === code && kind.printed !== null ? [kind.printed] : []));
  return [...new Set(texts)];
}

/** What stands as code in a page: whole blocks, and within lines. */
function codeIn(page: string): string[] {
  const block = /^ *```\n([\s\S]*?)^ *```$/gm;
  const blocks = [...page.matchAll(block)].map((match) => match[1] ?? '');
  return [...blocks.flatMap((text) => text.split('\n')), ...page.replaceAll(block, '').matchAll(/`([^`]*)`/g)].map(
    (each) => (typeof each === 'string' ? each.trim() : (each[1] ?? '')),
  );
}

/** What keeps a command line of ours from being one: its help says nothing of the command or of an option. */
async function problemOf(commandLine: string): Promise<string | null> {
  const words = commandLine.split(' ').slice(1);
  const end = [...words, ''].findIndex((word) => !/^[a-z]+$/.test(word));
  const { io, said } = paper();
  await runCommandLine([...words.slice(0, end), '--help'], { io, version: '1' } as Context);
  const unknown = words.filter((word) => word.startsWith('-') && !new RegExp(`${word}\\b`).test(said()));
  const command = /^Usage: lockstep ([a-z ]*[a-z])/m.exec(said())?.[1];
  if (command === undefined || !words.join(' ').startsWith(command)) return `${commandLine}: no such command`;
  return unknown.length === 0 ? null : `${commandLine}: ${unknown.join(' ')}`;
}

/** Of connections that fail in the same way one is enough. */
const SHOWN_MAX = 2;

describe('docs/operating', () => {
  const pages = readdirSync(folder).filter((name) => !OTHER_PAGES.includes(name));

  test('the samples have every stop of a partition', () => {
    const functions = Object.keys(stops).filter((name) => name !== 'ShardStop');
    expect(Object.keys(SHARD_STOPS).sort()).toEqual(functions.sort());
  });

  test('each code that can be an incident has a page, and each page such a code', () => {
    expect(codes.length).toBeGreaterThan(20);
    expect(pages.sort()).toEqual(codes.map(pageOf).sort());
  });

  test.each(codes)('the page of %s says of severity and end what the product does', (code) => {
    const page = read(`docs/operating/${pageOf(code)}`);
    expect(page.split('\n')[0]).toBe(`# ${code}`);
    expect(factsOf(page).slice(0, 2)).toEqual([severityOf(code), endOf(code)]);
    expect(factsOf(page)[2]).toMatch(/^(yes|no)\b/);
    expect([...page.matchAll(/^## (.*)$/gm)].map((match) => match[1])).toEqual(SECTIONS);
  });

  test.each(codes)('the page of %s shows the lines of the product', (code) => {
    const path = join(folder, pageOf(code));
    const printed = printedOf(code).slice(0, SHOWN_MAX).join('\n');
    const before = readFileSync(path, 'utf8');
    if (process.env['LOCKSTEP_WRITE_PAGES'] === '1' && printed !== '')
      writeFileSync(
        path,
        before.replace(shownIn(before), () => printed),
      );
    const shown = shownIn(readFileSync(path, 'utf8'));
    expect(shown).toMatch(new RegExp(`^03:12:07Z east-to-west: ${code}[ :].*\n03:12:07Z   next: .`));
    expect(printed === '' ? shown : printed).toBe(shown);
  });

  test('every command of ours in a page is one', async () => {
    const all = readdirSync(folder).flatMap((name) => codeIn(read(`docs/operating/${name}`)));
    const ours = [...new Set(all.filter((text) => text.startsWith('lockstep ')))];
    const problems = await Promise.all(ours.map(problemOf));
    expect(ours.length).toBeGreaterThan(5);
    expect(problems.filter((problem) => problem !== null)).toEqual([]);
    expect(await problemOf('lockstep plna -f link.yaml')).toContain('no such command');
    expect(await problemOf('lockstep plan --frobnicate')).toContain('--frobnicate');
  });

  test.each(readdirSync(folder))('what is to be copied from %s stands on one line', (name) => {
    expect(codeIn(read(`docs/operating/${name}`)).filter((text) => text.includes('\n'))).toEqual([]);
  });

  test('the index says of each code what its page says', () => {
    const said = codes.map((code) => [code, [...factsOf(read(`docs/operating/${pageOf(code)}`)), pageOf(code)]]);
    expect(Object.fromEntries(indexOf(read('docs/operating/README.md')))).toEqual(Object.fromEntries(said));
  });

  test('docs/errors.md leads from each incident to its page', () => {
    const entries = read('docs/errors.md').split(/^## /m);
    const missing = codes.filter(
      (code) => !entries.find((entry) => entry.startsWith(`${code}\n`))?.includes(`(operating/${pageOf(code)})`),
    );
    expect(missing).toEqual([]);
  });

  test('what is compared would tell a wrong page', () => {
    expect(factsOf('| Severity | Ends by itself | Data at risk |\n|---|---|---|\n| error | no | yes: all |')).toEqual([
      'error',
      'no',
      'yes: all',
    ]);
    expect(endOf('TOPIC_RECREATED')).toBe('a partition: no, a topic: yes');
    expect(endOf('SHARD_DIVERGED')).toBe('no');
    expect(endOf('SHARD_DIVERGED', [{ ...must(kinds[0], 'kind'), endsByItself: true }])).toBe('yes');
    expect([...indexOf('| [A_B](a-b.md) | error | no | no |\n')]).toEqual([['A_B', ['error', 'no', 'no', 'a-b.md']]]);
    expect(shownIn('## What you see\n\n```\nx\ny\n```\n')).toBe('x\ny');
  });
});
