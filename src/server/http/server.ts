/** The HTTP server: Fastify with every route of the contract, and nothing besides. */
import cookie from '@fastify/cookie';
import websocket from '@fastify/websocket';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { operationIds, routeOf, type OperationId } from '#contract/api/routes.ts';
import { AppError } from '#contract/errors.ts';
import type { Clock } from '#util/clock.ts';
import type { ServerPorts } from '../ports.ts';
import type { HotSettings, ServerSettings } from '../settings.ts';
import { Buckets } from './buckets.ts';
import type { Handlers } from './call.ts';
import { answerOtherSite } from './cross-origin.ts';
import { securityHeaders, strictTransport } from './headers.ts';
import { isSocket, isStream, operationOf } from './operation.ts';
import type { Pipeline } from './pipeline.ts';
import { refusalOf } from './problem.ts';
import { parseStrictJson } from './strict-json.ts';
import type { Tracing } from './tracing.ts';
import { addressKey, addressOf, isWithin } from './transport.ts';
import { refuseUnreadable, requestId, type RawSocket } from './unreadable.ts';

const BODY_BYTES_MAX = 1024 * 1024;
/** Room for the longest query that a route takes: 100 topic names of 249 characters. */
const HEAD_BYTES_MAX = 48 * 1024;
const HEADER_WAIT_MS = 10_000;
const BODY_WAIT_MS = 30_000;
const PARAM_LENGTH_MAX = 1_500;

/** Refusals that an address gets into the log: so many at once, and so many a second. More are answered with 429. */
const REFUSALS = { perSecond: 5, burst: 200 };

/** `onSocket`: takes a WebSocket over that was admitted. */
export interface HttpOptions {
  readonly ports: ServerPorts;
  readonly settings: ServerSettings;
  readonly pipeline: Pipeline;
  readonly handlers: Handlers;
  /** As they hold now. */
  readonly hot: () => HotSettings;
  readonly tracing: Tracing | null;
  readonly onSocket: (socket: SocketLike, request: FastifyRequest) => void;
}

/** What is used of a WebSocket. */
export interface SocketLike {
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code: number, reason: string): void;
  on(event: 'close' | 'error' | 'message', listener: () => void): unknown;
}

export async function createHttpServer(options: HttpOptions): Promise<FastifyInstance> {
  const { settings, ports, hot } = options;
  const limits = { headersTimeout: HEADER_WAIT_MS, maxHeaderSize: HEAD_BYTES_MAX };
  const app = Fastify({
    ...(settings.tls === null ? { http: limits } : { https: { ...limits, ...tlsOptions(settings.tls) } }),
    logger: false,
    trustProxy: (address: string) => isWithin(address, hot().trustedProxies),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: BODY_WAIT_MS,
    connectionTimeout: 0,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    exposeHeadRoutes: false,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    genReqId: () => requestId(ports.entropy),
    // What cannot even be routed: no hook sees it.
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
      void sendRefusal(error, request, withSecurityHeaders(request, reply)),
    clientErrorHandler: ({ code }: { readonly code?: string }, socket: RawSocket) =>
      refuseUnreadable(code, socket, ports.entropy),
  } as never) as unknown as FastifyInstance;
  if (ports.onAnswered !== null) watchAnswers(app, { clock: ports.clock, onAnswered: ports.onAnswered });
  options.tracing?.attach(app);
  await app.register(cookie);
  await app.register(websocket, { options: { maxPayload: 1024 } });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? undefined : parseStrictJson(body as string));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
  app.addHook('onRequest', (request, reply, done) => {
    if (!answerOtherSite(request, reply, hot().allowedOrigins)) done();
  });
  app.addHook('onSend', async (request, reply, payload) => {
    withSecurityHeaders(request, reply);
    return payload;
  });
  app.setErrorHandler(createErrorHandler(options));
  // Before the body is read, whatever it is.
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) refuseUnrouted(request, reply);
  });
  for (const id of operationIds) register(app, id, options);
  return app;
}

function watchAnswers(
  app: FastifyInstance,
  { clock, onAnswered }: { readonly clock: Clock; readonly onAnswered: NonNullable<ServerPorts['onAnswered']> },
): void {
  const begun = new WeakMap<FastifyRequest, number>();
  app.addHook('onRequest', (request, _reply, done) => {
    begun.set(request, clock.monotonic());
    done();
  });
  app.addHook('onResponse', (request, { statusCode: status }, done) => {
    const { url: route = null } = request.routeOptions;
    const at = begun.get(request);
    const durationMs = isStream(request) || at === undefined ? null : clock.monotonic() - at;
    if (!isSocket(request)) onAnswered({ method: request.method, route, status, durationMs });
    done();
  });
}

/** Throws: there is no such address, or not with this method. */
function refuseUnrouted({ method, url }: FastifyRequest, reply: FastifyReply): never {
  const path = url.split('?')[0] ?? '';
  const allowed = methodsOf(path);
  if (allowed.length === 0)
    throw new AppError('RESOURCE_NOT_FOUND', `There is no ${method} ${path} here.`, {
      nextStep: '/docs shows what there is.',
    });
  void reply.header('allow', allowed.join(', '));
  throw new AppError('METHOD_NOT_ALLOWED', `There is no ${method} ${path} here, only ${allowed.join(', ')}.`, {
    nextStep: '/docs shows what there is.',
  });
}

