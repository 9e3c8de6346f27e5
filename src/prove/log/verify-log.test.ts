/** What the verifier says beside its verdict; of which logs it says which is in second-verifier.test.ts. */
import { expect, test } from 'vitest';
import type { LogProgress } from '#contract/log-verification.ts';
import { entryOf, LOG_DIRECTORY, LOG_KEY, writeLog } from '#testing/audit-events.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import type { Json } from '#util/canonical-json.ts';
import { systemClock } from '#util/host.ts';
import { TILE_WIDTH, tilePath } from './tile-path.ts';
import { TileTree } from './tile-tree.ts';
import { leafHash, perfectRoot } from './merkle.ts';
import { verifyLog, type VerifyLogOptions } from './verify-log.ts';

const many = (length: number, of: (seq: number) => object = () => ({})): Json[] =>
  Array.from({ length }, (_, seq) => entryOf(seq, of(seq)));

async function logOf(entries: readonly Json[]): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await writeLog(disk, entries);
  return disk;
}

const verify = (disk: SimulatedDisk, more: Partial<VerifyLogOptions> = {}) =>
  verifyLog(disk, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier, ...more });

test('of a good log it says what was read, over which time, and who signed it', async () => {
  const found = await verify(await logOf(many(300, (seq) => (seq === 0 ? { action: 'log.start' } : {}))));
  expect(found).toMatchObject({
    verdict: 'verified',
    origin: 'lockstep.example/audit',
    size: 300,
    signedBy: LOG_KEY.verifier.text,
    entries: 300,
    from: 1_700_000_000_000,
    to: 1_700_000_000_299,
    starts: 1,
    since: null,
    anchors: null,
    findings: [],
  });
  expect(found.root).toMatch(/^[0-9a-f]{64}$/);
});

test('reg-M-235b reg-audit-pruned: an entry that was changed is named', async () => {
  const disk = await logOf(many(300));
  const path = `${LOG_DIRECTORY}/tile/entries/001.p/44`;
  const bytes = disk.readBytes(path);
  bytes[bytes.indexOf('"seq":270') + 7] = '3'.charCodeAt(0);
  await disk.writeDurably(path, bytes);
  const { verdict, findings } = await verify(disk);
  expect(verdict).toBe('tampered');
  expect(findings.map(({ kind, seq }) => [kind, seq])).toEqual([
    ['seq-differs', 270],
    ['entry-differs', 270],
    ['root-differs', null],
  ]);
});

test('without a bundle the root is still verified, and nothing is said of its entries', async () => {
  const disk = await logOf(
    many(600, (seq) =>
      seq === 250 ? { phase: 'intent', outcome: undefined } : seq === 560 ? { phase: 'outcome', parentSeq: 300 } : {},
    ),
  );
  disk.remove(`${LOG_DIRECTORY}/tile/entries/001`);
  expect(await verify(disk)).toMatchObject({
    verdict: 'incomplete',
    entries: 344,
    counts: { 'entries-missing': 1 },
    openIntents: [],
  });
  disk.remove(`${LOG_DIRECTORY}/tile/0/001`);
  expect(await verify(disk)).toMatchObject({
    verdict: 'incomplete',
    counts: { 'entries-missing': 1, 'root-unknown': 1 },
  });
});

test('of many findings of a kind the first twenty are shown, and all are counted', async () => {
  const { counts, findings } = await verify(await logOf(many(100, () => ({ v: 9 }))));
  expect(counts).toEqual({ 'entry-malformed': 100 });
  expect(findings.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

test('silences that end with a start are shown, and are no finding', async () => {
  const disk = await logOf(many(2, (seq) => (seq === 1 ? { action: 'log.start', ts: 1_700_000_900_000 } : {})));
  expect(await verify(disk)).toMatchObject({
    verdict: 'verified',
    silences: [{ seq: 1, ms: 900_000, endsWithStart: true }],
  });
});

test('progress is told, and a signal ends it', async () => {
  const disk = await logOf(many(20_000));
  const told: LogProgress[] = [];
  await verify(disk, { onProgress: (progress) => told.push(progress) });
  expect(told).toEqual([0, 64 * TILE_WIDTH, 20_000].map((entries) => ({ entries, size: 20_000 })));
  const stop = new AbortController();
  await expect(
    verify(disk, { onProgress: () => stop.abort(new Error('enough')), signal: stop.signal }),
  ).rejects.toThrow('enough');
});

test('a disk that cannot be read is no verdict', async () => {
  const disk = await logOf(many(3));
  disk.makeDirectory(`${LOG_DIRECTORY}/odd`);
  const broken = { readBytes: (path: string) => (path.endsWith('/checkpoint') ? disk.readBytes(path) : fail()) };
  await expect(verifyLog(broken, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier })).rejects.toThrow(
    'EACCES',
  );
});

function fail(): never {
  throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
}

// The examples of c2sp.org/tlog-tiles.
test.each([
  [{ level: 0, index: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
  [{ level: 'entries', index: 0, width: 256 }, 'tile/entries/000'],
  [{ level: 5, index: 999, width: 1 }, 'tile/5/999.p/1'],
  [{ level: 1, index: 1_000, width: 255 }, 'tile/1/x001/000.p/255'],
] as const)('the path of %o is %s', (address, path) => {
  expect(tilePath(address)).toBe(path);
});

test('a tree of 70,000 entries has the tiles that the specification counts', () => {
  const full = new Map<number, number>();
  const tree = new TileTree(({ level }) => full.set(level, (full.get(level) ?? 0) + 1));
  const leaf = leafHash(Buffer.from('x'));
  for (let i = 0; i < 70_000; i++) tree.append(leaf);
  expect([...full]).toEqual([
    [0, 273],
    [1, 1],
  ]);
  expect(tree.partials().map(({ level, index, width }) => [level, index, width])).toEqual([
    [0, 273, 112],
    [1, 1, 17],
    [2, 0, 1],
  ]);
  const files = new Map(tree.partials().map((tile) => [tilePath(tile), tile.hashes]));
  const loaded = TileTree.load(
    70_000,
    (tile) => files.get(tilePath(tile))!,
    () => {},
  );
  expect(loaded.root()).toEqual(tree.root());
  expect(perfectRoot(files.get('tile/2/000.p/1')!)).toHaveLength(32);
});
