import { AppError } from '#contract/errors.ts';
import type { Documents } from '#contract/resources.ts';
import {
  verificationClasses,
  type Difference,
  type MirrorVerification,
  type PartitionVerification,
  type ShownBytes,
  type ShownRecord,
  type VerificationClass,
  type VerifyProgress,
} from '#contract/verification.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readJobs } from '../files.ts';
import { formatBytes, formatCount, formatNumberOf, formatTable } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';

interface Options extends CommonOptions {
  readonly class?: string;
  readonly full?: true;
  readonly from?: string;
  readonly to?: string;
  readonly evidence?: string;
}

const PROGRESS_MS = 5_000;
/** Above it a row stands for a topic. */
const PARTITION_ROWS_MAX = 50;

export const verify: Verb<Options> = {
  summary: 'compare source and target independently of the mirror',
  description:
    'Reads both sides of each mirror and compares them offset by offset: records, their order, keys, values, headers and times, and offsets that hold no record. Nothing is written; of the mirror its file is taken, and what it has written down about its copies is judged. So it can run with other credentials (READ and DESCRIBE_CONFIGS on the topics of both sides, READ on __lockstep.state of the target), beside the mirror and its producers.\n\nExit code 5 where something differs, 1 where something could not be read, 0 where nothing differs; parts that could not be compared are named as unverified, never as identical.',
  examples: [
    'lockstep verify -f link.yaml',
    'lockstep verify -f link.yaml --full --json | jq .mirrors[].partitions[]',
    'lockstep verify -f reader-clusters.yaml -f mirror.yaml --class structure',
    'lockstep verify -f link.yaml --from 1000000 --to 2000000',
  ],
  options: {
    '--class <class>': 'what is compared: counts, structure (all but what values say) or content, which is the default',
    '--full': 'go on behind the first difference of a partition, and count them all',
    '--from <offset>': 'begin each partition at this offset',
    '--to <offset>': 'end each partition before this offset',
    '--evidence <directory>': 'keep both copies of the first difference of each partition in files of this directory',
  },
  async run({ io, host, app }, options) {
    const depth = parseClass(options.class ?? 'content');
    const [from, to] = [parseOffset('--from', options.from), parseOffset('--to', options.to)];
    if (from !== null && to !== null && to <= from)
      throw new AppError('REQUEST_INVALID', '--to must be above --from', {
        nextStep: '--to is the first offset that is not looked at any more.',
      });
    const documents = withVerified(readJobs(host.disk, options.file));
    const stop = new AbortController();
    io.onInterrupt(() => stop.abort());
    const startedMs = host.clock.monotonic();
    const mirrors = await app.verifyMirrors(documents, host, {
      class: depth,
      isFull: options.full ?? false,
      from,
      to,
      evidenceIn: options.evidence ?? null,
      progressMs: PROGRESS_MS,
      signal: stop.signal,
      onProgress: (progress) =>
        options.json
          ? io.out(`${printableJson({ event: 'progress', ...progress })}\n`)
          : io.err(io.style('dim', `${describeProgress(progress)}\n`)),
    });
    const seconds = (host.clock.monotonic() - startedMs) / 1000;
    const verdict = verdictOf(mirrors);
    if (options.json) io.out(`${printableJson({ event: 'verified', verdict, seconds, mirrors })}\n`);
    else io.out(mirrors.map((mirror) => describe(io, mirror, seconds)).join('\n'));
    return stop.signal.aborted ? exitCodes.interrupted : EXIT_CODES[verdict];
  },
};

/** A verification's mirror is compared like one that stands in the files itself. */
function withVerified(documents: Documents): Documents {
  const { mirrors, verifications } = documents;
  const named = new Map(
    [...verifications.map(({ spec }) => spec.mirror), ...mirrors].map((each) => [each.metadata.name, each]),
  );
  return { ...documents, mirrors: [...named.values()] };
}

type Verdict = PartitionVerification['verdict'];

