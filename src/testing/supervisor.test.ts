/** Each test runs a small runner as a process of its own, ends it in one way, and looks for what it has left. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { must } from '#util/assert.ts';
import { processState, processesWithVariable, waitUntil } from './process-stat.ts';
import { keepMark, removeDirectory, runVariable, spawnSupervised } from './supervisor.ts';

interface Left {
  readonly runDirectory: string;
  readonly pid: number;
}

/** A runner, as a script or the code of a thread, with a directory and a child that has a child; then `ending`. */
function runner(ending: string): string {
  return `import(${JSON.stringify(`${import.meta.dirname}/supervisor.ts`)}).then(({ spawnSupervised, temporaryDirectory }) => {
    const directory = temporaryDirectory('data');
    const child = spawnSupervised('sh', ['-c', 'sleep 600 & wait'], { stdio: 'ignore' });
    require('node:fs').writeSync(1, JSON.stringify({ directory, pid: child.pid }) + '\\n');
    ${ending}
  });`;
}

/** Runs a runner that ends itself; returns what it had started. */
async function runToEnd(program: string, env: NodeJS.ProcessEnv = process.env): Promise<Left> {
  const child = spawnSupervised(process.execPath, ['-e', program], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const line = await text(must(child.stdout, 'standard output of the runner'));
  const { directory, pid } = JSON.parse(line) as { directory: string; pid: number };
  return { runDirectory: dirname(directory), pid };
}

/** What is left of a run that has ended, after a few seconds in which the supervisor may tidy up. */
async function leftovers(run: Left): Promise<string[]> {
  const processes = (): number[] => processesWithVariable(runVariable, run.runDirectory);
  const isClean = (): boolean =>
    processes().length === 0 && processState(run.pid) === null && !existsSync(run.runDirectory);
  await waitUntil(isClean, 'nothing is left', { timeoutMs: 5000 }).catch(() => {});
  return [
    ...processes().map((pid) => `process ${pid}`),
    ...(processState(run.pid) === null ? [] : [`child ${run.pid}`]),
    ...(existsSync(run.runDirectory) ? [run.runDirectory] : []),
  ];
}

const endings = {
  'ends by itself': 'process.exit(0);',
  crashes: "throw new Error('crash');",
  'is killed with -9': "process.kill(process.pid, 'SIGKILL');",
  'is interrupted': "process.kill(process.pid, 'SIGINT');",
  'is killed with -9 while its child stands still': "child.kill('SIGSTOP'); process.kill(process.pid, 'SIGKILL');",
};

test.each(Object.entries(endings))('leaves nothing behind when the runner %s', async (_name, ending) => {
  expect(await leftovers(await runToEnd(runner(ending)))).toEqual([]);
});

test('leaves nothing behind when the worker thread that started it ends and the runner goes on', async () => {
  const program = `new (require('node:worker_threads').Worker)(${JSON.stringify(runner('process.exit(0);'))}, { eval: true });
    setTimeout(() => {}, 600_000);`;
  const child = spawnSupervised(process.execPath, ['-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await must(child.stdout, 'stdout').take(1).toArray()) as [Buffer];
  const { directory, pid } = JSON.parse(line.toString()) as { directory: string; pid: number };

  expect(await leftovers({ runDirectory: dirname(directory), pid })).toEqual([]);
  expect(child.exitCode).toBeNull();
  child.kill('SIGKILL');
});

test('keeps the directory, not the processes, when that was asked for', async () => {
  const left = await runToEnd(runner('process.exit(0);'), { ...process.env, LOCKSTEP_KEEP: '1' });

  onTestFinished(() => removeDirectory(left.runDirectory));

  await waitUntil(() => processesWithVariable(runVariable, left.runDirectory).length === 0, 'the processes are gone');
  expect(existsSync(`${left.runDirectory}/${keepMark}`)).toBe(true);
});
