/**
 * `npm run test:faults [-- id…] [--again] [--lanes N] [--list] [--report]`: runs the faults of test/faults/, all or those
 * named, two files at a time unless told otherwise: they wait more than they work. What passed with these very sources is not
 * repeated unless it is named or `--again` is given, so an interrupted run is continued by the same command. `--list` says
 * what there is and how it stands, `--report` writes docs/reliability.md from the results, and report.json and report.html
 * to .cache/fault-report/. Exit code 1 when a fault that was to run has not passed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatHtml, formatReliability, toJson } from '../test/faults/report.ts';
import { readResult, selectionVariable, sourcesDigest, type FaultResult } from '../test/faults/results.ts';

interface Known {
  readonly id: string;
  readonly title: string;
  readonly area: string;
  readonly file: string;
}

/** Faults of one file, one after the other: they share its clusters. */
interface Chunk {
  readonly file: string;
  readonly ids: readonly string[];
  readonly seconds: number;
}

const LANES = 2;
/** Of one that has no result yet. */
const SECONDS_UNKNOWN = 90;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const reportFolder = join('.cache', 'fault-report');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');

const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: {
    again: { type: 'boolean' },
    lanes: { type: 'string', default: String(LANES) },
    list: { type: 'boolean' },
    report: { type: 'boolean' },
  },
});
/** By file: each takes all sources to read. */
const digests = new Map<string, string>();
const known = knownFaults();
const unknown = named.filter((id) => !known.some((fault) => fault.id === id));
if (unknown.length > 0) {
  process.stderr.write(
    `test:faults: no fault is called ${unknown.join(', ')}; there are: ${known.map(({ id }) => id).join(', ')}\n`,
  );
  process.exitCode = 2;
} else if (!/^[1-9]\d?$/.test(values.lanes)) {
  process.stderr.write(`test:faults: --lanes ${values.lanes} is no number from 1 to 99\n`);
  process.exitCode = 2;
} else if (values.list) list();
else if (values.report) report();
else await run();

async function run(): Promise<void> {
  const wanted = named.length > 0 ? known.filter(({ id }) => named.includes(id)) : known;
  const isDone = (fault: Known): boolean => {
    const result = readResult(fault.id);
    return result?.state === 'passed' && isCurrent(fault, result);
  };
  const due = named.length > 0 || values.again ? wanted : wanted.filter((fault) => !isDone(fault));
  const kept = wanted.length - due.length;
  if (kept > 0) console.log(`${kept} of ${wanted.length} passed with these sources already; --again repeats them`);
  const startedAt = new Date().toISOString();
  const hasFailed = (id: string): boolean => {
    const result = readResult(id);
    return result === null || result.state !== 'passed' || result.startedAt < startedAt;
  };
  await runChunks(chunksOf(due), hasFailed);
  const failed = due.filter(({ id }) => hasFailed(id));
  for (const { id } of failed) console.log(`not passed: ${id}: ${readResult(id)?.error?.split('\n')[0] ?? 'not run'}`);
  console.log(`${wanted.length - failed.length} passed, ${failed.length} failed`);
  if (failed.length > 0) process.exitCode = 1;
}

/** By file; what took longest the last time comes first, so that no lane is left with it at the end. */
function chunksOf(faults: readonly Known[]): Chunk[] {
  const files = [...new Set(faults.map(({ file }) => file))];
  const chunks = files.map((file) => {
    const ids = faults.filter((fault) => fault.file === file).map(({ id }) => id);
    const seconds = ids.reduce((sum, id) => sum + (readResult(id)?.seconds || SECONDS_UNKNOWN), 0);
    return { file, ids, seconds };
  });
  return chunks.sort((a, b) => b.seconds - a.seconds);
}

