/** Cells in which the mirror is killed amid a copy and started again: what is lost, what is there twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { processState, waitUntil } from '#testing/process-stat.ts';
import { removeDirectory, temporaryDirectory } from '#testing/supervisor.ts';
import type { Cell, Condition } from './cell.ts';
import { openFilled, taskOf, toldBy, type Filled } from './copy-stage.ts';
import { keysMax } from './data-writer.ts';
import { accountOf } from './distinct-records.ts';
import * as estates from './estate.ts';
import type { Figures } from './figure.ts';
import type { Found, Stage, StageOptions } from './stage.ts';
import type { Copy, CopyTask, System } from './system.ts';
import { TargetRecords } from './target-records.ts';

/** Of the records, on the target when it is killed. */
const KILLED_FROM = 0.4;
const LOOK_MS = 10;
const TIMEOUT_MS = 600_000;
/** Nothing more comes when all is there and for so long nothing has come. */
const QUIET_MS = 15_000;

export async function openKillStage(condition: Condition, options: StageOptions): Promise<Stage> {
  const filled = await openFilled(condition, options);
  return { run: (cell, system) => runKill(filled, cell, system), close: () => estates.stopEstate(filled) };
}

async function runKill(filled: Filled, { run }: Cell, system: System): Promise<Found> {
  const { target, topic, partitions, dataSet, data } = filled;
  await estates.emptyCluster(target, system.needsTopic ? { name: topic, partitions } : null);
  const directory = temporaryDirectory(`${system.name}-${run}`);
  const runId = `kill${system.name}-${run}`.replaceAll('-', '');
  const task: CopyTask = { ...taskOf(filled, system), topic, codec: dataSet.codec, directory, runId };
  const counter = await TargetRecords.open(estates.addressOf(target), topic, partitions);
  let copy: Copy | null = null;
  try {
    copy = await system.start(task);
    const killedAt = await killAmid(copy, { counter, total: data.records });
    const startedMs = performance.now();
    copy = await system.start(task);
    const allMs = await untilQuiet(copy, { counter, total: data.records, system });
    const recordsPerPartition = data.records / partitions;
    const keys = keysMax(recordsPerPartition, partitions);
    const { lost, duplicates } = await accountOf(target.bootstrap, topic, { partitions, recordsPerPartition, keys });
    const figures: Figures = {
      killedAtPercent: (killedAt / data.records) * 100,
      recoverySeconds: (allMs - startedMs) / 1_000,
      lostRecords: lost,
      duplicateRecords: duplicates,
    };
    return { figures, data };
  } catch (error) {
    throw new Error(toldBy(copy, error), { cause: error });
  } finally {
    counter.close();
    await copy?.end(0);
    removeDirectory(directory);
  }
}

interface Count {
  readonly counter: TargetRecords;
  readonly total: number;
}

/** Returns how many records were on the target just before. Throws when the copy was faster than the look. */
async function killAmid(copy: Copy, { counter, total }: Count): Promise<number> {
  let count = 0;
  const isAmid = async (): Promise<boolean> => (count = await counter.count()) >= total * KILLED_FROM;
  await waitUntil(isAmid, 'a part is copied', { timeoutMs: TIMEOUT_MS, everyMs: LOOK_MS });
  await copy.end(0);
  if ((await counter.count()) >= total) throw new Error('everything was copied before it was killed: take more data');
  return count;
}

/**
 * When a count was seen that was the last one: all is there, and it has ended by itself, or nothing has come for a while.
 * Duplicates may come after everything else.
 */
async function untilQuiet(
  copy: Copy,
  { counter, total, system }: Count & { readonly system: System },
): Promise<number> {
  const deadline = performance.now() + TIMEOUT_MS;
  let [last, lastMs] = [-1, performance.now()];
  for (;;) {
    const count = await counter.count();
    const nowMs = performance.now();
    if (count !== last) [last, lastMs] = [count, nowMs];
    const isOver = system.ends === 'never' ? nowMs - lastMs > QUIET_MS : processState(copy.pid) === null;
    if (isOver && count >= total) return lastMs;
    if (isOver && processState(copy.pid) === null) throw new Error(`the mirror ended at ${count} of ${total} records`);
    if (nowMs > deadline) throw new Error(`the mirror stands at ${count} of ${total} records`);
    await sleep(LOOK_MS);
  }
}