const EXIT_CODES: Readonly<Record<Verdict, number>> = {
  different: exitCodes.findings,
  failed: exitCodes.failed,
  unverified: exitCodes.ok,
  identical: exitCodes.ok,
};
const WORST_FIRST: readonly Verdict[] = ['different', 'failed', 'unverified', 'identical'];

function verdictOf(mirrors: readonly MirrorVerification[]): Verdict {
  const verdicts = new Set(mirrors.flatMap(({ partitions }) => partitions.map(({ verdict }) => verdict)));
  return WORST_FIRST.find((verdict) => verdicts.has(verdict)) ?? 'unverified';
}

function parseClass(text: string): VerificationClass {
  const found = verificationClasses.find((each) => each === text);
  if (found !== undefined) return found;
  throw new AppError('REQUEST_INVALID', `--class does not know "${text}"`, {
    nextStep: `Write ${verificationClasses.join(', ')}.`,
  });
}

function parseOffset(option: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new AppError('REQUEST_INVALID', `${option}: "${text}" is no offset`, {
    nextStep: `Write a whole number from 0, as in ${option} 1500.`,
  });
}

function describeProgress({ mirror, partitions, partitionsDone, records, bytes, differences }: VerifyProgress): string {
  return `${mirror}: ${formatCount(partitionsDone)} of ${formatNumberOf(partitions, 'partition')}, ${formatNumberOf(records, 'record')} the same, ${formatBytes(bytes.whole + bytes.byRecord)} compared, ${formatNumberOf(differences, 'difference')}`;
}

function describe(io: Io, mirror: MirrorVerification, seconds: number): string {
  const [titles = '', ...rows] =
    mirror.partitions.length <= PARTITION_ROWS_MAX ? partitionRows(mirror) : topicRows(mirror);
  const lines = [
    io.style('bold', printable(`Mirror ${mirror.mirror}: ${mirror.source} → ${mirror.target}, ${mirror.class}`)),
    '',
    `  ${io.style('dim', titles)}`,
    ...rows.map((row) => `  ${row}`),
    '',
    ...mirror.partitions.flatMap((partition) => describePartition(io, partition)),
    ...mirror.notes.map((note) => io.style('yellow', printable(`  ${note}`))),
    `  ${describeBytes(mirror, seconds)}`,
    `  ${describeVerdict(io, mirror)}`,
  ];
  return `${lines.join('\n')}\n`;
}

function partitionRows({ partitions }: MirrorVerification): string[] {
  return formatTable(
    [
      { title: 'PARTITION' },
      { title: 'FROM', align: 'right' },
      { title: 'PROVEN THROUGH', align: 'right' },
      { title: 'LAG', align: 'right' },
      { title: 'RECORDS THE SAME', align: 'right' },
      { title: 'COMPACTED', align: 'right' },
      { title: 'UNEXPLAINED', align: 'right' },
      { title: 'VERDICT' },
    ],
    partitions.map((each) => [
      `${each.topic}/${each.partition}`,
      formatCount(each.from),
      formatCount(each.provenThrough),
      formatCount(each.lag),
      formatCount(each.records),
      formatCount(each.compacted),
      formatCount(each.unexplained),
      each.verdict,
    ]),
  );
}

function topicRows(mirror: MirrorVerification): string[] {
  return formatTable(
    [
      { title: 'TOPIC' },
      { title: 'PARTITIONS', align: 'right' },
      { title: 'LAG', align: 'right' },
      { title: 'RECORDS THE SAME', align: 'right' },
      { title: 'COMPACTED', align: 'right' },
      { title: 'UNEXPLAINED', align: 'right' },
      { title: 'VERDICT' },
    ],
    [...Map.groupBy(mirror.partitions, ({ topic }) => topic)].map(([topic, partitions]) => [
      topic,
      formatCount(partitions.length),
      formatCount(sum(partitions, ({ lag }) => lag)),
      formatCount(sum(partitions, ({ records }) => records)),
      formatCount(sum(partitions, ({ compacted }) => compacted)),
      formatCount(sum(partitions, ({ unexplained }) => unexplained)),
      WORST_FIRST.find((verdict) => partitions.some((each) => each.verdict === verdict)) ?? '',
    ]),
  );
}

