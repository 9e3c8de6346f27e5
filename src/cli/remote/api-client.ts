/**
 * The HTTP API from outside. Each call is a route of the contract and typed by it; nothing about paths, permissions or
 * shapes is written a second time here.
 */
import { z } from 'zod';
import type { Answer, Route } from '#contract/api/route.ts';
import type { OperationId, Routes } from '#contract/api/routes.ts';
import { AppError, errorCodes, type ErrorCode } from '#contract/errors.ts';
import type { Web, WebAnswer, WebRequest, WebStream } from '#util/host.ts';
import type { TlsOptions } from '#util/network.ts';

/** Stopping a job waits for what is on its way. */
const DEADLINE_MS = 60_000;
/** The status of 100,000 partitions is 40 MB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

type Input<Schema> = Schema extends z.ZodType ? z.input<Schema> : never;

/** A route without such a part says nothing of its type. */
type Part<Name extends string, Value> = unknown extends Value
  ? { readonly [Key in Name]?: undefined }
  : { readonly [Key in Name]: Value };

export type CallOf<Id extends OperationId> = Part<'params', Input<NonNullable<Routes[Id]['params']>>> &
  Part<'body', Input<NonNullable<Routes[Id]['body']>>> & {
    readonly query?: Input<NonNullable<Routes[Id]['query']>>;
    /** The change is refused where the resource is no longer of this version. */
    readonly ifVersion?: number;
  };

type JsonOf<Sent extends Answer> = Sent extends {
  readonly kind: 'json';
  readonly schema: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : null;

export type ResultOf<Id extends OperationId> = JsonOf<Routes[Id]['answer']>;

/** Routes whose answer is JSON or empty. */
export type Callable = {
  [Id in OperationId]: Routes[Id]['answer'] extends { readonly kind: 'json' | 'empty' } ? Id : never;
}[OperationId];

export interface ApiOptions {
  readonly web: Web;
  readonly address: string;
  readonly token: string | null;
  readonly ca: string | null;
  readonly identity: TlsOptions['identity'];
  readonly nonce: () => string;
  readonly version: string;
  readonly signal: AbortSignal;
  /** The server wants a proof that somebody is there: gets one, and says what the token is now; null: nobody is. */
  readonly stepUp?: (() => Promise<string | null>) | undefined;
}

type AnyCall = {
  readonly params?: unknown;
  readonly body?: unknown;
  readonly query?: unknown;
  readonly ifVersion?: number;
};

export class ApiClient {
  readonly address: string;
  readonly #options: ApiOptions;
  readonly #routes: Routes;
  #token: string | null;

  private constructor(options: ApiOptions, routes: Routes) {
    this.#options = options;
    this.#routes = routes;
    this.#token = options.token;
    this.address = options.address;
  }

  /** The contract is loaded here: commands without a server would load it for nothing. */
  static async create(options: ApiOptions): Promise<ApiClient> {
    return new ApiClient(options, (await import('#contract/api/routes.ts')).routes);
  }

  get isSignedIn(): boolean {
    return this.#token !== null || this.#options.identity !== null;
  }

  useToken(token: string | null): void {
    this.#token = token;
  }

  /** Throws the AppError that the server answered with, SERVER_UNREACHABLE or SERVER_ANSWER_INVALID. */
  async call<Id extends Callable>(id: Id, call: CallOf<Id>): Promise<ResultOf<Id>> {
    const route: Route = this.#routes[id];
    const request = this.#requestOf(route, call);
    try {
      return (await this.#once(route, request)) as ResultOf<Id>;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'STEP_UP_REQUIRED') throw error;
      const token = (await this.#options.stepUp?.()) ?? null;
      if (token === null) throw error;
      this.#token = token;
      const headers = { ...request.headers, ...this.#credentials() };
      return (await this.#once(route, { ...request, headers })) as ResultOf<Id>;
    }
  }

  /** Every item of a list, page by page, as many as are wanted. */
  async all<Id extends PagedOperation>(id: Id, call: CallOf<Id>, wanted = Infinity): Promise<ItemOf<Id>[]> {
    const items: ItemOf<Id>[] = [];
    let cursor: string | null = null;
    do {
      const limit = Math.min(wanted - items.length, PAGE_ITEMS);
      const query: object = { ...call.query, limit, ...(cursor === null ? {} : { cursor }) };
      const page = (await this.call(id, { ...call, query } as CallOf<Id>)) as unknown as {
        items: ItemOf<Id>[];
        next: string | null;
      };
      items.push(...page.items);
      cursor = page.next;
    } while (cursor !== null && items.length < wanted);
    return items;
  }

  /** A file, or live events: as they come, until `until` aborts. */
  async open<Id extends OperationId>(
    id: Id,
    call: CallOf<Id>,
    accept: string,
    until?: AbortSignal,
  ): Promise<WebStream> {
    const route: Route = this.#routes[id];
    const request = this.#requestOf(route, call);
    const headers = { ...request.headers, accept };
    const signal = until ? AbortSignal.any([request.signal, until]) : request.signal;
    const stream = await this.#reached(route, this.#options.web.open({ ...request, headers, signal }));
    if (stream.status === route.answer.status) return stream;
    throw this.#refusalOf({ status: stream.status, headers: stream.headers, text: await textOf(stream.chunks) });
  }

  async #once(route: Route, request: WebRequest): Promise<unknown> {
    const answer = await this.#reached(route, this.#options.web.send(request));
    if (answer.status !== route.answer.status) throw this.#refusalOf(answer);
    return route.answer.kind === 'json' ? this.#parsed(route.answer.schema, answer) : null;
  }

  /** A newer server may say more than this version knows; it may not say less, or something else. */
  #parsed(schema: z.ZodType, answer: WebAnswer): unknown {
    const value = jsonOf(answer.text);
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    if (parsed.error.issues.every(({ code }) => code === 'unrecognized_keys')) return value;
    const [issue] = parsed.error.issues;
    const where = issue === undefined ? '' : ` (${issue.path.join('.')}: ${issue.message})`;
    throw this.#strange(`${this.address} answers in a form that this version does not know${where}`);
  }

  #requestOf(route: Route, { params, body, query, ifVersion }: AnyCall): WebRequest {
    const fill = params as Readonly<Record<string, unknown>> | undefined;
    const path = route.path.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(String(fill?.[name])));
    const { signal, ca, identity, nonce, version } = this.#options;
    return {
      url: `${this.address}${path}${queryOf(query)}`,
      method: route.method,
      headers: {
        accept: 'application/json, application/problem+json',
        'user-agent': `lockstep/${version}`,
        ...this.#credentials(),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(ifVersion === undefined ? {} : { 'if-match': `"${ifVersion}"` }),
        // Without one, nobody could tell a repetition by a proxy on the way from a second wish.
        ...(route.isRepeatable ? { 'idempotency-key': nonce() } : {}),
      },
      body: body === undefined ? null : JSON.stringify(body),
      ca,
      identity,
      deadlineMs: DEADLINE_MS,
      bytesMax: ANSWER_BYTES_MAX,
      signal,
    };
  }

  #credentials(): Record<string, string> {
    return this.#token === null ? {} : { authorization: `Bearer ${this.#token}` };
  }

  async #reached<T>({ method }: Route, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (cause) {
      if (this.#options.signal.aborted) throw cause;
      const why = reasonOf(cause);
      const isRefused = codeOf(cause) === 'ECONNREFUSED' || codeOf(cause) === 'ENOTFOUND';
      const unknown =
        method === 'GET' || isRefused ? '' : ' Whether the change was made is not known: look before you repeat it.';
      throw new AppError('SERVER_UNREACHABLE', `The server at ${this.address} does not answer: ${why}`, {
        cause,
        nextStep: `Look whether it runs, and whether the address is right: "lockstep context list".${unknown}`,
      });
    }
  }

  #refusalOf({ status, headers, text }: WebAnswer): AppError {
    const problem = problemShape.safeParse(jsonOf(text));
    if (!problem.success) {
      const type = headers['content-type'] ?? 'no type';
      return this.#strange(`What answers at ${this.address} is no Lockstep server (status ${status}, ${type})`);
    }
    const { code, detail, nextStep, requestId, problems } = problem.data;
    const details = { requestId, status, ...(problems === undefined ? {} : { problems }) };
    if (!isKnown(code)) return this.#strange(`The server at ${this.address} refuses it: ${code}: ${detail}`);
    const others = (problems ?? []).slice(1).map(({ path, message }) => `\n${path}: ${message}`);
    return new AppError(code, `${detail}${others.join('')}`, {
      details,
      ...(nextStep === null ? {} : { nextStep: code === 'STEP_UP_REQUIRED' ? STEP_UP_NEXT : nextStep }),
    });
  }

  #strange(message: string): AppError {
    return new AppError('SERVER_ANSWER_INVALID', message, {
      nextStep: 'Look whether the address is right, and whether server and command are of one version.',
    });
  }
}

