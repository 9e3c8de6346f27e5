/**
 * `lockstep admin`: the store itself, for when no server can help, because nobody can sign in or none can start. Whoever may write
 * the database may do this; each change is in the audit log before it takes effect, as one of the server is.
 */
import type { AuditEvent } from '#contract/audit.ts';
import type { Migration } from '#contract/migration.ts';
import { AppError } from '#contract/errors.ts';
import { resolveOptions, storedOptions, type OptionSources } from '#contract/option-values.ts';
import type { OptionValues } from '#contract/options.ts';
import { formatAddress } from '#contract/option-types.ts';
import type { Anchor } from '#prove/log/anchor.ts';
import type { SignerKey } from '#prove/log/note.ts';
import { createCredential } from '#server/auth/credential.ts';
import { createPasswordHash } from '#server/auth/password-hash.ts';
import { checkNewPassword } from '#server/auth/password-policy.ts';
import { PersonalNotes } from '#server/personal-notes.ts';
import { issueSetupToken, syncBuiltInRoles } from '#server/setup.ts';
import { restoreBackup, takeBackup, verifyBackup, type BackupPlace, type BackupSummary } from '#store/backup.ts';
import { readEstate, type Estate } from '#store/estate.ts';
import type { ImportedItem } from '#store/imports.ts';
import { readKeyring } from '#store/key-encryption.ts';
import { openMigrated, type StoreLocation } from '#store/location.ts';
import { openStore } from '#store/open-store.ts';
import type { Aggregates, Store } from '#store/store.ts';
import type { User } from '#store/users.ts';
import { createAnchors } from './audit-anchors.ts';
import { AuditKeeper } from './audit-keeper.ts';
import type { Host } from './host.ts';
import { openSigner } from './key-files.ts';
import { digestOf, estateOf } from './migrated-estate.ts';
import { rotateLogKey, type KeyRotation } from './log-key-rotation.ts';
import { adoptLog, foreseeAdoption, type LogAdoption, type LogAdoptionOptions } from './log-adoption.ts';
import { keyringOf, storeLocation } from './server-options.ts';

const LEASE = 'server';
const LEASE_MS = 60_000;
const CLOSE_MS = 5_000;
const PAGE = 1_000;
const DAY_MS = 86_400_000;
/** Of a password that is made: 144 bits. */
const PASSWORD_BYTES = 18;
const PROBE_MS = 2_000;

export interface AdministrationOptions {
  readonly sources: OptionSources;
  /** What stands in the way of nothing, but somebody should know. */
  readonly onTrouble: (message: string, error: unknown) => void;
}

export type Administered =
  | { readonly do: 'repair' }
  | { readonly do: 'list-users' }
  | { readonly do: 'reset-password'; readonly username: string; readonly withoutSecondFactor: boolean }
  | { readonly do: 'add-user'; readonly username: string; readonly role: string; readonly password: string }
  | {
      readonly do: 'create-token';
      readonly username: string;
      readonly name: string;
      readonly days: number;
      /** Revokes all that the user has first. */
      readonly isReset: boolean;
    }
  /** What `adopt-restore` would do. */
  | { readonly do: 'foresee-adoption' }
  | { readonly do: 'adopt-restore' }
  | { readonly do: 'rotate-audit-key' }
  | { readonly do: 'back-up'; readonly path: string }
  | ({ readonly do: 'verify-backup' } & BackupFile)
  | ({ readonly do: 'restore' } & BackupFile)
  /** What `import` would do. */
  | ({ readonly do: 'foresee-import' } & BackupFile)
  | ({ readonly do: 'import' } & BackupFile)
  /** What `import-migration` would do. */
  | { readonly do: 'foresee-migration'; readonly migration: Migration }
  | { readonly do: 'import-migration'; readonly migration: Migration };

interface BackupFile {
  readonly path: string;
  /** The keys of the installation that took it; null: our own. */
  readonly keyFile: string | null;
}

