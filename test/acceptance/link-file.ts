/** Resource files for acceptance runs: two clusters and mirrors between them, as a user would write them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '#testing/supervisor.ts';

/** The keys of a Mirror's `spec` besides source and target. */
export interface MirrorSpec {
  readonly topics: readonly object[];
  readonly start?: unknown;
  readonly transactions?: 'preserve' | 'committed-only';
  readonly timestamps?: 'append' | 'producer' | 'target';
  readonly offsets?: 'auto' | 'identical' | 'mapped';
  readonly onMisalignment?: 'stop' | 'map';
  readonly refreshMs?: number;
  readonly targetReplicationFactor?: number;
  readonly sync?: object;
}

export interface Link {
  /** Bootstrap addresses. */
  readonly source: readonly string[];
  readonly target: readonly string[];
  /** By name. */
  readonly mirrors: Readonly<Record<string, MirrorSpec>>;
  /** The cluster id that the source must have. */
  readonly sourceId?: string;
  /** `security` of each side; without it: plaintext. */
  readonly sourceSecurity?: object;
  readonly targetSecurity?: object;
}

/** What the files call the clusters. */
export const clusterNames = { source: 'east', target: 'west' } as const;

/** Writes the documents into a file that is gone when the runner is; returns its path. */
export function writeLink(link: Link): string {
  const path = join(temporaryDirectory('link'), 'link.yaml');
  writeFileSync(path, linkText(link));
  return path;
}

/** The documents as JSON, which is YAML. */
export function linkText(link: Link): string {
  const { source, target, mirrors, sourceId, sourceSecurity = {}, targetSecurity = {} } = link;
  const apiVersion = 'lockstep/v1';
  const cluster = (name: string, spec: object): object => ({ apiVersion, kind: 'Cluster', metadata: { name }, spec });
  const documents = [
    cluster(clusterNames.source, {
      bootstrap: source,
      security: sourceSecurity,
      ...(sourceId === undefined ? {} : { id: sourceId }),
    }),
    cluster(clusterNames.target, { bootstrap: target, security: targetSecurity }),
    ...Object.entries(mirrors).map(([name, spec]) => ({
      apiVersion,
      kind: 'Mirror',
      metadata: { name },
      spec: { ...clusterNames, ...spec },
    })),
  ];
  return documents.map((document) => JSON.stringify(document, null, 2)).join('\n---\n');
}
