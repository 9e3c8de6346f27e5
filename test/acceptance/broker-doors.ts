/** Clusters of one broker with more doors than the usual one: a TLS listener, and one that a proxy stands before. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '#testing/free-ports.ts';
import type { ClusterOptions } from '#testing/kafka-cluster.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { AlteringProxy } from './altering-proxy.ts';

export class BrokerDoors {
  /** Chosen when the cluster starts. */
  controllerPort = 0;
  tlsPort = 0;
  #proxyPort = 0;
  #proxiedPort = 0;
  readonly #properties: Record<string, string> = {};

  /** For sharedClusters. */
  readonly options: ClusterOptions = {
    properties: this.#properties,
    findPorts: async (count) => {
      const ports = await freePorts(count + 3);
      this.#choose(ports.slice(count), must(ports[0], 'broker port'), must(ports[1], 'controller port'));
      return ports.slice(0, count);
    },
  };

  /** Starts the proxy whose address the broker advertises to whoever comes through it. */
  proxy(): Promise<AlteringProxy> {
    return AlteringProxy.listen(this.#proxyPort, this.#proxiedPort);
  }

  #choose([tls, proxy, proxied]: readonly number[], broker: number, controller: number): void {
    this.controllerPort = controller;
    this.tlsPort = must(tls, 'TLS port');
    this.#proxyPort = must(proxy, 'proxy port');
    this.#proxiedPort = must(proxied, 'proxied port');
    const plain = `PLAINTEXT://127.0.0.1:${broker},TLS://127.0.0.1:${tls}`;
    Object.assign(this.#properties, {
      listeners: `${plain},PROXIED://127.0.0.1:${proxied},CONTROLLER://127.0.0.1:${controller}`,
      'advertised.listeners': `${plain},PROXIED://127.0.0.1:${proxy}`,
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,TLS:SSL',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': selfSigned(),
    });
  }
}

/** A file with a new key and its certificate. */
function selfSigned(): string {
  const directory = temporaryDirectory('tls');
  const [key, certificate, store] = ['key.pem', 'certificate.pem', 'store.pem'].map((name) => join(directory, name));
  const subject = ['-subj', '/CN=127.0.0.1', '-days', '2'];
  const files = ['-keyout', must(key, 'key'), '-out', must(certificate, 'certificate')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files], { stdio: 'ignore' });
  writeFileSync(must(store, 'store'), [key, certificate].map((path) => readFileSync(must(path, 'file'))).join(''));
  return must(store, 'store');
}
