/**
 * Every code with which Lockstep reports an operating error or an incident: one table, and docs/errors.md says for each
 * what it means and what to do. A code that nothing raises is removed.
 *
 * `http`  status of the API's answer; null where the code never answers a request (incidents of a running shard)
 * `exit`  exit code of a command that ends with it: 1 failed, 2 usage, 4 not allowed, 5 findings or incidents
 * `level` log level: error means that a person must act
 */
export interface ErrorRow {
  readonly http: number | null;
  readonly exit: 1 | 2 | 4 | 5;
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  /** The same attempt may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  readonly meaning: string;
}

export const errorCodes = {
  CONFIG_INVALID: row(400, 2, 'error', false, 'A resource file cannot be used as it is.'),
  REQUEST_INVALID: row(400, 2, 'debug', false, 'The command line, or a request to the API, is wrong.'),
  FEATURE_NOT_BUILT: row(400, 2, 'error', false, 'A file asks for something that this version cannot do yet.'),
  RESOURCE_NOT_FOUND: row(
    404,
    1,
    'debug',
    false,
    'A resource that was named does not exist, or is in none of the files.',
  ),
  RESOURCE_CONFLICT: row(409, 1, 'info', false, 'A change does not fit what is there.'),
  RESOURCE_CHANGED: row(412, 1, 'info', false, 'A resource has been changed since it was read.'),
  PERMISSION_DENIED: row(403, 4, 'warn', false, 'A cluster refused a request for lack of a right.'),

  CLUSTER_UNREACHABLE: row(503, 1, 'warn', true, 'No broker of a cluster answers.'),
  CLUSTER_NOT_KAFKA: row(503, 1, 'error', false, 'Something answers at the address, but not in Kafka protocol.'),
  CLUSTER_TLS_FAILED: row(503, 1, 'error', true, 'No encrypted connection to a broker comes about.'),
  CLUSTER_AUTHENTICATION_FAILED: row(401, 4, 'error', true, 'A broker refused the login.'),
  CLUSTER_ADDRESS_DENIED: row(502, 1, 'error', false, 'A broker is advertised where Lockstep does not connect to.'),
  SECRET_UNAVAILABLE: row(503, 1, 'error', true, 'A password, key, certificate or token cannot be had.'),
  CLUSTER_ANSWER_INVALID: row(502, 1, 'error', true, 'The answer of a broker does not follow the protocol.'),
  CLUSTER_ID_MISMATCH: row(409, 1, 'error', false, 'Another cluster than before, or than pinned, answers.'),
  CLUSTER_SAME: row(409, 2, 'error', false, 'Source and target of a mirror are one cluster.'),
  CLUSTER_API_UNSUPPORTED: row(409, 1, 'error', false, 'A broker does not speak a request that Lockstep needs.'),
  CLUSTER_SETTING_UNFIT: row(409, 5, 'warn', false, 'A setting of a cluster stands against a mirror.'),
  CLUSTER_REFUSED: row(502, 1, 'error', false, 'A broker answered with an error that Lockstep cannot act on.'),

  TOPIC_NOT_FOUND: row(404, 1, 'error', false, 'A topic does not exist on the cluster.'),
  TOPIC_RULE_EMPTY: row(409, 1, 'warn', false, 'A topic rule of a mirror matches nothing.'),
  TOPIC_RULE_CONFLICT: row(409, 5, 'error', false, 'Two source topics would go into one target topic.'),
  TOPIC_NAME_INVALID: row(409, 5, 'error', false, 'A rule makes a target name that Kafka does not accept.'),
  TOPIC_NAME_COLLISION: row(409, 5, 'warn', false, 'Two topic names differ only in "." and "_".'),
  TOPIC_NOT_EMPTY: row(409, 5, 'error', false, 'A target topic holds data that this mirror did not write.'),
  TOPIC_CLAIMED: row(409, 5, 'error', false, 'A target topic belongs to another mirror.'),
  TOPIC_CYCLE: row(409, 5, 'error', false, 'The records of a topic would come back to the topic that they come from.'),
  TOPIC_LEFT_OUT: row(409, 5, 'warn', false, 'A rule takes in a copy whose records the target has already.'),
  TOPIC_PARTITIONS_DIFFER: row(409, 5, 'error', false, 'A target topic has other partitions than its source.'),
  TOPIC_SETTING_UNFIT: row(
    409,
    5,
    'warn',
    false,
    'A setting of a topic stands against its copy, or shortens its life.',
  ),
  TOPIC_RECREATED: row(null, 5, 'error', false, 'A topic was deleted and created anew under its old name.'),

  MIRROR_CHANGED: row(409, 5, 'error', false, 'A mirror file changed what the first copy has fixed.'),
  REBUILD_REFUSED: row(409, 5, 'error', false, "What a rebuild would delete is not this mirror's alone, or is in use."),
  MIRROR_FAILED_OVER: row(409, 5, 'error', false, 'A mirror was failed over: its target has writers of its own.'),
  FAILOVER_REFUSED: row(409, 5, 'error', true, 'A failover or failback cannot go on as things are.'),
  MIRROR_PEERS_DIFFER: row(409, 5, 'error', true, 'Processes of one mirror run with other files or other versions.'),

  SYNC_INCOMPLETE: row(null, 5, 'warn', false, 'Something around the records cannot follow the source.'),

  COPY_DIFFERENT: row(null, 5, 'error', false, 'A verification found that a copy is not what its source is.'),

  AUDIT_UNAVAILABLE: row(503, 1, 'error', true, 'The audit log takes no entries, so nothing is changed.'),
  LOG_TAMPERED: row(409, 5, 'error', false, 'Something contradicts in an audit log.'),
  LOG_INCOMPLETE: row(409, 5, 'error', false, 'Not everything of an audit log is there to be looked at.'),
  LOG_ROLLED_BACK: row(
    409,
    5,
    'error',
    false,
    'An audit log is shorter than was seen of it, or another one was seen in its place.',
  ),
  LOG_INVALID: row(409, 1, 'error', false, 'What is to be verified is no audit log, no proof and no evidence bundle.'),

  STATE_TOPIC_INVALID: row(409, 1, 'error', false, 'The state topic on the target cannot be used.'),

  SHARD_DIVERGED: row(null, 5, 'error', false, 'Source and target differ, or another program wrote to the target.'),
  SHARD_RETENTION_LOSS: row(null, 5, 'error', false, 'The source deleted records before they were copied.'),
  SHARD_TRUNCATED: row(null, 5, 'error', false, 'The source lost records that had been copied.'),
  SHARD_TRANSACTION_OPEN: row(null, 5, 'warn', true, 'An open transaction on the source holds a partition back.'),
  SHARD_WAITING: row(null, 5, 'warn', true, 'A partition waits for a broker and goes on by itself.'),
  SHARD_TRANSACTION_BROKEN: row(null, 5, 'error', false, 'A transaction cannot be continued on the target.'),
  SHARD_RECORD_TOO_LARGE: row(null, 5, 'error', false, 'A record is larger than the target topic accepts.'),
  SHARD_BATCH_CORRUPT: row(null, 5, 'error', false, 'A record batch is damaged.'),
  SHARD_CONDITION_FAILED: row(null, 5, 'error', false, 'A condition says neither yes nor no of a record.'),
  SHARD_BATCH_REFUSED: row(null, 5, 'error', false, 'The target topic refuses a batch by its settings.'),
  SHARD_FENCED: row(null, 5, 'error', false, 'Another program uses the producer identity of this mirror.'),
  SHARD_NO_PROGRESS: row(null, 5, 'error', false, 'Writes are refused again and again, and nobody else advances.'),
  SHARD_HOLES_NOT_ALLOWED: row(
    null,
    5,
    'error',
    false,
    'The right to fill holes in the offsets is missing on the target.',
  ),

  RECEIVER_UNAVAILABLE: row(null, 1, 'warn', true, 'A receiver of metrics or events does not take them.'),
  AUTH_REQUIRED: row(401, 4, 'info', false, 'A request to the API says nothing about who asks.'),
  AUTH_INVALID: row(401, 4, 'info', false, 'A password, code, session or token is not right, or no more.'),
  ACCESS_DENIED: row(403, 4, 'warn', false, 'No role of the caller allows what was asked for.'),
  STEP_UP_REQUIRED: row(403, 4, 'info', false, 'A dangerous action needs a proof that the person is there now.'),
  PASSWORD_CHANGE_REQUIRED: row(403, 4, 'info', false, 'The password has to be changed before anything else.'),
  SECOND_FACTOR_REQUIRED: row(403, 4, 'info', false, 'An account needs a second factor before anything else.'),
  PASSWORD_UNFIT: row(422, 2, 'info', false, 'A new password is too short or too easy to guess.'),
  TLS_REQUIRED: row(403, 4, 'warn', false, 'Credentials came over a connection that is not encrypted.'),
  REQUEST_FORGED: row(403, 4, 'warn', false, 'A browser sent a change on behalf of another site.'),
  REQUEST_REPEATED: row(409, 1, 'info', false, 'An Idempotency-Key was used before for something else.'),
  REQUEST_TOO_LARGE: row(413, 2, 'info', false, 'The body of a request is larger than the API takes.'),
  REQUEST_HEAD_TOO_LARGE: row(431, 2, 'info', false, 'The address and headers of a request are longer than taken.'),
  REQUEST_TIMED_OUT: row(408, 1, 'info', true, 'A request did not arrive in time.'),
  METHOD_NOT_ALLOWED: row(405, 2, 'debug', false, 'An address of the API was asked with another method than it has.'),
  MEDIA_TYPE_UNSUPPORTED: row(415, 2, 'debug', false, 'The body of a request is of another type than JSON.'),
  RATE_LIMITED: row(429, 1, 'info', true, 'Too many requests, or too many wrong passwords.'),
  SERVER_BUSY: row(503, 1, 'warn', true, 'The server has as much to do as it takes.'),
  SIGN_ON_UNAVAILABLE: row(502, 1, 'warn', true, 'The identity provider does not answer as it should.'),

  SERVER_UNREACHABLE: row(null, 1, 'warn', true, 'The server that a command talks to does not answer.'),
  SERVER_ANSWER_INVALID: row(
    null,
    1,
    'error',
    false,
    'What answers a command is no Lockstep server, or of another version.',
  ),

  STORE_UNAVAILABLE: row(503, 1, 'error', true, 'The database of the control plane does not answer in time.'),
  STORE_FULL: row(503, 1, 'error', true, 'There is no room for the database of the control plane.'),
  STORE_INVALID: row(503, 1, 'error', false, 'The database of the control plane cannot be used.'),
  BACKUP_FAILED: row(503, 1, 'error', true, 'A backup could not be written.'),
  BACKUP_INVALID: row(400, 1, 'error', false, 'A backup is damaged, incomplete, or sealed with another key.'),

  INTERNAL: row(500, 1, 'error', false, 'An invariant of Lockstep is broken: a bug.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorCodes;

export interface AppErrorOptions {
  readonly cause?: unknown;
  /** Facts for machines and logs. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What a person should do now, as a sentence. */
  readonly nextStep?: string;
}

/** An operating error: something in the world is not as it must be. `message` says what failed, and on which object. */
export class AppError extends Error {
  override name = 'AppError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
  readonly nextStep: string | null;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = errorCodes[code].retryable;
    this.details = options.details ?? {};
    this.nextStep = options.nextStep ?? null;
  }
}

function row<
  const Http extends ErrorRow['http'],
  const Exit extends ErrorRow['exit'],
  const Level extends ErrorRow['level'],
>(http: Http, exit: Exit, level: Level, retryable: boolean, meaning: string) {
  return { http, exit, level, retryable, meaning };
}
