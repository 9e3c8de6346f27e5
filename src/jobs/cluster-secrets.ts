/**
 * Where the secrets of a cluster come from. Each is read anew whenever somebody connects or logs in again, so that what
 * was rotated in its file is used from then on; nothing is kept but tokens that are still good.
 */
import type { TlsOptions } from '#util/network.ts';
import type { ClusterSecurity } from '#contract/cluster-security.ts';
import { SecretError } from '#kafka/errors.ts';
import type { SaslCredentials, Security } from '#kafka/security.ts';
import { readPem, readSecret, type SecretHost } from './secret-host.ts';
import { createTokenSource, type TokenSource } from './token-source.ts';

/** For the wire; `onTrouble` hears of what does not end a connection yet, and `signal` ends requests for tokens. */
export function createSecurity(
  { protocol, tls, sasl }: ClusterSecurity,
  host: SecretHost,
  { onTrouble, signal }: { readonly onTrouble: (error: Error) => void; readonly signal: AbortSignal },
): Security | undefined {
  if (protocol === 'PLAINTEXT') return undefined;
  const tokens = sasl?.mechanism === 'OAUTHBEARER' ? createTokenSource(sasl.token, host, signal) : null;
  return {
    tls: tls && ((brokerHost) => readTls(tls, brokerHost, host)),
    sasl: sasl && {
      mechanism: sasl.mechanism,
      credentials: () => readCredentials(sasl, tokens, host),
      refused: () => tokens?.forget(),
      nonce: host.nonce,
      random: host.random,
      onTrouble,
    },
  };
}

async function readCredentials(
  sasl: NonNullable<ClusterSecurity['sasl']>,
  tokens: TokenSource | null,
  host: SecretHost,
): Promise<SaslCredentials> {
  if (tokens) return tokens.token();
  if (sasl.mechanism === 'OAUTHBEARER') throw new SecretError('OAUTHBEARER has a token source');
  return { username: sasl.username, password: readSecret(sasl.password, 'password', host) };
}

function readTls(tls: NonNullable<ClusterSecurity['tls']>, brokerHost: string, host: SecretHost): TlsOptions {
  const { ca, identity, serverName } = tls;
  return {
    serverName: serverName ?? brokerHost,
    ca: ca && readPem(ca, 'CERTIFICATE', { what: 'ca', host }),
    identity: identity && {
      certificate: readPem(identity.certificate, 'CERTIFICATE', { what: 'certificate', host }),
      key: readPem(identity.key, 'PRIVATE KEY', { what: 'key', host }),
      keyPassword: identity.keyPassword && readSecret(identity.keyPassword, 'keyPassword', host),
    },
  };
}
