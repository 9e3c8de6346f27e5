/** Real Apache Kafka clusters on this machine, from the jars that scripts/setup.ts has fetched. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { assert, must } from '#util/assert.ts';
import { FaultProxy } from './fault-proxy.ts';
import { freePorts } from './free-ports.ts';
import { compileJavaTools } from './java.ts';
import { BrokerStartError, KafkaBroker } from './kafka-broker.ts';
import { kafkaHome } from './kafka-home.ts';
import type { JvmProfile, KafkaVersion } from './kafka-home.ts';
import type { Certificate, Pki } from './pki.ts';
import { doorsOf, noDoors, secureListeners, SecureFiles, securePortsPerNode } from './secure-listeners.ts';
import type { Doors, SecureOptions } from './secure-listeners.ts';
import { keepRunDirectory, removeDirectory, temporaryDirectory } from './supervisor.ts';
import { runAdmin } from './topic-admin.ts';

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
  /** Adds listeners with TLS and SASL, users and ACLs. The plain one stays, as the door of the administrator. */
  readonly secure?: SecureOptions;
  /**
   * Puts a fault proxy before each broker, and a listener that advertises it: whoever comes that way stays there. With
   * `secure` that listener asks for a login, without TLS, so that the proxy can read the frames.
   */
  readonly proxied?: boolean;
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
  /** The secure listeners; empty lists without the option. */
  readonly doors: Doors;
  readonly #secure: SecureFiles | null;
  /** One per broker, in the order of `brokers`; none without the option. */
  readonly proxies: readonly FaultProxy[];
  /** host:port of every proxy. */
  readonly proxiedBootstrap: readonly string[];
  #isKept = process.env['LOCKSTEP_KEEP'] === '1';

  constructor(options: {
    clusterId: string;
    version: KafkaVersion;
    brokers: readonly KafkaBroker[];
    directory: string;
    proxies: readonly FaultProxy[];
    doors: Doors;
    secure: SecureFiles | null;
  }) {
    this.doors = options.doors;
    this.#secure = options.secure;
    this.clusterId = options.clusterId;
    this.version = options.version;
    this.brokers = options.brokers;
    this.directory = options.directory;
    this.bootstrap = options.brokers.map((broker) => `127.0.0.1:${broker.port}`);
    this.proxies = options.proxies;
    this.proxiedBootstrap = options.proxies.map((proxy) => proxy.address);
  }

  /** The authority that the brokers' certificates are from, and that the listener with client certificates trusts. */
  get pki(): Pki {
    return this.#secureFiles().pki;
  }

  /** Adds a user or changes the password, for PLAIN and SCRAM; null takes the user away. Sessions that stand go on. */
  async setUser(name: string, password: string | null): Promise<void> {
    this.#secureFiles().setPlainUser(name, password);
    await runAdmin(this.bootstrap, [{ setScram: { [name]: password } }]);
  }

  /**
   * The brokers show this certificate to new connections from now on, without a restart. Kafka accepts only one with
   * the subject and names of the one before (SslFactory.CertificateEntries); any other: installCertificate.
   */
  async useCertificate(certificate: Certificate): Promise<void> {
    for (const { id } of this.brokers) this.#secureFiles().installCertificate(id, certificate);
    await this.#reload('keystore');
  }

  /** The broker shows this certificate after its next start. */
  installCertificate(broker: KafkaBroker, certificate: Certificate): void {
    this.#secureFiles().installCertificate(broker.id, certificate);
  }

  /** Client certificates must be from one of these authorities (PEM files) from now on, without a restart. */
  async trustClientsOf(caFiles: readonly string[]): Promise<void> {
    this.#secureFiles().trustClientsOf(caFiles);
    await this.#reload('truststore');
  }

  async #reload(store: 'keystore' | 'truststore'): Promise<void> {
    const files = this.#secureFiles();
    await runAdmin(
      this.bootstrap,
      this.brokers.map(({ id }) => ({ setBrokerConfigs: files.reloadOf(id, store), broker: id })),
    );
  }

  #secureFiles(): SecureFiles {
    assert(this.#secure !== null, 'the cluster was started with the option secure');
    return this.#secure;
  }

  /** Makes stop() leave data and logs where they are and print the place. */
  keep(): void {
    this.#isKept = true;
  }

  /** Kills every broker and removes the data. A graceful end would cost seconds and prove nothing. */
  async stop(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
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
      await Promise.all(cluster.proxies.map((proxy) => proxy.up()));
      await Promise.all(cluster.brokers.map((broker) => broker.start(ids)));
      const users = options.secure?.users ?? {};
      if (Object.keys(users).length > 0) await runAdmin(cluster.bootstrap, [{ setScram: users }]);
      return cluster;
    } catch (error) {
      const again = isPortTaken(error) && attempt < startAttemptsMax;
      if (!again) {
        process.stderr.write(`${cluster.logs()}\n`);
        cluster.keep();
      }
      await cluster.stop();
      if (!again) throw error;
    }
  }
}

