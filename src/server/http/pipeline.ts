/**
 * What every request goes through, in this order:
 *
 *   limits by address → who asks → is it forged → may it at all → (the body is read) → path → on this resource → step-up
 *   → query and body → Idempotency-Key → intent in the audit log → handler → outcome → answer by its schema
 *
 * Nothing of a body is looked at before it is known who sends it, and nothing takes effect before the log has it. Whatever
 * fails is thrown, and becomes a problem document in one place (server.ts), which also logs every refusal.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Readable } from 'node:stream';
import type { Access, Route } from '#contract/api/route.ts';
import { routeOf, type OperationId } from '#contract/api/routes.ts';
import { SERVER, type Permission, type Resource } from '#contract/api/permissions.ts';
import { AppError } from '#contract/errors.ts';
import type { StoredCluster } from '#store/clusters.ts';
import type { Snapshot } from '#store/inventory.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { Json } from '#store/json.ts';
import type { IdempotentRequest } from '#store/idempotency.ts';
import { must } from '#util/assert.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import { NOBODY, type Caller } from '../auth/caller.ts';
import { shownCertificate } from '../auth/peer-certificate.ts';
import { sha256 } from '../auth/credential.ts';
import { STEP_UP_MS, type Origin } from '../auth/sign-in.ts';
import { auditedEffect } from '../audited-effect.ts';
import { UNNAMED, type PersonalNotes } from '../personal-notes.ts';
import type { AuditEvent, ServerPorts } from '../ports.ts';
import type { HotSettings, ServerSettings } from '../settings.ts';
import { Buckets } from './buckets.ts';
import type { Call, FileAnswer } from './call.ts';
import { canonicalJson } from './canonical.ts';
import { cookiesOf } from './cookies.ts';
import { refuseForeign } from './forgery.ts';
import { withOwnNames } from './names.ts';
import { misfit } from './problem.ts';
import { addressKey, addressOf, isLoopback } from './transport.ts';

/** How long an Idempotency-Key is remembered. */
const REPEATABLE_MS = 24 * 3_600_000;

type AnyHandler = (call: Call) => Promise<unknown>;

export interface PipelineOptions {
  readonly ports: ServerPorts;
  readonly settings: ServerSettings;
  readonly authenticator: Authenticator;
  readonly hot: () => HotSettings;
  readonly personal: PersonalNotes;
}

interface Subject {
  readonly resource: Resource;
  readonly job: StoredJob | null;
  readonly cluster: StoredCluster | null;
  readonly snapshot: Snapshot | null;
}

const NO_SUBJECT: Subject = { resource: SERVER, job: null, cluster: null, snapshot: null };

export class Pipeline {
  readonly #ports: ServerPorts;
  readonly #authenticator: Authenticator;
  readonly #requests: Buckets;
  readonly #origins: readonly string[];
  readonly #hot: () => HotSettings;
  readonly #personal: PersonalNotes;
  readonly #callers = new WeakMap<FastifyRequest, Caller>();
  /** Those that requests without a caller are about. */
  readonly #accounts = new WeakMap<FastifyRequest, string>();

  constructor({ ports, settings, authenticator, personal, hot }: PipelineOptions) {
    this.#personal = personal;
    this.#hot = hot;
    this.#ports = ports;
    this.#authenticator = authenticator;
    this.#requests = new Buckets({ clock: ports.clock, limits: () => hot().requests });
    this.#origins = [new URL(settings.publicUrl).origin];
  }

  /** Before the body is read. */
  async admit(id: OperationId, request: FastifyRequest): Promise<void> {
    const route = routeOf(id);
    this.#limit(request);
    const caller = await this.#identify(request);
    if (caller !== null) this.#callers.set(request, caller);
    if (isChange(route) || id === 'openSocket') this.#refuseForged(id, request, caller);
    if (route.access.kind === 'public') return;
    if (caller === null)
      throw new AppError('AUTH_REQUIRED', 'This needs somebody who is signed in, or a token.', {
        nextStep: 'Sign in with "lockstep login", or send a token in the Authorization header.',
      });
    this.#checkReady(route, caller);
    if (route.access.kind !== 'permission') return;
    const { permission, on } = route.access;
    if (!(on === 'server' ? caller.may(permission, SERVER) : caller.maySomewhere(permission))) throw denied(permission);
  }

