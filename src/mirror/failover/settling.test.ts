import { describe, expect, test } from 'vitest';
import { Settling } from './settling.ts';

/** One look a second, each with an end and a number of open transactions: the last answer, and when. */
function play(looks: readonly (readonly [end: number | null, open: number])[]): [seconds: number, rest: string | null] {
  const settling = new Settling(90_000);
  for (const [second, [end, open]] of looks.entries()) {
    const rest = settling.look(second * 1_000, { ends: [7, end], open });
    if (rest !== null) return [second, rest];
  }
  return [looks.length, null];
}

const times = <T>(count: number, value: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => value(i));

describe('the topics of a fenced source', () => {
  test('are at rest when two looks see the same ends and nothing is open', () => {
    expect(play([[1, 0], [2, 0], [2, 0]])).toEqual([2, 'at rest']); // prettier-ignore
  });

  test('are waited for when a transaction ends late: its marker is nobody who still writes', () => {
    const held = times(12, () => [5, 2] as const);
    const halfEnded = times(6, () => [6, 1] as const);
    expect(play([...held, ...halfEnded, [7, 0], [7, 0]])).toEqual([19, 'at rest']);
  });

  test('are told as open when a transaction does not end in the time that it is given', () => {
    expect(play(times(200, () => [5, 1] as const))).toEqual([91, 'open transactions']);
  });

  test('are not at rest while one of them cannot be read, which is told when it stays so', () => {
    expect(play([[null, 0], [null, 0], [6, 1], [7, 0], [7, 0]])).toEqual([4, 'at rest']); // prettier-ignore
    expect(play(times(200, () => [null, 0] as const))).toEqual([91, 'unreadable']);
  });

  test('are told as still written when they grow for more than 10 s without a pause, also behind a pause', () => {
    expect(play(times(200, (i) => [i, 0] as const))).toEqual([11, 'still written']);
    expect(play([...times(20, () => [0, 1] as const), ...times(180, (i) => [i + 1, 1] as const)])).toEqual([
      30,
      'still written',
    ]);
  });
});