function isPortTaken(error: unknown): boolean {
  if (error instanceof BrokerStartError) return error.portTaken;
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'; // of a proxy
}

/** A formatted cluster, not yet started. */
async function prepareCluster(options: ClusterOptions): Promise<KafkaCluster> {
  const { version = '4.3.1', brokers: count = 1, name = 'kafka', profile = 'fast' } = options;
  const heapMb = options.heapMb ?? (profile === 'fast' ? 256 : 1024);
  const clusterId = newKafkaId();
  const directory = temporaryDirectory(name);
  const secure = options.secure ? new SecureFiles(join(directory, 'secure'), options.secure) : null;
  const portsPerSecure = secure ? securePortsPerNode : 0;
  const ports = await (options.findPorts ?? freePorts)(
    (2 + portsPerSecure) * count + (options.proxied ? 2 * count : 0),
  );
  const securePorts = Array.from({ length: count }, (_, i) => {
    const first = 2 * count + i * portsPerSecure;
    return ports.slice(first, first + portsPerSecure);
  });
  const proxyPorts = options.proxied ? ports.slice(-2 * count) : [];
  const nodes = ports.slice(0, count).map((port, i) => ({ id: i + 1, port, controllerPort: ports[count + i] }));
  const voters = nodes.map((node) => `${node.id}@127.0.0.1:${node.controllerPort}`).join(',');
  const classPath = secure ? [await compileJavaTools()] : []; // PlainUsers
  const proxies = proxyPorts.slice(0, count).map((port, i) => {
    return new FaultProxy({ port, brokerPort: must(proxyPorts[count + i], 'proxied port'), seed: i + 1 });
  });
  const brokers = nodes.map((node, i) => {
    const home = join(directory, `broker-${node.id}`);
    const more = secure ? secureListeners(securePorts[i] ?? []) : { addresses: [], protocols: [] };
    const clientAddresses = [`PLAINTEXT://127.0.0.1:${node.port}`, ...more.addresses].join(',');
    const broker = new KafkaBroker({
      version,
      id: node.id,
      port: node.port,
      directory: home,
      profile,
      heapMb,
      jvm: [...(secure?.jvmFlags() ?? []), ...(options.jvm ?? [])],
      classPath,
      properties: behindProxy(
        { proxy: proxies[node.id - 1], isSecure: secure !== null },
        {
          'process.roles': 'broker,controller',
          'node.id': String(node.id),
          'controller.quorum.voters': voters,
          listeners: `${clientAddresses},CONTROLLER://127.0.0.1:${node.controllerPort}`,
          'advertised.listeners': clientAddresses,
          'controller.listener.names': 'CONTROLLER',
          'listener.security.protocol.map': ['CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT', ...more.protocols].join(','),
          'log.dirs': join(home, 'data'),
          ...sharedProperties(count),
          ...secure?.properties(node.id),
          ...options.properties,
        },
      ),
    });
    format(broker, { version, clusterId });
    return broker;
  });
  const doors = secure ? doorsOf(securePorts) : noDoors;
  return new KafkaCluster({ clusterId, version, brokers, directory, proxies, doors, secure });
}

/** Adds a listener that advertises the proxy. */
function behindProxy(
  { proxy, isSecure }: { readonly proxy: FaultProxy | undefined; readonly isSecure: boolean },
  properties: Readonly<Record<string, string>>,
): Record<string, string> {
  if (proxy === undefined) return properties;
  const addresses: Record<string, string> = {
    listeners: `PROXIED://127.0.0.1:${proxy.brokerPort}`,
    'advertised.listeners': `PROXIED://${proxy.address}`,
    'listener.security.protocol.map': `PROXIED:${isSecure ? 'SASL_PLAINTEXT' : 'PLAINTEXT'}`,
  };
  const added = Object.entries(addresses).map(([name, value]) => [name, `${properties[name]},${value}`] as const);
  return { ...properties, ...Object.fromEntries(added) };
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
