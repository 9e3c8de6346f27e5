/** Resource documents as they lie in the store, and as they are worked with. */
import { z } from 'zod';
import { apiVersion, serverClusterSchema, type ClusterResource } from '#contract/resources.ts';
import type { StoredCluster } from '#store/clusters.ts';
import type { Json } from '#store/json.ts';
import type { StoredJob } from '#store/jobs.ts';

const stored = z.looseObject({ spec: z.record(z.string(), z.json()) });

type Spec = z.output<typeof stored>['spec'];

export function documentOf(kind: 'Cluster' | 'Mirror', stated: unknown): { name: string; document: Json } {
  const { name, ...spec } = stated as { name: string } & Record<string, Json>;
  return { name, document: { apiVersion, kind, metadata: { name }, spec } };
}

export function specOf({ document }: StoredCluster | StoredJob): Spec {
  return stored.parse(document).spec;
}

/** With every default filled in. What was stored was checked; a newer version of the program may still see it otherwise. */
export function clusterResource({ document }: StoredCluster): ClusterResource {
  return serverClusterSchema.parse(document);
}