export interface AdminUser {
  readonly username: string;
  readonly kind: string;
  readonly roles: readonly string[];
  readonly isInitial: boolean;
  readonly isDisabled: boolean;
}

export interface AdminResult {
  readonly users?: readonly AdminUser[];
  readonly user?: AdminUser;
  /** Shown once. */
  readonly secret?: { readonly kind: 'password' | 'token' | 'setup-token'; readonly text: string };
  readonly backup?: BackupSummary;
  readonly imported?: readonly ImportedItem[];
  readonly adoption?: LogAdoption;
  readonly rotation?: KeyRotation;
}

/** Throws AppError: RESOURCE_CONFLICT while a server runs, RESOURCE_NOT_FOUND without a database, and as the store does. */
export async function administer(host: Host, options: AdministrationOptions, what: Administered): Promise<AdminResult> {
  const { values } = resolveOptions(options.sources);
  const location = storeLocation(values, host);
  if (what.do === 'verify-backup') return { backup: await verifyBackup(placeOf(host, values, what)) };
  if (what.do === 'restore') {
    await refuseWhileServed(host, values);
    return { backup: await restore(host, location, { values, file: what }) };
  }
  requireDatabase(host, location);
  const store = await openStore(location, { clock: host.clock });
  try {
    if (what.do === 'list-users') return { users: await usersOf(store) };
    // What is read is of one moment, whoever writes meanwhile.
    if (what.do === 'back-up')
      return { backup: await takeBackup(store, placeOf(host, values, { ...what, keyFile: null })) };
    if (what.do === 'foresee-import') {
      const { estate, summary } = await foreignEstate(host, { ...options, values, store }, what);
      return { backup: summary, imported: await store.imports.foresee(estate) };
    }
    if (what.do === 'foresee-migration') return { imported: await store.imports.foresee(estateOf(what.migration)) };
    await refuseWhileServed(host, values);
    if (what.do === 'foresee-adoption' || what.do === 'adopt-restore') {
      const adopt = what.do === 'adopt-restore' ? adoptLog : foreseeAdoption;
      const log = await adoptionOptions(host, options, store);
      return { adoption: await inPlaceOfServer(host, store, () => adopt(log)) };
    }
    const parts = { ...options, values, store };
    return await new Change(host, parts).run(await changeOf(host, parts, what));
  } finally {
    await store.close(CLOSE_MS);
  }
}

interface Parts extends AdministrationOptions {
  readonly values: OptionValues;
  readonly store: Store;
}

type Changing =
  | Extract<
      Administered,
      { readonly do: 'repair' | 'reset-password' | 'add-user' | 'create-token' | 'rotate-audit-key' }
    >
  | { readonly do: 'import'; readonly estate: Estate; readonly summary: BackupSummary }
  | { readonly do: 'import-migration'; readonly estate: Estate };

/** Servers that share the database wait for their place meanwhile; with the log open here, none can write it there. */
async function inPlaceOfServer<T>(host: Host, store: Store, work: () => Promise<T>): Promise<T> {
  const holder = `${host.process} ${host.nonce()}`;
  if ((await store.leases.hold(LEASE, { holder, lifeMs: LEASE_MS })) === null)
    throw served('a server holds the database');
  try {
    return await work();
  } finally {
    await store.leases.release(LEASE, holder);
  }
}

interface OpenLog {
  readonly audit: AuditKeeper;
  readonly key: SignerKey;
}

class Change {
  readonly #host: Host;
  readonly #parts: Parts;

  constructor(host: Host, parts: Parts) {
    this.#host = host;
    this.#parts = parts;
  }

