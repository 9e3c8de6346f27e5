/** What certificates say, and whether they will do. PEM in, words out; nothing is asked of anybody. */
import { createPrivateKey, X509Certificate } from 'node:crypto';

export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** Names and addresses. */
  readonly hosts: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isAuthority: boolean;
  readonly isForServers: boolean;
  readonly isForClients: boolean;
  readonly fingerprint: string;
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Every certificate of a PEM text; null where one of them is none, or where there is none. */
export function parseCertificates(pem: string): X509Certificate[] | null {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.length === 0 ? null : blocks.map((block) => new X509Certificate(block));
  } catch {
    return null; // not even a certificate: the caller says which file it stands in
  }
}

export function factsOf(certificate: X509Certificate): CertificateFacts {
  // Without the extension a certificate serves for everything (RFC 5280, 4.2.1.12).
  const uses: readonly string[] | undefined = certificate.keyUsage;
  const names = certificate.subjectAltName?.split(', ') ?? [];
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    hosts: names.map((name) => name.replace(/^(?:DNS|IP Address):/, '')),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    isAuthority: certificate.ca,
    isForServers: uses === undefined || uses.includes(SERVER_AUTH),
    isForClients: uses === undefined || uses.includes(CLIENT_AUTH),
    fingerprint: certificate.fingerprint256,
  };
}

/** What speaks against a chain, the own certificate first, with its key, as that of a server or a client; empty: nothing. */
export function problemsOf(
  pair: { readonly certificate: string; readonly key: string; readonly ca: string | null },
  { purpose, now }: { readonly purpose: 'server' | 'client'; readonly now: number },
): string[] {
  const chain = parseCertificates(pair.certificate);
  const [own] = chain ?? [];
  if (!chain || !own) return ['the certificate file holds no certificate in PEM'];
  const problems: string[] = [];
  const key = privateKeyOf(pair.key);
  if (key === null) problems.push('the key file holds no private key in PEM that can be read without a password');
  else if (!own.checkPrivateKey(key)) problems.push('the key is not that of the certificate');
  const { notBefore, notAfter, isForServers, isForClients, hosts } = factsOf(own);
  if (now < notBefore) problems.push(`the certificate holds only from ${dayOf(notBefore)} on`);
  if (now >= notAfter) problems.push(`the certificate ended on ${dayOf(notAfter)}`);
  if (purpose === 'server' && !isForServers) problems.push('the certificate is not one for servers (extendedKeyUsage)');
  if (purpose === 'client' && !isForClients) problems.push('the certificate is not one for clients (extendedKeyUsage)');
  if (purpose === 'server' && hosts.length === 0)
    problems.push('the certificate names no host (subjectAltName); nobody would believe it');
  return [...problems, ...chainProblems(chain, pair.ca, now)];
}

/** Each certificate is signed by the next, and the last by one of the authorities. */
function chainProblems(chain: readonly X509Certificate[], ca: string | null, now: number): string[] {
  const problems: string[] = [];
  for (const [index, certificate] of chain.entries()) {
    const next = chain[index + 1];
    if (next && !isSignedBy(certificate, next))
      problems.push(`the certificate ${index + 1} of the chain is not signed by the one behind it`);
  }
  if (ca === null) return problems;
  const authorities = parseCertificates(ca);
  if (!authorities) return [...problems, 'the authority file holds no certificate in PEM'];
  const last = chain.at(-1);
  const signer = authorities.find(
    (each) => last && (isSignedBy(last, each) || last.fingerprint256 === each.fingerprint256),
  );
  if (!signer) problems.push('the certificate is not signed by the authority');
  else if (now >= signer.validToDate.getTime())
    problems.push(`the authority ended on ${dayOf(signer.validToDate.getTime())}`);
  return problems;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function privateKeyOf(pem: string): ReturnType<typeof createPrivateKey> | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null; // no key, or one with a password: what Node says of it may quote the text
  }
}

export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
