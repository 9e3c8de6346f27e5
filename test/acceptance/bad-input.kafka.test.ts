/** Issue 3, 'Bad input': each mistake of a person and each damage of the world, as the command reports it. */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Reader } from '#kafka/protocol/reader.ts';
import { compareWithJava, formatDifferences } from '#testing/java-reader.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { createRandom } from '#util/random.ts';
import { withLength, type Alter, type AlteringProxy, type ProxiedResponse } from './altering-proxy.ts';
import { BrokerDoors } from './broker-doors.ts';
import { Command, lockstep, type Ended } from './command.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const doors = { source: new BrokerDoors(), target: new BrokerDoors() };
const cluster = sharedClusters({ source: doors.source.options, target: doors.target.options });
const orders = [{ match: 'orders' }];

beforeAll(async () => {
  process.stdout.write(`bad input: seed ${seed}\n`);
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  await Promise.all([
    writeWorkloads(source, [workloads.mixed('orders', { records: 3000, partitions: 2 }), workloads.oldTimestamps('second', { records: 100 })], { seed }),
    writeWorkloads(target, [workloads.oldTimestamps('taken', { records: 100 })], { seed }),
  ]);
});

/** A file with a mirror from `source` (or the real one) to the target, and its path. */
function link(mirrors: Readonly<Record<string, MirrorSpec>>, source = cluster('source').bootstrap, target = cluster('target').bootstrap): string {
  return writeLink({ source, target, mirrors });
}

function reported({ code, err }: Ended): { code: number; err: string } {
  return { code, err };
}