const STEP_UP_NEXT =
  'Sign in anew with "lockstep login", or let a program use an API token ("lockstep tokens create").';

const PAGE_ITEMS = 1000;
const REFUSAL_BYTES_MAX = 1024 * 1024;

/** Of a problem document (RFC 9457) what is shown of it. */
const problemShape = z.looseObject({
  code: z.string(),
  detail: z.string(),
  nextStep: z.string().nullable(),
  requestId: z.string(),
  problems: z.array(z.looseObject({ path: z.string(), message: z.string() })).optional(),
});

type PagedOperation = {
  [Id in Callable]: ResultOf<Id> extends { readonly items: readonly unknown[]; readonly next: string | null }
    ? Id
    : never;
}[Callable];

type ItemOf<Id extends PagedOperation> =
  ResultOf<Id> extends { readonly items: readonly (infer Item)[] } ? Item : never;

function queryOf(query: unknown): string {
  if (typeof query !== 'object' || query === null) return '';
  const stated = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(stated.map(([name, value]): [string, string] => [name, String(value)])).toString();
  return text === '' ? '' : `?${text}`;
}

function isKnown(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no schema takes it: whoever asked says what that means
  }
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > REFUSAL_BYTES_MAX) break; // no problem document is as long
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString('utf8');
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null;
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'ECONNREFUSED':
      return 'nothing listens there';
    case 'ENOTFOUND':
      return 'there is no host of that name';
    case 'ECONNRESET':
      return 'the connection was cut';
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'its certificate is of an authority that is not trusted (lockstep context add … --ca FILE)';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name';
    default:
      return error instanceof Error && error.message !== '' ? error.message : 'the connection failed';
  }
}