  async answer(id: OperationId, handler: AnyHandler, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const route = routeOf(id);
    const caller = this.#callers.get(request) ?? null;
    const params = parsed('path', route.params, request.params);
    const subject = caller === null ? null : await this.#subjectOf(route.access, caller, params);
    if (route.needsStepUp) this.#checkStepUp(must(caller, 'caller'));
    const query = parsed('query', route.query, request.query);
    const stated = statedBody(route, request.body);
    const body = parsed('body', route.body, stated);
    const call: Omit<Call, 'store'> = {
      params: params as never,
      query: query as never,
      body: body as never,
      stated,
      visitor: caller,
      get caller() {
        return must(caller, 'caller');
      },
      get job() {
        return must(subject?.job, 'job');
      },
      get cluster() {
        return must(subject?.cluster, 'cluster');
      },
      get snapshot() {
        return must(subject?.snapshot, 'snapshot');
      },
      ifVersion: route.hasVersion && isChange(route) ? ifMatch(request) : null,
      origin: originOf(request),
      cookies: cookiesOf(request, reply),
      requestId: request.id,
      rawQuery: request.url.split('?').slice(1).join('?'),
      record: async ({ account, ...who }, effect) => {
        const notes = {
          ...(await this.#personal.originOf(originOf(request))),
          ...(account === undefined ? {} : await this.#personal.account(account)),
        };
        return this.#record(
          { action: must(route.audit, 'audit action'), requestId: request.id, ...who, ...notes },
          effect,
        );
      },
      concerns: (account) => void this.#accounts.set(request, account),
      connection: { request, reply },
    };
    const run = (): Promise<unknown> => this.#run(route, handler, { call, caller, params, subject });
    const key = request.headers['idempotency-key'];
    if (!route.isRepeatable || typeof key !== 'string' || caller === null)
      return this.#send(route, await run(), request, reply);
    const asked = { userId: caller.identity.userId, key: keyOf(key), requestHash: hashOf(request, stated) };
    return this.#once(asked, { route, run, request, reply });
  }

  /** Of a request that was refused, for the log: who asked, for what, and from where. Says nothing of whether that is there. */
  async refused(
    id: OperationId | undefined,
    request: FastifyRequest,
  ): Promise<Pick<AuditEvent, 'actor' | 'resource' | 'origin' | 'pii'>> {
    const caller = this.#callers.get(request) ?? null;
    const origin = await this.#personal.originOf(originOf(request));
    const actor = caller?.actor ?? NOBODY;
    if (id === undefined) {
      const { url = 'unknown' } = request.routeOptions;
      return { actor, resource: { type: 'route', id: url }, ...origin };
    }
    const named = askedFor(routeOf(id), request.params, { body: request.body, caller });
    const account = this.#accounts.get(request);
    if (account !== undefined)
      return {
        actor,
        resource: { ...named.resource, id: UNNAMED },
        ...origin,
        ...(await this.#personal.account(account)),
      };
    return { actor, ...origin, ...(await this.#identified(named).catch(() => ({ resource: named.resource }))) };
  }

  /** With the id of a person in the place of the name. */
  async #identified({ resource, person }: AskedFor): Promise<Pick<AuditEvent, 'resource' | 'pii'>> {
    if (person === null) return { resource };
    const { id, ...pii } = await this.#personal.user(person);
    return { resource: { ...resource, id }, ...pii };
  }

  #limit(request: FastifyRequest): void {
    const waitMs = this.#requests.take(addressKey(addressOf(request)));
    if (waitMs > 0)
      throw new AppError('RATE_LIMITED', 'Too many requests come from this address.', {
        details: { retryAfterMs: waitMs },
        nextStep: 'Ask less often.',
      });
  }

  async #identify(request: FastifyRequest): Promise<Caller | null> {
    const { authorization } = request.headers;
    const cookie = cookiesOf(request, {} as FastifyReply).read('session');
    const certificate = shownCertificate(request.raw.socket);
    if (authorization !== undefined || cookie !== undefined) requireSafe(request);
    return this.#authenticator.identify({ cookie, authorization, certificate, address: addressOf(request) });
  }

  /**
   * A cookie comes along by itself, so its requests must show where they come from. So must a sign-in from a browser: another site
   * could sign its visitors in to an account of its own. Programs send neither header, and need not.
   */
  #refuseForged(id: OperationId, request: FastifyRequest, caller: Caller | null): void {
    const headers = {
      secFetchSite: headerOf(request, 'sec-fetch-site'),
      origin: headerOf(request, 'origin'),
    };
    const isByCookie = caller?.proof.kind === 'session' && caller.proof.via === 'cookie';
    const isBrowser = headers.secFetchSite !== undefined || headers.origin !== undefined;
    const isAllowed = !isByCookie && id !== 'openSocket' && this.#hot().allowedOrigins.includes(headers.origin ?? '');
    if (!isAllowed && (isByCookie && id !== 'openSocket' ? true : isBrowser)) refuseForeign(headers, this.#origins);
  }

  #checkReady(route: Route, { identity, proof }: Caller): void {
    if (route.isOpenToUnready || proof.kind !== 'session') return;
    if (identity.mustChangePassword)
      throw new AppError('PASSWORD_CHANGE_REQUIRED', 'The password has to be changed first.', {
        nextStep: 'Change it with PUT /api/v1/users/change-password, or "lockstep users change-password".',
      });
    const isProvider = proof.session.methods.includes('oidc');
    const needs = identity.roles.some((role) => this.#hot().secondFactorRoles.includes(role));
    if (needs && !identity.hasSecondFactor && !isProvider)
      throw new AppError('SECOND_FACTOR_REQUIRED', 'This account needs a second factor first.', {
        nextStep: 'Add an authenticator application or a security key to it.',
      });
  }

  async #subjectOf(access: Access, caller: Caller, params: unknown): Promise<Subject> {
    if (access.kind !== 'permission' || typeof access.on === 'string') return NO_SUBJECT;
    const { permission, on } = access;
    const [[kind, name] = ['', '']] = Object.entries(on);
    const wanted = String((params as Record<string, string | number>)[name]);
    const subject = await this.#find(kind as 'job' | 'cluster' | 'snapshot', wanted);
    if (subject !== null && caller.may(permission, subject.resource)) return subject;
    // Whoever may not even see it does not learn that it is there.
    if (subject !== null && caller.may(kind === 'job' ? 'jobs:view' : 'clusters:view', subject.resource))
      throw denied(permission);
    throw new AppError('RESOURCE_NOT_FOUND', `There is no ${kind} "${wanted}".`, {
      details: { isRefusal: subject !== null },
      nextStep: 'The list of them shows those that there are.',
    });
  }

