import { expect, test } from 'vitest';
import type { MirrorStatus, RunEvent } from '#contract/status.ts';
import { EventLog } from './event-log.ts';

const progress = (at: number): RunEvent => ({ event: 'progress', status: { mirror: 'm', at } as MirrorStatus });
const warning: RunEvent = { event: 'warning', mirror: 'm', code: 'TOPIC_RULE_EMPTY', message: 'x', at: 0 };

function logOn(appendText: (path: string, text: string) => void) {
  const failures: unknown[] = [];
  const disk = { readText: () => '', writeText: () => {}, makeDirectory: () => {}, appendText };
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
