/** Why two sides did not come to an encrypted connection, told from the codes of OpenSSL and Node. */
import { X509Certificate } from 'node:crypto';

const UNKNOWN_AUTHORITY = 'its certificate is of an authority that is not trusted here; "ca" must hold that authority';
const KEY_UNREADABLE =
  'our key cannot be read: it is no PEM key, or "keyPassword" is not the password that it is encrypted with';
const NO_CLIENT_CERTIFICATE = 'it wants a client certificate; give "certificate" and "key"';
const EXPIRED = 'our certificate has expired';
const NOTHING_COMMON = 'there is no version of TLS or cipher that both sides accept';
const NOT_TLS = 'what it answers is not TLS: it is a listener without encryption, or something else than Kafka';

const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; compare the clocks',
  CERT_REVOKED: 'its certificate has been revoked',
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself and not trusted here; "ca" must hold it',
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  INVALID_PURPOSE: 'its certificate is not meant for servers',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'our key does not fit our certificate',
  ERR_OSSL_BAD_DECRYPT: KEY_UNREADABLE,
  ERR_OSSL_UNSUPPORTED: KEY_UNREADABLE,
  ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED: KEY_UNREADABLE,
  ERR_OSSL_PEM_NO_START_LINE: 'our certificate or key is no PEM text',
  ERR_OSSL_PEM_BAD_END_LINE: 'our certificate or key is no whole PEM text',
  ERR_OSSL_PEM_BAD_BASE64_DECODE: 'our certificate or key is no whole PEM text',
  ERR_SSL_UNSUPPORTED_PROTOCOL: NOTHING_COMMON,
  ERR_SSL_NO_SHARED_CIPHER: NOTHING_COMMON,
  ERR_SSL_WRONG_VERSION_NUMBER: NOT_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NOT_TLS,
};

/** What the other side says to us (RFC 8446 6.2). OpenSSL puts the version before it: SSLV3_, TLSV1_, TLSV13_, SSL/TLS_. */
const ALERTS: Readonly<Record<string, string>> = {
  BAD_CERTIFICATE: 'it refuses our certificate, or wants a client certificate and was given none',
  CERTIFICATE_EXPIRED: EXPIRED,
  CERTIFICATE_REQUIRED: NO_CLIENT_CERTIFICATE,
  CERTIFICATE_REVOKED: 'our certificate has been revoked',
  CERTIFICATE_UNKNOWN: 'it does not trust our certificate',
  HANDSHAKE_FAILURE: NOTHING_COMMON,
  INSUFFICIENT_SECURITY: NOTHING_COMMON,
  PROTOCOL_VERSION: NOTHING_COMMON,
  UNKNOWN_CA: 'it does not trust the authority of our certificate',
  UNSUPPORTED_CERTIFICATE: 'it does not take certificates of the kind that ours is',
};

/** The certificate (chain) that we showed, PEM, and the wall time. */
export interface Shown {
  readonly certificate: string;
  readonly nowMs: number;
}

/**
 * What `error` says about TLS, with its code; null when it is about something else. Certificates and keys are never in it.
 * `hasServerName`: whether there is a key that says which name the certificate must carry. `shown`: null or left out
 * where we showed none.
 */
export function tlsProblemOf(
  error: Error,
  { hasServerName = true, shown = null }: { readonly hasServerName?: boolean; readonly shown?: Shown | null } = {},
): string | null {
  const { code } = error as { code?: string };
  if (code === undefined) return null;
  // What a Java broker answers whatever is wrong with a certificate (sun.security.ssl.CertificateMessage).
  const untimely = shown !== null && code.endsWith('_ALERT_CERTIFICATE_UNKNOWN') ? untimelinessOf(shown) : null;
  if (untimely !== null) return `${untimely} (${code})`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `${otherHost(error, hasServerName)} (${code})`;
  const known = PROBLEMS[code] ?? ALERTS[/^ERR_SSL_.*_ALERT_([A-Z_]+)$/.exec(code)?.[1] ?? ''];
  if (known !== undefined) return `${known} (${code})`;
  return /^ERR_(?:SSL|OSSL|TLS)_/.test(code) ? `the TLS handshake failed (${code})` : null;
}

/** Of the first certificate, which is ours; null where its time is right, or it cannot be read. */
function untimelinessOf({ certificate, nowMs }: Shown): string | null {
  try {
    const { validFrom, validTo } = new X509Certificate(certificate);
    if (Date.parse(validTo) < nowMs) return EXPIRED;
    return Date.parse(validFrom) > nowMs ? 'our certificate is not valid yet; compare the clocks' : null;
  } catch {
    return null;
  }
}

function otherHost(error: Error, hasServerName: boolean): string {
  const names = (error as { cert?: { subjectaltname?: string } }).cert?.subjectaltname;
  const whose = typeof names === 'string' ? `is for ${names.slice(0, 200)}` : 'names no host';
  const advice = hasServerName ? '; "serverName" says which name it must carry' : '';
  return `its certificate ${whose}, not for the host that was asked${advice}`;
}
