/**
 * Fetches and prepares the real components of tests, benchmarks and demo into .cache/: Apache Kafka as jars by Maven,
 * a class archive and a bootstrap.checkpoint per version, the compiled Java tools. Repeating it costs a fraction of a
 * second. Run it directly (`node scripts/setup.ts`) or call setup().
 *
 * Every artefact is a folder that is made under another name and renamed when it is complete, with a stamp of what it
 * was made from: one that was interrupted or has become stale is made again.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, realpathSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileJavaTools, runJava } from '#testing/java.ts';
import { must } from '#util/assert.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import { cacheDirectory, jvmFlags, kafkaHome, kafkaVersions, repository } from '#testing/kafka-home.ts';
import type { KafkaVersion } from '#testing/kafka-home.ts';
import { spawnSupervised } from '#testing/supervisor.ts';
import { makeOnce } from './make-once.ts';

export interface SetupOptions {
  /** Default: those that `npm test` runs on. */
  readonly versions?: readonly KafkaVersion[];
  /** Takes one line per step that did something. Default: standard error. */
  readonly log?: (line: string) => void;
}

const pom = join(repository, 'scripts', 'kafka.pom.xml');
/** Kafka 3.9 brings the binding to the end-of-life log4j 1; two bindings at once make slf4j complain at every start. */
const excludedArtifacts = 'slf4j-reload4j,reload4j';
const piped: StdioOptions = ['ignore', 'pipe', 'pipe'];

type Say = (what: string) => void;

/** Makes everything that is missing. When a program is missing and cannot be installed, rejects with what to do. */
export async function setup(options: SetupOptions = {}): Promise<void> {
  const { versions = kafkaVersions, log = (line: string) => void process.stderr.write(`${line}\n`) } = options;
  const started = performance.now();
  const say: Say = (what) => log(`setup ${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${what}`);
  const lock = await takeLock(say);
  try {
    await ensurePrograms(say);
    for (const version of versions) await ensureJars(version, say); // in turn: Maven's local repository has no lock
    for (const version of versions) await ensureCheckpoint(version, say);
    await Promise.all(versions.map((version) => ensureArchives(version, say)));
    if (versions.includes('4.3.1')) await compileJavaTools(() => say('Java tools: compiling'));
  } finally {
    lock.close();
  }
}

/**
 * Only one set-up works in a cache at a time. The lock is a listening socket in Linux's abstract namespace: the
 * kernel frees it with the process, so there is no stale lock to find.
 */
async function takeLock(say: Say): Promise<Server> {
  const name = `\0lockstep-setup-${createHash('sha256').update(cacheDirectory).digest('hex').slice(0, 16)}`;
  for (let waits = 0; ; waits += 1) {
    const server = createServer();
    const isTaken = await new Promise<boolean>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EADDRINUSE' ? resolve(true) : reject(error),
      );
      server.listen(name, () => resolve(false));
    });
    if (!isTaken) return server;
    if (waits === 0) say('another set-up is working here: waiting for it');
    await sleep(200);
  }
}

/** Java compiler, runtime and Maven: installed from Debian's packages when we may, else named. */
async function ensurePrograms(say: Say): Promise<void> {
  const packages = { java: 'openjdk-17-jdk-headless', javac: 'openjdk-17-jdk-headless', mvn: 'maven' };
  const missing = Object.entries(packages).filter(([program]) => findProgram(program) === null);
  if (missing.length === 0) return;
  const programs = missing.map(([program]) => program).join(', ');
  const wanted = [...new Set(missing.map(([, name]) => name))];
  const command = `apt-get install -y --no-install-recommends ${wanted.join(' ')}`;
  if (process.getuid?.() !== 0 || findProgram('apt-get') === null) {
    throw new Error(
      `missing on PATH: ${programs}. Java 17 or newer (JDK) and Maven are needed; on Debian: sudo ${command}`,
    );
  }
  say(`installing Debian packages: ${wanted.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Not supervised: a package manager that is killed half-way leaves a half-configured system.
  await finish(spawn('apt-get', ['update', '-qq'], { env, stdio: piped }));
  await finish(spawn('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...wanted], { env, stdio: piped }));
  say('Debian packages: installed');
}

/** The file behind a command, through links, or null. */
function findProgram(name: string): string | null {
  const folder = (process.env['PATH'] ?? '').split(delimiter).find((entry) => existsSync(join(entry, name)));
  return folder === undefined ? null : realpathSync(join(folder, name));
}

async function ensureJars(version: KafkaVersion, say: Say): Promise<void> {
  await makeOnce(join(kafkaHome(version), 'libs'), pomStamp(version), async (scratch) => {
    say(`Kafka ${version}: fetching jars with Maven`);
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${scratch}`, '-DincludeScope=runtime'];
    const choice = [`-Dkafka=${version}`, `-DexcludeArtifactIds=${excludedArtifacts}`];
    await finish(spawnSupervised('mvn', ['-q', '-B', '-f', pom, ...choice, ...goal], { stdio: piped }));
    say(`Kafka ${version}: ${readdirSync(scratch).length} jars`);
  });
}

