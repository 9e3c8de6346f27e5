/** What came of another mirror's files, as an estate that a server takes in. */
import { createHash } from 'node:crypto';
import { parseAllDocuments } from 'yaml';
import { isBuiltInRole } from '#contract/api/permissions.ts';
import { AppError } from '#contract/errors.ts';
import type { Migration } from '#contract/migration.ts';
import { complaints } from '#contract/option-file.ts';
import { mirrorSchema, serverClusterSchema } from '#contract/resources.ts';
import type { Estate } from '#store/estate.ts';
import type { Json } from '#store/json.ts';

interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly source: string; readonly target: string };
}

/** Throws AppError CONFIG_INVALID where a resource is none that a server keeps. */
export function estateOf({ resources, users, figures }: Migration): Estate {
  const documents = parseAllDocuments(resources).map((each) => each.toJS() as Document);
  const of = (kind: string): Document[] => documents.filter((each) => each.kind === kind);
  return {
    clusters: of('Cluster').map((document) => {
      check(document, serverClusterSchema.safeParse(document));
      return { name: document.metadata.name, document: document as unknown as Json, pinnedId: null };
    }),
    roles: [],
    users: users.map(({ name, roles }) => ({
      name,
      kind: 'local',
      displayName: null,
      roles: roles.filter(isBuiltInRole),
      oidc: null,
      owner: null,
      isDisabled: false,
    })),
    jobs: of('Mirror').map((document) => {
      check(document, mirrorSchema.safeParse(document));
      const { source, target } = document.spec;
      return { name: document.metadata.name, kind: 'Mirror', source, target, document: document as unknown as Json };
    }),
    secrets: [],
    schedules: {},
    figures: figures.map(({ mirror, ...each }) => ({ job: mirror, ...each })),
  };
}

/** Names what is taken in, for the audit log. */
export function digestOf(estate: Estate): string {
  return createHash('sha256').update(JSON.stringify(estate)).digest('hex');
}

function check(
  { kind, metadata }: Document,
  result: ReturnType<typeof mirrorSchema.safeParse | typeof serverClusterSchema.safeParse>,
): void {
  if (result.success) return;
  throw new AppError(
    'CONFIG_INVALID',
    `${kind} "${metadata.name}" is none that a server keeps: ${complaints(result.error.issues).join('; ')}`,
    {
      nextStep:
        'Mend the files that "lockstep migrate" writes, and add what is in them by "lockstep clusters add" and "lockstep jobs add".',
    },
  );
}
