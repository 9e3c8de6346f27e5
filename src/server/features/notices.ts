import type { noticeRoutes } from '#contract/api/routes/notices.ts';
import { SERVER } from '#contract/api/permissions.ts';
import type { Handlers } from '../http/call.ts';
import { registeredCertificates } from './certificate-register.ts';
import type { Context } from './context.ts';
import { storePage } from './pages.ts';

export function noticeHandlers(context: Context): Pick<Handlers, keyof typeof noticeRoutes> {
  const { store } = context.ports;
  return {
    listNotices: ({ query }) => {
      const { type, level, cluster } = query;
      return store.events.list({
        ...storePage(query),
        filter: {
          ...(type === undefined ? {} : { type }),
          ...(level === undefined ? {} : { level }),
          ...(cluster === undefined ? {} : { cluster }),
        },
      });
    },

    async listCertificateExpiry({ caller }) {
      const found = await registeredCertificates(context);
      return found.filter(({ use, of }) => {
        if (use === 'client') return caller.may('users:list', SERVER);
        return caller.may('clusters:view', of === null ? SERVER : { kind: 'cluster', cluster: of });
      });
    },
  };
}