function pomStamp(version: KafkaVersion): string {
  return stampOf(version, excludedArtifacts, readFileSync(pom, 'utf8'));
}

/** What `kafka-storage format` writes besides meta.properties: the feature levels. It holds no cluster id. */
async function ensureCheckpoint(version: KafkaVersion, say: Say): Promise<void> {
  await makeOnce(join(kafkaHome(version), 'format'), pomStamp(version), async (scratch) => {
    const propertiesFile = join(scratch, 'format.properties');
    const properties = [
      'process.roles=broker,controller',
      'node.id=1',
      'controller.quorum.voters=1@127.0.0.1:1',
      'listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1',
      'controller.listener.names=CONTROLLER',
      `log.dirs=${join(scratch, 'data')}`,
    ];
    writeFileSync(propertiesFile, properties.join('\n'));
    const args = ['format', '-t', 'MkU3OEVBNTcwNTJENDM2Qk', '-c', propertiesFile];
    const { code, stdout, stderr } = await runJava('kafka.tools.StorageTool', args, { version });
    if (code !== 0) throw new Error(`Kafka ${version}: the storage tool ended with ${code}\n${stdout}${stderr}`);
    renameSync(join(scratch, 'data', 'bootstrap.checkpoint'), join(scratch, 'bootstrap.checkpoint'));
    say(`Kafka ${version}: bootstrap.checkpoint`);
  });
}

/**
 * Class archives (AppCDS): a broker and a client write down at their end which classes they have loaded. They fit one
 * JDK, one class path and one set of flags, so all of these are in the stamp.
 */
async function ensureArchives(version: KafkaVersion, say: Say): Promise<void> {
  const java = findProgram('java') ?? 'java';
  const jdk = statSync(join(dirname(java), '..', 'lib', 'modules'), { throwIfNoEntry: false });
  const flags = jvmFlags('fast', 256, { directory: '', archive: '' });
  const stamp = stampOf(pomStamp(version), kafkaHome(version), java, String(jdk?.mtimeMs), ...flags);
  await makeOnce(join(kafkaHome(version), 'archive'), stamp, async (scratch) => {
    say(`Kafka ${version}: making class archives`);
    const archive = (name: string): string[] => [`-XX:ArchiveClassesAtExit=${join(scratch, name)}`];
    const cluster = await startCluster({ version, name: 'training', jvm: archive('broker.jsa') });
    // A topic is created, written and read: admin, producer and consumer in one JVM, and the broker's side of each.
    const args = [cluster.bootstrap.join(), 'training', '20', 'all', '100'];
    const client = await runJava('org.apache.kafka.tools.EndToEndLatency', args, {
      version,
      jvm: archive('tools.jsa'),
    });
    if (client.code !== 0)
      throw new Error(`Kafka ${version}: the training client ended with ${client.code}\n${client.stderr}`);
    for (const broker of cluster.brokers) await broker.stop();
    await cluster.stop();
    say(`Kafka ${version}: class archives`);
  });
}

function stampOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Waits for the end of a program whose output is piped; the output is shown only when it fails. */
async function finish(child: ChildProcess): Promise<void> {
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  const output = Promise.all([text(must(child.stdout, 'stdout')), text(must(child.stderr, 'stderr'))]);
  const [code, parts] = await Promise.all([exited, output]);
  if (code !== 0) throw new Error(`${child.spawnargs.join(' ')} ended with ${code}\n${parts.join('').slice(-4000)}`);
}

if (import.meta.main) {
  try {
    await setup();
  } catch (error) {
    process.stderr.write(`setup: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
