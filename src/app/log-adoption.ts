/**
 * `lockstep admin adopt-restore`: an audit log that cannot be gone on with, because it was lost, put back to an older state, or
 * altered, is given up for a new one, which names what is gone. The old directory and key stay beside the new ones: evidence.
 */
import { dirname } from 'node:path';
import type { AuditEvent } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import type { OptionValues } from '#contract/options.ts';
import { adoptRestore, lostEntries, lostLogOf, readFound, type LostLog } from '#prove/log/adopt-restore.ts';
import { ownCheckpoint, statedCheckpoint, type Anchor } from '#prove/log/anchor.ts';
import type { Checkpoint } from '#prove/log/checkpoint.ts';
import type { LogReader } from '#prove/log/log-reader.ts';
import type { SignerKey } from '#prove/log/note.ts';
import type { Store } from '#store/store.ts';
import { AuditKeeper } from './audit-keeper.ts';
import type { Host } from './host.ts';
import { openSigner } from './key-files.ts';

/** What the new log is built under, until it takes the place of the old one. */
const DRAFT = '.new';
/** No wait helps, and no mending of the machine. */
const FOR_GOOD: readonly string[] = ['LOG_ROLLED_BACK', 'LOG_TAMPERED', 'SECRET_UNAVAILABLE'];

export interface LogAdoption {
  /** Why the old log is not gone on with. */
  readonly why: string;
  readonly lost: readonly {
    readonly origin: string;
    /** Entries that are still there, from 0 on. */
    readonly kept: number;
    /** What is gone, as far as anybody knows; null: nothing. */
    readonly from: number | null;
    readonly to: number | null;
  }[];
  /** Of what has taken its place; null: nothing was changed. */
  readonly begun: {
    readonly origin: string;
    readonly verifierKey: string;
    readonly directory: string;
    /** Where what was there is now; null: there was nothing. */
    readonly oldDirectory: string | null;
    readonly oldKeyFile: string | null;
  } | null;
}

export interface LogAdoptionOptions {
  readonly host: Pick<Host, 'disk' | 'clock' | 'entropy'>;
  readonly values: Pick<OptionValues, 'audit.directory' | 'audit.keyFile'> & {
    readonly 'audit.otherLogs': readonly string[];
  };
  readonly store: Pick<Store, 'logAnchors'>;
  /** For a log of this name. */
  readonly anchorsOf: (origin: string) => readonly Anchor[];
  readonly actor: AuditEvent['actor'];
  readonly onTrouble: (message: string, error: unknown) => void;
}

interface Found {
  readonly why: AppError;
  readonly lost: readonly [LostLog, ...LostLog[]];
  /** For the new log; no log has it. */
  readonly name: string;
}

/** What `adoptLog` would do. Throws as it. */
export async function foreseeAdoption(options: LogAdoptionOptions): Promise<LogAdoption> {
  return toAdoption(await examine(options), null);
}

/**
 * Throws AppError REQUEST_INVALID where nothing is lost, and what the disk says. The new log is whole before the old one is moved;
 * between the moves a process may die, and then this can be repeated.
 */