describe.concurrent('what answers is not the cluster', () => {
  /** Standard error of a command that ends with this code, message and next step. */
  async function expectError(file: string, exit: number, lines: string): Promise<void> {
    const [planned, run] = await Promise.all([lockstep('plan', '-f', file), lockstep('run', '-f', file, '--until', 'caught-up')]);
    expect(reported(planned)).toEqual({ code: exit, err: lines });
    expect(reported(run)).toEqual({ code: exit, err: lines });
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
    const found = await lockstep('topics', 'list', '-f', link({}, ['127.0.0.1:1', ...cluster('source').bootstrap]), '--cluster', 'east');
    expect(reported(found)).toEqual({ code: 0, err: '' });
    expect(found.out).toContain('orders');
  });

  test('somebody accepts the connection and says nothing: the command ends within the deadline for connecting', async () => {
    const silent = await listening(createTcpServer(() => {}));
    const ended = await lockstep('plan', '-f', link({ m: { topics: orders } }, [silent.address]));
    silent.close();
    expect(reported(ended)).toEqual({
      code: 1,
      err:
        `CLUSTER_UNREACHABLE: no address of cluster "east" answers: ${silent.address} did not answer within the deadline (timeout)\n` +
        'next: Check the bootstrap addresses, and that the brokers run and can be reached from here.\n',
    });
    expect(ended.tookMs).toBeGreaterThan(9_900);
    expect(ended.tookMs).toBeLessThan(25_000);
  });

  test('a TLS listener', async () => {
    const address = `127.0.0.1:${doors.source.tlsPort}`;
    await expectError(
      link({ m: { topics: orders } }, [address]),
      1,
      `CLUSTER_NOT_KAFKA: no address of cluster "east" answers: ${address} sent bytes that are no Kafka response: they look like TLS; the listener expects an encrypted connection (not-kafka)\n` +
        'next: Give the address of a plaintext Kafka listener; TLS and SASL are not built yet.\n',
    );
  });

  test('an HTTP server', async () => {
    const web = await listening(createServer());
    await expectError(
      link({ m: { topics: orders } }, [web.address]),
      1,
      `CLUSTER_NOT_KAFKA: no address of cluster "east" answers: ${web.address} sent bytes that are no Kafka response: they look like HTTP (not-kafka)\n` +
        'next: Give the address of a plaintext Kafka listener; TLS and SASL are not built yet.\n',
    );
    web.close();
  });

  test('the listener of a controller', async () => {
    const address = `127.0.0.1:${doors.source.controllerPort}`;
    await expectError(
      link({ m: { topics: orders } }, [address]),
      1,
      `CLUSTER_NOT_KAFKA: cluster "east": ${address} is a controller, not a broker: it does not know Metadata\n` +
        'next: Give the address of a broker: one of its listeners that is not among controller.listener.names.\n',
    );
  });

  test('another cluster than the pinned one', async () => {
    const { clusterId, bootstrap } = cluster('source');
    const file = writeLink({ source: bootstrap, target: cluster('target').bootstrap, sourceId: 'AAAAAAAAAAAAAAAAAAAAAQ', mirrors: { m: { topics: orders } } });
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
    expect(ended.out).toMatch(new RegExp(`^west +${cluster('target').clusterId} +1 +\\d+ +\\d+ +1@${cluster('target').bootstrap[0]}$`, 'm'));
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
      "CONFIG_INVALID: FILE:4:36: malformed YAML: flow sequence in block collection must be sufficiently indented and end with a ]\nnext: Correct this and try \"lockstep validate\" again.\n",
    ],
    [
      'an unknown key',
      `${head}spec: { bootstarp: [ '127.0.0.1:1' ] }\n`,
      'CONFIG_INVALID:\n  FILE:4:7: spec.bootstrap is missing; it must be a list of addresses "host:port"\n  FILE:4:9: unknown key "spec.bootstarp"; did you mean "bootstrap"?\nnext: Correct these 2 problems and try "lockstep validate" again.\n',
    ],
    [
      'a key of a later capability',
      `${head}spec: { bootstrap: [ '127.0.0.1:1' ], security: { protocol: SASL_SSL, username: me } }\n`,
      'FEATURE_NOT_BUILT:\n  FILE:4:61: spec.security.protocol: SASL_SSL is not built yet; this version speaks PLAINTEXT\n  FILE:4:81: spec.security.username: is not built yet; leave it out\nnext: Correct these 2 problems and try "lockstep validate" again.\n',
    ],
    [
      'later capabilities of a mirror',
      'apiVersion: lockstep/v1\nkind: Mirror\nmetadata: { name: m }\nspec:\n  source: east\n  target: east\n  topics: [ { match: a } ]\n  offsets: mapped\n  sync: { acls: true }\n',
      'CONFIG_INVALID:\n  FILE:5:11: spec.source: there is no Cluster "east"; the files hold no Cluster\n  FILE:6:11: spec.target: there is no Cluster "east"; the files hold no Cluster\n  FILE:6:11: spec.target: source and target are both "east"; a mirror goes from one cluster to another\n  FILE:8:12: spec.offsets: mapped is not built yet; this version copies with identical offsets\n  FILE:9:17: spec.sync.acls: is not built yet; leave it out\nnext: Correct these 5 problems and try "lockstep validate" again.\n',
    ],
  ];
  test.each(cases)('%s is named with its place by every command', async (_, text, message) => {
    const path = join(temporaryDirectory('bad'), 'link.yaml');
    writeFileSync(path, text);
    const all = await Promise.all([lockstep('validate', '-f', path), lockstep('plan', '-f', path), lockstep('run', '-f', path)]);
    for (const ended of all) expect(ended).toMatchObject({ code: 2, out: '', err: message.replaceAll('FILE', path) });
  });

  test.each([
    ['that is not there', '/nowhere/link.yaml', 'there is no such file', "ENOENT: no such file or directory, open '/nowhere/link.yaml'"],
    ['that is a directory', '/', 'it is a directory', 'EISDIR: illegal operation on a directory, read'],
  ])('%s', async (_, path, reason, cause) => {
    expect(reported(await lockstep('run', '-f', path))).toEqual({
      code: 2,
      err: `CONFIG_INVALID: cannot read ${path}: ${reason}\nbecause: ${cause}\nnext: Name a file that exists and may be read with -f.\n`,
    });
  });
});
