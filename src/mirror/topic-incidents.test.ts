import { expect, test } from 'vitest';
import { ManualClock } from '#testing/manual-clock.ts';
import { TopicIncidents } from './topic-incidents.ts';

function world() {
  const clock = new ManualClock();
  const told: string[] = [];
  const incidents = new TopicIncidents({
    mirror: 'm',
    clock,
    severity: 'error',
    consequenceOf: (topic) => `Nothing of ${topic} is copied.`,
    onEvent: ({ event, incident }) => told.push(`${event} ${incident.code} ${incident.topic}`),
  });
  const raise = (topic: string, code: 'TOPIC_CLAIMED' | 'TOPIC_NOT_EMPTY' = 'TOPIC_CLAIMED'): void =>
    incidents.raise(topic, { code, cause: 'Because.', nextStep: 'Do.' });
  return { clock, told, incidents, raise };
}

test('the same cause is told once, another one ends it', () => {
  const { told, incidents, raise } = world();
  raise('a');
  raise('a');
  raise('a', 'TOPIC_NOT_EMPTY');
  incidents.end('a');
  incidents.end('a');
  expect(told).toEqual([
    'incident TOPIC_CLAIMED a',
    'incident-ended TOPIC_CLAIMED a',
    'incident TOPIC_NOT_EMPTY a',
    'incident-ended TOPIC_NOT_EMPTY a',
  ]);
});

test('those of topics that are not meant any more end', () => {
  const { told, incidents, raise } = world();
  for (const topic of ['a', 'b', 'c']) raise(topic);
  incidents.endBut(new Set(['b', 'd']));
  expect(told.slice(3)).toEqual(['incident-ended TOPIC_CLAIMED a', 'incident-ended TOPIC_CLAIMED c']);
  expect([incidents.size, incidents.has('b'), incidents.has('a')]).toEqual([1, true, false]);
});

test('a topic is due again 30 s after its last attempt', async () => {
  const { clock, incidents, raise } = world();
  expect(incidents.isDue('a')).toBe(true);
  raise('a');
  await clock.advance(29_999);
  expect(incidents.isDue('a')).toBe(false);
  await clock.advance(1);
  expect(incidents.isDue('a')).toBe(true);
  raise('a');
  expect(incidents.isDue('a')).toBe(false);
});
