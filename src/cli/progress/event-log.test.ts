import { expect, test } from 'vitest';
import type { MirrorStatus, RunEvent } from '#contract/status.ts';
import { EventLog } from './event-log.ts';

const progress = (at: number): RunEvent => ({ event: 'progress', status: { mirror: 'm', at } as MirrorStatus });
const warning: RunEvent = { event: 'warning', mirror: 'm', code: 'TOPIC_RULE_EMPTY', message: 'x', at: 0 };

function played() {
  const lines: string[] = [];
  const log = new EventLog({ append: (line) => void lines.push(line), close: async () => {} });
  return { log, lines };
}

test('every event is kept, and progress every five seconds', () => {
  const { log, lines } = played();
  for (let at = 0; at <= 10_000; at += 500) log.write(progress(at));
  log.write(warning);
  const events = lines.map((line) => (JSON.parse(line) as RunEvent).event);
  expect(events).toEqual(['progress', 'progress', 'progress', 'warning']);
});

test('the token of the first administrator stands in none', () => {
  const { log, lines } = played();
  log.write({ event: 'setup-token', token: 'canary', file: null, expiresAt: 1, at: 0 });
  expect(lines).toEqual(['{"event":"setup-token","token":null,"file":null,"expiresAt":1,"at":0}\n']);
});
