/**
 * Whether a change that a browser sends comes from our own pages. The cookie goes along with requests that other sites make
 * a browser send, so the cookie alone says nothing; what says where a request comes from are headers that no page can set.
 */
import { AppError } from '#contract/errors.ts';

export interface BrowserHeaders {
  readonly secFetchSite: string | undefined;
  readonly origin: string | undefined;
}

/** Throws REQUEST_FORGED. `origins`: those at which our own pages are. */
export function refuseForeign({ secFetchSite, origin }: BrowserHeaders, origins: readonly string[]): void {
  const isOwn =
    secFetchSite !== undefined
      ? secFetchSite === 'same-origin' || secFetchSite === 'none'
      : origin !== undefined && origins.includes(origin);
  if (isOwn && (origin === undefined || origins.includes(origin))) return;
  throw new AppError('REQUEST_FORGED', 'A browser sent this request for another site than this one.', {
    details: { secFetchSite: secFetchSite ?? null, origin: origin ?? null },
    nextStep: 'Open Lockstep under its own address; programs use a token in the Authorization header, not the cookie.',
  });
}
