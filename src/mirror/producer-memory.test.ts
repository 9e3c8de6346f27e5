import { expect, test } from 'vitest';
import { ManualClock } from '#testing/manual-clock.ts';
import { ProducerMemory } from './producer-memory.ts';

const HOUR = 3_600_000;

function newMemory(timestamps: 'append' | 'target' = 'append') {
  const clock = new ManualClock();
  const memory = new ProducerMemory(clock, { expirationMs: () => 24 * HOUR, timestamps });
  const at = (hoursAgo: number): number => clock.now() - hoursAgo * HOUR;
  const onItsWay = (hoursAgo: number) => [{ newestTimestamp: at(hoursAgo) }];
  return { clock, memory, at, onItsWay };
}

test('the first batch behind a position that was read is alone on its way', () => {
  const { memory, at, onItsWay } = newMemory();
  expect(memory.inFlightMax([])).toBe(1);
  memory.onAppended(at(0));
  expect(memory.inFlightMax(onItsWay(0))).toBe(5);
  memory.restart();
  expect(memory.inFlightMax([])).toBe(1);
});

test('a batch goes alone where the broker may forget us by the one that was appended last', () => {
  const { memory, at, onItsWay } = newMemory();
  memory.onAppended(at(25));
  expect(memory.inFlightMax(onItsWay(0))).toBe(1);
  memory.onAppended(at(23));
  expect(memory.inFlightMax(onItsWay(0))).toBe(5);
});

test('a batch goes alone where the broker may forget us by one that is on its way before it', () => {
  const { memory, at, onItsWay } = newMemory();
  memory.onAppended(at(0));
  expect(memory.inFlightMax([...onItsWay(0), ...onItsWay(25)])).toBe(1);
});

test('clocks may differ by a minute, and time that passes counts', async () => {
  const { clock, memory, at } = newMemory();
  memory.onAppended(at(23.98));
  expect(memory.inFlightMax([])).toBe(5);
  await clock.advance(30_000);
  expect(memory.inFlightMax([])).toBe(1);
});

test('what the target stamps is as old as its append', async () => {
  const { clock, memory, at, onItsWay } = newMemory('target');
  memory.onAppended(at(1_000));
  expect(memory.inFlightMax(onItsWay(1_000))).toBe(5);
  await clock.advance(24 * HOUR);
  expect(memory.inFlightMax([])).toBe(1);
});
