/**
 * Other sites whose pages may call the API (`server.cors.allowedOrigins`, none by default): with a token that they hold themselves,
 * never with our cookie, which browsers neither send to us from there nor take from us.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

const PREFLIGHT_SECONDS = 600;

const READABLE = 'content-disposition, etag, location, retry-after, x-request-id';

/** True: this was a preflight, and is answered. */
export function answerOtherSite(
  request: FastifyRequest,
  reply: FastifyReply,
  allowedOrigins: readonly string[],
): boolean {
  if (allowedOrigins.length === 0) return false;
  // Whether or not this one is allowed: what a cache keeps must not be shown to another.
  void reply.header('vary', 'Origin');
  const { origin } = request.headers;
  if (origin === undefined || !allowedOrigins.includes(origin)) return false;
  void reply
    .header('access-control-allow-origin', origin)
    .header('access-control-expose-headers', READABLE)
    .header('cross-origin-resource-policy', 'cross-origin');
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return false;
  void reply
    .header('access-control-allow-methods', 'GET, POST, PUT, DELETE')
    .header('access-control-allow-headers', 'authorization, content-type, idempotency-key, if-match, if-none-match')
    .header('access-control-max-age', String(PREFLIGHT_SECONDS))
    .code(204)
    .send();
  return true;
}
