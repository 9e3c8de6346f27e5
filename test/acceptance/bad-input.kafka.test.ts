/** Issue 3, 'Bad input': each mistake of a person and each damage of the world, as the command reports it. */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { errorCode, flipBitWithin, flipRecordBit } from '#testing/answer-faults.ts';
import { hugeLength, rewrite, truncate } from '#testing/fault-kinds.ts';
import type { ProxiedFrame } from '#testing/fault-kinds.ts';
import type { Fault, FaultRule, Match } from '#testing/fault-rule.ts';
import { freePorts } from '#testing/free-ports.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { Command, lockstep, type Ended } from './command.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { expectSameRecords } from './same-records.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
let controllerPort = 0;
const cluster = sharedClusters({
  source: {
    proxied: true,
    findPorts: async (count) => {
      const ports = await freePorts(count);
      controllerPort = must(ports[1], 'port of the controller');
      return ports;
    },
  },
  target: { proxied: true },
  secured: { secure: { authorizer: false } },
});
const orders = [{ match: 'orders' }];
/** Runs whose answers are damaged at random; LOCKSTEP_FULL=1 has ten times as many. */
const ROUNDS = process.env['LOCKSTEP_FULL'] === '1' ? 60 : 6;

beforeAll(async () => {
  process.stdout.write(`bad input: seed ${seed}\n`);
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  await Promise.all([
    writeWorkloads(
      source,
      [
        workloads.mixed('orders', { records: 3000, partitions: 2 }),
        workloads.oldTimestamps('second', { records: 100 }),
      ],
      { seed },
    ),
    writeWorkloads(target, [workloads.oldTimestamps('taken', { records: 100 })], { seed }),
  ]);
});

/** A file with a mirror from `source` (or the real one) to the target, and its path. */
function link(
  mirrors: Readonly<Record<string, MirrorSpec>>,
  source = cluster('source').bootstrap,
  target = cluster('target').bootstrap,
): string {
  return writeLink({ source, target, mirrors });
}

function reported({ code, err }: Ended): { code: number; err: string } {
  return { code, err };
}

