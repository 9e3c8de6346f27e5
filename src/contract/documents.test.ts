import { expect, test } from 'vitest';
import { parseDocuments } from './documents.ts';
import { AppError } from './errors.ts';

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

/** A mirror file whose spec lines from `source` on are replaced; they begin at line 5 of m.yaml. */
const mirror = (spec: string) => `apiVersion: lockstep/v1
kind: Mirror
metadata: { name: link }
spec:
${spec
  .split('\n')
  .map((line) => `  ${line}`)
  .join('\n')}
`;

const anywhere = { deny: [], allow: [] };
const plaintext = { protocol: 'PLAINTEXT', provider: 'plain', tls: null, sasl: null };

const head = 'source: east\ntarget: west\n';

function failure(...texts: string[]): AppError {
  try {
    parseDocuments(texts.map((text, index) => ({ path: ['m.yaml', 'c.yaml'][index] ?? 'x.yaml', text })));
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('the documents were accepted');
}

const ofMirror = (spec: string) => failure(mirror(spec), clusters);

test('a file of clusters and a mirror is read with every default', () => {
  const text = `${clusters}---\n${mirror(`${head}topics:\n  - { match: orders }                                   # exact name\n  - { match: /^payments\\.(.+)$/, to: dr.payments.$1 }\n  - { exclude: /\\.internal$/ }`)}`;
  const { clusters: read, mirrors } = parseDocuments([{ path: 'link.yaml', text }]);
  expect(read).toEqual([
    {
      apiVersion: 'lockstep/v1',
      kind: 'Cluster',
      metadata: { name: 'east' },
      spec: { bootstrap: ['127.0.0.1:19092'], id: null, security: plaintext, advertised: anywhere },
    },
    {
      apiVersion: 'lockstep/v1',
      kind: 'Cluster',
      metadata: { name: 'west' },
      spec: { bootstrap: ['127.0.0.1:29092'], id: null, security: plaintext, advertised: anywhere },
    },
  ]);
  expect(mirrors).toEqual([
    {
      apiVersion: 'lockstep/v1',
      kind: 'Mirror',
      metadata: { name: 'link' },
      spec: {
        source: 'east',
        target: 'west',
        topics: [
          { match: 'orders', to: null },
          { match: '/^payments\\.(.+)$/', to: 'dr.payments.$1' },
          { exclude: '/\\.internal$/' },
        ],
        offsets: 'auto',
        onMisalignment: 'stop',
        start: { at: 'earliest' },
        transactions: 'preserve',
        timestamps: 'append',
        sync: {
          configs: { exclude: ['unclean.leader.election.enable'], defaultsFrom: 'target', allowWeaker: false },
          partitions: true,
          acls: null,
          quotas: null,
          users: false,
          groups: null,
        },
        refreshMs: 5000,
        targetReplicationFactor: null,
      },
    },
  ]);
});

test.each([
  ['start: latest', { at: 'latest' }],
  ['start: { timestamp: 2026-11-01T00:00:00Z }', { at: 'timestamp', timestampMs: Date.UTC(2026, 10, 1) }],
  ['start: { timestamp: 2026-11-01T01:00:00+01:00 }', { at: 'timestamp', timestampMs: Date.UTC(2026, 10, 1) }],
  ['start: { timestamp: 1700000000000 }', { at: 'timestamp', timestampMs: 1_700_000_000_000 }],
  ['start: { offsets: { orders: { 0: 1500, "1": 7 } } }', { at: 'offsets', offsets: { orders: { 0: 1500, 1: 7 } } }],
])('%s is understood', (line, expected) => {
  const { mirrors } = parseDocuments([
    { path: 'a', text: `${clusters}---\n${mirror(`${head}topics: [{ match: orders }]\n${line}`)}` },
  ]);
  expect(mirrors[0]?.spec.start).toEqual(expected);
});

const syncOf = (line: string) =>
  parseDocuments([
    { path: 'a', text: `${clusters}---\n${mirror(`${head}topics: [{ match: orders }]\nsync: ${line}`)}` },
  ]).mirrors[0]?.spec.sync;

test('what asks for nothing that is not built is accepted', () => {
  expect(syncOf('{ configs: false, acls: false, quotas: false }')).toMatchObject({
    configs: null,
    partitions: true,
    acls: null,
    quotas: null,
  });
});

test('true and a mapping fill in what is not said', () => {
  expect(syncOf('{ acls: true, quotas: { exclude: [ops] } }')).toMatchObject({
    acls: { match: null, exclude: [], write: 'read', self: null },
    quotas: { match: null, exclude: ['ops'], overwrite: false },
  });
  expect(syncOf("{ acls: { match: ['User:alice', /^User:team-/], write: keep, self: super-user } }")).toMatchObject({
    acls: { match: ['User:alice', '/^User:team-/'], write: 'keep', self: 'super-user' },
  });
});

const rule = (text: string) => `${head}topics:\n  - ${text}`;
const withTopics = (text: string) => `${head}topics: [{ match: orders }]\n${text}`;

test.each<[string, string, string, string?]>([
  [
    'unknown key',
    `soruce: east\ntarget: west\ntopics: [{ match: orders }]`,
    'm.yaml:5:3: spec.source is missing; it must be the name of a Cluster\nm.yaml:5:3: unknown key "spec.soruce"; did you mean "source"?',
  ],
  [
    'unknown key without a neighbour',
    withTopics('colour: blue'),
    'm.yaml:8:3: unknown key "spec.colour"; known here: source, target, topics, offsets, onMisalignment, filters, start, transactions, timestamps, sync, refreshMs, targetReplicationFactor',
  ],
  [
    'unknown key in sync',
    withTopics('sync: { config: true }'),
    'm.yaml:8:11: unknown key "spec.sync.config"; did you mean "configs"?',
  ],
  [
    'unknown key in a rule',
    rule('{ match: orders, too: x }'),
    'm.yaml:8:24: unknown key "spec.topics[0].too"; did you mean "to"?',
  ],
  [
    'unknown key in start',
    withTopics('start: { timestmap: 1 }'),
    'm.yaml:8:12: unknown key "spec.start.timestmap"; did you mean "timestamp"?',
  ],
  ['misspelt match', rule('{ mach: orders }'), 'm.yaml:8:9: unknown key "spec.topics[0].mach"; did you mean "match"?'],
  [
    'wrong type',
    `source: [east]\ntarget: west\ntopics: orders`,
    'm.yaml:5:11: spec.source: must be the name of a Cluster\nm.yaml:7:11: spec.topics: must be a list of rules',
  ],
  [
    'wrong type of a switch',
    withTopics('sync: { configs: maybe }'),
    'm.yaml:8:20: spec.sync.configs: must be true, false or a mapping with exclude, defaultsFrom or allowWeaker',
  ],
  [
    'unknown cluster',
    `source: esat\ntarget: west\ntopics: [{ match: orders }]`,
    'm.yaml:5:11: spec.source: there is no Cluster "esat"; did you mean "east"?',
  ],
  [
    'unknown cluster without a neighbour',
    `source: production\ntarget: west\ntopics: [{ match: orders }]`,
    'm.yaml:5:11: spec.source: there is no Cluster "production"; the files hold "east", "west"',
  ],
  [
    'target = source',
    `source: east\ntarget: east\ntopics: [{ match: orders }]`,
    'm.yaml:6:11: spec.target: source and target are both "east"; a mirror goes from one cluster to another',
    'CLUSTER_SAME',
  ],
  [
    'filters',
    withTopics('filters: [ "size(key) > 3" ]'),
    'm.yaml:8:3: spec.filters is not built yet; leave it out',
    'FEATURE_NOT_BUILT',
  ],
  [
    'a condition with an unknown variable',
    rule('{ match: orders, condition: kye == "a" }'),
    'm.yaml:8:35: spec.topics[0].condition: at character 1: unknown variable "kye"; did you mean "key"?',
  ],
  [
    'a condition that is not CEL',
    rule('{ match: orders, condition: size > }'),
    'm.yaml:8:35: spec.topics[0].condition: must be CEL: at character 6: found > but expecting end of input',
  ],
  [
    'a condition without an answer',
    rule('{ match: orders, condition: size }'),
    'm.yaml:8:35: spec.topics[0].condition: at character 1: gives an int, and has to give true or false',
  ],
  [
    'a condition on what is not copied',
    rule('{ exclude: orders, condition: size > 1 }'),
    'm.yaml:8:7: spec.topics[0]: must have either "match" (and perhaps "to") or "exclude", and not both',
  ],
  [
    'onError without a condition',
    rule('{ match: orders, onError: deliver }'),
    'm.yaml:8:33: spec.topics[0].onError: says nothing without "condition"',
  ],
  [
    'a condition with identical offsets',
    `${rule('{ match: orders, condition: size > 1 }')}\noffsets: identical`,
    'm.yaml:9:12: spec.offsets: cannot be identical where topics[0] has a condition: what it leaves out would be missing among the offsets, so the topic is mapped',
  ],
  ['another offset mode', withTopics('offsets: same'), 'm.yaml:8:12: spec.offsets: must be auto, identical or mapped'],
  [
    'unknown key of ACLs',
    withTopics('sync: { acls: { wirte: keep } }'),
    'm.yaml:8:19: unknown key "spec.sync.acls.wirte"; did you mean "write"?',
  ],
  [
    'what is to become of writing rights',
    withTopics('sync: { acls: { write: all, self: mirror } }'),
    'm.yaml:8:26: spec.sync.acls.write: must be read, drop or keep\nm.yaml:8:37: spec.sync.acls.self: must be a principal such as User:mirror, or super-user',
  ],
  [
    'a wrong expression among settings',
    withTopics('sync: { configs: { exclude: [ /(/ ] } }'),
    'm.yaml:8:33: spec.sync.configs.exclude[0]: /(/: missing closing ) "(" at character 1',
  ],
  [
    'sync.groups of everything, without saying so',
    withTopics('sync:\n  groups: true'),
    'm.yaml:9:13: spec.sync.groups: must be false or a mapping with match, and perhaps exclude, everyMs, deleted and checkpoints',
  ],
  [
    'sync.groups of no group',
    withTopics('sync:\n  groups: { match: [] }'),
    'm.yaml:9:22: spec.sync.groups.match: must be a list of at least one group id or /regular expression/',
  ],
  [
    'sync.groups with a misspelt key',
    withTopics('sync:\n  groups: { match: [ /.*/ ], excludes: [ a ] }'),
    'm.yaml:9:32: unknown key "spec.sync.groups.excludes"; did you mean "exclude"?',
  ],
  [
    'sync.groups with a bad expression',
    withTopics('sync:\n  groups: { match: [ "/a(/" ] }'),
    'm.yaml:9:24: spec.sync.groups.match[0]: /a(/: missing closing ) "a(" at character 1',
  ],
  [
    'refused and wrong together',
    withTopics('filters: []\ntimestamps: mine'),
    'm.yaml:8:3: spec.filters is not built yet; leave it out\nm.yaml:9:15: spec.timestamps: must be append, producer or target',
  ],
  [
    'bad regular expression',
    rule('{ match: "/orders-(/" }'),
    'm.yaml:8:16: spec.topics[0].match: /orders-(/: missing closing ) "orders-(" at character 1',
  ],
  [
    'look-ahead',
    rule('{ match: /orders(?!-old).*/ }'),
    'm.yaml:8:16: spec.topics[0].match: /orders(?!-old).*/: look-around "(?!" at character 7 does not exist here: expressions are RE2, so that each runs in linear time',
  ],
  [
    'backreference',
    rule('{ match: /(a)\\1/ }'),
    'm.yaml:8:16: spec.topics[0].match: /(a)\\1/: backreference "\\1" at character 4 does not exist here: expressions are RE2, so that each runs in linear time',
  ],
  [
    'no closing slash',
    rule('{ match: /orders }'),
    'm.yaml:8:16: spec.topics[0].match: "/orders" begins with a slash but does not end with one; a regular expression is written /^orders-.*$/',
  ],
  [
    'wildcard in an exact name',
    rule('{ match: orders-* }'),
    'm.yaml:8:16: spec.topics[0].match: "orders-*" is not a topic name: it holds "*", and Kafka allows letters, digits, ".", "_" and "-"; a regular expression is written between slashes: /^orders-.*$/',
  ],
  [
    'capture that does not exist',
    rule('{ match: /a(.)/, to: b$2 }'),
    'm.yaml:8:28: spec.topics[0].to: "b$2": there is no capture "2"; /a(.)/ has $1',
  ],
  [
    'named capture that does not exist',
    rule('{ match: /(?<n>.)/, to: "${m}" }'),
    'm.yaml:8:31: spec.topics[0].to: "${m}": there is no capture "m"; /(?<n>.)/ has $1, ${n}',
  ],
  [
    'capture of an exact name',
    rule('{ match: orders, to: b$1 }'),
    'm.yaml:8:28: spec.topics[0].to: "b$1": there is no capture "$1" in an exact name',
  ],
  [
    'lone dollar',
    rule('{ match: /a/, to: b$ }'),
    'm.yaml:8:25: spec.topics[0].to: "b$": "$" is followed by no capture; write $1 or ${name}',
  ],
  [
    'target name',
    rule('{ match: orders, to: "a b" }'),
    'm.yaml:8:28: spec.topics[0].to: "a b": a topic name cannot hold " "',
  ],
  [
    'reserved target name',
    rule('{ match: orders, to: .. }'),
    'm.yaml:8:28: spec.topics[0].to: ".." is not a topic name: Kafka reserves it',
  ],
  [
    'match and exclude',
    rule('{ match: a, exclude: b }'),
    'm.yaml:8:7: spec.topics[0]: must have either "match" (and perhaps "to") or "exclude", and not both',
  ],
  ['only excludes', rule('{ exclude: b }'), 'm.yaml:8:5: spec.topics: must have at least one rule with "match"'],
  [
    'start',
    withTopics('start: newest'),
    'm.yaml:8:10: spec.start: must be earliest, latest, { timestamp: 2026-11-01T00:00:00Z } or { offsets: { orders: { 0: 1500 } } }',
  ],
  [
    'start time without a zone',
    withTopics('start: { timestamp: 2026-11-01 }'),
    'm.yaml:8:23: spec.start.timestamp: must be a time with its zone, as in 2026-11-01T00:00:00Z, or milliseconds since 1970',
  ],
  [
    'start offset',
    withTopics('start: { offsets: { orders: { 0: -1 } } }'),
    'm.yaml:8:36: spec.start.offsets.orders.0: must be an offset, which is a whole number from 0',
  ],
  [
    'start partition',
    withTopics('start: { offsets: { orders: { a: 1 } } }'),
    'm.yaml:8:33: spec.start.offsets.orders.a: must be a partition number',
  ],
  [
    'refresh',
    withTopics('refreshMs: 5s'),
    'm.yaml:8:14: spec.refreshMs: must be a whole number of milliseconds from 100 to 3600000',
  ],
  [
    'duplicate key',
    `source: east\nsource: west\ntarget: west\ntopics: []`,
    'm.yaml:6:3: malformed YAML: map keys must be unique',
  ],
])('%s is refused in its place', (_, spec, message, code = 'CONFIG_INVALID') => {
  const error = ofMirror(spec);
  expect(error.message).toBe(message);
  expect(error.code).toBe(code);
});

test.each<[string, string, string, string?]>([
  [
    'protocol',
    "{ bootstrap: ['a:1'], security: { protocol: TLS } }",
    'm.yaml:4:51: spec.security.protocol: must be PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL',
  ],
  [
    'provider',
    "{ bootstrap: ['a:1'], provider: aws }",
    'm.yaml:4:39: spec.provider: must be plain, confluent, redpanda, azure, msk',
  ],
  [
    'range of advertised addresses',
    "{ bootstrap: ['a:1'], advertised: { deny: [10.0.0.0/33] } }",
    'm.yaml:4:50: spec.advertised.deny[0]: "10.0.0.0/33" is not an IP address or range such as 10.0.0.0/8 or fe80::/10',
  ],
  [
    'address without a port',
    '{ bootstrap: [localhost] }',
    'm.yaml:4:21: spec.bootstrap[0]: "localhost" is not an address "host:port" with a port from 1 to 65535',
  ],
  [
    'port',
    '{ bootstrap: ["a:70000"] }',
    'm.yaml:4:21: spec.bootstrap[0]: "a:70000" is not an address "host:port" with a port from 1 to 65535',
  ],
  [
    'bootstrap as text',
    '{ bootstrap: "a:9092" }',
    'm.yaml:4:20: spec.bootstrap: must be a list of addresses "host:port"',
  ],
  ['no bootstrap', '{ }', 'm.yaml:4:7: spec.bootstrap is missing; it must be a list of addresses "host:port"'],
])('a cluster with a wrong %s is refused in its place', (_, spec, message, code = 'CONFIG_INVALID') => {
  const error = failure(`apiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: east }\nspec: ${spec}\n`);
  expect(error.message).toBe(message);
  expect(error.code).toBe(code);
});

const nested = `a: ${'['.repeat(200_000)}`;
const laughs = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...'bcdefgh'
    .split('')
    .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[index]}`).join(', ')}]`),
].join('\n');

