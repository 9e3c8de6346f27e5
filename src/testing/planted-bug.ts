/**
 * Runs one of our own programs with a bug planted in its source, to show that a test would catch it. The file on disk
 * is not touched: a preload (planted-bug-process.ts) changes the text of one module on its way into the process.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { temporaryDirectory } from './supervisor.ts';

export interface PlantedBug {
  /** Module, relative to the repository. */
  readonly file: string;
  /** Text that must be in it exactly once, or the process dies: code that has moved on must not make a test pass. */
  readonly find: string;
  readonly replace: string;
}

export interface PlantedProcess {
  /** To be added to the environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether the process has loaded the spoiled module. A test whose bug never took effect has failed. */
  wasPlanted(): boolean;
}

export function plantBug(bug: PlantedBug): PlantedProcess {
  const mark = join(temporaryDirectory('planted-bug'), 'planted');
  const preload = pathToFileURL(join(import.meta.dirname, 'planted-bug-process.ts'));
  preload.searchParams.set('bug', JSON.stringify({ ...bug, mark }));
  return { env: { NODE_OPTIONS: `--import=${preload.href}` }, wasPlanted: () => existsSync(mark) };
}

/** In the record copy of BatchWriter.append, through which every re-encoded record goes. */
function inRecordCopy(spoiled: string): PlantedBug {
  const find = 'const contentBytes = batch.contentBytes(index);';
  return { file: 'src/kafka/records/batch-writer.ts', find, replace: `${spoiled}\n    ${find}` };
}

/**
 * Bugs that a codec could really have, and that every other check of ours might share. They take effect where the
 * mirror re-encodes: append times, inner gaps, small batches that are merged.
 */
export const codecBugs = {
  /** Headers in a map: of equal keys the last one stays. */
  repeatedHeader: inRecordCopy(`{
      const { key, value, headers } = batch.recordAt(index);
      const kept = [...new Map(headers.map((header) => [header.key.toString(), header])).values()];
      return this.appendRecord({ timestamp, key, value, headers: kept });
    }`),
  /** A null value written as an empty one: tombstones are gone. */
  nullValue: inRecordCopy(`{
      const { key, value, headers } = batch.recordAt(index);
      return this.appendRecord({ timestamp, key, value: value ?? Buffer.alloc(0), headers });
    }`),
  /** Timestamps cut to whole seconds. */
  timestamp: inRecordCopy('timestamp -= timestamp % 1000;'),
} as const satisfies Readonly<Record<string, PlantedBug>>;