describe.concurrent('what answers is not the cluster', () => {
  async function expectError(file: string, exit: number, lines: string): Promise<void> {
    expect(reported(await lockstep('run', '-f', file, '--until', 'caught-up'))).toEqual({ code: exit, err: lines });
  }

  test('nobody listens at the address', async () => {
    await expectError(
      link({ m: { topics: orders } }, ['127.0.0.1:1']),
      1,
      'CLUSTER_UNREACHABLE: no address of cluster "east" answers: 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1 (refused)\n' +
        'next: Check the bootstrap addresses, and that the brokers run and can be reached from here.\n',
    );
  });

  test('the host has no address', async () => {
    await expectError(
      link({ m: { topics: orders } }, ['no-such-host.invalid:9092']),
      1,
      'CLUSTER_UNREACHABLE: no address of cluster "east" answers: no-such-host.invalid:9092: getaddrinfo ENOTFOUND no-such-host.invalid (unresolved)\n' +
        'next: Check the bootstrap addresses, and that the brokers run and can be reached from here.\n',
    );
  });

  test('one address that answers is enough', async () => {
    const found = await lockstep(
      'topics',
      'list',
      '-f',
      link({}, ['127.0.0.1:1', ...cluster('source').bootstrap]),
      '--cluster',
      'east',
    );
    expect(reported(found)).toEqual({ code: 0, err: '' });
    expect(found.out).toContain('orders');
  });

  test('somebody accepts the connection and says nothing: the command ends within the deadline for connecting', async () => {
    let acceptedMs = Infinity;
    const silent = await listening(createTcpServer(() => (acceptedMs = performance.now())));
    const ended = await lockstep('plan', '-f', link({ m: { topics: orders } }, [silent.address]));
    const waitedMs = performance.now() - acceptedMs;
    silent.close();
    expect(reported(ended)).toEqual({
      code: 1,
      err:
        `CLUSTER_UNREACHABLE: no address of cluster "east" answers: ${silent.address} did not answer within the deadline (timeout)\n` +
        'next: Check the bootstrap addresses, and that the brokers run and can be reached from here.\n',
    });
    expect(waitedMs).toBeGreaterThan(9_500);
    expect(waitedMs).toBeLessThan(20_000);
  });

  test('a TLS listener', async () => {
    const address = must(cluster('secured').doors.ssl[0], 'address of the TLS listener');
    await expectError(
      link({ m: { topics: orders } }, [address]),
      1,
      `CLUSTER_NOT_KAFKA: no address of cluster "east" answers: ${address} sent bytes that are no Kafka response: they look like TLS; the listener expects an encrypted connection (not-kafka)\n` +
        "next: Compare security.protocol of the cluster with the broker's listeners, and the ports with theirs.\n",
    );
  });

  test('an HTTP server', async () => {
    const web = await listening(createServer());
    await expectError(
      link({ m: { topics: orders } }, [web.address]),
      1,
      `CLUSTER_NOT_KAFKA: no address of cluster "east" answers: ${web.address} sent bytes that are no Kafka response: they look like HTTP (not-kafka)\n` +
        "next: Compare security.protocol of the cluster with the broker's listeners, and the ports with theirs.\n",
    );
    web.close();
  });

  test('the listener of a controller', async () => {
    const address = `127.0.0.1:${controllerPort}`;
    await expectError(
      link({ m: { topics: orders } }, [address]),
      1,
      `CLUSTER_NOT_KAFKA: cluster "east": ${address} is a controller, not a broker: it does not know Metadata\n` +
        `because: broker ${address} offers no version of Metadata (key 3); Lockstep needs one of 12 to 13\n` +
        'next: Give the address of a broker: one of its listeners that is not among controller.listener.names.\n',
    );
  });

  test('another cluster than the pinned one', async () => {
    const { clusterId, bootstrap } = cluster('source');
    const file = writeLink({
      source: bootstrap,
      target: cluster('target').bootstrap,
      sourceId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      mirrors: { m: { topics: orders } },
    });
    await expectError(
      file,
      1,
      `CLUSTER_ID_MISMATCH: Cluster "east" is pinned to the id AAAAAAAAAAAAAAAAAAAAAQ, but ${clusterId} answers at ${bootstrap[0]}.\n` +
        'next: Correct the bootstrap addresses; change "id" only if the cluster was really replaced.\n',
    );
  });

  test('one cluster under two names', async () => {
    await expectError(
      link({ m: { topics: orders } }, cluster('source').bootstrap, [`localhost:${cluster('source').brokers[0]?.port}`]),
      2,
      `CLUSTER_SAME: Mirror "m": source "east" and target "west" are one cluster (id ${cluster('source').clusterId}).\n` +
        'next: Give source and target the addresses of two clusters.\n',
    );
  });

  test('clusters list shows the ones that answer beside the one that does not', async () => {
    const ended = await lockstep('clusters', 'list', '-f', link({}, ['127.0.0.1:1']));
    expect(ended.code).toBe(1);
    expect(ended.out).toMatch(/^east +– +– +– +– +127\.0\.0\.1:1$/m);
    expect(ended.out).toMatch(
      new RegExp(`^west +${cluster('target').clusterId} +1 +\\d+ +\\d+ +1@${cluster('target').bootstrap[0]}$`, 'm'),
    );
    expect(ended.err).toMatch(/^CLUSTER_UNREACHABLE: no address of cluster "east" answers/);
  });
});

async function listening(server: Server): Promise<{ address: string; close(): void }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() };
}

