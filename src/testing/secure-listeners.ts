/** What a test cluster with TLS, SASL and ACLs has besides the plain listener: listeners, an authority, users. */
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '#util/assert.ts';
import { concatenate, Pki } from './pki.ts';
import type { Certificate } from './pki.ts';

export interface SecureOptions {
  /** Name → password, for PLAIN and both SCRAM mechanisms. A name or a password with a quotation mark is not meant. */
  readonly users?: Readonly<Record<string, string>>;
  /** StandardAuthorizer, which lets in only who has an ACL. Default: true. */
  readonly authorizer?: boolean;
  /** connections.max.reauth.ms. Default: none. */
  readonly reauthMs?: number;
  /** Who signs the tokens of OAUTHBEARER. Its key set must be reachable when a broker starts. */
  readonly oauth?: { readonly jwksUrl: string; readonly issuer: string; readonly audience: string };
}

/** Bootstrap lists, one per listener. */
export interface Doors {
  /** TLS; clients are ANONYMOUS, who may do everything here: no place for tests of refusal. */
  readonly ssl: readonly string[];
  /** TLS with a client certificate, whose common name is the user. */
  readonly mtls: readonly string[];
  readonly saslSsl: readonly string[];
  readonly saslPlaintext: readonly string[];
}

const listeners = [
  { name: 'SSL', protocol: 'SSL', door: 'ssl' },
  { name: 'MTLS', protocol: 'SSL', door: 'mtls' },
  { name: 'SASL_SSL', protocol: 'SASL_SSL', door: 'saslSsl' },
  { name: 'SASL_PLAINTEXT', protocol: 'SASL_PLAINTEXT', door: 'saslPlaintext' },
] as const;

/** Ports that a node needs for its secure listeners. */
export const securePortsPerNode = listeners.length;
export const noDoors: Doors = { ssl: [], mtls: [], saslSsl: [], saslPlaintext: [] };

/** The parts of `listeners`, `advertised.listeners` and `listener.security.protocol.map` of a node with these ports. */
export function secureListeners(ports: readonly number[]): { addresses: string[]; protocols: string[] } {
  return {
    addresses: listeners.map(({ name }, i) => `${name}://127.0.0.1:${must(ports[i], 'port of a secure listener')}`),
    protocols: listeners.map(({ name, protocol }) => `${name}:${protocol}`),
  };
}

/** Per node the ports of its secure listeners. */
export function doorsOf(ports: readonly (readonly number[])[]): Doors {
  const door = (index: number): string[] => ports.map((ofNode) => `127.0.0.1:${must(ofNode[index], 'port')}`);
  return Object.fromEntries(listeners.map((listener, i) => [listener.door, door(i)])) as unknown as Doors;
}

const modules = 'org.apache.kafka.common.security';
const scram = ['scram-sha-256', 'scram-sha-512'];

/** The files behind the secure listeners of one cluster. */
export class SecureFiles {
  readonly pki: Pki;
  readonly #directory: string;
  readonly #options: SecureOptions;
  readonly #users: Record<string, string>;

  constructor(directory: string, options: SecureOptions) {
    mkdirSync(directory, { recursive: true });
    this.#directory = directory;
    this.#options = options;
    this.pki = new Pki(join(directory, 'pki'));
    this.trustClientsOf([this.pki.caFile]);
    this.#users = { ...options.users };
    this.#writeUsers();
  }

  /** Changes what PLAIN accepts, at once; null takes the user away. */
  setPlainUser(name: string, password: string | null): void {
    if (password === null) delete this.#users[name];
    else this.#users[name] = password;
    this.#writeUsers();
  }