  #find(kind: 'job' | 'cluster' | 'snapshot', wanted: string): Promise<Subject | null> {
    switch (kind) {
      case 'job':
        return this.#jobSubject(wanted);
      case 'cluster':
        return this.#clusterSubject(wanted);
      case 'snapshot':
        return this.#snapshotSubject(Number(wanted));
    }
  }

  async #jobSubject(id: string): Promise<Subject | null> {
    const { jobs } = this.#ports.store;
    const job = (await jobs.get(id)) ?? (await jobs.getByName(id));
    if (job === null) return null;
    const resource = { kind: 'job', job: job.name, source: job.source, target: job.target } as const;
    return { ...NO_SUBJECT, resource, job };
  }

  async #clusterSubject(name: string): Promise<Subject | null> {
    const cluster = await this.#ports.store.clusters.get(name);
    return cluster && { ...NO_SUBJECT, resource: { kind: 'cluster', cluster: name }, cluster };
  }

  /** Of a cluster that may have been purged since. */
  async #snapshotSubject(id: number): Promise<Subject | null> {
    const snapshot = await this.#ports.store.inventory.get(id);
    return snapshot && { ...NO_SUBJECT, resource: { kind: 'cluster', cluster: snapshot.cluster }, snapshot };
  }

  /**
   * Whoever has just signed in has just shown who it is. Tokens were made by somebody who had stepped up; certificates are on
   * machines, where nobody could.
   */
  #checkStepUp({ proof }: Caller): void {
    if (proof.kind !== 'session') return;
    const at = Math.max(proof.session.steppedUpAt ?? 0, proof.session.createdAt);
    if (this.#ports.clock.now() - at < STEP_UP_MS) return;
    throw new AppError('STEP_UP_REQUIRED', 'This needs a proof, not older than five minutes, that you are there.', {
      nextStep: 'Send the password or a second factor to POST /auth/step-up, then try again.',
    });
  }

  async #run(
    route: Route,
    handler: AnyHandler,
    {
      call,
      caller,
      params,
    }: { call: Omit<Call, 'store'>; caller: Caller | null; params: unknown; subject: Subject | null },
  ): Promise<unknown> {
    const { store } = this.#ports;
    // Getters stay getters: a spread would call them.
    const withStore = (under: Call['store']): Call => Object.defineProperty(call, 'store', { value: under }) as Call;
    if (route.audit === null || caller === null) return handler(withStore(store));
    const event = {
      actor: caller.actor,
      action: route.audit,
      ...(await this.#identified(resourceOf(route, params, { body: call.body, caller }))),
      ...(await this.#personal.originOf(call.origin)),
      requestId: call.requestId,
      ...(route.hasVersion && route.body ? { change: { afterDigest: sha256(canonicalJson(call.stated)) } } : {}),
    };
    return this.#record(event, (under) => handler(withStore(under)));
  }

  async #record<T>(event: AuditEvent, effect: (store: Call['store']) => Promise<T>): Promise<T> {
    try {
      return await auditedEffect(this.#ports, event, effect);
    } finally {
      this.#authenticator.forget();
    }
  }

  async #once(
    asked: IdempotentRequest,
    {
      route,
      run,
      request,
      reply,
    }: { route: Route; run: () => Promise<unknown>; request: FastifyRequest; reply: FastifyReply },
  ): Promise<unknown> {
    const { idempotency } = this.#ports.store;
    const verdict = await idempotency.begin(asked, REPEATABLE_MS);
    if (verdict.state === 'running' || verdict.state === 'different') {
      const why = verdict.state === 'running' ? 'is still being done' : 'was another one';
      throw new AppError('REQUEST_REPEATED', `What first came under this Idempotency-Key ${why}.`, {
        nextStep: 'Use one key for one request: a new one for each.',
      });
    }
    if (verdict.state === 'done')
      return reply.code(verdict.status).header('idempotency-replayed', 'true').send(verdict.body);
    let result: unknown;
    try {
      result = await run();
    } catch (error) {
      // What may have taken effect must not be done again under this key.
      if (error instanceof AppError && error.details['effect'] !== 'unknown') await idempotency.abandon(asked);
      throw error;
    }
    const body = shaped(route, result);
    await idempotency.complete(asked, { status: route.answer.status, body: (body ?? null) as Json });
    return this.#send(route, result, request, reply);
  }

  #send(route: Route, result: unknown, request: FastifyRequest, reply: FastifyReply): unknown {
    const { answer } = route;
    switch (answer.kind) {
      case 'json': {
        const body = shaped(route, result);
        if (route.hasVersion) {
          const tag = `"${String((body as { version?: number }).version)}"`;
          void reply.header('etag', tag);
          if (route.method === 'GET' && request.headers['if-none-match'] === tag) return reply.code(304).send();
        }
        return reply.code(answer.status).type('application/json; charset=utf-8').send(JSON.stringify(body));
      }
      case 'empty':
        return reply.code(204).send();
      case 'text':
        return reply.code(200).type(answer.media).send(result);
      case 'redirect':
        return reply.redirect(result as string, 302);
      case 'file': {
        const { name, chunks } = result as FileAnswer;
        void reply.type(answer.media).header('content-disposition', `attachment; filename="${name}"`);
        return reply.send(Readable.from(chunks, { objectMode: false }));
      }
      case 'stream':
        return reply;
    }
  }
}