export async function adoptLog(options: LogAdoptionOptions): Promise<LogAdoption> {
  const { host, values, actor, onTrouble } = options;
  const found = await examine(options);
  const [directory, keyFile] = [values['audit.directory'], values['audit.keyFile']];
  const drafts = { directory: `${directory}${DRAFT}`, keyFile: `${keyFile}${DRAFT}` };
  for (const path of Object.values(drafts)) host.disk.remove(path); // of one that died before it was used
  const key = openSigner(host, { path: drafts.keyFile, isNew: true, name: found.name });
  const onFailure = (error: AppError): void => onTrouble('the new audit log takes nothing', error);
  const draft = { disk: host.disk, clock: host.clock, directory: drafts.directory, key, onFailure };
  await (await adoptRestore(draft, found.lost, actor)).log.close();
  const stamp = new Date(host.clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const oldDirectory = await replace(host, { path: directory, by: drafts.directory, stamp });
  const oldKeyFile = await replace(host, { path: keyFile, by: drafts.keyFile, stamp });
  await show(options, key);
  const { name: origin, text: verifierKey } = key.verifier;
  return toAdoption(found, { origin, verifierKey, directory, oldDirectory, oldKeyFile });
}

async function examine(options: LogAdoptionOptions): Promise<Found> {
  const { values, host, store } = options;
  const directory = values['audit.directory'];
  const reader = readFound(host.disk, directory);
  const { key, missing } = keyOf(options);
  const why = missing ?? (key && (await createKeeper(options, key).examine()));
  // A disk or a database that does not answer is no loss.
  if (why && !FOR_GOOD.includes(why.code)) throw why;
  const [seen, abandoned] = await Promise.all([store.logAnchors.all(), store.logAnchors.abandoned()]);
  const stored = seen.map(({ origin, size, root }) => ({ origin, size, root: Buffer.from(root, 'base64') }));
  const local = [...stored, ...(reader ? [reader.checkpoint] : [])].filter(({ origin }) => !abandoned.includes(origin));
  const anchored = await askAnchors(options, { key, reader });
  // What else stands in the anchors is of other servers, unless nobody here knows of any log.
  const known = local.length > 0 ? [...local, ...anchored.filter(isAmong(local))] : anchored;
  const lost = [...Map.groupBy(known, ({ origin }) => origin)].map(([origin, checkpoints]) =>
    lostLogOf(origin, checkpoints, reader),
  );
  const [first, ...more] = lost;
  if (!why || !first) throw nothingLost(directory);
  const taken = [...known.map(({ origin }) => origin), ...abandoned, ...values['audit.otherLogs']];
  return { why, lost: [first, ...more], name: nextName(key?.verifier.name ?? first.origin, taken) };
}

function isAmong(local: readonly Checkpoint[]): (checkpoint: Checkpoint) => boolean {
  return ({ origin }) => local.some((each) => each.origin === origin);
}

function keyOf({ host, values }: LogAdoptionOptions): { key: SignerKey | null; missing: AppError | null } {
  const path = values['audit.keyFile'];
  try {
    return { key: openSigner(host, { path, isNew: false, name: '' }), missing: null };
  } catch (error) {
    if (error instanceof AppError && host.disk.look(path) === null) return { key: null, missing: error };
    throw error;
  }
}

/** Checkpoints that the anchors hold: of the log that is here those that its key has signed, of others as they are stated. */
async function askAnchors(
  { anchorsOf, values, onTrouble }: LogAdoptionOptions,
  { key, reader }: { readonly key: SignerKey | null; readonly reader: LogReader | null },
): Promise<Checkpoint[]> {
  const name = key?.verifier.name ?? reader?.checkpoint.origin ?? '';
  const isOwnKey = key !== null && reader !== null && ownCheckpoint(reader.checkpoint.note, [key.verifier]) !== null;
  const notes = await Promise.all(
    anchorsOf(name).map((anchor) =>
      anchor.latest().catch((error: unknown): string[] => {
        onTrouble(`what the log has lost is not known of ${anchor.name}`, error);
        return [];
      }),
    ),
  );
  return notes.flat().flatMap((note) => {
    const stated = statedCheckpoint(note);
    if (stated === null || values['audit.otherLogs'].includes(stated.origin)) return [];
    const isForged = isOwnKey && stated.origin === name && ownCheckpoint(note, [key.verifier]) === null;
    return isForged ? [] : [stated];
  });
}

/** `HOST/lockstep-audit` → `HOST/lockstep-audit-2`. */
function nextName(name: string, taken: readonly string[]): string {
  const [, stem = name, count = '1'] = /^(.*?)(?:-(\d{1,6}))?$/.exec(name) ?? [];
  for (let next = Number(count) + 1; ; next++) if (!taken.includes(`${stem}-${next}`)) return `${stem}-${next}`;
}

/** Puts what was made in the place of what is there, which stays beside it. Returns where; null: there was nothing. */
async function replace(
  { disk }: Pick<Host, 'disk'>,
  { path, by, stamp }: { readonly path: string; readonly by: string; readonly stamp: string },
): Promise<string | null> {
  const old = disk.look(path) === null ? null : `${path}.lost-${stamp}`;
  try {
    if (old !== null) disk.rename(path, old);
    disk.rename(by, path);
    await disk.syncDirectory(dirname(path));
  } catch (cause) {
    throw new AppError('AUDIT_UNAVAILABLE', `${path} cannot be moved aside for the new audit log.`, {
      cause,
      nextStep: `Move it yourself, out of the way and with nothing lost, and ${by} into its place.`,
    });
  }
  return old;
}

/** As a server opens it: the database and the anchors get to know it. */
async function show(options: LogAdoptionOptions, key: SignerKey): Promise<void> {
  const keeper = createKeeper(options, key);
  await keeper.open();
  const isOpen = keeper.isWritable();
  await keeper.close();
  if (!isOpen)
    throw new AppError('AUDIT_UNAVAILABLE', 'The new audit log is in its place, and cannot be opened.', {
      nextStep: 'What stands in the way was noted above; the server says it again when it starts.',
    });
}

function createKeeper({ host, values, store, anchorsOf, onTrouble }: LogAdoptionOptions, key: SignerKey): AuditKeeper {
  return new AuditKeeper({
    ...host,
    directory: values['audit.directory'],
    key,
    anchors: anchorsOf(key.verifier.name),
    otherLogs: values['audit.otherLogs'],
    store,
    observers: { onOpen: () => {}, onTrouble },
  });
}

function toAdoption({ why, lost }: Found, begun: LogAdoption['begun']): LogAdoption {
  const shown = lost.map((each) => {
    const { from, to } = lostEntries(each) ?? { from: null, to: null };
    return { origin: each.origin, kept: each.kept, from, to };
  });
  return { why: why.message, lost: shown, begun };
}

function nothingLost(directory: string): AppError {
  return new AppError('REQUEST_INVALID', `Nothing of the audit log in ${directory} is lost, as far as anybody knows.`, {
    nextStep: 'Start the server: it goes on with the log, or begins one.',
  });
}