test.each([
  [
    'malformed',
    'kind: [Cluster\n',
    'm.yaml:2:1: malformed YAML: flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  ['tabs', 'spec:\n\tsource: a\n', 'm.yaml:2:1: malformed YAML: tabs are not allowed as indentation'],
  ['empty', '', 'm.yaml:1:1: holds no resource; a file holds documents of kind Cluster, Mirror and Verify'],
  [
    'comment only',
    '# nothing\n---\n',
    'm.yaml:1:1: holds no resource; a file holds documents of kind Cluster, Mirror and Verify',
  ],
  ['text', 'hello', 'm.yaml:1:1: a document must be a mapping with apiVersion, kind, metadata and spec'],
  ['no kind', 'apiVersion: lockstep/v1\n', 'm.yaml:1:1: kind is missing; it must be Cluster, Mirror or Verify'],
  [
    'unknown kind',
    'apiVersion: lockstep/v1\nkind: Miror\n',
    'm.yaml:2:7: kind: must be Cluster, Mirror or Verify, not "Miror"; did you mean "Mirror"?',
  ],
  ['other version', 'apiVersion: v1\nkind: Cluster\n', 'm.yaml:1:13: apiVersion: must be lockstep/v1, not "v1"'],
  ['many aliases', laughs, 'm.yaml:1:1: malformed YAML: excessive alias count indicates a resource exhaustion attack'],
  [
    'alias without an anchor',
    'a: *b\n',
    'm.yaml:1:1: malformed YAML: unresolved alias (the anchor must be set before the alias): b',
  ],
  [
    'bad name',
    `apiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: East 1 }\nspec: { bootstrap: ["a:1"] }\n`,
    'm.yaml:3:19: metadata.name: must be a name of up to 100 small letters, digits, "-" and ".", with a letter or digit at both ends',
  ],
])('a file that is %s is refused', (_, text, message) => {
  expect(failure(text).message).toBe(message);
});

test('nesting deeper than the stack is refused, not fatal', () => {
  expect(failure(nested).message).toMatch(/^m\.yaml:\d+:\d+: malformed YAML: /);
});

test('two resources of one kind and name are refused, with the place of the first', () => {
  expect(failure(clusters, clusters).message).toBe(
    'c.yaml:3:19: metadata.name: there is another Cluster "east" at m.yaml:1\nc.yaml:8:19: metadata.name: there is another Cluster "west" at m.yaml:6',
  );
});

test('every problem of every file is reported, in order, with what to do', () => {
  const error = failure(
    mirror('source: east\ntarget: west\ntopics: [{ match: orders }]\nstart: now'),
    `${clusters}---\nkind: Cluster\n`,
  );
  expect(error.message.split('\n').map((line) => line.split(' ')[0])).toEqual(['m.yaml:8:10:', 'c.yaml:11:1:']);
  expect(error.nextStep).toBe('Correct these 2 problems and try "lockstep validate" again.');
  expect(error.details['problems']).toHaveLength(2);
});

const verify = (spec: string) => mirror(spec).replace('kind: Mirror', 'kind: Verify').replace('link', 'proof');

test('a verification goes with a mirror of the files, or says itself what one copies', () => {
  const link = mirror(`${head}topics: [{ match: orders }]\ntransactions: committed-only`);
  const beside = parseDocuments([{ path: 'a.yaml', text: `${clusters}---\n${link}---\n${verify('mirror: link')}` }]);
  const [named] = beside.verifications;
  expect(named?.spec).toEqual({
    mirror: beside.mirrors[0],
    class: 'content',
    windowOffsets: 65_536,
    everyMs: 5_000,
    evidence: null,
  });
  const own = `mirror:\n  name: link\n  source: east\n  target: west\n  topics: [{ match: orders }]\n  transactions: committed-only`;
  const alone = parseDocuments([{ path: 'a.yaml', text: `${clusters}---\n${verify(`${own}\nevidence: kept`)}` }]);
  expect(alone.mirrors).toEqual([]);
  expect(alone.verifications[0]?.spec).toMatchObject({ mirror: beside.mirrors[0], evidence: 'kept' });
});

test.each([
  [
    'a mirror that is in no file',
    'mirror: lnik',
    'm.yaml:5:11: spec.mirror: there is no Mirror "lnik"; where its file is not among them, write its name, source, target and topics as a mapping',
  ],
  [
    'a cluster that is in no file',
    'mirror: { name: link, source: easy, target: west, topics: [{ match: orders }] }',
    'm.yaml:5:33: spec.mirror.source: there is no Cluster "easy"; did you mean "east"?',
  ],
  [
    'an unknown key',
    'mirror: link\nwindow: 5',
    'm.yaml:6:3: unknown key "spec.window"; known here: mirror, class, windowOffsets, everyMs, evidence',
  ],
])('a verification with %s is refused', (_, spec, message) => {
  const problems = failure(verify(spec), clusters).message.split('\n');
  expect(problems.at(-1)).toBe(message);
});