/** Unknown where one is. */
function sum(
  partitions: readonly PartitionVerification[],
  of: (partition: PartitionVerification) => number | null,
): number | null {
  return partitions.reduce<number | null>((total, partition) => {
    const count = of(partition);
    return total === null || count === null ? null : total + count;
  }, 0);
}

function describePartition(io: Io, partition: PartitionVerification): string[] {
  const { topic, targetTopic, differences, shown, unverified, error } = partition;
  const place = `${topic}/${partition.partition}`;
  const named = topic === targetTopic ? place : `${place} (${targetTopic} on the target)`;
  return [
    ...shown.flatMap((difference) => describeDifference(io, named, difference)),
    ...(differences > shown.length ? [`  ${named}: ${formatCount(differences - shown.length)} more differences`] : []),
    ...unverified.map(({ from, to, reason }) =>
      io.style('yellow', printable(`  unverified ${named} offsets ${from} to ${to - 1}: ${reason}`)),
    ),
    ...(error === null ? [] : [io.style('red', printable(`  failed ${error.code} ${named}: ${error.message}`))]),
  ];
}

function describeDifference(io: Io, place: string, difference: Difference): string[] {
  const { offset, kind, message, source, target, evidence } = difference;
  return [
    io.style('red', printable(`  different ${place} offset ${offset}, ${kind}: ${message}`)),
    ...(source ? [`    source: ${describeRecord(source)}`] : []),
    ...(target ? [`    target: ${describeRecord(target)}`] : []),
    ...(evidence === undefined ? [] : [`    both copies are kept in ${evidence}`]),
  ];
}

function describeRecord({ timestamp, key, value, headers, headerCount }: ShownRecord): string {
  const more = headerCount > headers.length ? [`… ${headerCount - headers.length} more`] : [];
  const shown = headers.map((header) => `${describeField(header.key)}=${describeField(header.value)}`);
  return `time ${timestamp} key ${describeField(key)} value ${describeField(value)} headers [${[...shown, ...more].join(', ')}]`;
}

function describeField(field: ShownBytes | null): string {
  if (field === null) return 'null';
  const { bytes, from, text, hex } = field;
  const piece = text === null ? `0x${hex}` : JSON.stringify(printable(text));
  const isWhole = from === 0 && hex.length === 2 * bytes;
  return isWhole ? piece : `${piece} (bytes ${from} to ${from + hex.length / 2 - 1} of ${bytes})`;
}

function describeBytes({ partitions }: MirrorVerification, seconds: number): string {
  const whole = partitions.reduce((bytes, each) => bytes + each.bytes.whole, 0);
  const byRecord = partitions.reduce((bytes, each) => bytes + each.bytes.byRecord, 0);
  return `compared ${formatBytes(whole + byRecord)} of the source in ${seconds.toFixed(1)} s: ${formatBytes(whole)} as whole batches, ${formatBytes(byRecord)} record by record.`;
}

function describeVerdict(io: Io, { partitions }: MirrorVerification): string {
  const count = (verdict: Verdict): number => partitions.filter((each) => each.verdict === verdict).length;
  const differences = partitions.reduce((total, each) => total + each.differences, 0);
  if (differences > 0)
    return io.style(
      'red',
      `${formatNumberOf(differences, 'difference')} in ${formatNumberOf(count('different'), 'partition')}.`,
    );
  const rest = [
    ...(count('failed') > 0 ? [`${formatNumberOf(count('failed'), 'partition')} could not be read`] : []),
    ...(count('unverified') > 0 ? [`${formatNumberOf(count('unverified'), 'partition')} not verified as a whole`] : []),
  ];
  const same = `${formatNumberOf(count('identical'), 'partition')} identical`;
  return rest.length === 0 ? io.style('green', `${same}.`) : io.style('yellow', `${[same, ...rest].join(', ')}.`);
}
