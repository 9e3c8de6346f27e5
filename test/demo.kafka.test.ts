/** The demo as a newcomer starts it, as a process of its own. */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { repository } from '#testing/kafka-home.ts';
import { processState, processesWithVariable, waitUntil } from '#testing/process-stat.ts';
import { runVariable, spawnSupervised } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

const main = join(repository, 'demo', 'main.ts');

interface RunningDemo {
  readonly child: ChildProcess;
  output(): string;
  /** Exit code; 128 + n where a signal ended it. */
  readonly ended: Promise<number>;
}

/** Without a terminal, or (`terminal`) on one that util-linux's script gives it. */
function startDemo(args: readonly string[], options: { terminal?: boolean } = {}): RunningDemo {
  const command = options.terminal ? 'script' : process.execPath;
  const argv = options.terminal ? ['-qefc', `${process.execPath} ${main}`, '/dev/null'] : [main, ...args];
  const child = spawnSupervised(command, argv, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, TERM: 'xterm' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    must(stream, 'output of the demo').on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 137)));
  return { child, output: () => output, ended };
}

/** The directory of everything that the demo has started; it is part of the path of the link file. */
function runDirectoryOf(output: string): string {
  return dirname(dirname(must(/\S+link\.yaml/.exec(output)?.[0], 'path of the link file')));
}

async function expectNothingLeft(demo: RunningDemo): Promise<void> {
  const directory = runDirectoryOf(demo.output());
  const isClean = (): boolean => processesWithVariable(runVariable, directory).length === 0 && !existsSync(directory);
  await waitUntil(isClean, `no process and no file of ${directory} is left`);
}

/** Waits for a text in the output. Throws with what was written when the demo has ended without it. */
async function untilSaid(demo: RunningDemo, text: RegExp): Promise<void> {
  const isSaid = (): boolean => {
    if (text.test(demo.output())) return true;
    if (demo.child.exitCode !== null) throw new Error(`the demo ended without ${text}; it said:\n${demo.output()}`);
    return false;
  };
  await waitUntil(isSaid, () => `the demo says ${text}; it said:\n${demo.output()}`, { timeoutMs: 100_000 });
}

test('without a terminal it kills the mirror once, compares everything, and ends with 0', async () => {
  const demo = startDemo(['--seconds', '14']);

  const code = await demo.ended;

  const output = demo.output();
  const verdict = 'west has the same records as east, at the same offsets';
  expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining(verdict) });
  expect(output).toMatch(/mirror +killed once with kill -9\n/);
  expect(output).toMatch(/proof +[1-9][\d,]* records compared in the end, 0 differences\n/);
  expect(output).toMatch(/transactions: [1-9][\d,]* committed, [1-9][\d,]* aborted/);
  await expectNothingLeft(demo);
});

test('with --plant the altered record is named while the demo runs, and it ends with 1', async () => {
  const demo = startDemo(['--seconds', '12', '--plant']);

  const code = await demo.ended;

  const output = demo.output();
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('west differs from east') });
  const planted = must(
    /altered on west's disk: (\S+ at offset \d+)\n/.exec(output)?.[1],
    `planted record in ${output}`,
  );
  expect(output).toContain(`found ${planted}: the value differs`);
  expect(output.indexOf(`found ${planted}`)).toBeLessThan(output.indexOf('traffic stopped'));
  expect(output).toMatch(/records compared in the end, 1 difference\n/);
  await expectNothingLeft(demo);
});

test('on a terminal k kills the mirror, r starts it again, q gives the terminal back', async () => {
  const demo = startDemo([], { terminal: true });
  const keys = must(demo.child.stdin, 'keyboard of the demo');
  await untilSaid(demo, /[1-9][\d,]* records? compared, 0 differences/);

  keys.write('k');
  await untilSaid(demo, /mirror killed with kill -9, pid \d+/);
  const pid = Number(/mirror killed with kill -9, pid (\d+)/.exec(demo.output())?.[1]);
  expect(processState(pid)).toBeNull();
  keys.write('r');
  await untilSaid(demo, /[1-9][\d,]* records? copied since the last kill/);
  keys.write('q');

  const code = await demo.ended;

  expect({ code, output: demo.output() }).toEqual({ code: 0, output: expect.stringContaining('killed once') });
  const [before = '', screen = ''] = demo.output().split('\u001B[?1049h\u001B[?25l');
  expect(before).toContain("a separate reader, Kafka's Java consumer, compares both");
  expect(screen.split('\u001B[?25h\u001B[?1049l').at(1)).toContain('killed once with kill -9');
  await expectNothingLeft(demo);
});

test('Ctrl-C and kill -9 leave no process and no file', async () => {
  const endings = [
    ['SIGINT', 130],
    ['SIGKILL', 137],
  ] as const;
  const ended = endings.map(async ([signal, expected]) => {
    const demo = startDemo([]);
    await untilSaid(demo, /clusters, traffic, mirror \(pid \d+\) and reader are running/);

    demo.child.kill(signal);

    expect(await demo.ended).toBe(expected);
    await expectNothingLeft(demo);
  });
  await Promise.all(ended);
});

test('arguments that it does not know end it at once with the usage', async () => {
  const demo = startDemo(['--seconds', 'soon']);

  expect(await demo.ended).toBe(2);
  expect(demo.output()).toContain('--seconds must be a whole number from 10, not "soon"');
});
