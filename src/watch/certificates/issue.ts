/**
 * Makes an authority, and certificates that it signs, for servers and clients of one's own. ECDSA with P-256 and SHA-256.
 * The names are written as values of their own, never as text that is parsed: nothing in them can become another attribute.
 */
import 'reflect-metadata'; // the library needs it, loaded before
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { Clock } from '#util/clock.ts';
import { parseIp } from '#util/ip-address.ts';

export interface KeyPair {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export interface IssueOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly days: number;
}

const KEYS = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Clocks of others may be slow. */
const SKEW_MS = 5 * 60_000;

export async function createAuthority(
  names: { readonly commonName: string; readonly organisation: string },
  options: IssueOptions,
): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(KEYS, true, ['sign', 'verify']);
  const usage = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [names.commonName] }, { O: [names.organisation] }],
    ...validity(options),
    signingAlgorithm: SIGNATURE,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usage, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
}

/** `hosts`: names and addresses of a server; none for a client. The authority's own names and key are those of its files. */
export async function issueCertificate(
  authority: KeyPair,
  subject: { readonly commonName: string; readonly organisation: string; readonly hosts: readonly string[] },
  options: IssueOptions,
): Promise<KeyPair> {
  const { commonName, organisation, hosts } = subject;
  const issuer = new x509.X509Certificate(authority.certificate);
  const der = x509.PemConverter.decodeFirst(authority.key);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, KEYS, false, ['sign']);
  const keys = await webcrypto.subtle.generateKey(KEYS, true, ['sign', 'verify']);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [commonName] }, { O: [organisation] }],
    issuer: issuer.subjectName,
    ...validity(options),
    signingAlgorithm: SIGNATURE,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([hosts.length > 0 ? serverAuth : clientAuth]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(hosts.length > 0 ? [new x509.SubjectAlternativeNameExtension(hosts.map(alternativeName))] : []),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
}

function alternativeName(host: string): x509.JsonGeneralName {
  return { type: parseIp(host) === null ? 'dns' : 'ip', value: host };
}

function validity({ clock, days }: IssueOptions): { notBefore: Date; notAfter: Date } {
  const now = clock.now();
  return { notBefore: new Date(now - SKEW_MS), notAfter: new Date(now + days * DAY_MS) };
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`;
}
