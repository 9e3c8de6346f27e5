/** Two verifiers that share no code have to say the same of every log: golden, random, badly written, and damaged ones. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { LogVerification } from '#contract/log-verification.ts';
import { entryOf, LOG_KEY, OTHER_KEY, writeLog } from '#testing/audit-events.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemClock, systemDisk } from '#util/host.ts';
import { canonicalJson, type Json } from '#util/canonical-json.ts';
import { createRandom } from '#util/random.ts';
import { signCheckpoint } from './checkpoint.ts';
import { leafHash } from './merkle.ts';
import { signerKeyOf } from './note.ts';
import { rotationOf } from './rotation.ts';
import { formatProof, verifyProof } from './tlog-proof.ts';
import { verifyLog } from './verify-log.ts';

const script = fileURLToPath(new URL('../../../deploy/verifier/verify_log.py', import.meta.url));
const isThere = spawnSync('python3', ['--version']).status === 0;
const SEED = Number(process.env['LOCKSTEP_SEED'] ?? 11);
const vkey = LOG_KEY.verifier.text;

/** As quick as memory: nothing here has to survive anything. */
const disk = {
  makeDirectory: (path: string) => void mkdirSync(path, { recursive: true }),
  rename: renameSync,
  remove: (path: string) => rmSync(path, { recursive: true, force: true }),
  writeDurably: async (path: string, bytes: Uint8Array) => writeFileSync(path, bytes),
  syncDirectory: async () => {},
};

interface Case {
  readonly name: string;
  readonly directory: string;
  /** Kinds of findings that must be among those that are found; null: as they come. */
  readonly expected: readonly string[] | null;
}

interface Said extends Pick<LogVerification, 'verdict' | 'size' | 'counts' | 'openIntents'> {
  readonly entries: number;
}

let root = '';
let count = 0;
const said = new Map<string, Said>();

function python(...argv: string[]): Said[] {
  const { stdout, stderr } = spawnSync('python3', ['-B', script, ...argv], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  expect(stderr).toBe('');
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Said);
}

async function log(entries: readonly (Json | Buffer)[], keys?: Parameters<typeof signCheckpoint>[1]): Promise<string> {
  const directory = join(root, String(count++));
  await writeLog(disk, entries, { directory, ...(keys ? { keys } : {}) });
  return directory;
}

async function ours(directory: string, more: { since?: string; anchors?: string } = {}): Promise<Said> {
  const found = await verifyLog(systemDisk, directory, { clock: systemClock, key: LOG_KEY.verifier, ...more });
  const { verdict, size, entries, counts, openIntents } = found;
  return { verdict, size, entries, counts, openIntents };
}

const many = (length: number, of: (seq: number) => object = () => ({})): Json[] =>
  Array.from({ length }, (_, seq) => entryOf(seq, of(seq)));

const start = { action: 'log.start' };
const intent = { phase: 'intent', outcome: undefined };
const outcome = (parentSeq: unknown) => ({ phase: 'outcome', parentSeq });
const text = (entry: Json): string => canonicalJson(entry);

