/** Runs the Java tools of src/testing/java, and Kafka's own, with Kafka's own clients. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { must } from '#util/assert.ts';
import { cacheDirectory, jvmEnvironment, jvmFlags, kafkaClassPath, kafkaHome } from './kafka-home.ts';
import type { JvmProfile, KafkaVersion } from './kafka-home.ts';
import { spawnSupervised, temporaryDirectory } from './supervisor.ts';

const sourceDirectory = join(import.meta.dirname, 'java');
/** The tools are compiled once, against the newest clients; they run with the clients of either version. */
const compileVersion: KafkaVersion = '4.3.1';

export interface JavaOptions {
  /** Whose clients and tools. Default: 4.3.1. */
  readonly version?: KafkaVersion;
  /** Default: fast. */
  readonly profile?: JvmProfile;
  /** Default: 256. */
  readonly heapMb?: number;
  /** More JVM flags. */
  readonly jvm?: readonly string[];
}

export interface JavaResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; 128 + 9 when it was killed. */
  readonly code: number;
}

/**
 * Runs the `main` of a class to its end and returns what it wrote; a non-zero exit is a result, not an error.
 * Throws after `timeoutMs` (default 60 s), when the process has been killed.
 */
export async function runJava(
  mainClass: string,
  args: readonly string[],
  options: JavaOptions & { input?: string | Uint8Array; timeoutMs?: number } = {},
): Promise<JavaResult> {
  const { input, timeoutMs = 60_000 } = options;
  const child = await spawnJava(mainClass, args, options);
  const stdin = must(child.stdin, 'standard input of a Java tool');
  stdin.on('error', () => {}); // a tool may end without reading its input
  stdin.end(input);
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 137));
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const [stdout, stderr, code] = await Promise.all([
      text(must(child.stdout, 'standard output of a Java tool')),
      text(must(child.stderr, 'standard error of a Java tool')),
      exited,
    ]);
    if (isLate) throw new Error(`java ${mainClass} ${args.join(' ')} did not end within ${timeoutMs} ms\n${stderr}`);
    return { stdout, stderr, code };
  } finally {
    clearTimeout(timer);
  }
}

/** Starts the `main` of a class with its three streams piped. It is killed when the runner is gone. */
export async function spawnJava(
  mainClass: string,
  args: readonly string[],
  options: JavaOptions = {},
): Promise<ChildProcess> {
  const { version = compileVersion, profile = 'fast', heapMb = 256, jvm = [] } = options;
  toolDirectory ??= temporaryDirectory('java-tools');
  const archive = join(kafkaHome(version), 'archive', 'tools.jsa');
  const flags = [...jvmFlags(profile, heapMb, { directory: toolDirectory, archive }), ...jvm];
  const isOurs = !mainClass.includes('.'); // our tools are in the unnamed package; Kafka's do not need them
  const classPath = isOurs ? `${kafkaClassPath(version)}:${await compileJavaTools()}` : kafkaClassPath(version);
  return spawnSupervised('java', [...flags, '-Dfile.encoding=UTF-8', '-cp', classPath, mainClass, ...args], {
    env: jvmEnvironment(),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

let toolDirectory: string | null = null;

/**
 * Compiles all of src/testing/java together unless exactly these sources were compiled before; returns the folder of
 * the classes. Safe when several runners do it at once: each compiles in a folder of its own, one of them is kept.
 * `onCompile` is called when there is something to compile.
 */
export async function compileJavaTools(onCompile: () => void = () => {}): Promise<string> {
  const names = readdirSync(sourceDirectory)
    .filter((name) => name.endsWith('.java'))
    .sort();
  const hash = createHash('sha256').update(compileVersion);
  for (const name of names) hash.update(name).update(readFileSync(join(sourceDirectory, name)));
  const classes = join(cacheDirectory, `java-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(classes)) return classes;

  onCompile();
  mkdirSync(cacheDirectory, { recursive: true });
  const scratch = mkdtempSync(`${classes}.tmp-`);
  try {
    await javac(['-d', scratch, ...names.map((name) => join(sourceDirectory, name))]);
    if (!existsSync(classes)) renameSync(scratch, classes);
  } catch (error) {
    if (!existsSync(classes)) throw error; // otherwise another runner was faster
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return classes;
}

async function javac(args: readonly string[]): Promise<void> {
  const flags = [
    '-J-XX:TieredStopAtLevel=1',
    '-J-XX:+UseSerialGC',
    '-Xlint:all,-processing',
    '--release',
    '17',
    '-proc:none',
    '-encoding', // otherwise the locale's, which is ASCII where none is set
    'UTF-8',
  ];
  const child = spawn('javac', [...flags, '-cp', kafkaClassPath(compileVersion), ...args], {
    env: jvmEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  const [messages, code] = await Promise.all([text(child.stderr), exited]);
  if (code !== 0) throw new Error(`javac could not compile the Java tools of src/testing/java:\n${messages}`);
}
