/** The client certificate of a connection, as far as the TLS layer has verified it. */
import type { ShownCertificate } from './caller.ts';

/** What of a TLS socket is looked at; another socket has none of it. */
interface TlsPeer {
  readonly authorized?: boolean;
  getPeerCertificate?(): { readonly subjectaltname?: string; readonly fingerprint256?: string };
}

/**
 * Null without TLS, without a certificate, and with one of an authority that is not trusted, expired, or not made for clients:
 * `authorized` says all of that. Who somebody is stands in the alternative names; the subject is for people to read.
 */
export function shownCertificate(socket: object): ShownCertificate | null {
  const peer: TlsPeer = socket;
  if (peer.authorized !== true || !peer.getPeerCertificate) return null;
  const { subjectaltname, fingerprint256 } = peer.getPeerCertificate();
  const fingerprint = fingerprint256?.replaceAll(':', '').toLowerCase();
  if (fingerprint === undefined || subjectaltname === undefined) return null;
  return { fingerprint, subjects: alternativeNames(subjectaltname) };
}

/** Node writes a value with a comma, a quote or a control character in it as a JSON string (CVE-2021-44532). */
export function alternativeNames(text: string): string[] {
  const names: string[] = [];
  for (const match of text.matchAll(/(?:^|, )(DNS|URI|email):("(?:[^"\\]|\\.)*"|[^,"]*)/g)) {
    const [, kind = '', value = ''] = match;
    names.push(`${kind}:${value.startsWith('"') ? (JSON.parse(value) as string) : value}`);
  }
  return names;
}
