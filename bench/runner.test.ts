import { expect, test } from 'vitest';
import type { CellResult } from './result.ts';
import { runCells } from './runner.ts';
import { resultOf } from './sample-result.ts';
import type { System } from './system.ts';

test('a system that cannot be started is named with its reason in each of its cells, and has no figures', async () => {
  const absent: System = {
    name: 'absent',
    description: 'a program that is not here',
    ends: 'never',
    prepare: () => Promise.resolve('there is no such program'),
    start: () => Promise.reject(new Error('it was started all the same')),
  };
  const cells = [1, 2].map((run) => resultOf({ system: 'absent', run }).cell);
  const [kept, said]: [CellResult[], string[]] = [[], []];

  await runCells(cells, {
    systems: [absent],
    revision: { commit: 'abc', sources: 'one' },
    keep: (result) => kept.push(result),
    say: (line) => said.push(line),
  });

  expect(kept.map(({ cell }) => cell)).toEqual(cells);
  for (const { state, reason, figures } of kept)
    expect({ state, reason, figures }).toEqual({ state: 'not run', reason: 'there is no such program', figures: {} });
  expect(said.at(-1)).toBe('  absent 2: NOT RUN: there is no such program');
});