describe.concurrent('the file', () => {
  const head = 'apiVersion: lockstep/v1\nkind: Cluster\nmetadata: { name: east }\n';
  const cases: readonly [string, string, string][] = [
    [
      'malformed YAML',
      `${head}spec: { bootstrap: [ '127.0.0.1:1' }\n`,
      'CONFIG_INVALID:\n  FILE:4:36: malformed YAML: flow sequence in block collection must be sufficiently indented and end with a ]\n  FILE:4:37: malformed YAML: flow map in block collection must be sufficiently indented and end with a }\nnext: Correct these 2 problems and try "lockstep validate" again.\n',
    ],
    [
      'an unknown key',
      `${head}spec: { bootstarp: [ '127.0.0.1:1' ] }\n`,
      'CONFIG_INVALID:\n  FILE:4:7: spec.bootstrap is missing; it must be a list of addresses "host:port"\n  FILE:4:9: unknown key "spec.bootstarp"; did you mean "bootstrap"?\nnext: Correct these 2 problems and try "lockstep validate" again.\n',
    ],
    [
      'a key of a later capability',
      `${head}spec: { bootstrap: [ '127.0.0.1:1' ], security: { protocol: SASL_SSL, mechanism: GSSAPI, username: me } }\n`,
      'FEATURE_NOT_BUILT: FILE:4:82: spec.security.mechanism: GSSAPI is not built yet; this version speaks PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER\nnext: Correct this and try "lockstep validate" again.\n',
    ],
    [
      'later capabilities of a mirror',
      'apiVersion: lockstep/v1\nkind: Mirror\nmetadata: { name: m }\nspec:\n  source: east\n  target: east\n  topics: [ { match: a } ]\n  filters: [ a ]\n',
      'CONFIG_INVALID:\n  FILE:5:11: spec.source: there is no Cluster "east"; the files hold no Cluster\n  FILE:6:11: spec.target: there is no Cluster "east"; the files hold no Cluster\n  FILE:6:11: spec.target: source and target are both "east"; a mirror goes from one cluster to another\n  FILE:8:3: spec.filters is not built yet; leave it out\nnext: Correct these 4 problems and try "lockstep validate" again.\n',
    ],
  ];
  test.each(cases)('%s is named with its place', async (_, text, message) => {
    const path = join(temporaryDirectory('bad'), 'link.yaml');
    writeFileSync(path, text);
    const ended = await lockstep('run', '-f', path);
    expect(ended).toMatchObject({ code: 2, out: '', err: message.replaceAll('FILE', path) });
  });

  test.each([
    [
      'that is not there',
      '/nowhere/link.yaml',
      'there is no such file',
      "ENOENT: no such file or directory, open '/nowhere/link.yaml'",
    ],
    ['that is a directory', '/', 'it is a directory', 'EISDIR: illegal operation on a directory, read'],
  ])('%s', async (_, path, reason, cause) => {
    expect(reported(await lockstep('run', '-f', path))).toEqual({
      code: 2,
      err: `CONFIG_INVALID: cannot read ${path}: ${reason}\nbecause: ${cause}\nnext: Name a file that exists and may be read with -f.\n`,
    });
  });
});

describe('the topics', () => {
  test('a rule without a topic is an error with --until', async () => {
    const file = link({ m: { topics: [{ match: 'oders' }, { match: 'orders', to: 'unused' }] } });
    expect(reported(await lockstep('run', '-f', file, '--until', 'caught-up'))).toEqual({
      code: 1,
      err: 'TOPIC_RULE_EMPTY: topics[0] of mirror "m" (match: oders) matches no topic of cluster "east".\nnext: Did you mean "orders"?\n',
    });
  });

  test('without --until it is a warning, and the topic is picked up when it is created', async () => {
    const { bootstrap } = cluster('source');
    const running = new Command(['run', '-f', link({ later: { topics: [{ match: 'later.topic' }], refreshMs: 200 } })]);
    await running.says(
      /warning TOPIC_RULE_EMPTY: topics\[0\] of mirror "later" \(match: later\.topic\) matches no topic of cluster "east"\. Correct or remove the rule; without --until the mirror waits for the topic\./,
    );
    await createTopics(bootstrap, [{ name: 'later.topic', partitions: 2 }]);
    await running.says(/later: topic later\.topic, 2 partitions: created on the target/);
    running.child.kill('SIGINT');
    const { code, err } = await running.ended();
    expect({ code, err }).toEqual({ code: 130, err: '' });
  });

  test('targets that cannot be used are refused one by one, and the others are copied', async () => {
    await createTopics(cluster('source').bootstrap, [
      { name: 'audit', partitions: 1 },
      { name: 'clicks', partitions: 1 },
    ]);
    const file = link({
      m: {
        topics: [
          { match: 'second', to: 'taken' },
          { match: '/^(audit|clicks)$/', to: 'orders' }, // a source topic has this name, and goes elsewhere
          { match: 'orders', to: 'm.orders' },
        ],
        offsets: 'identical', // else the two would be merged
      },
      rf: { topics: [{ match: 'orders', to: 'rf.orders' }], targetReplicationFactor: 3 },
    });

    const planned = await lockstep('plan', '-f', file);
    expect(reported(planned)).toEqual({ code: 5, err: '' });
    expect(linesOf(planned.out)).toEqual(
      expect.arrayContaining(REFUSALS.map(({ code, message }) => `error ${code} ${message}`)),
    );

    const run = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect(reported(run)).toEqual({ code: 5, err: '' });
    const lines = linesOf(run.out).map((line) => line.replace(/^[\d:]+Z /, ''));
    for (const { mirror, code, about, message, next } of REFUSALS) {
      const incident = `${mirror}: ${code} ${about}: ${message.replace(/^\w+: /, '')} Nothing of this topic is copied; the others go on.`;
      expect(lines).toContain(incident);
      expect(lines[lines.indexOf(incident) + 1]).toBe(`next: ${next}`);
    }
    expect(run.out).toMatch(/m: ended with incidents: 3,000 records/);
    expect(run.out).toMatch(/rf: ended with incidents/);
  });
});

