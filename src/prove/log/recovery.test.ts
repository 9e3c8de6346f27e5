/** Journals as processes leave them that died, or were replaced. */
import { expect, test } from 'vitest';
import { entryOf, LOG_DIRECTORY, LOG_KEY } from '#testing/audit-events.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { canonicalJson } from '#util/canonical-json.ts';
import { encodeBundle } from './entry-bundle.ts';
import { encodeFrame, encodeHeader, journalName, type JournalHeader } from './journal.ts';
import { recover } from './recovery.ts';

const bytesOf = (seq: number, of: object = {}): Buffer => Buffer.from(canonicalJson(entryOf(seq, of)));
const header = (base: number, of: Partial<JournalHeader> = {}): Buffer =>
  encodeHeader({ v: 1, base, lastTs: 0, openIntents: [], ...of });
const group = (...entries: Buffer[]): Buffer => encodeFrame(encodeBundle(entries));

async function recovered(...journals: Buffer[][]) {
  const disk = new SimulatedDisk();
  disk.makeDirectory(`${LOG_DIRECTORY}/journal`);
  for (const [i, frames] of journals.entries())
    await disk.writeDurably(`${LOG_DIRECTORY}/journal/${journalName(i + 1)}`, Buffer.concat(frames));
  const ignore = (): void => {};
  const keys = [LOG_KEY.verifier];
  return recover({ disk, directory: LOG_DIRECTORY, keys, onTile: ignore, onBundle: ignore });
}

test('what a process wrote after it was replaced gives way to what its successor wrote there', async () => {
  const mine = bytesOf(2, { requestId: 'successor' });
  const { unsigned, tree } = await recovered(
    [header(0), group(bytesOf(0), bytesOf(1)), group(bytesOf(2))],
    [header(2), group(mine)],
  );
  expect(unsigned.map(String)).toEqual([bytesOf(0), bytesOf(1), mine].map(String));
  expect(tree.size).toBe(3);
});

test('a journal without a header is of a process that died before it began', async () => {
  const { unsigned } = await recovered([header(0), group(bytesOf(0))], []);
  expect(unsigned).toHaveLength(1);
  expect((await recovered([header(0), group(bytesOf(0))], [header(1).subarray(0, 20)])).unsigned).toHaveLength(1);
});

test('a group of which only a part was written is left out, and counted', async () => {
  const torn = group(bytesOf(1), bytesOf(2)).subarray(0, 100);
  const { unsigned, tornBytes } = await recovered([header(0), group(bytesOf(0)), torn]);
  expect([unsigned.length, tornBytes]).toEqual([1, 100]);
});

test('intents are open that the header names or the journal holds, and that nothing ends', async () => {
  const intent = { phase: 'intent', outcome: undefined };
  const first = [header(0), group(bytesOf(0, intent), bytesOf(1, intent))];
  const second = [
    header(2, { openIntents: [0, 1] }),
    group(bytesOf(2, { phase: 'outcome', parentSeq: 1 }), bytesOf(3, intent)),
  ];
  expect([...(await recovered(first, second)).openIntents.keys()]).toEqual([0, 3]);
});

test('a part that is in no journal is no crash', async () => {
  const refused = expect.objectContaining({ code: 'LOG_TAMPERED' });
  const gap = recovered([header(0), group(bytesOf(0))], [header(2), group(bytesOf(2))]);
  await expect(gap).rejects.toThrow(refused);
  await expect(recovered([header(5)])).rejects.toThrow(refused);
  await expect(recovered([encodeFrame(Buffer.from('{"v":2}'))])).rejects.toThrow(refused);
});