  /** What the broker reads at its next start, or when it is told to read again. */
  installCertificate(broker: number, certificate: Certificate): void {
    copyFileSync(certificate.storeFile, this.#keystore(broker));
  }

  /** As above, for all brokers. */
  trustClientsOf(caFiles: readonly string[]): void {
    concatenate(this.#truststore(), caFiles);
  }

  /** Properties of a broker, which gets its certificate here. */
  properties(broker: number): Record<string, string> {
    this.installCertificate(broker, this.pki.issue({ commonName: 'broker' }));
    const { authorizer = true, reauthMs, oauth } = this.#options;
    const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', ...(oauth ? ['OAUTHBEARER'] : [])];
    return {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': this.#keystore(broker),
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': this.#truststore(),
      'listener.name.mtls.ssl.client.auth': 'required',
      'ssl.principal.mapping.rules': 'RULE:^CN=([^,]+).*$/$1/',
      'sasl.enabled.mechanisms': mechanisms.join(','),
      ...this.#saslOf('sasl_ssl'),
      ...this.#saslOf('sasl_plaintext'),
      ...this.#saslOf('proxied'),
      ...(oauth && {
        'sasl.oauthbearer.jwks.endpoint.url': oauth.jwksUrl,
        'sasl.oauthbearer.expected.issuer': oauth.issuer,
        'sasl.oauthbearer.expected.audience': oauth.audience,
      }),
      ...(reauthMs !== undefined && { 'connections.max.reauth.ms': String(reauthMs) }),
      ...(authorizer && {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'allow.everyone.if.no.acl.found': 'false',
      }),
      // The plain listener, the brokers among themselves, and the admin tool.
      'super.users': 'User:ANONYMOUS',
    };
  }

  /** From 4.0 on a JVM fetches keys and tokens only from addresses that it was told to allow (CVE-2025-27817). */
  jvmFlags(): string[] {
    const { oauth } = this.#options;
    return oauth ? [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${oauth.jwksUrl}`] : [];
  }

  /**
   * What makes a running broker read its files again: the place that it has already, said once more for one broker and
   * one listener (DynamicBrokerConfig.reloadUpdatedFilesWithoutConfigChange).
   */
  reloadOf(broker: number, store: 'keystore' | 'truststore'): Record<string, string> {
    const [names, file] =
      store === 'keystore' ? [['ssl', 'mtls', 'sasl_ssl'], this.#keystore(broker)] : [['mtls'], this.#truststore()];
    return Object.fromEntries(names.map((name) => [`listener.name.${name}.ssl.${store}.location`, file]));
  }

  #keystore(broker: number): string {
    return join(this.#directory, `broker-${broker}.pem`);
  }

  #truststore(): string {
    return join(this.#directory, 'trust.pem');
  }

  #saslOf(listener: string): Record<string, string> {
    const prefix = `listener.name.${listener}`;
    const file = join(this.#directory, 'users.json');
    const jaas = (mechanism: string, module: string): [string, string] => [
      `${prefix}.${mechanism}.sasl.jaas.config`,
      `${modules}.${module} required`,
    ];
    const [plainKey, plainModule] = jaas('plain', 'plain.PlainLoginModule');
    const properties: Record<string, string> = {
      [plainKey]: `${plainModule} file="${file}";`,
      [`${prefix}.plain.sasl.server.callback.handler.class`]: 'PlainUsers',
    };
    for (const mechanism of scram) {
      const [key, module] = jaas(mechanism, 'scram.ScramLoginModule');
      properties[key] = `${module};`;
    }
    if (!this.#options.oauth) return properties;
    const [key, module] = jaas('oauthbearer', 'oauthbearer.OAuthBearerLoginModule');
    return {
      ...properties,
      [key]: `${module};`,
      [`${prefix}.oauthbearer.sasl.server.callback.handler.class`]: `${modules}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
    };
  }

  /** Renamed into place: a broker may read it at any moment. */
  #writeUsers(): void {
    const file = join(this.#directory, 'users.json');
    writeFileSync(`${file}.new`, JSON.stringify(this.#users));
    renameSync(`${file}.new`, file);
  }
}
