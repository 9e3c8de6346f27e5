/** Which operation of the contract a request asks for. */
import type { FastifyRequest } from 'fastify';
import { routeOf, type OperationId } from '#contract/api/routes.ts';

/** Undefined where there is no such address, and for the socket, which is no operation of its own. */
export function operationOf({ routeOptions }: FastifyRequest): OperationId | undefined {
  return (routeOptions.config as { operationId?: OperationId }).operationId;
}

/** Its answer ends when somebody ends it. */
export function isStream(request: FastifyRequest): boolean {
  const id = operationOf(request);
  return id !== undefined && routeOf(id).answer.kind === 'stream';
}

/** Its connection is taken over: that it ends is no answer. */
export function isSocket({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.url === routeOf('openSocket').path;
}
