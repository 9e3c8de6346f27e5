/**
 * The tables, as Kysely sees them; `migrations/` makes them. One schema for both engines: times are milliseconds since the
 * epoch, flags 0 and 1, JSON is text, so that a row is the same value whichever database it comes from.
 */
import type { Generated } from 'kysely';

type Flag = 0 | 1;

export interface UserRow {
  id: string;
  name: string;
  /** Normalised, in lower case: what must be unique. */
  name_key: string;
  kind: string;
  display_name: string | null;
  password_hash: string | null;
  password_changed_at: number | null;
  must_change_password: Flag;
  oidc_issuer: string | null;
  oidc_subject: string | null;
  owner_id: string | null;
  is_initial: Flag;
  is_disabled: Flag;
  has_totp: Flag;
  totp_last_step: number | null;
  last_login_at: number | null;
  version: number;
  created_at: number;
  updated_at: number;
}

export interface Tables {
  /** Single values of the store itself. */
  facts: { name: string; value: string };
  users: UserRow;
  roles: {
    name: string;
    description: string;
    is_built_in: Flag;
    grants: string;
    version: number;
    created_at: number;
    updated_at: number;
  };
  user_roles: { user_id: string; role: string };
  recovery_codes: { user_id: string; hash: string; used_at: number | null };
  webauthn_credentials: {
    credential_id: string;
    user_id: string;
    name: string;
    public_key: string;
    counter: number;
    transports: string;
    created_at: number;
    last_used_at: number | null;
  };
  sessions: {
    id: string;
    user_id: string;
    hash: string;
    methods: string;
    idle_ms: number;
    created_at: number;
    last_seen_at: number;
    idle_until: number;
    expires_at: number;
    stepped_up_at: number | null;
    address: string | null;
    user_agent: string | null;
  };
  api_tokens: {
    id: string;
    user_id: string;
    name: string;
    hash: string;
    scopes: string | null;
    allowed_ranges: string;
    created_by: string;
    created_at: number;
    expires_at: number;
    revoked_at: number | null;
    last_used_at: number | null;
    last_used_from: string | null;
  };
  one_time_tokens: {
    hash: string;
    purpose: string;
    payload: string;
    created_at: number;
    expires_at: number;
    used_at: number | null;
  };
  certificates: {
    id: string;
    user_id: string;
    subject: string;
    fingerprint: string | null;
    created_at: number;
    expires_at: number | null;
    revoked_at: number | null;
    last_used_at: number | null;
  };
  idempotency_keys: {
    user_id: string;
    key: string;
    request_hash: string;
    status: number | null;
    body: string | null;
    created_at: number;
    expires_at: number;
  };
  throttles: { key: string; failures: number; last_failure_at: number; until: number; forget_at: number };
  secrets: {
    name: string;
    version: number;
    /** The four are null in a deleted one, whose version must not come again. */
    key_id: string | null;
    wrapped_key: string | null;
    nonce: string | null;
    ciphertext: string | null;
    created_at: number;
    updated_at: number;
    updated_by: string | null;
  };
  configuration_values: { key: string; value: string };
  leases: { name: string; holder: string; term: number; expires_at: number };
  log_checkpoints: { origin: string; size: number; root: string; seen_at: number };
  log_effects: { intent: number; at: number };
  personal_values: { commitment: string; kind: string; value: string; salt: string; created_at: number };
  former_users: { id: string; name: string; deleted_at: number };
  restorations: {
    id: Generated<number>;
    restored_at: number;
    taken_at: number;
    backup_checkpoint: string | null;
    replaced_checkpoint: string | null;
    is_logged: Flag;
  };
  clusters: {
    name: string;
    document: string;
    state: string;
    state_changed_at: number;
    pinned_id: string | null;
    version: number;
    created_at: number;
    updated_at: number;
  };
  jobs: {
    id: string;
    name: string;
    kind: string;
    source: string | null;
    target: string | null;
    document: string;
    desired: string;
    desired_changed_at: number;
    desired_changed_by: string | null;
    restarts: number;
    version: number;
    created_at: number;
    updated_at: number;
  };
  reports: {
    id: string;
    kind: string;
    subject: string | null;
    from_at: number | null;
    to_at: number | null;
    created_at: number;
    created_by: string | null;
    summary: string;
    body: string;
  };
  events: {
    id: Generated<number>;
    at: number;
    type: string;
    level: string;
    job_id: string | null;
    cluster: string | null;
    topic: string | null;
    actor: string | null;
    message: string;
    data: string;
  };
  incidents: {
    id: Generated<number>;
    job_id: string;
    code: string;
    severity: string;
    topic: string | null;
    partition: number | null;
    offset_from: number | null;
    offset_to: number | null;
    cause: string;
    consequence: string;
    next_step: string;
    ends_by_itself: Flag;
    opened_at: number;
    last_seen_at: number;
    closed_at: number | null;
    resolution: string;
    resolution_note: string | null;
    resolved_by: string | null;
    resolved_at: number | null;
  };
  metric_series: { id: Generated<number>; job_id: string; topic: string; metric: string; kind: string };
  /** What a run of a process last said of a counter. */
  metric_counters: { source: string; series_id: number; value: number; at: number };
  /** `weight`: of a counter the milliseconds that it covers, of a gauge the number of samples; `sum` over `weight` is the mean. */
  metric_points: {
    series_id: number;
    step_ms: number;
    at: number;
    weight: number;
    sum: number;
    min: number;
    max: number;
  };
  snapshots: {
    id: Generated<number>;
    cluster: string;
    job_id: string | null;
    side: string | null;
    taken_for: string;
    taken_by: string | null;
    taken_at: number;
    facts: string;
    is_complete: Flag;
    topics: number;
    partitions: number;
    groups: number;
  };
  /** `item` is all of it; `compared` what makes two the same, without what moves all the time. */
  snapshot_items: {
    snapshot_id: number;
    kind: string;
    name: string;
    parent: string;
    item: string;
    compared: string;
    /** Of topics, for order and filters: their columns. */
    partitions: number;
    replication_factor: number;
    under_replicated: number;
    /** Of a topic records, of a group members (−1: not known). */
    size: number;
    is_internal: Flag;
  };
}

/** All of them, each after those that it refers to, with what orders its rows. */
export const tableKeys = {
  facts: ['name'],
  users: ['id'],
  roles: ['name'],
  user_roles: ['user_id', 'role'],
  recovery_codes: ['user_id', 'hash'],
  webauthn_credentials: ['credential_id'],
  sessions: ['id'],
  api_tokens: ['id'],
  one_time_tokens: ['hash'],
  certificates: ['id'],
  idempotency_keys: ['user_id', 'key'],
  throttles: ['key'],
  secrets: ['name'],
  configuration_values: ['key'],
  leases: ['name'],
  log_checkpoints: ['origin'],
  log_effects: ['intent'],
  personal_values: ['commitment'],
  former_users: ['id'],
  restorations: ['id'],
  clusters: ['name'],
  jobs: ['id'],
  reports: ['id'],
  events: ['id'],
  incidents: ['id'],
  metric_series: ['id'],
  metric_counters: ['source', 'series_id'],
  metric_points: ['series_id', 'step_ms', 'at'],
  snapshots: ['id'],
  snapshot_items: ['snapshot_id', 'kind', 'name'],
} as const satisfies { readonly [Table in keyof Tables]: readonly (keyof Tables[Table] & string)[] };

export type TableName = keyof typeof tableKeys;

export const tableNames = Object.keys(tableKeys) as TableName[];
