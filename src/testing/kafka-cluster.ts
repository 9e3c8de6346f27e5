/** Real Apache Kafka clusters on this machine, from the jars that scripts/setup.ts has fetched. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { freePorts } from './free-ports.ts';
import { BrokerStartError, KafkaBroker } from './kafka-broker.ts';
import { kafkaHome } from './kafka-home.ts';
import type { JvmProfile, KafkaVersion } from './kafka-home.ts';
import { keepRunDirectory, removeDirectory, temporaryDirectory } from './supervisor.ts';

const startAttemptsMax = 3;

export interface ClusterOptions {
  /** Default: 4.3.1. */
  readonly version?: KafkaVersion;
  /** Nodes, each broker and controller in one process. Default: 1. */
  readonly brokers?: 1 | 3;
  /** Names the data directory. Default: kafka. */
  readonly name?: string;
  /** Broker properties over the defaults. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Default: fast. */
  readonly profile?: JvmProfile;
  /** Default: 256 (fast), 1024 (plain). */
  readonly heapMb?: number;
  /** More JVM flags. */
  readonly jvm?: readonly string[];
  /** Finds the ports. Default: freePorts. */
  readonly findPorts?: (count: number) => Promise<number[]>;
}

export class KafkaCluster {
  readonly clusterId: string;
  readonly version: KafkaVersion;
  readonly brokers: readonly KafkaBroker[];
  /** host:port of every broker. */
  readonly bootstrap: readonly string[];
  /** Holds everything that belongs to the cluster, one folder per broker. */
  readonly directory: string;
  #isKept = process.env['LOCKSTEP_KEEP'] === '1';

  constructor(options: {
    clusterId: string;
    version: KafkaVersion;
    brokers: readonly KafkaBroker[];
    directory: string;
  }) {
    this.clusterId = options.clusterId;
    this.version = options.version;
    this.brokers = options.brokers;
    this.directory = options.directory;
    this.bootstrap = options.brokers.map((broker) => `127.0.0.1:${broker.port}`);
  }

  /** Makes stop() leave data and logs where they are and print the place. */
  keep(): void {
    this.#isKept = true;
  }

  /** Kills every broker and removes the data. A graceful end would cost seconds and prove nothing. */
  async stop(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.kill()));
    if (!this.#isKept) {
      removeDirectory(this.directory);
      return;
    }
    keepRunDirectory();
    process.stderr.write(`kept data and logs of Kafka ${this.version} cluster ${this.clusterId}: ${this.directory}\n`);
  }

  /** The ends of all brokers' logs, for failure messages. */
  logs(): string {
    return this.brokers.map((broker) => broker.logTail()).join('\n');
  }
}

/**
 * Starts a cluster; resolves when every broker answers and knows all the others. Ports are free ones; when another
 * program takes one before the broker does, the start is repeated with others. Ends with the runner at the latest.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<KafkaCluster> {
  for (let attempt = 1; ; attempt += 1) {
    const cluster = await prepareCluster(options);
    const ids = cluster.brokers.map((broker) => broker.id);
    try {
      await Promise.all(cluster.brokers.map((broker) => broker.start(ids)));
      return cluster;
    } catch (error) {
      const again = error instanceof BrokerStartError && error.portTaken && attempt < startAttemptsMax;
      if (!again) cluster.keep();
      await cluster.stop();
      if (!again) throw error;
    }
  }
}

/** A formatted cluster, not yet started. */
async function prepareCluster(options: ClusterOptions): Promise<KafkaCluster> {
  const { version = '4.3.1', brokers: count = 1, name = 'kafka', profile = 'fast' } = options;
  const heapMb = options.heapMb ?? (profile === 'fast' ? 256 : 1024);
  const clusterId = newKafkaId();
  const directory = temporaryDirectory(name);
  const ports = await (options.findPorts ?? freePorts)(2 * count);
  const nodes = ports.slice(0, count).map((port, i) => ({ id: i + 1, port, controllerPort: ports[count + i] }));
  const voters = nodes.map((node) => `${node.id}@127.0.0.1:${node.controllerPort}`).join(',');
  const brokers = nodes.map((node) => {
    const home = join(directory, `broker-${node.id}`);
    const broker = new KafkaBroker({
      version,
      id: node.id,
      port: node.port,
      directory: home,
      profile,
      heapMb,
      jvm: options.jvm ?? [],
      properties: {
        'process.roles': 'broker,controller',
        'node.id': String(node.id),
        'controller.quorum.voters': voters,
        listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port}`,
        'controller.listener.names': 'CONTROLLER',
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
        'log.dirs': join(home, 'data'),
        ...sharedProperties(count),
        ...options.properties,
      },
    });
    format(broker, { version, clusterId });
    return broker;
  });
  return new KafkaCluster({ clusterId, version, brokers, directory });
}

/** What small clusters of `count` nodes need, and what makes them quick. */
function sharedProperties(count: number): Record<string, string> {
  const replicas = String(Math.min(3, count));
  const inSync = String(Math.min(2, count));
  return {
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    'num.network.threads': '1',
    'num.io.threads': '2',
    'log.cleaner.dedupe.buffer.size': '2097152',
    // The controller refuses a restarted broker while the session of its killed predecessor lasts (9 s by default:
    // ClusterControlManager, DuplicateBrokerRegistrationException), so this is what a start after kill -9 takes.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
  };
}

/**
 * What `kafka-storage format` does, without its JVM: meta.properties names the cluster, and bootstrap.checkpoint,
 * the same for every cluster of a version, carries the feature levels.
 */
function format(broker: KafkaBroker, options: { version: KafkaVersion; clusterId: string }): void {
  mkdirSync(broker.dataDir, { recursive: true });
  const meta = {
    version: '1',
    'cluster.id': options.clusterId,
    'node.id': String(broker.id),
    'directory.id': newKafkaId(),
  };
  const lines = Object.entries(meta).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(join(broker.dataDir, 'meta.properties'), lines.join(''));
  const checkpoint = join(kafkaHome(options.version), 'format', 'bootstrap.checkpoint');
  copyFileSync(checkpoint, join(broker.dataDir, 'bootstrap.checkpoint'));
}

/** A random Kafka Uuid, 22 characters. Kafka avoids a leading dash, which its command-line tools would take for an option. */
function newKafkaId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}
