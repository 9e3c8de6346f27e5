/** What becomes of the ledger of a mapped partition: when the target loses records, and when the state topic loses a piece. */
import { expect } from 'vitest';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import type { MirrorVerification } from '#contract/verification.ts';
import { decodeState } from '#mirror/state-records.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeStreams, writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { Command } from '../acceptance/command.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';

const pair = clusterPair({ source: {}, target: {} });

async function readLedger(file: string, topic: string): Promise<ExportedLedger> {
  const ended = await new Command(['ledger', topic, '-f', file, '--json', '--recount', 'all']).ended(60_000);
  expect(ended.code, ended.err).toBe(0);
  const { partitions } = JSON.parse(ended.out) as { partitions: ExportedLedger[] };
  expect(partitions.map(({ unexplained }) => unexplained)).toEqual([0]);
  return must(partitions[0], 'ledger');
}

/** Indexes of the pieces of ledgers of a source topic that the state topic holds. */
async function pieceKeys(bootstrap: readonly string[], topic: string): Promise<string[]> {
  const keys = new Set<string>();
  const reader = new RawReader(bootstrap);
  try {
    const { highWatermark } = await reader.bounds('__lockstep.state', 0);
    for await (const batch of reader.batches('__lockstep.state', 0, { from: 0, to: highWatermark }))
      for (const { key, value, offset } of batch.records()) {
        const decoded = decodeState({ key, value, offset });
        if (decoded?.kind !== 'ledger' || !decoded.key.includes(`/${topic}/`)) continue;
        if (decoded.value === null) keys.delete(decoded.key);
        else keys.add(decoded.key);
      }
  } finally {
    reader.close();
  }
  return [...keys];
}

fault(
  {
    id: 'mapped-ledger-expired',
    title: 'the target loses nine tenths of a mapped copy: its ledger forgets them, and a kill meets that',
  },
  async (run) => {
    const { source, target } = await pair();
    const topic = run.id;
    await createTopics(source.bootstrap, [{ name: topic, partitions: 1 }]);
    const { streams } = workloads.transactional(topic, { records: 40_000, partitions: 1 });
    await writeWorkload(source.bootstrap, { topics: [], streams }, { seed: 7 });
    const file = writeLink({
      source: source.bootstrap,
      target: target.bootstrap,
      mirrors: { mapped: { topics: [{ match: topic }], offsets: 'mapped', sync: { configs: false } } },
    });
    const copied = await runUntilCaughtUp(file);
    expect(copied.code, told(copied)).toBe(0);
    const before = await readLedger(file, topic);
    const pieces = (await pieceKeys(target.bootstrap, topic)).length;
    expect(pieces).toBeGreaterThan(2);

    const lost = Math.floor(before.counts.delivered * 0.9);
    await runAdmin(target.bootstrap, [{ deleteRecords: { topic, before: { 0: lost } } }]);
    const lockstep = LockstepProcess.run(file);
    const isForgotten = async (): Promise<boolean> => (await readLedger(file, topic)).start > 0;
    await lockstep.until(isForgotten, 'the ledger forgets what the target has lost');
    await lockstep.kill();
    const forgotten = await readLedger(file, topic);
    run.tookEffect(
      `the target's log began at ${lost}; the ledger at source offset ${forgotten.start} of ${forgotten.end}`,
    );
    const again = streams.map((stream) => ({ ...stream, name: 'more', records: 4_000 }));
    await writeStreams(source.bootstrap, again, { seed: 8 });
    const last = await runUntilCaughtUp(file);
    expect(last.code, told(last)).toBe(0);
    expect(last.incidents).toEqual([]);

    const after = await readLedger(file, topic);
    const left = (await pieceKeys(target.bootstrap, topic)).length;
    run.figure('runs before and after', `${before.dispositions.length}, ${forgotten.dispositions.length}`);
    run.figure('pieces before and after', `${pieces}, ${left}`);
    expect(left).toBeLessThan(pieces);
    expect(after.end).toBeGreaterThan(before.end);
    // What is left of it is what it was, and all that the target has is in it.
    const whole = before.dispositions.slice(0, -1).filter(({ from }) => from >= forgotten.start);
    expect(after.dispositions.slice(0, whole.length)).toEqual(whole);
    expect(must(after.map[0], 'run of the map').target).toBeLessThanOrEqual(lost);
    const verified = await new Command(['verify', '-f', file, '--json', '--full']).ended(120_000);
    expect(verified.code, verified.out + verified.err).toBe(0);
    const { mirrors } = JSON.parse(verified.out.trim().split('\n').at(-1) ?? '') as { mirrors: MirrorVerification[] };
    const [partition] = must(mirrors[0], 'verification').partitions;
    expect(partition).toMatchObject({ differences: 0, lag: 0, unexplained: 0 });
    run.outcome(`identical as far as the target has it: ${partition?.records} records compared, 0 unexplained`);
  },
);