  run(what: Changing): Promise<AdminResult> {
    return inPlaceOfServer(this.#host, this.#parts.store, async () => {
      const key = this.#signer();
      const audit = this.#audit(key);
      try {
        await audit.open();
        return await this.#audited({ audit, key }, what);
      } finally {
        await audit.close();
      }
    });
  }

  async #audited(log: OpenLog, what: Changing): Promise<AdminResult> {
    const { store } = this.#parts;
    const { audit } = log;
    const intent = await audit.intend(await this.#eventOf(what));
    try {
      const result = await this.#effect(store.under(intent.seq), what, log);
      await audit.settle(intent, 'succeeded');
      return result;
    } catch (error) {
      await audit.settle(intent, 'failed', { reason: error instanceof AppError ? error.code : 'INTERNAL' });
      throw error;
    }
  }

  #effect(aggregates: Aggregates, what: Changing, log: OpenLog): Promise<AdminResult> {
    switch (what.do) {
      case 'repair':
        return this.#repair(aggregates);
      case 'reset-password':
        return this.#resetPassword(aggregates, what);
      case 'add-user':
        return this.#addUser(aggregates, what);
      case 'create-token':
        return this.#createToken(aggregates, what);
      case 'rotate-audit-key':
        return this.#rotateKey(log);
      case 'import':
        return this.#import(aggregates, what.estate, { backup: what.summary });
      case 'import-migration':
        return this.#import(aggregates, what.estate, {});
    }
  }

  async #rotateKey({ audit, key }: OpenLog): Promise<AdminResult> {
    const path = this.#parts.values['audit.keyFile'];
    return { rotation: await rotateLogKey(this.#host, { path, key, rotate: (to) => audit.rotate(to) }) };
  }

  async #import(aggregates: Aggregates, estate: Estate, result: AdminResult): Promise<AdminResult> {
    await syncBuiltInRoles(aggregates); // users have them
    return { ...result, imported: await aggregates.imports.take(estate) };
  }

  async #repair(aggregates: Aggregates): Promise<AdminResult> {
    await syncBuiltInRoles(aggregates);
    const text = await issueSetupToken(aggregates, this.#host.entropy);
    return text === null ? {} : { secret: { kind: 'setup-token', text } };
  }

  async #resetPassword(
    aggregates: Aggregates,
    { username, withoutSecondFactor }: Extract<Changing, { do: 'reset-password' }>,
  ): Promise<AdminResult> {
    const user = await this.#userNamed(username);
    if (!user.isInitial)
      throw new AppError(
        'ACCESS_DENIED',
        `"${user.name}" is not the initial user: others are helped by an administrator.`,
        {
          nextStep: 'Reset the password of the initial user, and have that one help: lockstep users reset-password.',
        },
      );
    const text = Buffer.from(this.#host.entropy.bytes(PASSWORD_BYTES)).toString('base64url');
    const hash = await createPasswordHash({ entropy: this.#host.entropy }).hash(text);
    await aggregates.users.setPassword(user.id, hash, { mustChange: true, exceptSessionId: null });
    await aggregates.tokens.revokeAll(user.id);
    if (user.isDisabled) await aggregates.users.setDisabled(user.id, false, { ifVersion: null });
    if (withoutSecondFactor) {
      await aggregates.users.setTotp(user.id, false);
      await aggregates.users.setRecoveryCodes(user.id, []);
    }
    return { user: viewOf(user), secret: { kind: 'password', text } };
  }

  async #addUser(
    aggregates: Aggregates,
    { username, role, password }: Extract<Changing, { do: 'add-user' }>,
  ): Promise<AdminResult> {
    checkNewPassword(password, username);
    await syncBuiltInRoles(aggregates);
    const passwordHash = await createPasswordHash({ entropy: this.#host.entropy }).hash(password);
    const user = { name: username, kind: 'local', roles: [role], passwordHash, mustChangePassword: true } as const;
    // The first one is the initial one, whoever makes it.
    const made = role === 'admin' ? await aggregates.users.createInitial(user) : null;
    return { user: viewOf(made ?? (await aggregates.users.create(user))) };
  }

  async #createToken(
    aggregates: Aggregates,
    { username, name, days, isReset }: Extract<Changing, { do: 'create-token' }>,
  ): Promise<AdminResult> {
    const { clock, entropy } = this.#host;
    const user = await this.#userNamed(username);
    if (isReset) await aggregates.tokens.revokeAll(user.id);
    const { text, hash } = createCredential('token', entropy);
    await aggregates.tokens.create({
      userId: user.id,
      name,
      hash,
      scopes: null,
      allowedRanges: [],
      createdBy: user.id,
      expiresAt: clock.now() + Math.round(days * DAY_MS), // hours are no whole number of days
    });
    return { user: viewOf(user), secret: { kind: 'token', text } };
  }

  /** Of people the log has ids; of one who is not there yet, a commitment to the name. */
  async #eventOf(what: Changing): Promise<AuditEvent> {
    const { store, onTrouble } = this.#parts;
    const { entropy, clock } = this.#host;
    const personal = new PersonalNotes({
      store,
      entropy,
      clock,
      log: ({ message, error }) => onTrouble(message, error),
    });
    const of = (action: string, resource: AuditEvent['resource']): AuditEvent => ({ actor: ACTOR, action, resource });
    const ofUser = async (action: string, name: string): Promise<AuditEvent> => {
      const { id, ...pii } = await personal.user(name);
      return { ...of(action, { type: 'user', id }), ...pii };
    };
    switch (what.do) {
      case 'repair':
        return of('admin.repair', { type: 'store', id: 'database' });
      case 'rotate-audit-key':
        return of('admin.rotate-audit-key', { type: 'log', id: 'audit' });
      case 'reset-password':
        return ofUser('admin.reset-password', what.username);
      case 'add-user':
        return ofUser('admin.create-user', what.username);
      case 'create-token':
        return ofUser(what.isReset ? 'admin.reset-tokens' : 'admin.create-token', what.username);
      case 'import':
        return {
          ...of('admin.import-database', { type: 'store', id: 'database' }),
          evidence: [{ kind: 'backup', digest: what.summary.digest }],
        };
      case 'import-migration':
        return {
          ...of('admin.import-migration', { type: 'store', id: 'database' }),
          evidence: [{ kind: 'migration', digest: digestOf(what.estate) }],
        };
    }
  }

  async #userNamed(name: string): Promise<User> {
    const user = await this.#parts.store.users.getByName(name);
    if (user !== null) return user;
    throw new AppError('RESOURCE_NOT_FOUND', `There is no user "${name}".`, {
      nextStep: '"lockstep admin users list" shows those that there are.',
    });
  }

  /** The log is the server's, and so is its first key. */
  #signer(): SignerKey {
    return openSigner(this.#host, { path: this.#parts.values['audit.keyFile'], isNew: false, name: '' });
  }

  #audit(key: SignerKey): AuditKeeper {
    const { values, store, onTrouble } = this.#parts;
    const { disk, clock } = this.#host;
    const directory = values['audit.directory'];
    const anchors = createAnchors(values, { store, host: this.#host, origin: key.verifier.name });
    return new AuditKeeper({
      disk,
      clock,
      directory,
      key,
      store,
      anchors,
      otherLogs: values['audit.otherLogs'],
      observers: { onOpen: () => {}, onTrouble },
    });
  }
}

const ACTOR: AuditEvent['actor'] = { id: 'admin', kind: 'system', authn: 'local' };

/** With the anchors that are named in the database, too: what they hold says how much is lost. */
async function adoptionOptions(
  host: Host,
  { sources, onTrouble }: AdministrationOptions,
  store: Store,
): Promise<LogAdoptionOptions> {
  const stored = storedOptions((await store.configuration.read()).values);
  const { values } = resolveOptions({ ...sources, stored });
  const anchorsOf = (origin: string): readonly Anchor[] => createAnchors(values, { store, host, origin });
  return { host, values, store, anchorsOf, actor: ACTOR, onTrouble };
}

/** Throws as `foreignEstate` and `estateOf`. */
async function changeOf(
  host: Host,
  parts: Parts,
  what: Extract<Administered, { readonly do: Changing['do'] }>,
): Promise<Changing> {
  if (what.do === 'import') return { do: what.do, ...(await foreignEstate(host, parts, what)) };
  return what.do === 'import-migration' ? { do: what.do, estate: estateOf(what.migration) } : what;
}

/** Throws CONFIG_INVALID also where the server could not start with the schedules that would be set. */
async function foreignEstate(
  host: Host,
  { values, store, sources }: Parts,
  file: BackupFile,
): Promise<{ readonly estate: Estate; readonly summary: BackupSummary }> {
  const keys = keyringOf(values, host, { isNew: false });
  const read = await readEstate(placeOf(host, values, file), { secrets: store.secrets, keys });
  const { values: here } = await store.configuration.read();
  resolveOptions({ ...sources, stored: storedOptions({ ...read.estate.schedules, ...here }) });
  return read;
}

async function restore(
  host: Host,
  location: StoreLocation,
  { values, file }: { readonly values: OptionValues; readonly file: BackupFile },
): Promise<BackupSummary> {
  const own = file.keyFile === null ? {} : { ownKeys: keyringOf(values, host, { isNew: false }) };
  const database = await openMigrated(location, host.disk);
  try {
    return await restoreBackup(database, { ...placeOf(host, values, file), ...own, now: host.clock.now() });
  } finally {
    await database.close();
  }
}

function placeOf(host: Host, values: OptionValues, { path, keyFile }: BackupFile): BackupPlace {
  const keys = keyFile === null ? keyringOf(values, host, { isNew: false }) : readKeyring(host.disk, keyFile);
  return { disk: host.disk, path, keys };
}

/** A mistyped path must not make an empty database that looks like the right one. */
function requireDatabase({ disk }: Host, location: StoreLocation): void {
  if (location.engine === 'postgres' || disk.look(location.path) !== null) return;
  throw new AppError('RESOURCE_NOT_FOUND', `There is no database at ${location.path}.`, {
    nextStep: 'Name its place as the server has it: --config FILE, --database-path or LOCKSTEP_DATABASE_URL.',
  });
}

/**
 * A server on SQLite holds no lease that others see; it answers at its address. If it does not, and runs all the same, its log
 * finds out that another process has opened it, and takes nothing more until the server is started again.
 */
async function refuseWhileServed({ web }: Host, values: OptionValues): Promise<void> {
  const port = values['server.port'];
  if (port === 0) return;
  const isAny = values['server.host'] === '0.0.0.0' || values['server.host'] === '::';
  const scheme = values['server.tls.certFile'] === null ? 'http' : 'https';
  const address = formatAddress({ host: isAny ? '127.0.0.1' : values['server.host'], port });
  const request = { url: `${scheme}://${address}/health`, method: 'GET', headers: {}, body: null, ca: null } as const;
  const signal = AbortSignal.timeout(PROBE_MS);
  // A certificate that is not believed here is an answer, too: only silence says that nobody is there.
  const answer = await web.send({ ...request, signal }).catch((error: unknown) => (isSilence(error) ? null : error));
  if (answer !== null) throw served(`a server answers at ${address}`);
}

function isSilence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

function served(what: string): AppError {
  return new AppError('RESOURCE_CONFLICT', `This works on the database itself, and ${what}.`, {
    nextStep: 'Stop the server first; or have it do this: lockstep users, lockstep tokens, lockstep backups.',
  });
}

async function usersOf(store: Store): Promise<AdminUser[]> {
  const users: AdminUser[] = [];
  let cursor: string | null = null;
  do {
    const page = await store.users.list({ limit: PAGE, cursor });
    users.push(...page.items.map(viewOf));
    cursor = page.next;
  } while (cursor !== null);
  return users;
}

function viewOf({ name, kind, roles, isInitial, isDisabled }: User): AdminUser {
  return { username: name, kind, roles, isInitial, isDisabled };
}
