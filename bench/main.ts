/**
 * `npm run bench`: one mirror between two single-node clusters on this machine, next to MirrorMaker 2 from the same
 * jars. Prints a table and whether the expectations are met; exit 1 when something was not copied, and with --strict when
 * an expectation is not met.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { must } from '#util/assert.ts';
import { compareWithJava, formatDifferences } from '#testing/java-reader.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { removeDirectory, temporaryDirectory } from '#testing/supervisor.ts';
import { deleteTopics } from '#testing/topic-admin.ts';
import { setup } from '../scripts/setup.ts';
import type { DataSet } from './data-set.ts';
import { dataSets, measureBatches, RECORD_BYTES, writeDataSet } from './data-set.ts';
import { lockstep } from './lockstep.ts';
import { measureCopy } from './measure.ts';
import type { Measurement } from './measure.ts';
import { mirrorMaker, mirrorMakerUncompressed } from './mirror-maker.ts';
import type { DataSetLine, MachineLine, ResultLine, RunLine } from './report.ts';
import { expectations, formatDataSet, formatExpectations, formatLoad, formatMachine, formatTable } from './report.ts';
import type { CopyProcess, System, TlsDoor } from './system.ts';
import { TargetRecords } from './target-records.ts';

const USAGE = `npm run bench -- [options]
  --dataset NAMES   of ${dataSets.map(({ name }) => name).join(', ')} (default: all)
  --gb N            size of each data set in 10^9 logical bytes (default: 1)
  --runs N          runs of lockstep (default: 3)
  --peer-runs N     runs of each other system (default: 1, since they are slow)
  --partitions N    of the topic (default: 8)
  --systems NAMES   of lockstep, lockstep-mapped, lockstep-tls, mm2, mm2-none (default: lockstep,lockstep-tls,mm2)
  --strict          exit 1 when an expectation is not met
  --json FILE       where the raw figures go (default: bench/results/TIME.jsonl)
  --compare DIR     also run lockstep of another checkout, in turn with this one's, as 'other'
  --cpu-prof DIR    write CPU profiles of lockstep there; the figures are higher then
`;

/** What an operator would set for throughput; the rest is Kafka's default. */
const BROKER_PROPERTIES = {
  'message.max.bytes': '10485760',
  'socket.send.buffer.bytes': '1048576',
  'socket.receive.buffer.bytes': '1048576',
  'num.network.threads': '2',
  'num.io.threads': '4',
  // The files of an emptied target are gone before the next run begins.
  'log.segment.delete.delay.ms': '1000',
};
/** Written to the target first, so that the first run does not meet a cold JVM there. */
const WARM_UP_GB = 0.1;
const START_TIMEOUT_MS = 90_000;
const SLOWEST_MB_PER_SECOND = 5;
const END_TIMEOUT_MS = 20_000;

interface Options {
  readonly dataSets: readonly DataSet[];
  readonly gigabytes: number;
  readonly systems: readonly { readonly system: System; readonly runs: number }[];
  readonly partitions: number;
  readonly isStrict: boolean;
  readonly resultsFile: string;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options | null;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (!options) {
    process.stdout.write(USAGE);
    return 0;
  }
  await setup({ versions: ['4.3.1'] });
  const results: ResultLine[] = [];
  const keep = (line: ResultLine): void => {
    results.push(line);
    writeFileSync(must(options, 'options').resultsFile, results.map((each) => `${JSON.stringify(each)}\n`).join(''));
  };
  mkdirSync(dirname(options.resultsFile), { recursive: true });
  const machine = describeMachine();
  keep(machine);
  say(formatMachine(machine));
  for (const { system, runs } of options.systems)
    say(`${system.name}: ${system.description}; ${runs} run${runs === 1 ? '' : 's'} a data set`);
  for (const dataSet of options.dataSets) await benchDataSet(dataSet, options, keep);
  return report(results, options);
}

function report(results: readonly ResultLine[], { resultsFile, isStrict }: Options): number {
  say('');
  say(
    'median (least–most); CPU-seconds and wall from 5 % of the records on the target to the last; GB = 10^9 logical bytes',
  );
  say(formatTable(results));
  say(formatLoad(results));
  say('');
  const found = expectations(results);
  say(formatExpectations(found));
  say(`raw figures: ${resultsFile}`);
  const problems = results.filter((line) => line.kind === 'run' && line.problem !== null);
  if (problems.length > 0) say(`${problems.length} run(s) failed to copy, see above`);
  const isMissed = isStrict && !found.every(({ isMet }) => isMet);
  return problems.length > 0 || isMissed ? 1 : 0;
}

