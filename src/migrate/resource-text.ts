/** Resources as the text of a file that `lockstep plan -f` reads. */
import { stringify } from 'yaml';
import { parseDocuments } from '#contract/documents.ts';
import { AppError } from '#contract/errors.ts';
import { apiVersion } from '#contract/resources.ts';
import { InvariantError } from '#util/assert.ts';
import type { SecurityText } from './security-text.ts';
import type { MirrorText } from './mirror-maker/mirror-spec.ts';

export interface ClusterText {
  readonly name: string;
  readonly spec: {
    readonly bootstrap: readonly string[];
    readonly id?: string;
    readonly provider?: string;
    readonly security?: SecurityText;
  };
}

export interface NamedMirror {
  readonly name: string;
  readonly spec: MirrorText;
}

/** Throws InvariantError where it would not be accepted: whoever made them was to see to that. */
export function resourceText(clusters: readonly ClusterText[], mirrors: readonly NamedMirror[]): string {
  const documents = [
    ...clusters.map(({ name, spec }) => ({ apiVersion, kind: 'Cluster', metadata: { name }, spec })),
    ...mirrors.map(({ name, spec }) => ({ apiVersion, kind: 'Mirror', metadata: { name }, spec })),
  ];
  // Lines are not folded: a command that somebody copies out of one stays whole.
  const text = documents.map((document) => stringify(document, { lineWidth: 0 })).join('---\n');
  if (documents.length === 0) return '';
  try {
    parseDocuments([{ path: 'migrated', text }]);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new InvariantError(`the resources of a migration are valid: ${error.message}`);
  }
  return text;
}
