import type { TlsOptions } from '#util/network.ts';
import type { ProbeTls } from '#util/tls-probe.ts';
import { factsOf, parseCertificates, type CertificateFacts } from './certificate-facts.ts';
import { expiryOf, type Expiry } from './expiry.ts';

export interface InspectedServer {
  readonly protocol: string;
  readonly cipher: string;
  /** The server's own first. */
  readonly chain: readonly CertificateFacts[];
  /** Null: it is believed. */
  readonly problem: string | null;
  readonly expiry: Expiry | null;
}

/** Rejects where no handshake comes about. */
export async function inspectServer(
  { probeTls, clock }: { readonly probeTls: ProbeTls; readonly clock: { now(): number } },
  options: TlsOptions & { readonly host: string; readonly port: number },
): Promise<InspectedServer> {
  const { protocol, cipher, chain, problem } = await probeTls(options);
  const facts = chain.flatMap((pem) => parseCertificates(pem) ?? []).map(factsOf);
  return { protocol, cipher, chain: facts, problem, expiry: expiryOf(chain.join('\n'), clock.now()) };
}
