/**
 * `npm run test:versions [-- source:target…] [--again] [--list] [--report]`: the copy of every kind of topic, kills and
 * the state topic on pairs of Kafka versions, from each version to the newest, back, and from each to itself. What
 * passed with these very sources is not repeated unless it is named or `--again` is given. Results are kept in
 * .cache/versions/; `--report` writes docs/versions.md from them. Exit code 1 when a pair that was to run has not passed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheDirectory, furtherVersions, kafkaVersions, repository } from '#testing/kafka-home.ts';
import { parseVersionPair, versionsVariable } from '#testing/tested-versions.ts';
import { currentVersion, sourcesDigest } from '../test/faults/results.ts';
import { setup } from './setup.ts';
import { formatVersions } from './versions-report.ts';
import type { PairResult } from './versions-report.ts';

const suites = [
  'test/acceptance/copy-4.3.kafka.test.ts',
  'test/acceptance/kill.kafka.test.ts',
  'src/mirror/state-topic.kafka.test.ts',
  'scripts/generate-codecs.kafka.test.ts',
];
const folder = join(cacheDirectory, 'versions');
const vitest = join(repository, 'node_modules', 'vitest', 'vitest.mjs');
const [newest] = kafkaVersions;
const others = [...furtherVersions, ...kafkaVersions.filter((version) => version !== newest)].sort();
const allPairs = [
  ...others.flatMap((version) => [`${version}:${newest}`, `${newest}:${version}`]),
  ...others.map((version) => `${version}:${version}`),
];

/** Of Vitest's JSON reporter, what is used here. */
interface Report {
  readonly testResults: readonly {
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly duration?: number | null;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: { again: { type: 'boolean' }, list: { type: 'boolean' }, report: { type: 'boolean' } },
});
const results = (): PairResult[] => allPairs.flatMap((pair) => readResult(pair) ?? []);
if (values.list) for (const pair of allPairs) console.log(`${pair.padEnd(14)} ${readResult(pair)?.state ?? 'not run'}`);
else if (values.report) writeFileSync(join(repository, 'docs', 'versions.md'), formatVersions(results()));
else await run();

async function run(): Promise<void> {
  const sources = sourcesDigest(suites);
  const wanted = named.length > 0 ? named : allPairs;
  const isDone = (pair: string): boolean => {
    const result = readResult(pair);
    return result?.state === 'passed' && result.sources === sources;
  };
  const due = named.length > 0 || values.again ? wanted : wanted.filter((pair) => !isDone(pair));
  if (due.length < wanted.length) {
    console.log(`${wanted.length - due.length} of ${wanted.length} passed with these sources already`);
  }
  let passed = wanted.length - due.length;
  for (const pair of due) {
    const result = await runPair(pair);
    const seconds = `${result.seconds} s`;
    console.log(`${pair}: ${result.state} in ${seconds}${result.error ? `: ${result.error.split('\n')[0]}` : ''}`);
    if (result.state === 'passed') passed += 1;
    if (result.state === 'interrupted') break;
  }
  console.log(`${passed} passed, ${wanted.length - passed} failed or not run`);
  if (passed < wanted.length) process.exitCode = 1;
}

async function runPair(pair: string): Promise<PairResult> {
  const { source, target } = parseVersionPair(pair);
  await setup({ versions: [...new Set([newest, source, target])] });
  mkdirSync(folder, { recursive: true });
  const output = join(folder, `${source}-to-${target}.vitest.json`);
  rmSync(output, { force: true });
  const startedAt = new Date().toISOString();
  const started = performance.now();
  const reporters = ['--reporter', 'default', '--reporter', 'json', '--outputFile.json', output];
  const child = spawn(process.execPath, [vitest, 'run', '--project', 'kafka', ...reporters, ...suites], {
    cwd: repository,
    stdio: 'inherit',
    env: { ...process.env, [versionsVariable]: pair },
  });
  let isInterrupted = false;
  const forward = (signal: NodeJS.Signals): void => {
    isInterrupted = true;
    // A terminal's Ctrl-C goes to the whole process group: the child has it already.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
  const [code] = (await once(child, 'exit')) as [number | null];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, forward);
  const report = existsSync(output) ? (JSON.parse(readFileSync(output, 'utf8')) as Report) : { testResults: [] };
  const tests = report.testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ fullName, status, duration, failureMessages = [] }) => ({
      name: fullName,
      state: status,
      seconds: Math.round((duration ?? 0) / 100) / 10,
      error: failureMessages[0]?.slice(0, 4000) ?? null,
    })),
  );
  const hasPassed = code === 0 && tests.length > 0 && tests.every(({ state }) => state === 'passed');
  const unloaded = report.testResults.find(({ message }) => message)?.message;
  const result: PairResult = {
    source,
    target,
    state: hasPassed ? 'passed' : isInterrupted ? 'interrupted' : 'failed',
    tests,
    error: hasPassed ? null : (tests.find(({ error }) => error)?.error ?? unloaded ?? `Vitest ended with ${code}`),
    seconds: Math.round((performance.now() - started) / 1000),
    startedAt,
    sources: sourcesDigest(suites),
    ...currentVersion(),
  };
  writeFileSync(resultFile(pair), `${JSON.stringify(result, null, 2)}\n`);
  rmSync(output, { force: true });
  return result;
}

function resultFile(pair: string): string {
  return join(folder, `${pair.replace(':', '-to-')}.json`);
}

function readResult(pair: string): PairResult | null {
  const file = resultFile(pair);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PairResult) : null;
}
