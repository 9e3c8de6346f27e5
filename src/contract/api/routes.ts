/** Every route there is. The names of the keys are the operation ids. */
import { accountRoutes } from './routes/account.ts';
import { backupRoutes } from './routes/backups.ts';
import { clusterRoutes } from './routes/clusters.ts';
import { configurationRoutes } from './routes/configuration.ts';
import { inventoryRoutes } from './routes/inventory.ts';
import { jobRoutes } from './routes/jobs.ts';
import { noticeRoutes } from './routes/notices.ts';
import { peopleRoutes } from './routes/people.ts';
import { recordRoutes } from './routes/records.ts';
import { stateRoutes } from './routes/state.ts';
import { systemRoutes } from './routes/system.ts';
import { watchingRoutes } from './routes/watching.ts';
import type { Route } from './route.ts';

export const routes = {
  ...systemRoutes,
  ...accountRoutes,
  ...peopleRoutes,
  ...clusterRoutes,
  ...jobRoutes,
  ...stateRoutes,
  ...inventoryRoutes,
  ...recordRoutes,
  ...watchingRoutes,
  ...configurationRoutes,
  ...backupRoutes,
  ...noticeRoutes,
} as const satisfies Record<string, Route>;

export type Routes = typeof routes;

export type OperationId = keyof Routes;

export const operationIds = Object.keys(routes) as readonly OperationId[];

export function routeOf(id: OperationId): Route {
  return routes[id];
}