/** Throws where a credential came over a connection that others can read. */
export function requireSafe(request: FastifyRequest): void {
  if (request.protocol === 'https' || isLoopback(addressOf(request))) return;
  throw new AppError('TLS_REQUIRED', 'Credentials are taken over TLS only, or from this machine itself.', {
    nextStep: 'Use https://. What was sent has been readable on its way: replace it.',
  });
}

function isChange({ method }: Route): boolean {
  return method !== 'GET';
}

function denied(permission: Permission): AppError {
  return new AppError('ACCESS_DENIED', `This needs the permission ${permission}.`, {
    nextStep: 'Ask an administrator for a role that has it.',
  });
}

function parsed(what: 'path' | 'query' | 'body', schema: Route['body'], value: unknown): unknown {
  if (!schema) return undefined;
  const result = schema.safeParse(value);
  if (!result.success) throw misfit(what, result.error);
  return result.data;
}

function statedBody(route: Route, body: unknown): unknown {
  if (!route.body) {
    const isEmpty = body === undefined || body === null || (typeof body === 'object' && Object.keys(body).length === 0);
    if (isEmpty) return undefined;
    throw new AppError('REQUEST_INVALID', 'This takes no body.', { nextStep: 'Send it without one.' });
  }
  const named = withOwnNames(body, route.aliases ?? {});
  return route.fromOriginal ? route.fromOriginal(named) : named;
}

