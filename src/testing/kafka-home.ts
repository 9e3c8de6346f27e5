/**
 * Where scripts/setup.ts puts what the real clusters need, and how their JVMs are started.
 *
 *   .cache/kafka-<version>/libs/                the jars of one Kafka version
 *   .cache/kafka-<version>/format/bootstrap.checkpoint   what `kafka-storage format` writes besides meta.properties
 *   .cache/kafka-<version>/archive/broker.jsa   class archive (AppCDS): a broker is up in 1 s instead of 2
 *   .cache/kafka-<version>/archive/tools.jsa    the same for the Java tools
 */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** What `npm test` runs on. */
export const kafkaVersions = ['4.3.1', '3.9.1'] as const;
/** What `npm run test:versions` adds: of each line the newest whose artefacts are complete. */
export const furtherVersions = ['3.5.1', '3.6.2', '3.7.2', '3.8.1', '4.0.2', '4.1.2', '4.2.0'] as const;
export type KafkaVersion = (typeof kafkaVersions)[number] | (typeof furtherVersions)[number];

export function isKafkaVersion(text: string): text is KafkaVersion {
  return [...kafkaVersions, ...furtherVersions].some((version) => version === text);
}

/** `fast` favours start-up (C1 only, SerialGC, class archive), `plain` is what an operator would run: use it for measurements. */
export type JvmProfile = 'fast' | 'plain';

export const repository = resolve(import.meta.dirname, '../..');
/** The real place: checkouts that share one by a link must agree on its name, which class archives and locks go by. */
export const cacheDirectory = realPlace(join(repository, '.cache'));

function realPlace(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

/** The folder of one Kafka version. It is complete only after scripts/setup.ts. */
export function kafkaHome(version: KafkaVersion): string {
  return join(cacheDirectory, `kafka-${version}`);
}

/**
 * The class path of one Kafka version. A class archive fits only the very class path that it was made with, hence
 * every jar by name and in order. Throws when the version was not set up.
 */
export function kafkaClassPath(version: KafkaVersion): string {
  const libs = join(kafkaHome(version), 'libs');
  if (!existsSync(libs)) {
    throw new Error(`Apache Kafka ${version} is not set up (${libs} is missing); run: node scripts/setup.ts`);
  }
  return readdirSync(libs)
    .filter((name) => name.endsWith('.jar'))
    .sort()
    .map((name) => join(libs, name))
    .join(':');
}

export interface JvmPlaces {
  /** Takes what a JVM would otherwise leave in the machine's temporary directory when it is killed: unpacked codecs … */
  readonly directory: string;
  /** The class archive of the fast profile. Without the file the start is slower, nothing else. */
  readonly archive: string;
}

/** JVM flags of a broker or a tool. */
export function jvmFlags(profile: JvmProfile, heapMb: number, places: JvmPlaces): string[] {
  const archive = existsSync(places.archive) ? [`-XX:SharedArchiveFile=${places.archive}`, '-Xshare:auto'] : [];
  const speed =
    profile === 'fast'
      ? [`-Xmx${heapMb}m`, '-Xss256k', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...archive]
      : [`-Xms${heapMb}m`, `-Xmx${heapMb}m`, '-XX:+UseG1GC'];
  return [
    ...speed,
    '-Xlog:disable',
    '-Xlog:all=error:stderr',
    '-XX:-UsePerfData',
    '-XX:+ExitOnOutOfMemoryError',
    `-XX:ErrorFile=${places.directory}/hs_err.log`,
    `-Djava.io.tmpdir=${places.directory}`,
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info', // startedMessage
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
  ];
}

/** The environment of a JVM without the variables that would change its flags behind our back. */
export function jvmEnvironment(): NodeJS.ProcessEnv {
  const {
    JAVA_TOOL_OPTIONS: _tool,
    JDK_JAVA_OPTIONS: _jdk,
    _JAVA_OPTIONS: _java,
    CLASSPATH: _path,
    ...rest
  } = process.env;
  return { ...rest, LC_ALL: 'C.UTF-8' }; // else a JVM reads arguments and prints text as ASCII
}
