/** What a connection needs to be encrypted and logged in, as the wire asks for it; where it comes from is others'. */
import type { TlsOptions } from '#util/network.ts';
import type { Random } from '#util/random.ts';

export interface Security {
  /**
   * Asked at each connect, so that certificates and keys that were replaced are used from then on. `host` is the
   * broker's, as advertised. Throws SecretError. Null: plaintext.
   */
  readonly tls: ((host: string) => TlsOptions) | null;
  /** Null: no login. */
  readonly sasl: Sasl | null;
}

export interface Sasl {
  readonly mechanism: SaslMechanism;
  /** What to log in with now. Asked at each login, the repeated ones of one connection too. Throws SecretError. */
  credentials(): Promise<SaslCredentials>;
  /** The broker refused what `credentials` gave last: it must not be served again from memory. */
  refused(): void;
  /** Something else at each call that nobody can foretell, in the printable ASCII of SCRAM nonces (RFC 5802 5.1), without ",". */
  nonce(): string;
  /** Spreads the repeated logins of many connections. */
  readonly random: Random;
  /** A login cannot be repeated for now; the connection lives on until its session ends. */
  onTrouble(error: Error): void;
}

export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | 'OAUTHBEARER';

export type SaslCredentials =
  | { readonly username: string; readonly password: string }
  | { readonly token: string; readonly extensions: Readonly<Record<string, string>> };
