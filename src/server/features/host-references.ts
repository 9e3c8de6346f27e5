/**
 * Which variables and files of the server's machine a cluster may refer to. Who states a cluster also states the broker that its
 * password is sent to: without a limit, whoever may change one could have any file that the server can read sent to a broker of theirs.
 */
import { posix } from 'node:path';
import { AppError } from '#contract/errors.ts';
import type { Json } from '#store/json.ts';

/** Throws ACCESS_DENIED. `allowed`: `env:NAME` and `file:PATH`, with "*" at the end for whatever begins so. */
export function refuseHostReferences(stated: Json, allowed: readonly string[]): void {
  for (const reference of referencesIn(stated)) {
    if (allowed.some((pattern) => isUnder(pattern, reference))) continue;
    throw new AppError('ACCESS_DENIED', `Clusters may not refer to ${reference} of the server's machine.`, {
      nextStep: 'Set it with PUT /api/v1/secrets/NAME and refer to { store: NAME }, or have secrets.allowed name it.',
    });
  }
}

/** Each `{ env: NAME }` and `{ file: PATH }`, with steps that lead up out of a path taken. */
function referencesIn(value: Json): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { env, file } = value as { readonly env?: Json; readonly file?: Json };
  return [
    ...(typeof env === 'string' ? [`env:${env}`] : []),
    ...(typeof file === 'string' ? [`file:${posix.normalize(file.replaceAll('\\', '/'))}`] : []),
    ...Object.values(value).flatMap((each) => referencesIn(each)),
  ];
}

function isUnder(pattern: string, reference: string): boolean {
  return pattern.endsWith('*') ? reference.startsWith(pattern.slice(0, -1)) : reference === pattern;
}