/** One pair of clusters for each data set; the systems take turns, each on an empty target. */
async function benchDataSet(dataSet: DataSet, options: Options, keep: (line: ResultLine) => void): Promise<void> {
  const { gigabytes: wanted, partitions } = options;
  const topic = `bench-${dataSet.name}`;
  say('');
  say(`${dataSet.name}: starting two brokers and writing ${wanted} GB to ${partitions} partitions`);
  const start = (name: string): Promise<KafkaCluster> =>
    startCluster({
      name,
      profile: 'plain',
      heapMb: 1024,
      properties: BROKER_PROPERTIES,
      secure: { authorizer: false },
    });
  const [source, target] = await Promise.all([start('source'), start('target')]);
  try {
    const records = await writeDataSet(source.bootstrap, dataSet, { topic, gigabytes: wanted, partitions });
    await writeDataSet(target.bootstrap, dataSet, { topic: 'warm-up', gigabytes: WARM_UP_GB, partitions });
    const gigabytes = (records * RECORD_BYTES) / 1e9;
    const batches = await measureBatches(source.bootstrap, topic, partitions);
    const line: DataSetLine = {
      kind: 'data-set',
      dataSet: dataSet.name,
      description: dataSet.description,
      records,
      gigabytes,
      partitions,
      batches,
    };
    keep(line);
    say(formatDataSet(line));
    for (const { system, run } of takeTurns(options.systems)) {
      await emptyCluster(target);
      const result = await runOnce({ source, target, topic, partitions, records }, system, run);
      keep(result);
      say(formatRun(result));
    }
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}

/** lockstep, mm2, lockstep, lockstep: in turn as long as each has runs left. */
function takeTurns(systems: Options['systems']): { system: System; run: number }[] {
  const rounds = Math.max(...systems.map(({ runs }) => runs));
  return Array.from({ length: rounds }, (_, index) => index + 1).flatMap((run) =>
    systems.filter(({ runs }) => run <= runs).map(({ system }) => ({ system, run })),
  );
}

interface Estate {
  readonly source: KafkaCluster;
  readonly target: KafkaCluster;
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
}

async function runOnce(estate: Estate, system: System, run: number): Promise<RunLine> {
  const { source, target, topic, partitions } = estate;
  const directory = temporaryDirectory(`${system.name}-${run}`);
  const counter = await TargetRecords.open(must(target.bootstrap[0], 'address of the target'), topic, partitions);
  // Digests take longer than the copy, so one of each kind is enough; the others have the broker's own counts.
  const compared = run === 1 ? 'record by record' : 'counts';
  const base = {
    kind: 'run',
    dataSet: topic.replace('bench-', ''),
    system: system.name,
    run,
    compared,
    loadAverage: loadavg()[0] ?? 0,
  } as const;
  let copy: CopyProcess | null = null;
  try {
    copy = system.start({
      topic,
      source: source.bootstrap,
      target: target.bootstrap,
      tls: { source: tlsDoorOf(source), target: tlsDoorOf(target) },
      directory,
      runId: String(run),
    });
    const measurement = await watch(estate, copy, counter);
    await endCopy(system, copy);
    if (compared === 'record by record') await expectEqual(estate);
    return { ...base, measurement, problem: null };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { ...base, measurement: null, problem: copy ? `${problem}\n${copy.logTail()}` : problem };
  } finally {
    counter.close();
    await copy?.end(0);
    removeDirectory(directory);
  }
}

function tlsDoorOf({ doors, pki }: KafkaCluster): TlsDoor {
  return { bootstrap: doors.ssl, caFile: pki.caFile };
}

function watch({ source, target, records }: Estate, copy: CopyProcess, counter: TargetRecords): Promise<Measurement> {
  const pidOf = (cluster: KafkaCluster): number => must(cluster.brokers[0], 'broker').pid;
  const timeoutMs = START_TIMEOUT_MS + (records * RECORD_BYTES) / 1e3 / SLOWEST_MB_PER_SECOND;
  return measureCopy(
    { mirror: copy.pid, source: pidOf(source), target: pidOf(target), count: () => counter.count() },
    { total: records, timeoutMs },
  );
}

/** Lockstep ends by itself when it has caught up; MirrorMaker 2 never does. */
async function endCopy(system: System, copy: CopyProcess): Promise<void> {
  if (!system.endsByItself) return void (await copy.end(0));
  const code = await copy.end(END_TIMEOUT_MS);
  if (code !== 0) throw new Error(`${system.name} copied everything but ended with exit code ${code}`);
}

async function expectEqual({ source, target, topic }: Estate): Promise<void> {
  const differences = await compareWithJava({
    source: source.bootstrap,
    target: target.bootstrap,
    topics: [{ source: topic, target: topic }],
    isolation: 'read_uncommitted',
    timestamps: 'equal',
  });
  if (differences.length > 0)
    throw new Error(`Kafka's Java consumer finds differences\n${formatDifferences(differences)}`);
}

/** Takes every topic away, also those in which the systems keep their own state. */
async function emptyCluster(cluster: KafkaCluster): Promise<void> {
  const client = openCluster(cluster.bootstrap);
  await client.connect();
  try {
    const topics = async (): Promise<string[]> =>
      (await client.refresh('all')).filter(({ isInternal }) => !isInternal).map(({ name }) => name);
    const names = await topics();
    if (names.length > 0) await deleteTopics(cluster.bootstrap, names);
    await waitUntil(async () => (await topics()).length === 0, 'the target is empty', {
      timeoutMs: 30_000,
      everyMs: 50,
    });
  } finally {
    client.close();
  }
}

function formatRun({ system, run, measurement, compared, problem }: RunLine): string {
  if (!measurement) return `  ${system} ${run}: FAILED ${problem}`;
  const { window, whole, peakRssBytes } = measurement;
  return (
    `  ${system} ${run}: ${window.cpuPerGb.toFixed(2)} CPU-s/GB, ${window.mbPerSecond.toFixed(0)} MB/s, ` +
    `peak RSS ${(peakRssBytes / 1e6).toFixed(0)} MB, ${whole.seconds.toFixed(1)} s in all; equal by ${compared}`
  );
}

function parseOptions(args: readonly string[]): Options | null {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      dataset: text,
      gb: text,
      runs: text,
      'peer-runs': text,
      partitions: text,
      systems: text,
      strict: { type: 'boolean' },
      json: text,
      compare: text,
      'cpu-prof': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return null;
  const profile = values['cpu-prof'];
  const nodeFlags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profile)}`];
  const ours = lockstep({ nodeFlags });
  const overTls = lockstep({ name: 'lockstep-tls', nodeFlags, overTls: true });
  const mapped = lockstep({ name: 'lockstep-mapped', nodeFlags, offsets: 'mapped' });
  const known = [ours, mapped, overTls, mirrorMaker, mirrorMakerUncompressed];
  const runs = positive(values.runs ?? '3', '--runs', { whole: true });
  const peerRuns = positive(values['peer-runs'] ?? '1', '--peer-runs', { whole: true });
  const systems = named(known, values.systems ?? 'lockstep,lockstep-tls,mm2', '--systems');
  const other = values.compare;
  const others = other === undefined ? [] : [lockstep({ name: 'other', checkout: resolve(other), nodeFlags })];
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return {
    dataSets: values.dataset === undefined ? dataSets : named(dataSets, values.dataset, '--dataset'),
    gigabytes: positive(values.gb ?? '1', '--gb', { whole: false }),
    systems: [
      ...systems.map((system) => ({ system, runs: [ours, mapped, overTls].includes(system) ? runs : peerRuns })),
      ...others.map((system) => ({ system, runs })),
    ],
    partitions: positive(values.partitions ?? '8', '--partitions', { whole: true }),
    isStrict: values.strict ?? false,
    resultsFile: resolve(values.json ?? join(import.meta.dirname, 'results', `${time}.jsonl`)),
  };
}

function named<T extends { readonly name: string }>(known: readonly T[], list: string, flag: string): T[] {
  return list.split(',').map((name) => {
    const found = known.find((each) => each.name === name);
    if (!found) throw new Error(`${flag}: '${name}' is not one of ${known.map((each) => each.name).join(', ')}`);
    return found;
  });
}

function positive(text: string, flag: string, options: { whole: boolean }): number {
  const value = Number(text);
  const isGood = options.whole ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (!isGood || value <= 0)
    throw new Error(`${flag}: '${text}' is not a ${options.whole ? 'whole ' : ''}number above 0`);
  return value;
}

function describeMachine(): MachineLine {
  const first = (command: string, args: readonly string[], pattern: RegExp): string => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    return pattern.exec(`${stdout}${stderr}`)?.[1] ?? 'unknown';
  };
  return {
    kind: 'machine',
    at: new Date().toISOString(),
    commit: first('git', ['-C', import.meta.dirname, 'rev-parse', '--short', 'HEAD'], /^(\w+)$/m),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release().replace(/-.*/, ''),
    node: process.versions.node,
    java: first('java', ['-version'], /version "([^"]+)"/),
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
