/** `lockstep admin`: on the store itself, for when nobody can sign in or no server can start. */
import { AppError } from '#contract/errors.ts';
import { printable } from '#util/printable.ts';
import type { Context } from '../../context.ts';
import { createSecret, refuseExisting } from '../../files.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { type ConfigOptions, optionFlags, readSources } from '../../options.ts';
import { readKafMirror } from '../migrate/kaf-mirror.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { PASSWORD_OPTION, readNewPassword, type SecretOptions } from '../../remote/secrets.ts';
import { show, type Shown } from '../../remote/remote-verb.ts';
import { needed, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

interface AdminOptions extends ConfigOptions {
  readonly json?: true;
}

type Question = Parameters<Context['app']['administer']>[2];
type Result = Awaited<ReturnType<Context['app']['administer']>>;

/** Where the database, its keys and the audit log are: as `lockstep serve` is told. */
const PLACES = [
  '--config',
  '--database-path',
  '--secrets-key-file',
  '--audit-directory',
  '--audit-key-file',
  '--server-host', // a server that answers there has the database
  '--server-port',
];

function places(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(optionFlags('serve')).filter(([flags]) => PLACES.includes(flags.split(' ')[0] ?? '')),
  );
}

function adminVerb<Options extends AdminOptions>(verb: {
  readonly summary: string;
  readonly description?: string;
  readonly examples: readonly string[];
  readonly options?: Readonly<Record<string, string>>;
  readonly run: (
    ask: (question: Question) => Promise<Result>,
    options: Options,
    given: { readonly args: readonly string[]; readonly context: Context },
  ) => Promise<Shown>;
}): Verb<Options> {
  const { options = {}, run, ...rest } = verb;
  return {
    ...rest,
    options: { ...options, ...places() },
    takesFiles: false,
    async run(context, given, _, args) {
      const { io, host, app } = context;
      const onTrouble = (message: string, error: unknown): void =>
        io.err(`note: ${printable(`${message}: ${error instanceof Error ? error.message : String(error)}`)}\n`);
      const ask = (question: Question): Promise<Result> =>
        app.administer(host, { sources: readSources(context, given, 'serve'), onTrouble }, question);
      return show(context, given, await run(ask, given, { args, context }));
    },
  };
}

export const repairStore: Verb<AdminOptions> = adminVerb({
  summary: 'seed the built-in roles anew; without any user, make a token for the first administrator',
  description:
    'Seeds the built-in roles and their permissions anew. Where there is no user, it makes a one-time token, good for an hour, with which "lockstep setup" creates the first administrator; there is no default password.\n\nStop the server first.',
  examples: ['lockstep admin repair', 'lockstep admin repair --config /etc/lockstep/lockstep.yaml'],
  async run(ask) {
    const { secret } = await ask({ do: 'repair' });
    const token =
      secret === undefined
        ? []
        : ['There is no user. One-time token for "lockstep setup NAME", good for an hour:', secret.text];
    return {
      json: { repaired: true, setupToken: secret?.text ?? null },
      lines: ['The built-in roles are as this version has them.', ...token],
    };
  },
});

interface ResetOptions extends AdminOptions {
  readonly passwordFile?: string;
  readonly withoutSecondFactor?: true;
}

export const resetAdminPassword: Verb<ResetOptions> = adminVerb({
  summary: 'give the initial user a random password, written to a file',
  description:
    'Gives the initial user a random password, which has to be changed at the next sign-in; sessions and tokens end, and one that is disabled is enabled. Others are helped by that one. It is written to a new file that nobody else may read, and shown nowhere.\n\nStop the server first.',
  examples: ['lockstep admin reset-admin-password ada --password-file ada.txt'],
  options: {
    '--password-file <file>': 'where the new password is written; it must not be there yet',
    '--without-second-factor': 'take the authenticator application and its recovery codes away too',
  },
  async run(ask, { passwordFile, withoutSecondFactor }, { args: [username = ''], context: { host } }) {
    needed({ '--password-file': passwordFile });
    const path = passwordFile ?? '';
    refuseExisting(host.disk, path);
    // Before anything is changed: a password that nobody can read helps nobody.
    createSecret(host.disk, path, '');
    try {
      const { secret } = await ask({
        do: 'reset-password',
        username,
        withoutSecondFactor: withoutSecondFactor ?? false,
      });
      host.disk.appendText(path, `${secret?.text ?? ''}\n`);
    } catch (error) {
      host.disk.remove(path);
      throw error;
    }
    return {
      json: { username, passwordFile: path },
      lines: [`${username} has a new password, in ${path}; it has to be changed at the next sign-in`],
    };
  },
});

