/** Certificate authorities made on the fly, and what they sign. Keys by node:crypto, certificates by openssl. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CertificateOptions {
  readonly commonName: string;
  /** Names and addresses (subjectAltName). Default: localhost and 127.0.0.1. */
  readonly hosts?: readonly string[];
  /** From `notBefore` on. Default: 2. */
  readonly days?: number;
  /** Default: an hour ago. */
  readonly notBefore?: Date;
  /** Goes before `days`. */
  readonly notAfter?: Date;
  /** Encrypts the key file. Such a store cannot be a broker's. */
  readonly keyPassword?: string;
}

/** PEM files. */
export interface Certificate {
  readonly certificateFile: string;
  /** PKCS#8. */
  readonly keyFile: string;
  /** Key, certificate and, unless it signed itself, its authority, in one file: what Kafka takes as a PEM keystore. */
  readonly storeFile: string;
}

const hourMs = 3_600_000;

export class Pki {
  readonly #directory: string;
  /** The authority's own certificate. */
  readonly caFile: string;
  readonly #caKeyFile: string;
  #issued = 0;

  /** A new authority, in a new folder `directory`. */
  constructor(directory: string, options: { commonName?: string } = {}) {
    mkdirSync(directory, { recursive: true });
    this.#directory = directory;
    const ca = selfSigned(join(directory, 'ca'), { commonName: options.commonName ?? 'Test CA', days: 30, hosts: [] });
    this.caFile = ca.certificateFile;
    this.#caKeyFile = ca.keyFile;
    // `x509 -req` cannot choose the first day before OpenSSL 3.4, `ca` can; it wants a database.
    writeFileSync(join(directory, 'index.txt'), '');
    writeFileSync(join(directory, 'index.txt.attr'), 'unique_subject = no\n');
    const settings = [
      '[ca]',
      'default_ca = main',
      '[main]',
      `database = ${join(directory, 'index.txt')}`,
      `new_certs_dir = ${directory}`,
      'default_md = sha256',
      'rand_serial = yes',
      'policy = any',
      '[any]',
      'commonName = supplied',
    ];
    writeFileSync(join(directory, 'ca.cnf'), `${settings.join('\n')}\n`);
  }

  /** A certificate for servers and clients alike, signed by this authority. */
  issue(options: CertificateOptions): Certificate {
    this.#issued += 1;
    const path = join(this.#directory, `${this.#issued}`);
    const keyFile = writeKey(path, options.keyPassword);
    const password = options.keyPassword === undefined ? [] : ['-passin', `pass:${options.keyPassword}`];
    const [request, certificateFile, extensions] = [`${path}.csr`, `${path}.crt`, `${path}.ext`];
    openssl(['req', '-new', '-key', keyFile, ...password, '-subj', `/CN=${options.commonName}`, '-out', request]);
    writeFileSync(extensions, extensionsOf(options));
    const from = options.notBefore ?? new Date(Date.now() - hourMs);
    const to = options.notAfter ?? new Date(from.getTime() + (options.days ?? 2) * 24 * hourMs);
    const dates = ['-startdate', asn1Time(from), '-enddate', asn1Time(to)];
    const signer = ['-config', join(this.#directory, 'ca.cnf'), '-cert', this.caFile, '-keyfile', this.#caKeyFile];
    const files = ['-in', request, '-out', certificateFile, '-extfile', extensions];
    openssl(['ca', '-batch', '-notext', ...signer, ...dates, ...files]);
    return { keyFile, certificateFile, storeFile: concatenate(`${path}.pem`, [keyFile, certificateFile, this.caFile]) };
  }
}

/** A certificate that no authority stands behind. `path` is the beginning of the names of its files. */
export function selfSigned(path: string, options: CertificateOptions): Certificate {
  const keyFile = writeKey(path);
  const certificateFile = `${path}.crt`;
  const names = alternativeNames(options);
  const extension = names === '' ? [] : ['-addext', names];
  const subject = ['-subj', `/CN=${options.commonName}`, '-days', String(options.days ?? 2)];
  openssl(['req', '-x509', '-key', keyFile, ...subject, ...extension, '-out', certificateFile]);
  return { keyFile, certificateFile, storeFile: concatenate(`${path}.pem`, [keyFile, certificateFile]) };
}

/** Writes several PEM files as one, such as a truststore with the old and the new authority. */
export function concatenate(path: string, files: readonly string[]): string {
  writeFileSync(path, files.map((file) => readFileSync(file, 'utf8')).join(''));
  return path;
}

function writeKey(path: string, passphrase?: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encryption = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  const file = `${path}.key`;
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }));
  return file;
}

function extensionsOf(options: CertificateOptions): string {
  return `extendedKeyUsage=serverAuth,clientAuth\n${alternativeNames(options)}\n`;
}

function alternativeNames({ hosts = ['localhost', '127.0.0.1'] }: CertificateOptions): string {
  if (hosts.length === 0) return '';
  const names = hosts.map((host) => (/^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`));
  return `subjectAltName=${names.join(',')}`;
}

/** YYYYMMDDHHMMSSZ. */
function asn1Time(date: Date): string {
  return `${date.toISOString().replaceAll(/\D/g, '').slice(0, 14)}Z`;
}

function openssl(args: readonly string[]): void {
  try {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    throw new Error(`openssl ${args[0]} failed: ${stderr?.toString().trim() ?? String(error)}`, { cause: error });
  }
}
