import type { TlsOptions } from './network.ts';

/** What a server shows in a handshake, believed or not; the system's is in host.ts. */
export interface TlsHandshake {
  /** `TLSv1.3` */
  readonly protocol: string;
  readonly cipher: string;
  /** PEM, the server's own first, then its issuers as far as they are known. */
  readonly chain: readonly string[];
  /** Why it is not believed: by its authority, its dates or its name; null where it is. */
  readonly problem: string | null;
}

/** Shakes hands and hangs up: nothing is sent to a server that is not believed. Rejects where no handshake comes about, within 10 s. */
export type ProbeTls = (
  options: TlsOptions & { readonly host: string; readonly port: number },
) => Promise<TlsHandshake>;
