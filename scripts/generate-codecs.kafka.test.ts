import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { kafkaVersions } from '#testing/kafka-home.ts';
import { testedVersions } from '#testing/tested-versions.ts';
import { generatedFiles, goldenFrames, protocolDirectory } from './generate-codecs.ts';

test('what is checked in is what the generator writes from the jars', async () => {
  const files = await generatedFiles();

  // Different? Run `npm run gen`.
  const checkedIn = [...files.keys()].map((name) => [name, readFileSync(join(protocolDirectory, name), 'utf8')]);
  expect(checkedIn).toEqual([...files]);
});

const pair = testedVersions();
/** The one that is not the newest. */
const oldVersion = [pair?.source, pair?.target].find((version) => version && version !== kafkaVersions[0]) ?? '3.9.1';

test(`Kafka ${oldVersion} encodes the versions that it knows as Kafka 4.3 does`, async () => {
  const newer = bytesByFrame(readFileSync(join(protocolDirectory, 'golden-frames.jsonl'), 'utf8'));

  const older = bytesByFrame(await goldenFrames(oldVersion));

  expect(older.size).toBeGreaterThan(300);
  expect([...older]).toEqual([...older.keys()].map((frame) => [frame, newer.get(frame)]));
});

/** `ListOffsets,9,request,full` → hex. The values differ, since each Kafka fills in the fields that it knows. */
function bytesByFrame(lines: string): ReadonlyMap<string, string> {
  const rows = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown[]);
  return new Map(rows.map((row) => [row.slice(0, 4).join(), String(row[5])]));
}
