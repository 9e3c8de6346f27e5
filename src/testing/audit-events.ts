/** Events and logs for tests of the audit log. */
import type { AuditEntry, AuditEvent } from '#contract/audit.ts';
import { AuditLog, type AuditLogOptions } from '#prove/log/audit-log.ts';
import { signCheckpoint } from '#prove/log/checkpoint.ts';
import { createBundle } from '#prove/log/evidence-bundle.ts';
import { leafHash } from '#prove/log/merkle.ts';
import { signerKeyOf } from '#prove/log/note.ts';
import { Publication } from '#prove/log/publication.ts';
import { TILE_WIDTH } from '#prove/log/tile-path.ts';
import { TileTree } from '#prove/log/tile-tree.ts';
import type { LogAnchors } from '#store/log-anchors.ts';
import { must } from '#util/assert.ts';
import { canonicalJson, type Json } from '#util/canonical-json.ts';
import type { Disk } from '#util/host.ts';
import { ManualClock } from './manual-clock.ts';
import { SimulatedDisk } from './simulated-disk.ts';

export const LOG_DIRECTORY = '/audit';
export const LOG_KEY = signerKeyOf('lockstep.example/audit', Buffer.alloc(32, 7));
export const OTHER_KEY = signerKeyOf('lockstep.example/audit', Buffer.alloc(32, 8));

export function event(action = 'jobs.start', of: Partial<AuditEvent> = {}): AuditEvent {
  return {
    actor: { id: '7f1e1f3a-3d1c-4b62-9b7b-0a6b0e0d7a11', kind: 'user', authn: 'oidc' },
    action,
    resource: { type: 'job', id: 'east-to-west', cluster: 'west' },
    requestId: 'req-1',
    ...of,
  };
}

/** A log on a simulated disk, on a clock that stands still. */
export async function openLog(
  options: Partial<AuditLogOptions> = {},
): Promise<{ log: AuditLog; disk: SimulatedDisk; clock: ManualClock; failures: Error[] }> {
  const disk = (options.disk as SimulatedDisk | undefined) ?? new SimulatedDisk();
  const clock = (options.clock as ManualClock | undefined) ?? new ManualClock();
  const failures: Error[] = [];
  const onFailure = (error: Error): void => void failures.push(error);
  const log = await AuditLog.open({ directory: LOG_DIRECTORY, key: LOG_KEY, onFailure, ...options, disk, clock });
  return { log, disk, clock, failures };
}

/** What the store would say of a log; a test replaces what it is about. */
export function playedAnchors(of: Partial<LogAnchors> = {}): LogAnchors {
  return {
    last: async () => null,
    all: async () => [],
    see: async () => {},
    abandoned: async () => [],
    abandon: async () => {},
    restorationsToLog: async () => [],
    restorationLogged: async () => {},
    effectsOf: async () => [],
    ...of,
  };
}

/** Entries as somebody could sign them who does not care what they say: the log itself would not have written some of them. */
export function entryOf(seq: number, of: object = {}): Json {
  return {
    ...event(),
    v: 1,
    seq,
    ts: 1_700_000_000_000 + seq,
    clock: 'wall',
    phase: 'event',
    outcome: 'succeeded',
    ...of,
  } as Partial<AuditEntry> as Json;
}

/** Writes a log of these entries, well signed. Returns its checkpoint. */
export async function writeLog(
  disk: Pick<Disk, 'makeDirectory' | 'rename' | 'remove' | 'writeDurably' | 'syncDirectory'>,
  entries: Iterable<Json | Buffer>,
  { directory = LOG_DIRECTORY, keys = [LOG_KEY] as Parameters<typeof signCheckpoint>[1] } = {},
): Promise<string> {
  disk.makeDirectory(directory);
  const publication = new Publication(disk, directory, 1);
  const tree = new TileTree((tile) => publication.addTile(tile));
  let bundle: Buffer[] = [];
  for (const entry of entries) {
    const bytes = Buffer.isBuffer(entry) ? entry : Buffer.from(canonicalJson(entry as Json));
    tree.append(leafHash(bytes));
    bundle.push(bytes);
    if (bundle.length < TILE_WIDTH) continue;
    publication.addBundle(tree.size / TILE_WIDTH - 1, bundle);
    bundle = [];
  }
  const state = { size: tree.size, partials: tree.partials(), bundle };
  const sign = (): string => signCheckpoint({ size: tree.size, root: tree.root() }, keys);
  return publication.publish(state, { sign, check: () => {} });
}

/** An evidence bundle of all entries. */
export async function evidenceOf(log: AuditLog): Promise<Buffer> {
  return must(await createBundle(log.reader(), {}, async () => {}), 'bundle of a short log');
}
