import { AppError } from '#contract/errors.ts';
import type { Documents } from '#contract/resources.ts';
import { nearest } from '#util/nearest.ts';

/** The cluster that `--cluster` names, or the only one of the files. */
export function chosenCluster(documents: Documents, name: string | undefined): string {
  const names = documents.clusters.map((cluster) => cluster.metadata.name);
  const [only] = names;
  if (name === undefined) {
    if (names.length === 1 && only !== undefined) return only;
    throw new AppError(
      'REQUEST_INVALID',
      names.length === 0 ? 'the files hold no Cluster' : `the files hold ${names.length} clusters: ${names.join(', ')}`,
      {
        nextStep:
          names.length === 0
            ? 'Name the file that holds it with -f.'
            : `Choose one, for example with --cluster ${only}.`,
      },
    );
  }
  if (names.includes(name)) return name;
  const near = nearest(name, names);
  throw new AppError(
    'RESOURCE_NOT_FOUND',
    `there is no Cluster "${name}" in the files${near === null ? '' : `; did you mean "${near}"?`}`,
    {
      nextStep: names.length === 0 ? 'Name the file that holds it with -f.' : `Choose one of ${names.join(', ')}.`,
    },
  );
}
