/** How the server is set up; `app/server-process.ts` makes this of the options. */
import type { ClaimRole } from '#contract/claim-role.ts';

export interface ServerSettings {
  /** Version of the program. */
  readonly version: string;
  /** Where people reach it, `https://lockstep.example`: the origin of our pages, and what security keys are made for. */
  readonly publicUrl: string;
  /** PEM; null: plain HTTP, which takes credentials on loopback only. */
  readonly tls: {
    readonly certificate: string;
    readonly key: string;
    /** Authorities of client certificates; null: none are asked for. */
    readonly clientAuthorities: string | null;
  } | null;
  readonly sessions: { readonly idleMs: number; readonly lifeMs: number };
  /** Holders of these roles need a second factor, unless an identity provider has signed them in. */
  readonly secondFactorRoles: readonly string[];
  readonly signOn: SignOnSettings | null;
  /** Requests a second that one address may make, on average and in a burst. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Streams that may be open at a time. */
  readonly streamsMax: number;
}

export const defaultSettings = {
  tls: null,
  sessions: { idleMs: 15 * 60_000, lifeMs: 12 * 3_600_000 },
  secondFactorRoles: ['admin'],
  signOn: null,
  requestsPerSecond: 2_000,
  requestBurst: 4_000,
  streamsMax: 500,
} as const satisfies Partial<ServerSettings>;

/** An OpenID Connect provider. */
export interface SignOnSettings {
  readonly issuer: string;
  readonly clientId: string;
  /** Read at each use, so that it can be replaced while the server runs. Throws where it cannot be had. */
  readonly clientSecret: () => string;
  readonly scopes: readonly string[];
  /** Authorities of the provider's certificate, PEM, read as the secret is; null: those that the runtime trusts. */
  readonly ca: () => string | null;
  /** The provider is at an address of this network or machine, which is otherwise not connected to. */
  readonly mayBePrivate: boolean;
  /** Who has this value in this claim has this role; who has none of them does not come in. */
  readonly roles: readonly ClaimRole[];
  /** One of these must be how the provider has made sure (`acr`); empty: any. */
  readonly acceptedAcr: readonly string[];
}