export const listStoredUsers: Verb<AdminOptions> = adminVerb({
  summary: 'show the users in the database',
  examples: ['lockstep admin users list'],
  async run(ask) {
    const { users = [] } = await ask({ do: 'list-users' });
    const rows = users.map((user) => [
      user.username,
      user.kind,
      user.roles.join(', ') || UNKNOWN,
      user.isInitial ? 'initial' : '',
      user.isDisabled ? 'disabled' : '',
    ]);
    return { json: { users }, lines: formatRows(['USER', 'KIND', 'ROLES', '', ''], rows, 'users') };
  },
});

interface AddOptions extends AdminOptions, SecretOptions {
  readonly role?: string;
}

export const addStoredUser: Verb<AddOptions> = adminVerb({
  summary: 'create a user in the database; the first one, an administrator, is the initial one',
  examples: ['pass show ada | lockstep admin users add ada --role admin --password-stdin'],
  options: {
    '--role <name>': 'admin (as without it), operator, monitoring, compliance or one of yours',
    ...PASSWORD_OPTION,
  },
  async run(ask, { role = 'admin', ...options }, { args: [username = ''], context: { io } }) {
    const { user } = await ask({ do: 'add-user', username, role, password: await readNewPassword(io, options) });
    return {
      json: { user },
      lines: [
        `${username} is ${role}${user?.isInitial ? ', and the initial user' : ''}; the password has to be changed at the first sign-in`,
      ],
    };
  },
});

interface TokenOptions extends AdminOptions {
  readonly description?: string;
  readonly duration?: string;
  readonly tokenFile?: string;
}

const TOKEN_OPTIONS = {
  '--description <text>': 'what it is for; without it "New API Token"',
  '--duration <time>': 'how long it is good: 30d, 720h; at most a year, as without it',
  '--token-file <file>': 'write it there; without it standard output',
} as const;

function tokenVerb(isReset: boolean): Verb<TokenOptions> {
  const verb = isReset ? 'reset' : 'generate';
  return adminVerb({
    summary: isReset ? 'revoke all tokens of a user, and make a new one' : 'make an API token for a user',
    examples: [
      `lockstep admin tokens ${verb} ada --description "after the loss" --duration 720h --token-file ada.token`,
    ],
    options: TOKEN_OPTIONS,
    async run(
      ask,
      { description = 'New API Token', duration = '365d', tokenFile },
      { args: [username = ''], context },
    ) {
      if (tokenFile !== undefined) refuseExisting(context.host.disk, tokenFile);
      const { secret } = await ask({
        do: 'create-token',
        username,
        name: description,
        days: daysOf(duration),
        isReset,
      });
      const text = secret?.text ?? '';
      if (tokenFile === undefined) return { json: { username, token: text }, lines: [text] };
      createSecret(context.host.disk, tokenFile, `${text}\n`);
      return { json: { username, tokenFile }, lines: [`the token of ${username} is in ${tokenFile}`] };
    },
  });
}

export const generateStoredToken = tokenVerb(false);
export const resetStoredTokens = tokenVerb(true);

const DAYS_MAX = 365;

function daysOf(written: string): number {
  const [, count = '', unit] = /^(\d{1,5})([hd])$/.exec(written) ?? [];
  const days =
    unit === 'h' ? wholeNumber('--duration', count, 1) / 24 : unit === 'd' ? wholeNumber('--duration', count, 1) : 0;
  if (days > 0 && days <= DAYS_MAX) return days;
  throw new AppError('REQUEST_INVALID', `--duration must be hours or days, up to a year, not "${written}"`, {
    nextStep: 'Write 720h or 30d.',
  });
}

function backupLines({ takenAt, rows, digest, keyId }: NonNullable<Result['backup']>): string[] {
  return formatFacts([
    ['taken', formatMoment(takenAt)],
    ['rows', formatCount(Object.values(rows).reduce((sum, count) => sum + count, 0))],
    ['digest', digest],
    ['key', keyId],
  ]);
}