const addresses = operationIds.map((id) => {
  const { method, path } = routeOf(id);
  return {
    method,
    parameters: path.split(':').length,
    pattern: new RegExp(`^${path.replaceAll('.', String.raw`\.`).replaceAll(/:\w+/g, '[^/]+')}$`),
  };
});

/** Of the closest address: `/clusters/purge` has its own, whatever `/clusters/:name` has. */
function methodsOf(path: string): string[] {
  const found = addresses.filter(({ pattern }) => pattern.test(path));
  const fewest = Math.min(...found.map(({ parameters }) => parameters));
  return [...new Set(found.flatMap(({ method, parameters }) => (parameters === fewest ? method : [])))];
}

function withSecurityHeaders(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  for (const [name, value] of Object.entries(securityHeaders))
    if (!reply.hasHeader(name)) void reply.header(name, value);
  if (request.protocol === 'https') void reply.header('strict-transport-security', strictTransport);
  return reply.header('x-request-id', request.id);
}

/** 1.2 needs authenticated encryption; what is older, or only unauthenticated, is refused. */
export function tlsOptions({ certificate, key, clientAuthorities }: NonNullable<ServerSettings['tls']>): object {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20',
    honorCipherOrder: true,
    ...(clientAuthorities === null ? {} : { ca: clientAuthorities, requestCert: true, rejectUnauthorized: false }),
  };
}

function register(app: FastifyInstance, id: OperationId, { pipeline, handlers, onSocket }: HttpOptions): void {
  const { method, path } = routeOf(id);
  const onRequest = (request: FastifyRequest): Promise<void> => pipeline.admit(id, request);
  if (id === 'openSocket') {
    app.route({
      method: 'GET',
      url: path,
      onRequest,
      handler: () => {
        throw new AppError('REQUEST_INVALID', 'This is a WebSocket.', { nextStep: 'Ask for an upgrade.' });
      },
      wsHandler: (socket, request) => onSocket(socket as unknown as SocketLike, request),
    });
    return;
  }
  const handler = handlers[id] as never;
  app.route({
    method,
    url: path,
    onRequest,
    handler: (request: FastifyRequest, reply: FastifyReply) => pipeline.answer(id, handler, request, reply),
    config: { operationId: id },
  });
}

function createErrorHandler({ ports, pipeline }: HttpOptions) {
  const refusals = new Buckets({ clock: ports.clock, limits: () => REFUSALS });
  return async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const known = ownError(error);
    const refusal = refusalOf(known, request.id);
    if (refusal.isInternal || refusal.status >= 500)
      ports.log({ message: 'request failed', requestId: request.id, error });
    if (!isRefusal(known, refusal.status)) return sendRefusal(known, request, reply);
    const waitMs = refusals.take(addressKey(addressOf(request)));
    if (waitMs > 0)
      return sendRefusal(
        new AppError('RATE_LIMITED', 'Too many requests of this address were refused.', {
          details: { retryAfterMs: waitMs },
        }),
        request,
        reply,
      );
    await ports.audit
      .record(
        {
          ...(await pipeline.refused(operationOf(request), request)),
          action: actionOf(request),
          reason: refusal.problem.code,
          requestId: request.id,
        },
        'denied',
      )
      // Refused it is all the same; nothing took effect that the log would have to know.
      .catch((cause: unknown) =>
        ports.log({ message: 'refusal not in the audit log', requestId: request.id, error: cause }),
      );
    return sendRefusal(known, request, reply);
  };
}

function isRefusal(error: unknown, status: number): boolean {
  return status === 401 || status === 403 || (error instanceof AppError && error.details['isRefusal'] === true);
}

function actionOf(request: FastifyRequest): string {
  const operationId = operationOf(request);
  if (operationId === undefined) return 'api.open-socket';
  const { audit } = routeOf(operationId);
  return audit ?? `api.${operationId.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Fastify's own errors, in our words. */
function ownError(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  const { code, statusCode } = error as FastifyError;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE' || code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH')
    return new AppError('REQUEST_TOO_LARGE', `A body has ${BODY_BYTES_MAX} bytes at most.`, { cause: error });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new AppError('MEDIA_TYPE_UNSUPPORTED', 'A body must be application/json.', {
      cause: error,
      nextStep: 'Send it with "content-type: application/json".',
    });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new AppError('REQUEST_INVALID', 'The request cannot be read.', { cause: error });
  return error;
}

function sendRefusal(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, problem, retryAfterSeconds } = refusalOf(ownError(error), request.id);
  if (retryAfterSeconds !== null) void reply.header('retry-after', String(Math.max(1, retryAfterSeconds)));
  if (status === 401) void reply.header('www-authenticate', 'Bearer realm="lockstep"');
  return reply.code(status).type('application/problem+json').send(JSON.stringify(problem));
}
