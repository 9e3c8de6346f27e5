/**
 * What a verification costs: `lockstep verify` of a topic of 8 partitions on two single brokers of this machine, both full before it
 * begins; identical, where bodies are the same bytes, and mapped, record by record. Prints lines of JSON:
 * `node bench/verify.ts [gigabytes] [directory for CPU profiles]`. MB are those of the source's batches as they lie in its log.
 */
import type { MirrorVerification } from '#contract/verification.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import { must } from '#util/assert.ts';
import { writeLink, type Link } from '../test/acceptance/link-file.ts';
import { runUntilCaughtUp, told } from '../test/acceptance/lockstep-process.ts';
import { dataSetOf, type DataSet } from './data-set.ts';
import { writeDataSet } from './data-writer.ts';
import { measureCommand, type MeasuredCommand } from './measured-command.ts';

const RUNS = 3;
const PARTITIONS = 8;
/** Records of a topic that is compared one by one take longer: a part of it is enough. */
const MAPPED_SHARE = 0.3;

const [gigabytes = '1', profiles] = process.argv.slice(2);

function verify(file: string): Promise<MeasuredCommand> {
  const flags = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
  return measureCommand(['verify', '-f', file, '--json'], flags);
}

async function measure(dataSet: DataSet, offsets: 'identical' | 'mapped', file: string): Promise<void> {
  for (let run = 0; run < RUNS; run++) {
    const { out, cpuSeconds, peakRssBytes, seconds } = await verify(file);
    const { mirrors } = JSON.parse(must(out.trim().split('\n').at(-1), 'last line')) as {
      mirrors: MirrorVerification[];
    };
    const partitions = mirrors.flatMap((mirror) => mirror.partitions);
    if (partitions.some(({ verdict, lag }) => verdict !== 'identical' || lag !== 0)) throw new Error(out);
    const sum = (of: (each: (typeof partitions)[number]) => number) => partitions.reduce((n, each) => n + of(each), 0);
    const megabytes = sum(({ bytes }) => bytes.whole + bytes.byRecord) / 1e6;
    const line = {
      dataSet: dataSet.name,
      offsets,
      records: sum(({ records }) => records),
      megabytes: round(megabytes),
      asWholeBatches: round(sum(({ bytes }) => bytes.whole) / 1e6),
      cpuSeconds: round(cpuSeconds),
      mbPerSecondPerCore: round(megabytes / cpuSeconds),
      cpuSecondsPerGb: round((cpuSeconds * 1000) / megabytes),
      seconds: round(seconds),
      mbPerSecond: round(megabytes / seconds),
      peakRssMb: round(peakRssBytes / 1e6),
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

const properties = { 'message.max.bytes': '10485760' };
const clusters = await Promise.all(['source', 'target'].map((name) => startCluster({ name, properties })));
try {
  const [source = [], target = []] = clusters.map(({ bootstrap }) => bootstrap);
  for (const dataSet of ['l1k_64', 'n1k_16'].map(dataSetOf))
    for (const offsets of ['identical', 'mapped'] as const) {
      const topic = `${dataSet.name}.${offsets}`;
      const share = offsets === 'mapped' ? MAPPED_SHARE : 1;
      await writeDataSet(source, dataSet, { topic, gigabytes: Number(gigabytes) * share, partitions: PARTITIONS });
      const link: Link = {
        source,
        target,
        mirrors: { [`bench-${dataSet.name.replace('_', '-')}-${offsets}`]: { topics: [{ match: topic }], offsets } },
      };
      const file = writeLink(link);
      const copied = await runUntilCaughtUp(file);
      if (copied.code !== 0) throw new Error(told(copied));
      await measure(dataSet, offsets, file);
    }
} finally {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
}
