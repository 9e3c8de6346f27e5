/** The command line of `npm run bench`. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { dataSetOf } from './data-set.ts';
import { linkOf } from './link.ts';
import { suiteNames, type Choice, type SuiteName } from './suite.ts';
import { systemsOf } from './systems.ts';
import type { System } from './system.ts';

export interface Options {
  readonly suites: readonly SuiteName[];
  readonly choice: Choice;
  readonly systems: readonly System[];
  readonly again: boolean;
  readonly isStrict: boolean;
  readonly isList: boolean;
  readonly resultsFile: string;
}

export const USAGE = `npm run bench -- [suite …] [options]
suites (default: core)
  core       rows of the goals, all peers, 3 runs each; 1,000 partitions; latency at 10 MB/s
  full       core, and every codec, record and batch size; 50 MB/s; catch-up, kill, idle
  latency    added latency of live traffic        catch-up   after a pause of the mirror
  kill       lost and doubled after kill -9       idle       10,000 partitions without traffic
  soak       30 minutes of live traffic, and of a dead target
  wan        a line of 80 and 250 ms to the source, one partition
  workers    1, 2 and 3 processes of one mirror   smoke      2 minutes: whether figures are there and plausible
options
  --dataset NAMES    such as n1k_16,l1k_64: [nlz](100|1k|10k)_(1|4|16|64|1m)
  --systems NAMES    of ${systemsOf()
    .map(({ name }) => name)
    .join(', ')}
  --runs N           of each system
  --gb N             to be copied, in 10^9 logical bytes (default: 0.5)
  --partitions N     of the topic (default: 8)
  --rate N           of live traffic, in 10^6 logical bytes a second
  --seconds N        that are watched, or of the pause
  --links NAMES      of the suite wan, such as 80ms,250ms+10Mbit,80ms+stalls
  --again            also what has a result of these sources; without it an interrupted run goes on where it was
  --list             what there is to do, and do nothing
  --results FILE     where results are kept and looked for (default: bench/results/local.jsonl)
  --strict           exit 1 when a goal is not met
  --compare DIR      also run lockstep of another checkout, in turn with this one's, as 'other'
  --cpu-prof DIR     write CPU profiles of lockstep there; its figures are higher then
`;

/** Null: show the usage. Throws when something is not understood. */
export function parseOptions(args: readonly string[]): Options | null {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      dataset: text,
      systems: text,
      runs: text,
      gb: text,
      partitions: text,
      rate: text,
      seconds: text,
      links: text,
      again: flag,
      list: flag,
      results: text,
      strict: flag,
      compare: text,
      'cpu-prof': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return null;
  const { compare, 'cpu-prof': profiles } = values;
  const systems = systemsOf({
    ...(compare === undefined ? {} : { checkout: compare }),
    ...(profiles === undefined ? {} : { profiles }),
  });
  const chosen = values.systems?.split(',');
  for (const name of chosen ?? []) named(systems, name);
  for (const name of values.links?.split(',') ?? []) linkOf(name);
  for (const name of values.dataset?.split(',') ?? []) dataSetOf(name);
  const runs = wholeNumber(values.runs, '--runs');
  const partitions = wholeNumber(values.partitions, '--partitions');
  const gigabytes = positive(values.gb, '--gb');
  const mbPerSecond = positive(values.rate, '--rate');
  const seconds = positive(values.seconds, '--seconds');
  return {
    suites: suitesOf(positionals),
    choice: {
      ...(values.dataset === undefined ? {} : { dataSets: values.dataset.split(',') }),
      ...(chosen === undefined ? {} : { systems: compare === undefined ? chosen : [...chosen, 'other'] }),
      ...(runs === null ? {} : { runs }),
      ...(partitions === null ? {} : { partitions }),
      ...(gigabytes === null ? {} : { gigabytes }),
      ...(mbPerSecond === null ? {} : { mbPerSecond }),
      ...(seconds === null ? {} : { seconds }),
      ...(values.links === undefined ? {} : { links: values.links.split(',') }),
    },
    systems,
    again: values.again,
    isStrict: values.strict,
    isList: values.list,
    resultsFile: resolve(values.results ?? join(import.meta.dirname, 'results', 'local.jsonl')),
  };
}

function suitesOf(names: readonly string[]): SuiteName[] {
  if (names.length === 0) return ['core'];
  return names.map((name) => {
    const suite = suiteNames.find((each) => each === name);
    if (!suite) throw new Error(`'${name}' is no suite; there are ${suiteNames.join(', ')}`);
    return suite;
  });
}

/** Throws when there is none of that name. */
export function named(systems: readonly System[], name: string): System {
  const found = systems.find((each) => each.name === name);
  if (!found) throw new Error(`'${name}' is no system; there are ${systems.map((each) => each.name).join(', ')}`);
  return found;
}

/** Null when it is not given. */
function positive(text: string | undefined, flag: string): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${flag}: '${text}' is not a number above 0`);
  return value;
}

function wholeNumber(text: string | undefined, flag: string): number | null {
  const value = positive(text, flag);
  if (value !== null && !Number.isSafeInteger(value)) throw new Error(`${flag}: '${text}' is not a whole number`);
  return value;
}
