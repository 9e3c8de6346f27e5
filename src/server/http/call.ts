/** One request, as a handler sees it: who asks is known and may, what was sent fits its schema, and the intent is in the log. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Answer } from '#contract/api/route.ts';
import type { OperationId, Routes } from '#contract/api/routes.ts';
import type { StoredCluster } from '#store/clusters.ts';
import type { Snapshot } from '#store/inventory.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { Aggregates } from '#store/store.ts';
import type { Caller } from '../auth/caller.ts';
import type { AuditEvent } from '../ports.ts';
import type { Origin } from '../auth/sign-in.ts';
import type { Cookies } from './cookies.ts';

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

export interface Call<Id extends OperationId = OperationId> {
  readonly params: Output<NonNullable<Routes[Id]['params']>>;
  readonly query: Output<NonNullable<Routes[Id]['query']>>;
  readonly body: Output<NonNullable<Routes[Id]['body']>>;
  /** The body as it was sent, with the originals' names replaced and no defaults filled in: what is stored of it. */
  readonly stated: unknown;
  /** Of every route that is not public. */
  readonly caller: Caller;
  /** Of a public route: who asks, where that is known. */
  readonly visitor: Caller | null;
  /** What is changed through it is noted under the intent of this call. */
  readonly store: Aggregates;
  /** Of If-Match; null: whatever the version is. */
  readonly ifVersion: number | null;
  /** What the path leads to, where the route's access names it. */
  readonly job: StoredJob;
  readonly cluster: StoredCluster;
  readonly snapshot: Snapshot;
  readonly origin: Origin;
  readonly cookies: Cookies;
  readonly requestId: string;
  /** After "?", as it was sent. */
  readonly rawQuery: string;
  /**
   * For public routes that change something, where only the handler learns who asks: intent before `effect`, outcome after it.
   */
  record<T>(
    who: Pick<AuditEvent, 'actor' | 'resource'> & { readonly account?: string },
    effect: (store: Aggregates) => Promise<T>,
  ): Promise<T>;
  /** Of public routes: whose account it is about, should it be refused. */
  concerns(account: string): void;
  /** Of streams, which take over the connection. */
  readonly connection: { readonly request: FastifyRequest; readonly reply: FastifyReply };
}

export interface FileAnswer {
  readonly name: string;
  /** Whole lines, as they come, or bytes. */
  readonly chunks: AsyncIterable<string | Uint8Array>;
}

type ResultOf<Sent extends Answer> = Sent extends {
  readonly kind: 'json';
  readonly schema: infer Schema extends z.ZodType;
}
  ? DeepReadonly<z.input<Schema>>
  : Sent extends { readonly kind: 'text' | 'redirect' }
    ? string
    : Sent extends { readonly kind: 'file' }
      ? FileAnswer
      : void;

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

export type Handler<Id extends OperationId> = (call: Call<Id>) => Promise<ResultOf<Routes[Id]['answer']>>;

/** One for each route: one that is missing, or is none, does not compile. */
export type Handlers = { readonly [Id in OperationId]: Handler<Id> };
