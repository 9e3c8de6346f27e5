/** How the server is set up; `app/server-process.ts` makes this of the options. */
import type { ClaimRole } from '#contract/claim-role.ts';
import type { OptionValues } from '#contract/options.ts';
import type { BucketLimits } from './http/buckets.ts';

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
  readonly signOn: SignOnSettings | null;
  /** Streams that may be open at a time. */
  readonly streamsMax: number;
}

export const defaultSettings = {
  tls: null,
  signOn: null,
  streamsMax: 500,
} as const satisfies Partial<ServerSettings>;

/** What may change while the server runs: looked at each time. */
export interface HotSettings {
  /** Addresses and ranges of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. */
  readonly trustedProxies: readonly string[];
  /** Of other sites whose pages may call the API with a token of theirs. */
  readonly allowedOrigins: readonly string[];
  /** Of sessions that begin. */
  readonly sessions: { readonly idleMs: number; readonly lifeMs: number };
  /** Holders of these roles need a second factor, unless an identity provider has signed them in. */
  readonly secondFactorRoles: readonly string[];
  /** Requests a second that one address may make, on average and in a burst. */
  readonly requests: BucketLimits;
}

export function hotSettingsOf(values: OptionValues): HotSettings {
  return {
    trustedProxies: values['server.trustedProxies'],
    allowedOrigins: values['server.cors.allowedOrigins'],
    sessions: { idleMs: values['auth.session.idle'], lifeMs: values['auth.session.lifetime'] },
    secondFactorRoles: values['auth.secondFactorRoles'],
    requests: { perSecond: values['server.requestsPerSecond'], burst: values['server.requestBurst'] },
  };
}

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
