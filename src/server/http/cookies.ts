/** Our cookies. All are of this host alone and closed to scripts; over TLS their names say so to the browser, which holds it. */
import type { FastifyReply, FastifyRequest } from 'fastify';

export type CookieName = 'session' | 'device' | 'sign-on';

export interface Cookies {
  read(name: CookieName): string | undefined;
  /** Null `maxAgeMs`: until the browser is closed. */
  set(name: CookieName, value: string, maxAgeMs: number | null): void;
  clear(name: CookieName): void;
}

/**
 * `Strict`: no other site can make a browser send it. The one of single sign-on must come along when the identity provider leads
 * back, so it is `Lax`, and worth nothing by itself.
 */
const SAME_SITE = { session: 'strict', device: 'strict', 'sign-on': 'lax' } as const;

export function cookiesOf(request: FastifyRequest, reply: FastifyReply): Cookies {
  const isSecure = request.protocol === 'https';
  const options = (name: CookieName) =>
    ({ path: '/', httpOnly: true, secure: isSecure, sameSite: SAME_SITE[name] }) as const;
  return {
    read: (name) => request.cookies[fullName(name, isSecure)],
    set(name, value, maxAgeMs) {
      const age = maxAgeMs === null ? {} : { maxAge: Math.floor(maxAgeMs / 1000) };
      void reply.setCookie(fullName(name, isSecure), value, { ...options(name), ...age });
    },
    clear: (name) => void reply.clearCookie(fullName(name, isSecure), options(name)),
  };
}

/** Browsers take `__Host-` over TLS only; on loopback without it the plain name has to do. */
function fullName(name: CookieName, isSecure: boolean): string {
  return `${isSecure ? '__Host-' : ''}lockstep-${name}`;
}
