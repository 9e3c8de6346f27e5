import { expect, test } from 'vitest';
import type { MirrorStatus, RunEvent } from '#contract/status.ts';
import { EventLog } from './event-log.ts';

const progress = (at: number): RunEvent => ({ event: 'progress', status: { mirror: 'm', at } as MirrorStatus });
const warning: RunEvent = { event: 'warning', mirror: 'm', code: 'TOPIC_RULE_EMPTY', message: 'x', at: 0 };

function logOn(appendText: (path: string, text: string) => void) {
  const failures: unknown[] = [];
  const disk = {
    makeDirectory: () => {},
    rename: () => {},
    appendText,
  };
  return { log: new EventLog(disk, 'logs', { startedAt: 0, onFailure: (error) => failures.push(error) }), failures };
}

test('every event is kept, and progress every five seconds', () => {
  const lines: string[] = [];
  const { log } = logOn((_, text) => lines.push(text));
  for (let at = 0; at <= 10_000; at += 500) log.write(progress(at));
  log.write(warning);
  expect(lines.map((line) => (line === '' ? null : (JSON.parse(line) as RunEvent).event))).toEqual([
    null,
    'progress',
    'progress',
    'progress',
    'warning',
  ]);
});

test('a full disk is reported once and does not stop the run', () => {
  let writes = 0;
  const { log, failures } = logOn(() => {
    writes++;
    if (writes > 1) throw new Error('ENOSPC');
  });
  log.write(warning);
  log.write(warning);
  expect(failures).toEqual([new Error('ENOSPC')]);
  expect(writes).toBe(2);
});

test('a run keeps two files of a bounded size, the newest events in the one with the name of the run', () => {
  const files = new Map<string, string>();
  const disk = {
    makeDirectory: () => {},
    rename: (from: string, to: string) => {
      files.set(to, files.get(from) ?? '');
      files.delete(from);
    },
    appendText: (path: string, text: string) => void files.set(path, (files.get(path) ?? '') + text),
  };
  const log = new EventLog(disk, 'logs', { startedAt: 0, onFailure: () => {}, fileBytesMax: 1_000 });
  for (let i = 0; i < 200; i++) log.write({ ...warning, message: `message ${i}` });

  const name = 'logs/run-1970-01-01T00-00-00-000Z';
  expect([...files.keys()].sort()).toEqual([`${name}.1.jsonl`, `${name}.jsonl`]);
  expect([...files.values()].every((text) => text.length <= 1_000)).toBe(true);
  const kept = `${files.get(`${name}.1.jsonl`)}${files.get(`${name}.jsonl`)}`.trimEnd().split('\n');
  const numbers = kept.map((line) => Number(/message (\d+)/.exec(line)?.[1]));
  expect(numbers).toEqual(numbers.map((_, i) => 200 - numbers.length + i));
});