/** Logs whose signer has written what the log itself would not have. */
function badlyWritten(): [name: string, entries: (Json | Buffer)[], expected: string[]][] {
  const [zero, one, two] = many(3) as [Json, Json, Json];
  const odd = (change: (entry: string) => string | Buffer): (Json | Buffer)[] => [
    zero,
    Buffer.from(change(text(one)) as string),
    two,
  ];
  const next = signerKeyOf(LOG_KEY.verifier.name, Buffer.alloc(32, 9));
  const rotation = rotationOf(LOG_KEY, next);
  const rotated = (of: object): Json[] =>
    many(2, (seq) => (seq === 1 ? { action: 'log.key-rotate', rotation: of } : {}));
  return [
    ['another sequence', many(3, (seq) => (seq === 1 ? { seq: 7 } : {})), ['seq-differs']],
    ['a sequence that is text', many(3, (seq) => (seq === 1 ? { seq: '1' } : {})), ['seq-differs']],
    ['a time that goes back', many(3, (seq) => (seq === 1 ? { ts: 5 } : {})), ['time-goes-back']],
    ['a silence', many(3, (seq) => ({ ts: seq < 2 ? seq : 200_000 })), ['silence']],
    [
      'a silence that ends with a start',
      many(3, (seq) => ({ ts: seq < 2 ? seq : 200_000, ...(seq === 2 ? start : {}) })),
      [],
    ],
    ['an outcome without an intent', many(3, (seq) => (seq === 2 ? outcome(1) : {})), ['outcome-unpaired']],
    ['an outcome of nothing', many(3, (seq) => (seq === 2 ? outcome(null) : {})), ['outcome-unpaired']],
    ['two outcomes', many(3, (seq) => (seq === 0 ? intent : outcome(0))), ['outcome-unpaired']],
    ['an intent under way', many(3, (seq) => (seq === 1 ? intent : {})), []],
    [
      'an intent that a start has left',
      many(3, (seq) => (seq === 0 ? intent : seq === 1 ? start : {})),
      ['intent-without-outcome'],
    ],
    ['no JSON', odd(() => '{'), ['entry-malformed']],
    ['no object', odd(() => '[1]'), ['entry-malformed']],
    ['nothing', odd(() => ''), ['entry-malformed']],
    ['a number that JSON has not', odd((entry) => entry.replace('"seq":1', '"seq":NaN')), ['entry-malformed']],
    ['another version', odd((entry) => entry.replace('"v":1', '"v":2')), ['entry-malformed']],
    ['a version that is true', odd((entry) => entry.replace('"v":1', '"v":true')), ['entry-malformed']],
    ['a time that is text', odd((entry) => entry.replace(/"ts":\d+/, '"ts":"5"')), ['entry-malformed']],
    [
      'a time that is no whole number',
      odd((entry) => entry.replace(/"ts":\d+/, '"ts":1700000000000.5')),
      ['entry-malformed'],
    ],
    ['a time beyond all numbers', odd((entry) => entry.replace(/"ts":\d+/, '"ts":1e400')), ['entry-malformed']],
    ['bytes that are no text', [zero, Buffer.from([0x7b, 0xff, 0x7d]), two], ['entry-malformed']],
    ['names in all scripts', many(3, () => ({ resource: { type: 'topic', id: 'заказы-注文-😀' } })), []],
    ['a good rotation', rotated(rotation), []],
    [
      'a rotation that the old key has not signed',
      rotated({ ...rotation, fromSignature: rotation.toSignature }),
      ['rotation-invalid'],
    ],
    ['a rotation of a foreign key', rotated(rotationOf(OTHER_KEY, next)), ['rotation-invalid']],
    ['a rotation of nothing', rotated({}), ['rotation-invalid']],
  ];
}

/** Of a log of three bundles: each file gone, cut, longer, and with bits flipped. */
async function damaged(): Promise<Case[]> {
  const random = createRandom(SEED);
  const whole = await log(many(520, (seq) => (seq % 50 === 0 ? intent : seq % 50 === 1 ? outcome(seq - 1) : {})));
  const files = new Map(
    (
      readdirSync(whole, { recursive: true, withFileTypes: true }) as {
        isFile(): boolean;
        parentPath: string;
        name: string;
      }[]
    )
      .filter((entry) => entry.isFile())
      .map((entry) => [
        join(entry.parentPath, entry.name).slice(whole.length + 1),
        readFileSync(join(entry.parentPath, entry.name)),
      ]),
  );
  const cases: Case[] = [{ name: 'nothing damaged', directory: whole, expected: [] }];
  const add = (path: string, what: string, change: ((bytes: Buffer) => Buffer) | null): void => {
    const directory = join(root, String(count++));
    for (const [name, bytes] of files) {
      const after = name === path ? (change?.(Buffer.from(bytes)) ?? null) : bytes;
      if (after === null) continue;
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), after);
    }
    cases.push({ name: `${path} ${what}`, directory, expected: null });
  };
  const flip = (bytes: Buffer): Buffer => {
    bytes[Math.floor(random.next() * bytes.length)]! ^= 1 << Math.floor(random.next() * 8);
    return bytes;
  };
  for (const path of files.keys()) {
    add(path, 'gone', null);
    add(path, 'cut', (bytes) => bytes.subarray(0, Math.floor(random.next() * bytes.length)));
    add(path, 'longer', (bytes) => Buffer.concat([bytes, Buffer.alloc(32, 1)]));
    add(path, 'empty', () => Buffer.alloc(0));
    for (let i = 0; i < 3; i++) add(path, `with a bit flipped, ${i} of seed ${SEED}`, flip);
  }
  return cases;
}