const REFUSALS = [
  {
    code: 'TOPIC_NOT_EMPTY',
    mirror: 'm',
    about: 'second',
    message: 'second: Topic "taken" on cluster "west" holds, or once held, records that this mirror did not write.',
    next: 'Give the copy another name with "to"; or, if nobody needs that data, delete the topic, and it is created anew; or, to copy beside that data, write "offsets: mapped".',
  },
  {
    code: 'TOPIC_RULE_CONFLICT',
    mirror: 'm',
    about: 'orders',
    message: 'The rules send "audit" and "clicks" to the one target topic "orders".',
    next: 'Exclude all but one of them, or give them other names with "to"; or write "offsets: mapped" to merge them; and start the mirror again.',
  },
  {
    code: 'CONFIG_INVALID',
    mirror: 'rf',
    about: 'orders',
    message: 'orders: Topic "rf.orders" is to have 3 replicas, and cluster "west" has 1 broker.',
    next: 'Set targetReplicationFactor to 1 or less, or leave it out.',
  },
];

/** Lines without indentation, wrapped ones joined. */
function linesOf(text: string): string[] {
  return text
    .replace(/\n {6}/g, ' ')
    .split('\n')
    .map((line) => line.replace(/^([\d:]+Z)? +/, (_, time?: string) => (time === undefined ? '' : `${time} `)));
}