/** `my` → `my-backup-20261122-183000.backup`; a name with an ending stays. */
function stampedName(path: string, now: number): string {
  if (/\.[^./]+$/.test(path)) return path;
  const stamp = new Date(now).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${path}-backup-${stamp}.backup`;
}

export const backUpStore: Verb<AdminOptions> = adminVerb({
  summary: 'take a backup of the database into a file, sealed; a server may go on meanwhile',
  description:
    'Takes a backup of the database, with the configuration that is set in it, into a new file, sealed with the key of the server. A server may go on meanwhile. Without an ending, the name gets the time.',
  examples: [
    'lockstep admin backup database before-upgrade',
    'lockstep admin backup database /mnt/safe/lockstep.backup',
  ],
  async run(ask, _, { args: [path = ''], context: { host } }) {
    const file = stampedName(path, host.clock.now());
    refuseExisting(host.disk, file);
    await ask({ do: 'back-up', path: file });
    const { backup } = await ask({ do: 'verify-backup', path: file, keyFile: null });
    return { json: { file, backup }, lines: [`${file} is whole`, ...(backup ? backupLines(backup) : [])] };
  },
});

export const adoptRestore: Verb<AdminOptions & ConfirmOptions> = adminVerb({
  summary:
    'give up an audit log that is lost, or was put back to an older state, for a new one that names what is gone',
  description:
    'For when the server says LOG_ROLLED_BACK or LOG_TAMPERED, or the key of the log is lost, and the log that was there cannot be put back. Begins a new audit log, under the next name and with a key of its own, whose first entries name each log before it: up to which entry it is still there, and from which entry to which it is gone, as far as the database and the anchors know. What is left of the old log, and its key, stay beside the new ones as evidence; the old log is never gone on with again. Tell whoever verifies the log the new public key.\n\nStop the server first.',
  examples: ['lockstep admin adopt-restore', 'lockstep admin adopt-restore --config /etc/lockstep/lockstep.yaml --yes'],
  options: YES_OPTION,
  async run(ask, options, { context: { io } }) {
    const { adoption: foreseen } = await ask({ do: 'foresee-adoption' });
    for (const line of lossLines(foreseen)) io.err(`${printable(line)}\n`);
    await confirm(io, options, 'Give it up, and begin a new audit log?');
    const { adoption } = await ask({ do: 'adopt-restore' });
    const { origin, verifierKey, directory, oldDirectory, oldKeyFile } = adoption?.begun ?? {};
    return {
      json: { adoption },
      lines: [
        'A new audit log has begun; start the server.',
        ...formatFacts([
          ['log', origin ?? UNKNOWN],
          ['directory', directory ?? UNKNOWN],
          ['public key', verifierKey ?? UNKNOWN],
          ['old log', oldDirectory ?? 'none was there'],
          ['old key', oldKeyFile ?? 'none was there'],
        ]),
      ],
    };
  },
});

export const rotateAuditKey: Verb<AdminOptions & ConfirmOptions> = adminVerb({
  summary: 'hand the audit log over to a new key of its name',
  description:
    'Makes a new key for the audit log, and an entry in which both keys have signed that the one follows the other; the new key then takes the place of the old one in the key file, and nothing here can sign with the old one any more. The whole log is verified with its first public key, as before; proofs of entries and evidence bundles that are made from now on with the new one.\n\nStop the server first.',
  examples: ['lockstep admin rotate-audit-key --yes'],
  options: YES_OPTION,
  async run(ask, options, { context: { io } }) {
    await confirm(io, options, 'Hand the audit log over to a new key?');
    const { rotation } = await ask({ do: 'rotate-audit-key' });
    return {
      json: { rotation },
      lines: [
        'The audit log has a new key; start the server.',
        ...formatFacts([
          ['old public key', rotation?.from ?? UNKNOWN],
          ['new public key', rotation?.to ?? UNKNOWN],
        ]),
      ],
    };
  },
});

function lossLines(adoption: Result['adoption']): string[] {
  const lines = (adoption?.lost ?? []).map(({ origin, kept, from, to }) =>
    from === null || to === null
      ? `"${origin}": all ${formatCount(kept)} entries that are known of are still there`
      : `"${origin}": ${kept === 0 ? 'no entry is' : `entries 0 to ${kept - 1} are`} still there; ${from} to ${to} are gone, and what came after them`,
  );
  return [...(adoption ? [adoption.why] : []), ...lines];
}

export const restoreStore: Verb<AdminOptions & ConfirmOptions> = adminVerb({
  summary: 'replace the database by a backup',
  description:
    'Replaces all that is in the database by a backup, in one transaction: of this installation, or of another one with the same key. What was revoked stays revoked, and the audit log goes on where it is: the next start of the server writes there what was restored.\n\nStop the server first.',
  examples: ['lockstep admin restore database before-upgrade-backup-20261122-183000.backup --yes'],
  options: YES_OPTION,
  async run(ask, options, { args: [path = ''], context: { io } }) {
    const file = { path, keyFile: null };
    const { backup: found } = await ask({ do: 'verify-backup', ...file });
    await confirm(io, options, `Replace the database by what it was ${formatMoment(found?.takenAt ?? null)}?`);
    return replacedBy(path, await ask({ do: 'restore', ...file }));
  },
});

function replacedBy(file: string, { backup }: Result): Shown {
  return {
    json: { file, backup },
    lines: ['The database is replaced; start the server.', ...(backup ? backupLines(backup) : [])],
  };
}

interface ImportOptions extends AdminOptions, ConfirmOptions {
  readonly merge?: true;
  readonly dryRun?: true;
  readonly backupKeyFile?: string;
}

export const importStore: Verb<ImportOptions> = adminVerb({
  summary: 'take in the backup of another installation: in place of the database, or beside what is there',
  description:
    'Without --merge, all that is in the database is replaced, as "restore database" does. With it, clusters, roles, users, jobs, the secrets that clusters refer to, and schedules are added. What has the name of something else here is left out and listed, with all that refers to it, and nothing that is here is changed; exit code 5 says that there was such. Jobs are stopped until somebody starts them; local users have no password until an administrator gives them one ("lockstep users reset-password"), and nobody brings sessions, tokens, certificates or second factors. --dry-run shows what would happen. The intent is in the audit log, with the digest of the backup, before anything is added.\n\nStop the server first.',
  examples: [
    'lockstep admin import database other.backup --backup-key-file other.key --merge --dry-run',
    'lockstep admin import database other.backup --backup-key-file other.key --merge --yes',
  ],
  options: {
    '--merge': 'add it to what is there, instead of replacing that',
    '--dry-run': 'change nothing, show what would be done',
    '--backup-key-file <file>': 'the secrets.keyFile of the installation that took it; without it, our own',
    ...YES_OPTION,
  },
  async run(ask, options, { args: [path = ''], context: { io } }) {
    const { merge = false, dryRun = false, backupKeyFile: keyFile = null } = options;
    const file = { path, keyFile };
    if (merge) {
      const foreseen = await ask({ do: 'foresee-import', ...file });
      if (dryRun) return importedFrom(path, foreseen, true);
      const added = (foreseen.imported ?? []).filter(({ fate }) => fate === 'added').length;
      await confirm(io, options, `Add ${formatCount(added)} of ${path}?`);
      return importedFrom(path, await ask({ do: 'import', ...file }), false);
    }
    const { backup } = await ask({ do: 'verify-backup', ...file });
    if (dryRun)
      return {
        json: { file: path, backup, dryRun },
        lines: ['The database would be replaced by this backup.', ...(backup ? backupLines(backup) : [])],
      };
    await confirm(io, options, `Replace all that is in the database by ${path}?`);
    return replacedBy(path, await ask({ do: 'restore', ...file }));
  },
});

interface MigrationOptions extends AdminOptions, ConfirmOptions {
  readonly dryRun?: true;
}

export const importKafMirror: Verb<MigrationOptions> = adminVerb({
  summary: 'take in what kaf-mirror has: clusters, jobs, users and figures of the past',
  description:
    'Clusters, jobs with their topic mappings and users of kaf-mirror 1.1 and 1.2 are added beside what is there, as "import database --merge" does: what has the name of something else here is left out and listed, and nothing that is here is changed. Jobs are stopped until somebody starts them, with empty target topics; users keep the roles that there are here too, and have no password until an administrator gives them one ("lockstep users reset-password"). What its jobs copied stands in the history of the new ones. "lockstep migrate kaf-mirror" says what becomes of every setting, and where secrets have to be put. The intent is in the audit log before anything is added.\n\nStop the server first.',
  examples: [
    'lockstep admin import kaf-mirror data/kaf-mirror.db --dry-run',
    'lockstep admin import kaf-mirror data/kaf-mirror.db configs/default.yml --yes',
  ],
  options: { '--dry-run': 'change nothing, show what would be done', ...YES_OPTION },
  async run(ask, options, { args, context }) {
    const { dryRun = false } = options;
    const migration = await readKafMirror(context, args);
    const file = args.join(', ');
    const foreseen = await ask({ do: 'foresee-migration', migration });
    if (dryRun) return importedFrom(file, foreseen, true);
    const added = (foreseen.imported ?? []).filter(({ fate }) => fate === 'added').length;
    await confirm(context.io, options, `Add ${formatCount(added)} of ${file}?`);
    const { secrets } = migration;
    const { lines, ...rest } = importedFrom(file, await ask({ do: 'import-migration', migration }), false);
    const toPut = secrets
      .filter(({ isThere }) => !isThere)
      .map(({ key, from }) => `Put the secret of ${key}, which is in ${from}.`);
    return { ...rest, lines: [...lines, ...toPut] };
  },
});

function importedFrom(file: string, { backup, imported = [] }: Result, dryRun: boolean): Shown {
  const rows = imported.map(({ kind, name, fate, why }) => [kind, name, fate, why ?? '']);
  const conflicts = imported.filter(({ fate }) => fate === 'conflict').length;
  const after = dryRun
    ? 'Nothing was changed.'
    : 'Start the server; jobs are stopped, and local users need a password.';
  const left = conflicts === 0 ? [] : [`${formatCount(conflicts)} left out, since something else has the name here.`];
  return {
    json: { file, backup, dryRun, imported },
    lines: [...formatRows(['KIND', 'NAME', 'FATE', ''], rows, 'items'), ...left, after],
    code: conflicts === 0 ? exitCodes.ok : exitCodes.findings,
  };
}
