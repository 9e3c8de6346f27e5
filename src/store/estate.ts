/**
 * What a backup of another installation has that this one can take in beside its own: who there is and what they may do, what
 * is mirrored, by which secrets, and when things are done. Its history, its log and what proves an identity (passwords,
 * tokens, certificates, second factors) stay with it.
 */
import type { BackupPlace, BackupSummary } from './backup.ts';
import { assertSchema, readBackup } from './backup.ts';
import type { DumpRow } from './dumps.ts';
import type { PastFigures } from './history.ts';
import { fromJson, type Json } from './json.ts';
import type { JobText } from './jobs.ts';
import type { KeyEncryption } from './key-encryption.ts';
import type { RoleText } from './roles.ts';
import type { Row } from './scope.ts';
import { secretOf, type SealedSecrets, type SealedValue } from './sealed-secrets.ts';
import type { UserKind } from './users.ts';
import { openSecret, RESOURCE_SECRETS, sealSecret } from './vault.ts';

export interface Estate {
  /** Those in use. */
  readonly clusters: readonly { readonly name: string; readonly document: Json; readonly pinnedId: string | null }[];
  /** Those that do not come with the program. */
  readonly roles: readonly RoleText[];
  readonly users: readonly EstateUser[];
  readonly jobs: readonly JobText[];
  /** Of what resources refer to. */
  readonly secrets: readonly EstateSecret[];
  /** Options that say when something is done, as they were set there. */
  readonly schedules: Readonly<Record<string, Json>>;
  /** What its jobs did before, in the order of time; a backup's stay with it. */
  readonly figures: readonly EstateFigures[];
}

export interface EstateFigures extends PastFigures {
  /** The name of it. */
  readonly job: string;
}

export interface EstateUser {
  readonly name: string;
  readonly kind: UserKind;
  readonly displayName: string | null;
  readonly roles: readonly string[];
  readonly oidc: { readonly issuer: string; readonly subject: string } | null;
  /** The name of who answers for a service account. */
  readonly owner: string | null;
  readonly isDisabled: boolean;
}

export interface EstateSecret {
  /** Sealed for this installation, to stand after what it has under the name. */
  readonly sealed: SealedValue;
  /** This installation has the same value under the name. */
  readonly isSame: boolean;
}

/** Of this installation. */
export interface OwnSecrets {
  readonly secrets: Pick<SealedSecrets, 'get' | 'lastVersion'>;
  readonly keys: KeyEncryption;
}

const TAKEN = ['users', 'roles', 'user_roles', 'secrets', 'configuration_values', 'clusters', 'jobs'] as const;
type Taken = (typeof TAKEN)[number];

/** The file is sealed with the keys of `place`, and so are the secrets in it. Throws BACKUP_INVALID, SECRET_UNAVAILABLE. */
export async function readEstate(
  place: BackupPlace,
  own: OwnSecrets,
): Promise<{ readonly estate: Estate; readonly summary: BackupSummary }> {
  const found = new Map<string, DumpRow[]>(TAKEN.map((table) => [table, []]));
  const summary = await readBackup(place, async ({ table, rows }) => {
    found.get(table)?.push(...rows);
  });
  assertSchema(summary.schema);
  const rowsOf = <Table extends Taken>(table: Table) => found.get(table) as unknown as readonly Row<Table>[];
  const estate: Estate = {
    clusters: rowsOf('clusters')
      .filter(({ state }) => state === 'active')
      .map(({ name, document, pinned_id }) => ({ name, document: fromJson<Json>(document), pinnedId: pinned_id })),
    roles: rowsOf('roles')
      .filter(({ is_built_in }) => is_built_in === 0)
      .map(({ name, description, grants }) => ({ name, description, grants: fromJson<RoleText['grants']>(grants) })),
    users: usersOf(rowsOf('users'), rowsOf('user_roles')),
    jobs: rowsOf('jobs').map(({ name, kind, source, target, document }) => ({
      name,
      kind,
      source,
      target,
      document: fromJson<Json>(document),
    })),
    secrets: await secretsOf(rowsOf('secrets'), place.keys, own),
    schedules: Object.fromEntries(
      rowsOf('configuration_values')
        .filter(({ key }) => isSchedule(key))
        .map(({ key, value }) => [key, fromJson<Json>(value)]),
    ),
    figures: [],
  };
  return { estate, summary };
}

/** All other options are of the place where a server stands. */
function isSchedule(key: string): boolean {
  return key.startsWith('compliance.schedule.') || key.endsWith('.every');
}

function usersOf(users: readonly Row<'users'>[], held: readonly Row<'user_roles'>[]): EstateUser[] {
  const names = new Map(users.map(({ id, name }) => [id, name]));
  const roles = Map.groupBy(held, ({ user_id }) => user_id);
  return users.map((row) => ({
    name: row.name,
    kind: row.kind as UserKind,
    displayName: row.display_name,
    roles: (roles.get(row.id) ?? []).map(({ role }) => role),
    oidc:
      row.oidc_issuer === null || row.oidc_subject === null
        ? null
        : { issuer: row.oidc_issuer, subject: row.oidc_subject },
    owner: row.owner_id === null ? null : (names.get(row.owner_id) ?? null),
    isDisabled: row.is_disabled === 1,
  }));
}

async function secretsOf(
  rows: readonly Row<'secrets'>[],
  theirs: KeyEncryption,
  { secrets, keys }: OwnSecrets,
): Promise<EstateSecret[]> {
  const taken: EstateSecret[] = [];
  for (const row of rows) {
    const secret = secretOf(row);
    if (secret === null || !secret.name.startsWith(RESOURCE_SECRETS)) continue;
    const { name } = secret;
    const value = await openSecret(secret, theirs);
    const here = await secrets.get(name);
    const isSame = here !== null && (await openSecret(here, keys)) === value;
    const next = (await secrets.lastVersion(name)) + 1;
    taken.push({ sealed: await sealSecret({ name, version: next, value }, keys), isSame });
  }
  return taken;
}