describe('what the brokers answer', () => {
  /** A mirror whose connections all go through the proxies. */
  function proxied(name: string): string {
    return link(
      { [name]: { topics: [{ match: 'orders', to: `${name}.orders` }] } },
      cluster('source').proxiedBootstrap,
      cluster('target').proxiedBootstrap,
    );
  }

  /** The only fault from now on. */
  function inject(
    side: 'source' | 'target',
    fault: Fault,
    { times, ...match }: Omit<Match, 'direction'> & { times?: number } = {},
  ): FaultRule {
    const proxies = [...cluster('source').proxies, ...cluster('target').proxies];
    for (const proxy of proxies) proxy.clear();
    const proxy = must(cluster(side).proxies[0], 'proxy');
    return proxy.inject({
      match: { ...match, direction: 'response' },
      fault,
      ...(times === undefined ? {} : { times }),
    });
  }

  async function expectCopied(name: string): Promise<void> {
    const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
    await expectSameRecords({ source, target, topics: [{ source: 'orders', target: `${name}.orders` }] });
  }

  test('an error code that nobody knows is named with the request and its object', async () => {
    const file = proxied('unknown');
    const metadata = inject('source', rewrite('error 999 of all', atEnd), { api: 'Metadata' });
    expect(reported(await lockstep('plan', '-f', file))).toEqual({
      code: 1,
      err: 'CLUSTER_REFUSED: Metadata for cluster "east": UNKNOWN_ERROR_CODE_999 (999)\nnext: Look into the log of the broker for the same moment.\n',
    });
    expect(metadata.count).toBe(1);

    inject('source', errorCode(999), { api: 'ListOffsets' });
    const planned = await lockstep('plan', '-f', file);
    expect(planned.code).toBe(5);
    expect(linesOf(planned.out)).toContain(
      'error CLUSTER_REFUSED orders: first offsets of topic "orders": ListOffsets for orders/0: UNKNOWN_ERROR_CODE_999 (999)',
    );
  });

  test('an unknown error of Fetch passes when it happens once, and stops the partition when it stays', async () => {
    const file = proxied('fetch');
    const always = inject('source', errorCode(999), { api: 'Fetch' });
    const stopped = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect(reported(stopped), stopped.out).toEqual({ code: 5, err: '' });
    expect(stopped.out).toMatch(
      /fetch: SHARD_NO_PROGRESS orders\/\d (?:at|from) offsets? .*The same request failed again and again: Fetch for orders\/\d: UNKNOWN_ERROR_CODE_999 \(999\)/,
    );
    expect(always.count).toBeGreaterThan(3);

    const once = inject('source', errorCode(999), { api: 'Fetch', times: 1 });
    const recovered = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect(reported(recovered), recovered.out).toEqual({ code: 0, err: '' });
    expect(once.count).toBe(1);
    await expectCopied('fetch');
  });

  test('an unknown error of Produce is taken for neither written nor not written: the position is read again', async () => {
    const file = proxied('produce');
    const produced = inject('target', errorCode(999), { api: 'Produce', topic: 'produce.orders', times: 5 });
    const ended = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect(reported(ended), ended.out).toEqual({ code: 0, err: '' });
    expect(produced.count).toBe(5);
    await expectCopied('produce');
  });

  test('a batch that was damaged on the way is fetched again; one that stays damaged stops its partition', async () => {
    const file = proxied('flip');
    const always = inject('source', flipRecordBit(), { api: 'Fetch' });
    const stopped = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect(reported(stopped), stopped.out).toEqual({ code: 5, err: '' });
    expect(stopped.out).toMatch(
      /flip: SHARD_BATCH_CORRUPT orders\/\d at offset \d+: The batch at offset \d+ is damaged, found .*, also when it was fetched again: /,
    );
    expect(always.count).toBeGreaterThan(1);

    const once = inject('source', flipRecordBit(), { api: 'Fetch', times: 1 });
    const recovered = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect(reported(recovered), recovered.out).toEqual({ code: 0, err: '' });
    expect(once.count).toBe(1);
    await expectCopied('flip');
  });

  test.each([
    [
      'shorter than what it should hold',
      truncate(),
      /^CLUSTER_ANSWER_INVALID: cluster "east": an answer cannot be read: .*\nnext: Try again; .*\n$/,
    ],
    [
      'longer than any answer',
      hugeLength(),
      /^CLUSTER_ANSWER_INVALID: no address of cluster "east" answers: .* sent bytes that are no Kafka response: a length of 2130706432 bytes \(closed\)\nnext: Try again; .*\n$/,
    ],
  ] as const)('an answer that is %s', async (_, fault, message) => {
    const file = proxied('frames');
    const damaged = inject('source', fault, { api: 'Metadata', times: 1 });
    const ended = await lockstep('plan', '-f', file);
    expect(damaged.count).toBe(1);
    expect(ended.err).toMatch(message);
    expect(ended.code).toBe(1);
  });

  test('random damage in any answer neither crashes nor hangs a run', async () => {
    const file = proxied('noise');
    // Not throttle_time, first in most answers and last in Produce: an hour's pause that a broker asks for is obeyed.
    const damage = flipBitWithin(4, -5);
    let altered = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const side = round % 2 === 0 ? 'source' : 'target';
      must(cluster(side).proxies[0], 'proxy').reseed(seed + round);
      const damaged = inject(side, damage, { probability: 0.04 });
      const { code, out, err } = await lockstep('run', '-f', file, '--until', 'caught-up');
      const what = `seed ${seed}, round ${round}, ${side}\n${out}${err}`;
      expect([0, 1, 5], what).toContain(code);
      expect(err, what).not.toMatch(/INTERNAL|    at /);
      altered += damaged.count;
      damaged.end();
    }
    expect(altered).toBeGreaterThan(0);
    // An answer has no checksum: what was learnt from a damaged one may have been refused for good, never copied wrongly.
    const { code, out, err } = await lockstep('run', '-f', file, '--until', 'caught-up');
    expect([0, 5], `seed ${seed}\n${out}${err}`).toContain(code);
    if (code === 0) await expectCopied('noise');
  }, 600_000);
});

/** Metadata from version 13 on ends with the error of the whole request and no tagged fields. */
function atEnd({ apiVersion, frame }: ProxiedFrame): boolean {
  if (apiVersion >= 13) frame.writeInt16BE(999, frame.length - 3);
  return apiVersion >= 13;
}
