/** The brokers of the source move to other ports, or their listener to TLS, while a mirror reads from them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import type { Incident } from '#contract/status.ts';
import { readBrokerIds } from '#testing/broker-ready.ts';
import { FaultProxy } from '#testing/fault-proxy.ts';
import { freePorts } from '#testing/free-ports.ts';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { linkText } from '../acceptance/link-file.ts';
import { fault } from './fault.ts';
import { clusterPair, startMirror, waitsForStart } from './mirror-under-test.ts';

const pair = clusterPair({ source: { brokers: 3, proxied: true }, target: {} });
const PASSWORD = 'of the mirror';
const secure = { users: { mirror: PASSWORD }, authorizer: false };
const withLogins = clusterPair({ source: { secure }, target: {} });

/** The listener that the mirror uses is bound to `port` and advertises it from the next start on. */
function move(broker: KafkaBroker, port: number): void {
  const moved = (name: string): string =>
    broker.property(name).replace(/PROXIED:\/\/[^,]+/, `PROXIED://127.0.0.1:${port}`);
  broker.configure({ listeners: moved('listeners'), 'advertised.listeners': moved('advertised.listeners') });
}

/** The one address that stays, as a load balancer has it: leads to whatever port its broker has now. */
class Front {
  readonly #port: number;
  #proxy: FaultProxy | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async leadTo(brokerPort: number): Promise<void> {
    await this.#proxy?.close();
    this.#proxy = new FaultProxy({ port: this.#port, brokerPort });
    await this.#proxy.up();
  }

  async close(): Promise<void> {
    await this.#proxy?.close();
  }
}

fault(
  {
    id: 'listeners-moved',
    title:
      'every broker of the source moves to another port, one by one, then all at once; one bootstrap address stays',
    timeoutMs: 300_000,
  },
  async (run) => {
    const clusters = await pair();
    const { brokers, proxies } = clusters.source;
    const [frontPort = 0, ...ports] = await freePorts(1 + 2 * brokers.length);
    const front = new Front(frontPort);
    afterAll(() => front.close());
    await front.leadTo(must(proxies[0], 'proxy').brokerPort);
    const mirror = await startMirror(run, clusters, {
      name: run.id,
      partitions: brokers.length, // else one of them may lead none
      recordsPerSecond: 60,
      link: { source: [front.address] },
    });
    const copiedFrom = proxies.map(({ accepted }) => accepted);
    for (const accepted of copiedFrom) expect(accepted, 'the mirror reads at each address').toBeGreaterThan(0);

    const ids = brokers.map(({ id }) => id);
    for (const [i, broker] of brokers.entries()) {
      const port = must(ports[i], 'port');
      await broker.stop();
      await must(proxies[i], 'proxy').down();
      move(broker, port);
      await broker.start(ids);
      if (i === 0) await front.leadTo(port);
    }
    const onesMs = await mirror.advances('each broker has another port');

    await Promise.all(brokers.map((broker) => broker.kill()));
    for (const [i, broker] of brokers.entries()) move(broker, must(ports[brokers.length + i], 'port'));
    await Promise.all(brokers.map((broker) => broker.start(ids)));
    await front.leadTo(must(ports[brokers.length], 'port'));
    const allMs = await mirror.advances('no address that the mirror knew is there any more, but one', {
      timeoutMs: 120_000,
    });
    const former = [...proxies.map(({ address }) => Number(address.split(':')[1])), ...ports.slice(0, brokers.length)];
    for (const port of former) await expect(readBrokerIds(port, 1_000), `port ${port}`).rejects.toThrow('ECONNREFUSED');
    run.tookEffect(
      `3 addresses advertised at first, then 3 others, then again 3 others: ${ports.join(', ')}; nobody listens at the first six`,
    );
    run.figure('on again after the last of three moved, in s', onesMs / 1_000);
    run.figure('on again after all moved at once, in s', allMs / 1_000);
    await mirror.expectIdenticalAfterwards({ mayWait: waitsForStart('source') });
  },
);

fault(
  {
    id: 'listener-turned-to-tls',
    title:
      'the listener of the source that a mirror reads from asks for TLS after a restart; then the file says so too',
    timeoutMs: 300_000,
  },
  async (run) => {
    const clusters = await withLogins();
    const { doors, pki, brokers } = clusters.source;
    const file = join(temporaryDirectory('listeners'), 'password');
    writeFileSync(file, PASSWORD);
    const login = { mechanism: 'SCRAM-SHA-512', username: 'mirror', password: { file } };
    const sourceSecurity = { protocol: 'SASL_PLAINTEXT', ...login };
    const link = { source: doors.saslPlaintext, sourceSecurity };
    const mirror = await startMirror(run, clusters, { name: run.id, partitions: 2, recordsPerSecond: 60, link });

    const broker = must(brokers[0], 'broker');
    const swapped = (name: string): string =>
      broker
        .property(name)
        .replaceAll(
          /SASL_(PLAINTEXT|SSL):\/\//g,
          (_, protocol) => `SASL_${protocol === 'SSL' ? 'PLAINTEXT' : 'SSL'}://`,
        );
    await broker.restart({
      properties: { listeners: swapped('listeners'), 'advertised.listeners': swapped('advertised.listeners') },
    });
    const { process } = mirror;
    const told = (): readonly Incident[] => process.outages.filter(({ code }) => code !== 'CLUSTER_UNREACHABLE');
    await mirror.until(() => told().length > 0, 'it says so', 120_000);
    const [incident] = told();
    expect(incident, incident?.cause).toMatchObject({ code: 'CLUSTER_NOT_KAFKA', endsByItself: true });
    expect(incident?.cause).toContain('they look like TLS; the listener expects an encrypted connection');
    const { events, stderr } = await process.interrupt();
    expect(`${JSON.stringify(events)}${stderr}`).not.toContain(PASSWORD);
    run.expects(process.outages.map(({ code }) => code));
    run.tookEffect('the port speaks TLS: CLUSTER_NOT_KAFKA, the listener expects an encrypted connection');
    run.outcome(`it said so: ${process.outages.map(({ code }) => code).join(', ')}`);
    const encrypted = { protocol: 'SASL_SSL', ...login, ca: { file: pki.caFile } };
    const { bootstrap } = clusters.target;
    const mirrors = { [run.id]: { topics: mirror.topics.map((match) => ({ match })) } };
    writeFileSync(mirror.file, linkText({ ...link, target: bootstrap, sourceSecurity: encrypted, mirrors }));
    mirror.startAgain();
    const isCopying = (): boolean =>
      mirror.shards().length === 4 && mirror.shards().every(({ state }) => state === 'copying');
    await mirror.until(isCopying, 'it copies by the new file', 90_000);
    await mirror.advances('the file says that the listener speaks TLS');
    await mirror.expectIdenticalAfterwards();
  },
);
