import { openApiDocument } from '#contract/api/openapi.ts';
import type { systemRoutes } from '#contract/api/routes/system.ts';
import type { Handlers } from '../http/call.ts';
import { newNonce, pagePolicy } from '../http/headers.ts';
import type { Context } from './context.ts';
import { docsPage } from './docs-page.ts';

export function systemHandlers({ ports, settings, startedAt }: Context): Pick<Handlers, keyof typeof systemRoutes> {
  const document = openApiDocument(settings.version);
  const text = JSON.stringify(document);
  return {
    async getHealth() {
      const checks = [
        { name: 'store' as const, status: status(ports.store.health().state === 'ok') },
        { name: 'audit' as const, status: status(ports.auditTrail.isWritable()) },
        { name: 'jobs' as const, status: status(ports.jobs.isAlive()) },
      ];
      return {
        status: checks.every((check) => check.status === 'ok') ? 'ok' : 'degraded',
        uptime: Math.floor((ports.clock.monotonic() - startedAt) / 1000),
        timestamp: ports.clock.now(),
        checks,
      };
    },
    getVersion: async () => ({ version: settings.version }),
    getOpenApi: async () => text,
    async getDocs({ connection: { reply } }) {
      const nonce = newNonce(ports.entropy);
      void reply.header('content-security-policy', pagePolicy(nonce));
      return docsPage(document, nonce);
    },
    getSwaggerPage: async () => '/docs',
    getRedocPage: async () => '/docs',
  };
}

function status(isOk: boolean): 'ok' | 'failing' {
  return isOk ? 'ok' : 'failing';
}
