/** What a job of the store runs: its document and those of its clusters, with defaults filled in and references resolved. */
import { complaints } from '#contract/option-file.ts';
import { AppError } from '#contract/errors.ts';
import {
  serverClusterSchema,
  mirrorSchema,
  resolveVerify,
  verifySchema,
  type ClusterResource,
  type Documents,
  type MirrorResource,
} from '#contract/resources.ts';
import type { StoredCluster } from '#store/clusters.ts';
import type { Json } from '#store/json.ts';
import type { StoredJob } from '#store/jobs.ts';

export interface StoredResources {
  readonly jobs: readonly StoredJob[];
  readonly clusters: readonly StoredCluster[];
}

export interface JobDocuments {
  readonly documents: Documents;
  /** Changes when the job has to run in another way: another text of it, of what it names, or a request to restart it. */
  readonly key: string;
}

/**
 * What was stored was checked then; a newer version of the program may see it otherwise, and what it names may be gone. Throws
 * AppError that concerns this job alone.
 */
export function documentsOf(job: StoredJob, stored: StoredResources): JobDocuments {
  switch (job.kind) {
    case 'Mirror':
      return mirrorDocuments(job, stored);
    case 'Verify':
      return verifyDocuments(job, stored);
    default:
      throw new AppError('FEATURE_NOT_BUILT', `Job "${job.name}" is of kind ${job.kind}, which nothing runs.`, {
        nextStep: 'Run it with a version of Lockstep that has this kind.',
      });
  }
}

function mirrorDocuments(job: StoredJob, stored: StoredResources): JobDocuments {
  const mirror = mirrorOf(job);
  const clusters = clustersOf(mirror, stored);
  const documents = { clusters: clusters.map(resourceOf), mirrors: [mirror], verifications: [] };
  return { documents, key: keyOf(job, [job.document, ...clusters.map(({ document }) => document)]) };
}

function verifyDocuments(job: StoredJob, stored: StoredResources): JobDocuments {
  const stated = checked(`job "${job.name}"`, verifySchema.safeParse(job.document));
  const { mirror: named } = stated.spec;
  const mirrorJob = stored.jobs.find(({ kind, name }) => kind === 'Mirror' && name === named);
  const resolved = resolveVerify(stated, mirrorJob ? [mirrorOf(mirrorJob)] : []);
  if (!resolved)
    throw new AppError('RESOURCE_NOT_FOUND', `Job "${job.name}" verifies a job that is not there, or is no mirror.`, {
      nextStep: 'Name a job of kind Mirror.',
    });
  const clusters = clustersOf(resolved.spec.mirror, stored);
  const documents = { clusters: clusters.map(resourceOf), mirrors: [], verifications: [resolved] };
  const texts = [job.document, mirrorJob?.document ?? null, ...clusters.map(({ document }) => document)];
  return { documents, key: keyOf(job, texts) };
}

function mirrorOf({ name, document }: StoredJob): MirrorResource {
  return checked(`job "${name}"`, mirrorSchema.safeParse(document));
}

function clustersOf({ metadata, spec }: MirrorResource, { clusters }: StoredResources): StoredCluster[] {
  return [spec.source, spec.target].map((name) => {
    const found = clusters.find((each) => each.name === name);
    if (found) return found;
    throw new AppError('RESOURCE_NOT_FOUND', `There is no cluster "${name}", which mirror "${metadata.name}" names.`, {
      nextStep: 'Add it, or name another one in the job.',
    });
  });
}

/** The identity that was met first holds where none is stated. */
export function resourceOf({ name, document, pinnedId }: StoredCluster): ClusterResource {
  const resource = checked(`cluster "${name}"`, serverClusterSchema.safeParse(document));
  return { ...resource, spec: { ...resource.spec, id: resource.spec.id ?? pinnedId } };
}

/** Without pinned identities: that one becomes known is no reason to begin anew. */
function keyOf({ restarts }: StoredJob, texts: readonly (Json | null)[]): string {
  return JSON.stringify([restarts, ...texts]);
}

function checked<T>(
  subject: string,
  result:
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly { readonly message: string }[] } },
): T {
  if (result.success) return result.data;
  throw new AppError(
    'CONFIG_INVALID',
    `The document of ${subject} cannot be used: ${complaints(result.error.issues).join('; ')}.`,
    {
      nextStep: 'Change it to what this version takes.',
    },
  );
}
