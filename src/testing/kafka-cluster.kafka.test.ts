/** The launcher itself, on real brokers. Other versions are started by the suites that use them. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { readBrokerIds } from './broker-ready.ts';
import { freePorts } from './free-ports.ts';
import { runJava } from './java.ts';
import { startCluster } from './kafka-cluster.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import type { KafkaBroker } from './kafka-broker.ts';
import { processState, processesWithVariable, waitUntil } from './process-stat.ts';
import { sharedClusters } from './shared-clusters.ts';
import { runVariable, spawnSupervised } from './supervisor.ts';
import { createTopics } from './topic-admin.ts';

const answerTimeoutMs = 1000;

function firstBroker(cluster: KafkaCluster): KafkaBroker {
  return must(cluster.brokers[0], 'first broker');
}

/**
 * Creates a topic of one partition and writes and reads `count` records, with Kafka's own clients. The tool would create
 * it as well, but not wait until it has a leader.
 */
async function writeRecords(cluster: KafkaCluster, topic: string, count: number): Promise<void> {
  await createTopics(cluster.bootstrap, [{ name: topic, partitions: 1 }]);
  const args = [cluster.bootstrap.join(), topic, String(count), 'all', '100'];
  const { code, stderr } = await runJava('org.apache.kafka.tools.EndToEndLatency', args, { version: cluster.version });
  expect(stderr).toBe('');
  expect(code).toBe(0);
}

/** topic:partition:end-offset lines, by Kafka's own tool. */
async function endOffsets(cluster: KafkaCluster, topic: string): Promise<string> {
  const args = ['--bootstrap-server', cluster.bootstrap.join(), '--topic', topic];
  return (await runJava('org.apache.kafka.tools.GetOffsetShell', args, { version: cluster.version })).stdout;
}

/** name=value of every property of the broker as the broker says it (DescribeConfigs), by Kafka's own tool. */
async function brokerProperties(cluster: KafkaCluster): Promise<string[]> {
  const which = ['--entity-type', 'brokers', '--entity-name', '1', '--describe', '--all'];
  const args = ['--bootstrap-server', cluster.bootstrap.join(), ...which];
  const { stdout } = await runJava('kafka.admin.ConfigCommand', args, { version: cluster.version });
  return stdout.split('\n').map((line) => must(line.trim().split(' ')[0], 'name=value'));
}

describe('brokers', () => {
  const cluster = sharedClusters({ one: {}, three: { brokers: 3 } });

  test('one node and three nodes answer, and the three know each other', async () => {
    expect(await readBrokerIds(firstBroker(cluster('one')).port, answerTimeoutMs)).toEqual([1]);
    for (const broker of cluster('three').brokers) {
      expect(await readBrokerIds(broker.port, answerTimeoutMs)).toEqual([1, 2, 3]);
    }
    expect(cluster('one').bootstrap).toEqual([`127.0.0.1:${firstBroker(cluster('one')).port}`]);
  });

  test('a broker that was killed with -9 comes back on the same port with its data', async () => {
    const one = cluster('one');
    const broker = firstBroker(one);
    await writeRecords(one, 'kept', 12);
    const { pid, port } = broker;

    await broker.kill();
    expect(processState(pid)).toBeNull();
    await expect(readBrokerIds(port, answerTimeoutMs)).rejects.toThrow('ECONNREFUSED');
    await broker.start();

    expect(broker.pid).not.toBe(pid);
    expect(await endOffsets(one, 'kept')).toBe('kept:0:12\n');
    expect(readFileSync(join(broker.dataDir, 'meta.properties'), 'utf8')).toContain(`cluster.id=${one.clusterId}`);
  });

  test('a paused broker accepts connections and does not answer until it is resumed', async () => {
    const broker = firstBroker(cluster('one'));

    await broker.pause();
    await expect(readBrokerIds(broker.port, 300)).rejects.toThrow('no answer within 300 ms');
    await broker.resume();

    await waitUntil(
      () => readBrokerIds(broker.port, answerTimeoutMs).then((ids) => ids.includes(1)),
      'it answers again',
    );
  });

  test('a restart applies a changed property and keeps the others', async () => {
    const one = cluster('one');
    expect(await brokerProperties(one)).toContain('log.retention.ms=null');

    await firstBroker(one).restart({ properties: { 'log.retention.ms': '777000' } });

    const after = await brokerProperties(one);
    expect(after).toContain('log.retention.ms=777000');
    expect(after).toContain('auto.create.topics.enable=false');
  });

  test('two of three nodes go on while one is down, and take it back', async () => {
    const [first, second] = cluster('three').brokers as [KafkaBroker, KafkaBroker];
    const seen = async (): Promise<string> => (await readBrokerIds(first.port, answerTimeoutMs)).join();

    await second.kill();
    await waitUntil(async () => (await seen()) === '1,3', 'the others have noticed', { timeoutMs: 20_000 });
    await second.start();
    await waitUntil(async () => (await seen()) === '1,2,3', 'the others have noticed');

    expect(await readBrokerIds(second.port, answerTimeoutMs)).toEqual([1, 2, 3]);
  });

  test('CPU time and memory of a broker are measured', async () => {
    const broker = firstBroker(cluster('one'));
    const before = broker.cpuSeconds();

    await waitUntil(async () => {
      await readBrokerIds(broker.port, answerTimeoutMs);
      return broker.cpuSeconds() > before;
    }, 'answers have cost CPU time');

    expect(broker.rssBytes()).toBeGreaterThan(64 * 2 ** 20);
    expect(broker.rssBytes()).toBeLessThan(1024 * 2 ** 20);
  });
});

test.each([
  { listener: 'the first', secure: undefined, place: 0 },
  {
    listener: 'the last, which is bound when the first answers already,',
    secure: { users: { ada: 'secret' } },
    place: -1,
  },
])('a cluster starts on other ports when that of $listener listener is taken meanwhile', async ({ secure, place }) => {
  const server = createServer();
  const taken = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  let attempts = 0;
  const findPorts = async (count: number): Promise<number[]> => {
    attempts += 1;
    const ports = await freePorts(count);
    return attempts === 1 ? ports.with(place, taken) : ports;
  };

  const cluster = await startCluster({ findPorts, ...(secure && { secure }) });

  expect(attempts).toBe(2);
  expect(firstBroker(cluster).isRunning()).toBe(true);
  expect(firstBroker(cluster).port).not.toBe(taken);
  await cluster.stop();
  expect(existsSync(cluster.directory)).toBe(false);
  server.close();
});

test('a runner that is killed with -9 leaves no broker and no file behind', async () => {
  const program = `import(${JSON.stringify(`${import.meta.dirname}/kafka-cluster.ts`)}).then(async ({ startCluster }) => {
    const { directory, brokers } = await startCluster();
    console.log(JSON.stringify({ directory, pid: brokers[0].pid, port: brokers[0].port }));
  });`;
  const runner = spawnSupervised(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await must(runner.stdout, 'standard output of the runner').take(1).toArray()) as [Buffer];
  const { directory, pid, port } = JSON.parse(line.toString()) as { directory: string; pid: number; port: number };
  expect(await readBrokerIds(port, answerTimeoutMs)).toEqual([1]);
  expect(processState(pid)).not.toBeNull();

  runner.kill('SIGKILL');

  await waitUntil(() => processState(pid) === null, 'the broker is gone');
  await waitUntil(() => !existsSync(dirname(directory)), 'the data is gone');
  expect(processesWithVariable(runVariable, dirname(directory))).toEqual([]);
});
