import { createCertificates } from './certificates.ts';
import { createClusters } from './clusters.ts';
import { createConfiguration } from './configuration.ts';
import { createDumps } from './dumps.ts';
import { createEvents } from './events.ts';
import { createHistoryReader } from './history-reader.ts';
import { createHistoryWriter } from './history-writer.ts';
import { createIdempotency } from './idempotency.ts';
import { createImports } from './imports.ts';
import { createIncidents } from './incidents.ts';
import { createInventory } from './snapshots.ts';
import { createJobs } from './jobs.ts';
import { createLeases } from './leases.ts';
import { createLogAnchors } from './log-anchors.ts';
import { createMaintenance } from './maintenance.ts';
import { createOneTimeTokens } from './one-time-tokens.ts';
import { createPersonal } from './personal.ts';
import { createReports } from './reports.ts';
import { createRoles } from './roles.ts';
import type { Scope } from './scope.ts';
import { createSealedSecrets } from './sealed-secrets.ts';
import { createSessions } from './sessions.ts';
import type { Aggregates } from './store.ts';
import { createThrottles } from './throttles.ts';
import { createApiTokens } from './tokens.ts';
import { createUserAccounts } from './user-accounts.ts';
import { createUserProofs } from './user-proofs.ts';

/** How each aggregate is made for one call. */
export const creators: { readonly [Name in keyof Aggregates]: (scope: Scope) => Aggregates[Name] } = {
  users: (scope) => ({ ...createUserAccounts(scope), ...createUserProofs(scope) }),
  roles: createRoles,
  sessions: createSessions,
  tokens: createApiTokens,
  oneTimeTokens: createOneTimeTokens,
  certificates: createCertificates,
  clusters: createClusters,
  jobs: createJobs,
  events: createEvents,
  incidents: createIncidents,
  history: (scope) => ({ ...createHistoryReader(scope), ...createHistoryWriter(scope) }),
  inventory: createInventory,
  configuration: createConfiguration,
  secrets: createSealedSecrets,
  idempotency: createIdempotency,
  throttles: createThrottles,
  leases: createLeases,
  reports: createReports,
  logAnchors: createLogAnchors,
  personal: createPersonal,
  imports: createImports,
  dumps: createDumps,
  maintenance: createMaintenance,
};
