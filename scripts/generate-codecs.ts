/**
 * Writes src/kafka/protocol/ from Apache Kafka's own artefacts: the codecs from the message definitions inside the
 * kafka-clients jar, the error codes from its table of errors, and frames as Kafka's encoders write them, against which
 * the codecs are tested. Run by `npm run gen`; a test holds that what is checked in is what this writes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runJava } from '#testing/java.ts';
import { kafkaHome, repository } from '#testing/kafka-home.ts';
import type { KafkaVersion } from '#testing/kafka-home.ts';
import { assert, must } from '#util/assert.ts';
import { codecSource, kebabCase, parseDefinition } from './codec-source.ts';
import type { Definition, VersionRange } from './codec-source.ts';
import { readJar } from './jar.ts';
import { setup } from './setup.ts';

const KAFKA_VERSION: KafkaVersion = '4.3.1';
/** Where the generated files belong. */
export const protocolDirectory = join(repository, 'src', 'kafka', 'protocol');

/**
 * The versions that we speak, of the APIs that are not written by hand. Kafka 3.5 offers a part of each range, 3.9 and
 * 4.3 too. A broker closes the connection on a version that it does not offer, hence negotiation comes first.
 */
export const spokenVersions: Readonly<Record<string, VersionRange>> = {
  ListOffsets: { min: 7, max: 11 }, // 7: offset of the largest timestamp (KIP-734)
  Metadata: { min: 12, max: 13 }, // 12: topics by id
  OffsetCommit: { min: 8, max: 9 }, // 10 names topics by id only (KIP-848)
  OffsetFetch: { min: 8, max: 9 }, // 8: several groups in one request (KIP-709); 10 as above
  FindCoordinator: { min: 4, max: 6 }, // 4: several keys in one request (KIP-699)
  JoinGroup: { min: 5, max: 9 }, // 5: static membership
  Heartbeat: { min: 3, max: 4 },
  LeaveGroup: { min: 3, max: 5 },
  SyncGroup: { min: 3, max: 5 },
  DescribeGroups: { min: 4, max: 6 },
  ListGroups: { min: 4, max: 5 }, // 4: filter by state (KIP-518)
  DeleteGroups: { min: 2, max: 2 },
  DescribeShareGroupOffsets: { min: 0, max: 1 }, // KIP-932; 1 adds the lag (KIP-1226)
  AlterShareGroupOffsets: { min: 0, max: 0 },
  ApiVersions: { min: 0, max: 4 }, // 0: what a broker answers that does not know the version it was asked with (KIP-511)
  CreateTopics: { min: 4, max: 7 }, // 4: the broker's default partitions and replication factor (KIP-464)
  DeleteTopics: { min: 6, max: 6 }, // 6: one array of names or ids
  DeleteRecords: { min: 1, max: 2 },
  InitProducerId: { min: 3, max: 5 }, // 6 (two-phase commit, KIP-939) is not stable in 4.3
  OffsetForLeaderEpoch: { min: 3, max: 4 },
  WriteTxnMarkers: { min: 1, max: 2 }, // 0 was removed in 4.0; 2 is new in 4.3 (KIP-1228)
  DescribeConfigs: { min: 1, max: 4 },
  IncrementalAlterConfigs: { min: 0, max: 1 },
  CreatePartitions: { min: 1, max: 3 },
  DescribeCluster: { min: 0, max: 2 },
  DescribeProducers: { min: 0, max: 0 },
  DescribeTransactions: { min: 0, max: 0 },
  ListTransactions: { min: 0, max: 1 }, // 1: those that have run for longer than so much (KIP-994)
  AddPartitionsToTxn: { min: 2, max: 3 }, // 4 and 5 are the brokers' own, and need CLUSTER_ACTION
  EndTxn: { min: 2, max: 5 }, // 5 ends the epoch as well (KIP-890 part 2)
  DescribeAcls: { min: 1, max: 3 },
  CreateAcls: { min: 1, max: 3 }, // 1: patterns of names (KIP-290); 0 was removed in 4.0
  DeleteAcls: { min: 1, max: 3 },
  DescribeLogDirs: { min: 1, max: 4 },
  DescribeClientQuotas: { min: 0, max: 1 },
  AlterClientQuotas: { min: 0, max: 1 },
  DescribeUserScramCredentials: { min: 0, max: 0 },
  SaslHandshake: { min: 1, max: 1 }, // 0 is followed by bare tokens without a request around them (KIP-152)
  SaslAuthenticate: { min: 1, max: 2 }, // 1: how long the session lives (KIP-368)
};

