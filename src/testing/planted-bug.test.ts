import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import type { PlantedBug } from './planted-bug.ts';
import { codecBugs, plantBug } from './planted-bug.ts';
import { repository } from './kafka-home.ts';

/** Copies a record with a repeated header, a null value and an odd timestamp, and prints what has become of it. */
const program = `
  import { BatchWriter } from '#kafka/records/batch-writer.ts';
  import { openBatch } from '#kafka/records/open-batch.ts';
  const header = (value) => ({ key: Buffer.from('h'), value: Buffer.from(value) });
  const producer = { producerId: -1, producerEpoch: -1, baseSequence: -1 };
  const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
  writer.appendRecord({ timestamp: 1234, key: null, value: null, headers: [header('one'), header('two')] });
  const written = openBatch(writer.finish(producer), 0);
  writer.reset({ codec: 0, baseOffset: 0 });
  writer.append(written, 0);
  const copy = openBatch(writer.finish(producer), 0).recordAt(0);
  console.log(JSON.stringify([copy.timestamp, copy.value && copy.value.length, copy.headers.map((h) => h.value.toString())]));
`;

function runWith(bug: PlantedBug | null): { stdout: string; stderr: string; wasPlanted: boolean } {
  const planted = bug && plantBug(bug);
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: repository,
    env: { ...process.env, ...planted?.env },
    encoding: 'utf8',
  });
  return { stdout: stdout.trim(), stderr, wasPlanted: planted?.wasPlanted() ?? false };
}

it.each([
  ['no bug', null, '[1234,null,["one","two"]]'],
  ['repeatedHeader', codecBugs.repeatedHeader, '[1234,null,["two"]]'],
  ['nullValue', codecBugs.nullValue, '[1234,0,["one","two"]]'],
  ['timestamp', codecBugs.timestamp, '[1000,null,["one","two"]]'],
] as const)('spoils a copied record: %s', (_, bug, expected) => {
  const { stdout, wasPlanted } = runWith(bug);
  expect(stdout).toBe(expected);
  expect(wasPlanted).toBe(bug !== null);
});

it('fails the process when the code to spoil is no longer there', () => {
  const { stdout, stderr, wasPlanted } = runWith({ ...codecBugs.timestamp, find: 'code of another time' });
  expect(stdout).toBe('');
  expect(stderr).toContain('the planted bug fits 0 places of src/kafka/records/batch-writer.ts');
  expect(wasPlanted).toBe(false);
});
