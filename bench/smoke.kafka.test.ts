/** The benchmark as somebody types it, with little data: it has figures, and none that cannot be. How large they are is not asked. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { repository } from '#testing/kafka-home.ts';
import { removeDirectory, spawnSupervised, temporaryDirectory } from '#testing/supervisor.ts';
import { readResults } from './result.ts';

test('a smoke run measures each of its cells, and its figures are plausible', async () => {
  const directory = temporaryDirectory('smoke');
  onTestFinished(() => removeDirectory(directory));
  const results = join(directory, 'results.jsonl');
  const child = spawnSupervised(process.execPath, [join(repository, 'bench/main.ts'), 'smoke', '--results', results], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number>((resolve) => child.once('close', (ended) => resolve(ended ?? 137)));
  expect({ code, output }).toEqual({ code: 0, output: expect.any(String) });
  const measured = readResults(results).filter(({ state }) => state === 'measured');
  expect(
    measured.map(({ cell }) => cell.system),
    output,
  ).toContain('lockstep');
});