/** All generated files, formatted, by name. Needs the jars of scripts/setup.ts. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const definitions = readDefinitions();
  const files = new Map<string, string>();
  for (const [name, versions] of Object.entries(spokenVersions)) {
    const request = must(definitions.get(`${name}Request`), `${name}Request.json`);
    const response = must(definitions.get(`${name}Response`), `${name}Response.json`);
    files.set(`${kebabCase(name)}.ts`, codecSource(name, [request, response], versions));
  }
  files.set('error-codes.ts', errorCodesSource(await javaOutput('ErrorTable', [], KAFKA_VERSION)));
  return new Map([...format(files), ['golden-frames.jsonl', await goldenFrames(KAFKA_VERSION)]]);
}

/**
 * Frames as the classes of that Kafka encode them, one a line (see GoldenFrames.java), for each version that we speak
 * and it knows.
 */
export function goldenFrames(version: KafkaVersion): Promise<string> {
  const ranges = Object.entries(spokenVersions).map(([name, { min, max }]) => `${name}:${min}:${max}`);
  return javaOutput('GoldenFrames', ranges, version);
}

function readDefinitions(): ReadonlyMap<string, Definition> {
  const jar = join(kafkaHome(KAFKA_VERSION), 'libs', `kafka-clients-${KAFKA_VERSION}.jar`);
  const files = [...readJar(jar, 'common/message/')].filter(([name]) => name.endsWith('.json'));
  return new Map(files.map(([, text]) => parseDefinition(text)).map((definition) => [definition.name, definition]));
}

/** `table` has a line per code: number, name, whether Kafka's clients retry it. */
function errorCodesSource(table: string): string {
  const rows = table
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  const retryable = rows.filter(([, , isRetriable]) => isRetriable === 'true');
  return `// Generated by scripts/generate-codecs.ts from org.apache.kafka.common.protocol.Errors: do not edit.

/** An error code of a response; \`retryable\` as in Kafka's own clients. */
export interface ErrorCode {
  readonly code: number;
  /** Kafka's name. */
  readonly name: string;
  readonly retryable: boolean;
}

export const errorCodes = {
${rows.map(([code, name]) => `  ${name}: ${code},`).join('\n')}
} as const;

const retryableCodes: ReadonlySet<number> = new Set([
${retryable.map(([, name]) => `  errorCodes.${name},`).join('\n')}
]);

const known: ReadonlyMap<number, ErrorCode> = new Map(
  Object.entries(errorCodes).map(([name, code]) => [code, { code, name, retryable: retryableCodes.has(code) }]),
);

/** What a code means. A code of a later Kafka is \`UNKNOWN_ERROR_CODE_<n>\` and not retryable. */
export function errorOf(code: number): ErrorCode {
  return known.get(code) ?? { code, name: \`UNKNOWN_ERROR_CODE_\${code}\`, retryable: false };
}
`;
}

async function javaOutput(mainClass: string, args: readonly string[], version: KafkaVersion): Promise<string> {
  const { stdout, stderr, code } = await runJava(mainClass, args, { version });
  assert(code === 0, `java ${mainClass} ends well:\n${stderr}`);
  return stdout;
}

/** As oxfmt leaves it with our settings, so that a formatting run changes nothing. */
function format(files: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-codecs-'));
  try {
    for (const [name, source] of files) writeFileSync(join(directory, name), source);
    const oxfmt = join(repository, 'node_modules', 'oxfmt', 'bin', 'oxfmt');
    const { status, stderr } = spawnSync(
      process.execPath,
      [oxfmt, '-c', join(repository, '.oxfmtrc.json'), directory],
      {
        encoding: 'utf8',
      },
    );
    assert(status === 0, `oxfmt ends well:\n${stderr}`);
    return new Map([...files.keys()].map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  await setup({ versions: [KAFKA_VERSION] });
  const files = await generatedFiles();
  for (const [name, source] of files) writeFileSync(join(protocolDirectory, name), source);
  process.stderr.write(`${files.size} files written to ${protocolDirectory}\n`);
}
