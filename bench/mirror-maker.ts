import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jvmEnvironment, kafkaClassPath } from '#testing/kafka-home.ts';
import type { CopyTask, System } from './system.ts';
import { CopyProcess } from './system.ts';

/** What connect-mirror-maker.sh sets: heap from its own default, the rest from kafka-run-class.sh. */
const JVM_FLAGS = [
  '-Xms256M',
  '-Xmx2G',
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
  '-Djava.awt.headless=true',
];

/** MirrorMaker 2 of the same jars, tuned for throughput, with everything off that is not copying records. */
export const mirrorMaker = system('mm2', 'tuned, compression.type lz4, zstd where the data is', (task) =>
  tunedSettings(task, { 'compression.type': task.codec === 'zstd' ? 'zstd' : 'lz4' }),
);

/** The same, but what it writes is not compressed: less work for it where the source is not compressed either. */
export const mirrorMakerUncompressed = system('mm2-none', 'tuned, compression.type none', (task) =>
  tunedSettings(task, { 'compression.type': 'none' }),
);

/** The same for short delays. */
export const mirrorMakerQuick = system(
  'mm2-quick',
  'tuned, linger.ms 0, batch.size 65536, compression.type lz4',
  (task) => tunedSettings(task, { 'compression.type': 'lz4', 'linger.ms': '0', 'batch.size': '65536' }),
);

/** With nothing set but what one broker a side and equal names on both need. */
export const mirrorMakerDefaults = system(
  'mm2-default',
  'with its defaults, but for replication factors of 1',
  defaultSettings,
);

function system(name: string, what: string, settings: (task: CopyTask) => Record<string, string>): System {
  return {
    name,
    description: `MirrorMaker 2 of Kafka 4.3.1, dedicated mode, ${what}`,
    ends: 'never',
    start: (task) => Promise.resolve(startMirrorMaker(task, settings(task))),
  };
}

function startMirrorMaker({ directory }: CopyTask, settings: Readonly<Record<string, string>>): CopyProcess {
  const file = join(directory, 'mm2.properties');
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(file, lines.join(''));
  const flags = [
    ...JVM_FLAGS,
    '-Xlog:disable',
    `-Djava.io.tmpdir=${directory}`,
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    // Tells which task took which partitions.
    '-Dorg.slf4j.simpleLogger.log.org.apache.kafka.connect.mirror=info',
  ];
  const args = [...flags, '-cp', kafkaClassPath('4.3.1'), 'org.apache.kafka.connect.mirror.MirrorMaker', file];
  return CopyProcess.start('java', args, { directory, env: jvmEnvironment() });
}

/** Of both: where it copies from and to, on single brokers. */
function commonSettings({ topic, source, target, runId }: CopyTask): Record<string, string> {
  const { from, to } = aliasesOf(runId);
  return {
    clusters: `${from}, ${to}`,
    [`${from}.bootstrap.servers`]: source.join(','),
    [`${to}.bootstrap.servers`]: target.join(','),
    'replication.policy.class': 'org.apache.kafka.connect.mirror.IdentityReplicationPolicy',
    'config.storage.replication.factor': '1',
    'offset.storage.replication.factor': '1',
    'status.storage.replication.factor': '1',
    'replication.factor': '1',
    [`${from}->${to}.enabled`]: 'true',
    [`${to}->${from}.enabled`]: 'false',
    [`${from}->${to}.topics`]: topic.replaceAll('.', '\\\\.'),
  };
}

/**
 * Source and target are named anew for each run: worker group and internal topics carry the source's name, and a new
 * worker in the group of one that was killed would wait for the latter's session to end.
 */
function aliasesOf(runId: string): { from: string; to: string } {
  return { from: `source${runId}`, to: `target${runId}` };
}

function defaultSettings(task: CopyTask): Record<string, string> {
  const internal = ['offset-syncs', 'checkpoints', 'heartbeats'];
  return {
    ...commonSettings(task),
    ...Object.fromEntries(internal.map((name) => [`${name}.topic.replication.factor`, '1'])),
  };
}

function tunedSettings(task: CopyTask, producerSettings: Readonly<Record<string, string>>): Record<string, string> {
  const { from, to } = aliasesOf(task.runId);
  const connector: Record<string, string> = {
    'tasks.max': '8',
    'emit.checkpoints.enabled': 'false',
    // Together with any offset-syncs.topic.* key this is an invalid configuration in 4.3.1: an ERROR in the log, and nothing is copied.
    'emit.offset-syncs.enabled': 'false',
    'sync.topic.configs.enabled': 'false',
    'sync.topic.acls.enabled': 'false',
    'sync.group.offsets.enabled': 'false',
    'refresh.topics.interval.seconds': '5',
    'refresh.groups.enabled': 'false',
    'replication.factor': '1',
    'consumer.fetch.max.bytes': '104857600',
    'consumer.max.partition.fetch.bytes': '8388608',
    'consumer.max.poll.records': '20000',
  };
  const producer: Record<string, string> = {
    acks: 'all',
    'enable.idempotence': 'true',
    'max.in.flight.requests.per.connection': '5',
    'batch.size': '1000000',
    'linger.ms': '20',
    'buffer.memory': '268435456',
    'max.request.size': '10485760',
    ...producerSettings,
  };
  return {
    ...commonSettings(task),
    'plugin.discovery': 'service_load',
    'offset.flush.interval.ms': '10000',
    'offset.flush.timeout.ms': '60000',
    // Also for the way back: with heartbeats it would have a worker of its own although nothing is copied.
    'emit.heartbeats.enabled': 'false',
    ...withPrefix(`${from}->${to}.`, connector),
    ...withPrefix(`${to}.producer.`, producer),
  };
}

function withPrefix(prefix: string, settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [prefix + name, value]));
}
