/** Users, what they prove themselves with, what is theirs; and what the store remembers of itself and of the audit log. */
import type { Kysely } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

const OWNED = ['recovery_codes', 'webauthn_credentials', 'sessions', 'api_tokens', 'certificates', 'idempotency_keys'];
const ALONE = ['one_time_tokens', 'throttles', 'secrets', 'configuration_values', 'leases'];
const LOG = ['log_checkpoints', 'log_effects', 'restorations', 'personal_values', 'former_users'];

async function up(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, whole, flag } = types;
  const { schema } = db;
  await schema
    .createTable('facts')
    .addColumn('name', text, (column) => column.primaryKey().notNull())
    .addColumn('value', text, (column) => column.notNull())
    .execute();
  await schema
    .createTable('users')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('name_key', text, (column) => column.notNull().unique())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('display_name', text)
    .addColumn('password_hash', text)
    .addColumn('password_changed_at', whole)
    .addColumn('must_change_password', flag, (column) => column.notNull())
    .addColumn('oidc_issuer', text)
    .addColumn('oidc_subject', text)
    .addColumn('owner_id', text, (column) => column.references('users.id').onDelete('set null'))
    .addColumn('is_initial', flag, (column) => column.notNull())
    .addColumn('is_disabled', flag, (column) => column.notNull())
    .addColumn('has_totp', flag, (column) => column.notNull())
    .addColumn('totp_last_step', whole)
    .addColumn('last_login_at', whole)
    .addColumn('version', whole, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('updated_at', whole, (column) => column.notNull())
    .addUniqueConstraint('users_oidc', ['oidc_issuer', 'oidc_subject'])
    .execute();
  await schema
    .createTable('roles')
    .addColumn('name', text, (column) => column.primaryKey().notNull())
    .addColumn('description', text, (column) => column.notNull())
    .addColumn('is_built_in', flag, (column) => column.notNull())
    .addColumn('grants', text, (column) => column.notNull())
    .addColumn('version', whole, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('updated_at', whole, (column) => column.notNull())
    .execute();
  await schema
    .createTable('user_roles')
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('role', text, (column) => column.notNull().references('roles.name'))
    .addPrimaryKeyConstraint('user_roles_key', ['user_id', 'role'])
    .execute();
  await schema.createIndex('user_roles_by_role').on('user_roles').column('role').execute();
  await createCredentials(db, types);
  await createAlone(db, types);
  await createLog(db, types);
}

async function createCredentials({ schema }: Kysely<unknown>, { text, whole }: ColumnTypes): Promise<void> {
  await schema
    .createTable('recovery_codes')
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('hash', text, (column) => column.notNull())
    .addColumn('used_at', whole)
    .addPrimaryKeyConstraint('recovery_codes_key', ['user_id', 'hash'])
    .execute();
  await schema
    .createTable('webauthn_credentials')
    .addColumn('credential_id', text, (column) => column.primaryKey().notNull())
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('public_key', text, (column) => column.notNull())
    .addColumn('counter', whole, (column) => column.notNull())
    .addColumn('transports', text, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('last_used_at', whole)
    .execute();
  await schema
    .createTable('sessions')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('hash', text, (column) => column.notNull().unique())
    .addColumn('methods', text, (column) => column.notNull())
    .addColumn('idle_ms', whole, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('last_seen_at', whole, (column) => column.notNull())
    .addColumn('idle_until', whole, (column) => column.notNull())
    .addColumn('expires_at', whole, (column) => column.notNull())
    .addColumn('stepped_up_at', whole)
    .addColumn('address', text)
    .addColumn('user_agent', text)
    .execute();
  await schema
    .createTable('api_tokens')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('hash', text, (column) => column.notNull().unique())
    .addColumn('scopes', text)
    .addColumn('allowed_ranges', text, (column) => column.notNull())
    .addColumn('created_by', text, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('expires_at', whole, (column) => column.notNull())
    .addColumn('revoked_at', whole)
    .addColumn('last_used_at', whole)
    .addColumn('last_used_from', text)
    .execute();
  await schema
    .createTable('certificates')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('subject', text, (column) => column.notNull())
    .addColumn('fingerprint', text)
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('expires_at', whole)
    .addColumn('revoked_at', whole)
    .addColumn('last_used_at', whole)
    .execute();
  await schema
    .createTable('idempotency_keys')
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('key', text, (column) => column.notNull())
    .addColumn('request_hash', text, (column) => column.notNull())
    .addColumn('status', whole)
    .addColumn('body', text)
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('expires_at', whole, (column) => column.notNull())
    .addPrimaryKeyConstraint('idempotency_keys_key', ['user_id', 'key'])
    .execute();
  for (const table of ['sessions', 'api_tokens', 'webauthn_credentials', 'certificates'])
    await schema.createIndex(`${table}_by_user`).on(table).column('user_id').execute();
  await schema.createIndex('certificates_by_subject').on('certificates').column('subject').execute();
}

async function createAlone({ schema }: Kysely<unknown>, { text, whole }: ColumnTypes): Promise<void> {
  await schema
    .createTable('one_time_tokens')
    .addColumn('hash', text, (column) => column.primaryKey().notNull())
    .addColumn('purpose', text, (column) => column.notNull())
    .addColumn('payload', text, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('expires_at', whole, (column) => column.notNull())
    .addColumn('used_at', whole)
    .execute();
  await schema
    .createTable('throttles')
    .addColumn('key', text, (column) => column.primaryKey().notNull())
    .addColumn('failures', whole, (column) => column.notNull())
    .addColumn('last_failure_at', whole, (column) => column.notNull())
    .addColumn('until', whole, (column) => column.notNull())
    .addColumn('forget_at', whole, (column) => column.notNull())
    .execute();
  await schema
    .createTable('secrets')
    .addColumn('name', text, (column) => column.primaryKey().notNull())
    .addColumn('version', whole, (column) => column.notNull())
    .addColumn('key_id', text)
    .addColumn('wrapped_key', text)
    .addColumn('nonce', text)
    .addColumn('ciphertext', text)
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('updated_at', whole, (column) => column.notNull())
    .addColumn('updated_by', text)
    .execute();
  await schema
    .createTable('configuration_values')
    .addColumn('key', text, (column) => column.primaryKey().notNull())
    .addColumn('value', text, (column) => column.notNull())
    .execute();
  await schema
    .createTable('leases')
    .addColumn('name', text, (column) => column.primaryKey().notNull())
    .addColumn('holder', text, (column) => column.notNull())
    .addColumn('term', whole, (column) => column.notNull())
    .addColumn('expires_at', whole, (column) => column.notNull())
    .execute();
}

async function createLog({ schema }: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, whole, flag } = types;
  await schema
    .createTable('log_checkpoints')
    .addColumn('origin', text, (column) => column.primaryKey().notNull())
    .addColumn('size', whole, (column) => column.notNull())
    .addColumn('root', text, (column) => column.notNull())
    .addColumn('seen_at', whole, (column) => column.notNull())
    .execute();
  await schema
    .createTable('log_effects')
    .addColumn('intent', types.serial, (column) => column.primaryKey().notNull())
    .addColumn('at', whole, (column) => column.notNull())
    .execute();
  await schema
    .createTable('restorations')
    .addColumn('id', types.serial, (column) => types.isSerial(column))
    .addColumn('restored_at', whole, (column) => column.notNull())
    .addColumn('taken_at', whole, (column) => column.notNull())
    .addColumn('backup_checkpoint', text)
    .addColumn('replaced_checkpoint', text)
    .addColumn('is_logged', flag, (column) => column.notNull())
    .execute();
  await schema
    .createTable('personal_values')
    .addColumn('commitment', text, (column) => column.primaryKey().notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('value', text, (column) => column.notNull())
    .addColumn('salt', text, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .execute();
  await schema.createIndex('personal_values_by_value').on('personal_values').column('value').execute();
  await schema.createIndex('personal_values_by_time').on('personal_values').column('created_at').execute();
  await schema
    .createTable('former_users')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('deleted_at', whole, (column) => column.notNull())
    .execute();
}

async function down({ schema }: Kysely<unknown>): Promise<void> {
  for (const table of [...LOG, ...ALONE, ...OWNED, 'user_roles', 'roles', 'users', 'facts'])
    await schema.dropTable(table).execute();
}

export const people = { up, down };
