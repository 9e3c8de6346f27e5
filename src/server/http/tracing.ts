/**
 * Traces of requests, where somebody wants to see where their time goes: a span for each request, named as OpenTelemetry's
 * conventions for HTTP servers say, and one for each call that it makes of the store, the audit log, clusters and the like.
 * A caller's W3C `traceparent` is continued, and its decision whether to sample holds.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AsyncLocalStorage } from 'node:async_hooks';
import { AppError } from '#contract/errors.ts';
import type { Span } from '#contract/span.ts';
import type { Clock } from '#util/clock.ts';
import type { Entropy, ServerPorts } from '../ports.ts';
import { isSocket, isStream } from './operation.ts';

export interface TracingOptions {
  /** Of requests that bring no decision of their own. */
  readonly percent: number;
  /** Must not wait. */
  readonly take: (span: Span) => void;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** One that has not ended. */
interface OpenSpan extends Omit<Span, 'endMs' | 'isFailed'> {
  readonly startedMs: number;
}

const WATCHED = ['store', 'audit', 'auditTrail', 'jobs', 'clusters', 'passwords'] as const;
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-|$)/;
const SAMPLED = 1;

export class Tracing {
  readonly #options: TracingOptions;
  readonly #current = new AsyncLocalStorage<OpenSpan>();

  constructor(options: TracingOptions) {
    this.#options = options;
  }

  /** Before any other hook. Streams have no span: theirs would end when they do. */
  attach(app: FastifyInstance): void {
    const spans = new WeakMap<FastifyRequest, OpenSpan>();
    app.addHook('onRequest', (request, _reply, done) => {
      const span = this.#beginRequest(request);
      if (!span) return done();
      spans.set(request, span);
      this.#current.run(span, done);
    });
    // A body is read in events of the connection; what follows belongs to the request again.
    app.addHook('preValidation', (request, _reply, done) => {
      const span = spans.get(request);
      if (span) this.#current.run(span, done);
      else done();
    });
    app.addHook('onResponse', (request, { statusCode }, done) => {
      const span = spans.get(request);
      const status = { 'http.response.status_code': statusCode };
      const isFailed = statusCode >= 500; // what a caller did wrong is no error of the server's
      if (span) this.#end(span, isFailed ? { ...status, 'error.type': String(statusCode) } : status, isFailed);
      done();
    });
  }

  /** The same, where each call within a traced request has its span. */
  watched(ports: ServerPorts): ServerPorts {
    const parts = WATCHED.map((name) => [name, this.#watch(ports[name], name)] as const);
    return { ...ports, ...(Object.fromEntries(parts) as Pick<ServerPorts, (typeof WATCHED)[number]>) };
  }

  #beginRequest(request: FastifyRequest): OpenSpan | null {
    if (isStream(request) || isSocket(request)) return null;
    const { url: route } = request.routeOptions;
    const parent = parentOf(request);
    if (!(parent ? parent.isSampled : this.#isDrawn())) return null;
    return this.#begin({
      traceId: parent?.traceId ?? this.#hex(16),
      parentSpanId: parent?.spanId ?? null,
      name: route === undefined ? request.method : `${request.method} ${route}`,
      kind: 'server',
      attributes: {
        'http.request.method': request.method,
        'url.scheme': request.protocol,
        'url.path': request.url.split('?')[0] ?? '',
        ...(route === undefined ? {} : { 'http.route': route }),
        'lockstep.request.id': request.id,
      },
    });
  }

  #isDrawn(): boolean {
    return Buffer.from(this.#options.entropy.bytes(4)).readUInt32BE() / 2 ** 32 < this.#options.percent / 100;
  }

  #begin(span: Omit<OpenSpan, 'spanId' | 'startMs' | 'startedMs'>): OpenSpan {
    const { clock } = this.#options;
    return { ...span, spanId: this.#hex(8), startMs: clock.now(), startedMs: clock.monotonic() };
  }

  #end({ startedMs, ...span }: OpenSpan, attributes: Span['attributes'], isFailed: boolean): void {
    const { clock, take } = this.#options;
    const endMs = span.startMs + clock.monotonic() - startedMs;
    take({ ...span, endMs, isFailed, attributes: { ...span.attributes, ...attributes } });
  }

  #hex(bytes: number): string {
    return Buffer.from(this.#options.entropy.bytes(bytes)).toString('hex');
  }

  #watch<T extends object>(whole: T, path: string): T {
    return new Proxy(whole, {
      get: (target, key) => {
        const part: unknown = Reflect.get(target, key, target);
        const name = `${path}.${String(key)}`;
        // `under` is the store itself, for one intent.
        if (name === 'store.under')
          return (intent: number) => this.#watch((target as ServerPorts['store']).under(intent), path);
        if (typeof part === 'function')
          return (...given: unknown[]) => this.#measure(name, () => Reflect.apply(part, target, given) as unknown);
        return typeof part === 'object' && part !== null ? this.#watch(part, name) : part;
      },
    });
  }

  /** What is answered at once, as by `isWritable`, takes no time worth a span. */
  #measure(name: string, call: () => unknown): unknown {
    const parent = this.#current.getStore();
    if (!parent) return call();
    const { traceId, spanId: parentSpanId } = parent;
    const span = this.#begin({ traceId, parentSpanId, name, kind: 'internal', attributes: {} });
    const result = this.#current.run(span, call);
    if (!(result instanceof Promise)) return result;
    return result.then(
      (answer: unknown) => {
        this.#end(span, {}, false);
        return answer;
      },
      (error: unknown) => {
        this.#end(span, { 'error.type': error instanceof AppError ? error.code : 'INTERNAL' }, true);
        throw error;
      },
    );
  }
}

/** W3C Trace Context: of a version that is not known, what version 00 has is read; null: there is none that can be read. */
function parentOf({ headers }: FastifyRequest): { traceId: string; spanId: string; isSampled: boolean } | null {
  const { traceparent } = headers;
  const match = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null;
  if (!match) return null;
  const [text, traceId = '', spanId = '', flags = '0'] = match;
  if (text.startsWith('00') && match.input.length > 55) return null;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}