/** What is sent is what the schema says: what it does not name does not leave, it is a bug. */
function shaped(route: Route, result: unknown): unknown {
  return route.answer.kind === 'json' ? route.answer.schema.parse(result) : null;
}

function ifMatch(request: FastifyRequest): number | null {
  const text = request.headers['if-match'];
  if (text === undefined || text === '*') return null;
  const match = /^"(\d{1,15})"$/.exec(text);
  if (match) return Number(match[1]);
  throw new AppError('RESOURCE_CHANGED', 'If-Match carries what is no ETag of this resource.', {
    nextStep: 'Read the resource, and send the ETag that comes with it.',
  });
}

function keyOf(key: string): string {
  if (/^[\x21-\x7e]{1,200}$/.test(key)) return key;
  throw new AppError('REQUEST_INVALID', 'An Idempotency-Key has 1 to 200 printable characters without spaces.', {
    nextStep: 'A UUID is one.',
  });
}

function hashOf(request: FastifyRequest, stated: unknown): string {
  return sha256(`${request.method}\n${request.url}\n${canonicalJson(stated)}`);
}

/** All of a kind: what an action on none in particular is done to. */
const ALL = '*';

interface AskedFor {
  readonly resource: AuditEvent['resource'];
  /** The name of a user that it is about, who is in the log by id alone. */
  readonly person: string | null;
}

/** What the log calls the resource: what the path leads to, else what the body names, else all of them, or the caller's own account. */
function resourceOf(
  { access, audit }: Pick<Route, 'access' | 'audit'>,
  params: unknown,
  { body, caller }: { readonly body: unknown; readonly caller: Caller | null },
): AskedFor {
  const type = must(audit?.split('.')[0], 'noun');
  const [[key, value] = []] = Object.entries((params ?? {}) as Record<string, string | number>);
  const first = value === undefined ? undefined : String(value);
  const { name, username } = (body ?? {}) as { name?: unknown; username?: unknown };
  if (key === 'username' || (first === undefined && typeof username === 'string'))
    return { resource: { type, id: UNNAMED }, person: first ?? String(username) };
  const own = typeof name === 'string' ? name : null;
  // The path names the cluster of a topic.
  if (type === 'topic' && first !== undefined && own !== null)
    return { resource: { type, id: own, cluster: first }, person: null };
  const other = access.kind === 'permission' ? ALL : (caller?.identity.userId ?? UNNAMED);
  return { resource: { type, id: first ?? own ?? other }, person: null };
}

/** The same of a request that may have gone no further than its address, and of those that only read. */
function askedFor(
  route: Route,
  params: unknown,
  { body, caller }: { readonly body: unknown; readonly caller: Caller | null },
): AskedFor {
  const { access, audit, path } = route;
  const values = (params ?? {}) as Readonly<Record<string, string>>;
  const [kind] = access.kind === 'permission' && typeof access.on === 'object' ? Object.keys(access.on) : [];
  const noun = audit ?? kind ?? ('username' in values ? 'user' : null);
  const stated = typeof body === 'object' ? body : null;
  if (noun !== null) return resourceOf({ access, audit: noun }, values, { body: stated, caller });
  const id = path.replaceAll(/:(\w+)/g, (_, name: string) => values[name] ?? '');
  return { resource: { type: 'route', id }, person: null };
}

function originOf(request: FastifyRequest): Origin {
  return { address: addressOf(request), userAgent: request.headers['user-agent']?.slice(0, 300) ?? null };
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
