/** A control plane that listens, with something of everything in it, and counts how each route has answered. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { operationIds, routeOf, type OperationId } from '#contract/api/routes.ts';
import { createCredential } from '#server/auth/credential.ts';
import type { StoreLocation } from '#store/location.ts';
import { must } from '#util/assert.ts';
import { playControlPlane, type ControlPlane } from '../played-control-plane.ts';

const DAY_MS = 24 * 3_600_000;
const BEAT_MS = 20;
/** Its time goes fast: what comes from one address would otherwise be refused for being too much. */
const BEAT_STEP_MS = 1_000;
/** By that clock, so that nothing is given up on a machine that is busy. */
const limits = { deadlineMs: 3_600_000, longDeadlineMs: 3_600_000 };

export interface FuzzedPlane {
  readonly plane: ControlPlane;
  readonly url: string;
  nextToken(this: void): Promise<string>;
  /** Routes that have done what was asked, at least once. */
  readonly served: ReadonlySet<OperationId>;
  close(): Promise<void>;
}

export async function startFuzzedPlane(location: StoreLocation): Promise<FuzzedPlane> {
  const plane = await playControlPlane({ location, limits });
  await fill(plane);
  const served = new Set<OperationId>();
  const { store, clock } = plane;
  const root = must(await store.users.getByName('root'), 'root');
  const beat = setInterval(() => void clock.advance(BEAT_STEP_MS), BEAT_MS);
  plane.http.server.on('request', (request: IncomingMessage, response: ServerResponse) =>
    response.on('finish', () => {
      const id = response.statusCode < 300 ? operationOf(request) : null;
      if (id !== null) served.add(id);
    }),
  );
  await plane.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = plane.http.server.address() as AddressInfo;
  return {
    plane,
    url: `http://127.0.0.1:${port}`,
    served,
    async nextToken() {
      const { text, hash } = createCredential('session', { bytes: (count) => randomBytes(count) });
      const life = { idleMs: DAY_MS, lifeMs: DAY_MS, address: null, userAgent: null };
      await store.sessions.create({ userId: root.id, hash, methods: ['password'], ...life });
      return text;
    },
    async close() {
      clearInterval(beat);
      await plane.server.close();
      await store.close(5_000);
    },
  };
}

const patterns = operationIds
  .map((id) => ({ id, ...routeOf(id) }))
  // `/clusters/purge` before `/clusters/:name`, as the router has it.
  .toSorted((a, b) => a.path.split(':').length - b.path.split(':').length)
  .map(({ id, method, path }) => ({ id, method, pattern: new RegExp(`^${path.replaceAll(/:\w+/g, '[^/]+')}$`) }));

function operationOf({ method, url = '' }: IncomingMessage): OperationId | null {
  const path = url.split('?')[0] ?? '';
  return patterns.find((each) => each.method === method && each.pattern.test(path))?.id ?? null;
}

async function fill(plane: ControlPlane): Promise<void> {
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west']) await root('POST', '/api/v1/clusters', { name, bootstrap: [`${name}:9092`] });
  plane.clusters.topicsByCluster = {
    east: [{ name: 'orders', topicId: null, isInternal: false, partitions: [], configs: null }],
  };
  await root('POST', '/api/v1/jobs', { name: 'a', source: 'east', target: 'west', topics: [{ match: 'orders' }] });
}