async function runChunks(chunks: readonly Chunk[], hasFailed: (id: string) => boolean): Promise<void> {
  const lanes = Math.min(Number(values.lanes), chunks.length);
  const waiting = [...chunks];
  mkdirSync(join(root, reportFolder), { recursive: true });
  let isInterrupted = false;
  const lane = async (): Promise<void> => {
    for (let chunk = waiting.shift(); chunk && !isInterrupted; chunk = waiting.shift()) {
      const { file, ids } = chunk;
      const log = lanes > 1 ? join(reportFolder, `${basename(file, '.fault.test.ts')}.log`) : null;
      if (log === null) console.log(`${file}: ${ids.join(', ')}`);
      if (await runFile(file, ids, log)) isInterrupted = true;
      if (log === null) continue;
      const failed = ids.filter(hasFailed);
      const verdict = failed.length > 0 ? `NOT PASSED: ${failed.join(', ')}; see ${log}` : 'ok';
      const at = new Date().toISOString().slice(11, 19);
      console.log(`${at} ${file}: ${ids.join(', ')}: ${verdict}; ${waiting.length} files wait`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Runs faults of one file. True when somebody interrupted it. */
async function runFile(file: string, ids: readonly string[], log: string | null): Promise<boolean> {
  const output = log === null ? null : openSync(join(root, log), 'w');
  const child = spawn(process.execPath, [vitest, 'run', '--project', 'faults', '--reporter', 'default', file], {
    cwd: root,
    stdio: output === null ? 'inherit' : ['ignore', output, output],
    env: { ...process.env, [selectionVariable]: ids.join(',') },
  });
  if (output !== null) closeSync(output);
  let isInterrupted = false;
  const forward = (signal: NodeJS.Signals): void => {
    isInterrupted = true;
    // A terminal's Ctrl-C goes to the whole process group: the child has it already.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
  await once(child, 'exit');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, forward);
  return isInterrupted;
}

/** Every fault of every file, as Vitest finds them. */
function knownFaults(): Known[] {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [vitest, 'list', '--project', 'faults', '--json', '--no-static-parse'],
    { cwd: root, encoding: 'utf8', env: { ...process.env, [selectionVariable]: 'all' } },
  );
  if (status !== 0) throw new Error(`Vitest cannot list the faults\n${stdout}${stderr}`);
  const tests = JSON.parse(stdout.slice(stdout.indexOf('['))) as { name: string; file: string }[];
  const faults = tests.map(({ name, file }) => {
    const [, id = '', title = ''] = /(?:^|> )([a-z0-9-]+): (.*)$/.exec(name) ?? [];
    return { id, title, area: basename(file, '.fault.test.ts'), file: file.slice(root.length + 1) };
  });
  const twice = faults.filter(({ id }, index) => faults.findIndex((other) => other.id === id) !== index);
  if (twice.length > 0) throw new Error(`ids of more than one fault: ${twice.map(({ id }) => id).join(', ')}`);
  return faults;
}

/** Whether a result is of the sources as they are. */
function isCurrent({ file }: Known, { sources }: FaultResult): boolean {
  const digest = digests.get(file) ?? sourcesDigest([file]);
  digests.set(file, digest);
  return sources === digest;
}

function list(): void {
  for (const fault of known) {
    const { id, area, title } = fault;
    const result = readResult(id);
    const state = result === null ? 'not run' : `${result.state}${isCurrent(fault, result) ? '' : ' before a change'}`;
    console.log(`${area.padEnd(12)} ${id.padEnd(32)} ${state.padEnd(24)} ${title}`);
  }
}

function report(): void {
  const faults = known.map((fault) => {
    const result = readResult(fault.id);
    return { ...fault, result, isCurrent: result !== null && isCurrent(fault, result) };
  });
  const path = join('docs', 'reliability.md');
  writeFileSync(join(root, path), formatReliability(faults));
  mkdirSync(join(root, reportFolder), { recursive: true });
  writeFileSync(join(root, reportFolder, 'report.json'), `${JSON.stringify(toJson(faults), null, 2)}\n`);
  writeFileSync(join(root, reportFolder, 'report.html'), formatHtml(faults));
  const passed = faults.filter((fault) => fault.isCurrent && fault.result?.state === 'passed').length;
  console.log(`${path}: ${faults.length} faults, ${passed} passed with these sources`);
  console.log(
    `${reportFolder}: report.json and report.html, with what took effect, what happened and what was expected`,
  );
}