describe.skipIf(!isThere)('with Python', () => {
  const cases: Case[] = [];

  beforeAll(async () => {
    root = temporaryDirectory('second-verifier');
    for (const size of [0, 1, 2, 3, 255, 256, 257, 511, 600])
      cases.push({ name: `${size} entries`, directory: await log(many(size)), expected: [] });
    const tiny = Array.from({ length: 65_800 }, () => Buffer.from('{}'));
    cases.push({ name: '65,800 entries that say nothing', directory: await log(tiny), expected: ['entry-malformed'] });
    for (const [name, entries, expected] of badlyWritten())
      cases.push({ name, directory: await log(entries), expected });
    const rotated = badlyWritten().find(([name]) => name === 'a good rotation')![1];
    const next = signerKeyOf(LOG_KEY.verifier.name, Buffer.alloc(32, 9));
    cases.push({ name: 'signed by the next key', directory: await log(rotated, [next]), expected: [] });
    cases.push({
      name: 'signed by another key',
      directory: await log(many(3), [OTHER_KEY]),
      expected: ['checkpoint-unsigned'],
    });
    cases.push({ name: 'no log', directory: join(root, 'nowhere'), expected: [] });
    cases.push(...(await damaged()));
    for (const [i, answer] of python('log', ...cases.map(({ directory }) => directory), '--vkey', vkey).entries())
      said.set(cases[i]!.name, answer);
  });

  test('every log is said to be the same', async () => {
    expect(said.size).toBe(cases.length);
    for (const { name, directory, expected } of cases) {
      const found = await ours(directory);
      const { verdict, size, entries, counts, openIntents } = said.get(name)!;
      expect([name, found]).toEqual([name, { verdict, size, entries, counts, openIntents }]);
      const kinds = Object.keys(found.counts);
      expect([name, kinds]).toEqual([name, expected ?? kinds]);
      expect([name, expected === null && found.verdict === 'verified']).toEqual([name, false]);
    }
  });

  test('older checkpoints and anchors are judged alike', async () => {
    const entries = many(300);
    const directory = await log(entries);
    const notes = await Promise.all(
      [0, 1, 256, 300].map(
        async (size) => await writeLog(disk, entries.slice(0, size), { directory: join(root, `old-${size}`) }),
      ),
    );
    const forked = await writeLog(
      disk,
      many(280, () => ({ requestId: 'other' })),
      { directory: join(root, 'forked') },
    );
    const longer = await writeLog(disk, many(301), { directory: join(root, 'longer') });
    const foreign = await writeLog(disk, entries, { directory: join(root, 'foreign'), keys: [OTHER_KEY] });
    const files: [string, string][] = [...notes, forked, longer, foreign, 'junk', ''].map((each, i) => [
      join(root, `since-${i}`),
      each,
    ]);
    const verdicts: string[] = [];
    for (const [path, since] of files) {
      writeFileSync(path, since);
      const [theirs] = python('log', directory, '--vkey', vkey, '--since', path);
      const found = await ours(directory, { since });
      expect([since, theirs]).toMatchObject([since, found]);
      verdicts.push(found.verdict);
    }
    expect(verdicts).toEqual([
      ...notes.map(() => 'verified'),
      'tampered',
      'tampered',
      'tampered',
      'tampered',
      'tampered',
    ]);
    const anchors: [string, string, string[]][] = [
      ['good', notes.join('\n'), []],
      ['good and foreign', `junk\n\n${notes.join('')}${foreign}\nmore junk`, []],
      ['forked', [...notes, forked].join('\n'), ['anchor-differs']],
      ['longer', [longer, ...notes].join('\n'), ['truncated']],
      ['none', 'junk\n', ['anchors-none']],
    ];
    for (const [name, text, expected] of anchors) {
      const path = join(root, `anchors-${name}`);
      writeFileSync(path, text);
      const [theirs] = python('log', directory, '--vkey', vkey, '--anchors', path);
      const found = await ours(directory, { anchors: text });
      expect([name, theirs]).toMatchObject([name, found]);
      expect([name, Object.keys(found.counts)]).toEqual([name, expected]);
    }
  });

  test('proofs are judged alike', () => {
    const bytes = Buffer.from(canonicalJson(entryOf(0)));
    const checkpoint = signCheckpoint({ size: 1, root: leafHash(bytes) }, [LOG_KEY]);
    const good = formatProof({ extra: bytes, index: 0, path: [], checkpoint });
    const random = createRandom(SEED);
    const proofs = [
      good,
      ...Array.from({ length: 60 }, () => {
        const at = Math.floor(random.next() * good.length);
        return `${good.slice(0, at)}${String.fromCharCode(33 + Math.floor(random.next() * 90))}${good.slice(at + 1)}`;
      }),
    ];
    const paths = proofs.map((proof, i) => {
      const path = join(root, `${i}.tlog-proof`);
      writeFileSync(path, proof);
      return path;
    });
    const theirs = python('entry', ...paths, '--vkey', vkey).map(({ verdict }) => verdict);
    expect(theirs).toEqual(proofs.map((proof) => verifyProof(proof, [LOG_KEY.verifier]).verdict));
    expect(theirs[0]).toBe('verified');
    expect(theirs.filter((verdict) => verdict === 'verified').length).toBeLessThan(5); // a byte may be what it was
  });
});

test('the second verifier is short, and takes nothing but the standard library', () => {
  const lines = readFileSync(script, 'utf8').trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(300);
  const imports = lines.filter((line) => /^(import|from) /.test(line));
  expect(imports).toEqual(['import argparse, base64, hashlib, json, os, re, sys  # noqa: E401']);
});
