/** Requests that carry an Idempotency-Key: done once, answered alike every time. */
import type { Json } from './json.ts';

export interface IdempotentRequest {
  /** Who asks: the same key of somebody else is another one. */
  readonly userId: string;
  readonly key: string;
  /** Digest of method, path and body. */
  readonly requestHash: string;
}

export type IdempotencyVerdict =
  /** It is yours to do. */
  | { readonly state: 'new' }
  /** It is being done; or whoever did it died, and it becomes new when `lifeMs` is over. */
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly status: number; readonly body: Json }
  /** The key stands for another request. */
  | { readonly state: 'different' };

export interface Idempotency {
  begin(request: IdempotentRequest, lifeMs: number): Promise<IdempotencyVerdict>;
  complete(request: IdempotentRequest, answer: { readonly status: number; readonly body: Json }): Promise<void>;
  /** It was not done: another attempt may do it. */
  abandon(request: IdempotentRequest): Promise<void>;
}
