import { must } from '#util/assert.ts';
import { JavaHost } from './java-host.ts';
import { runJava } from './java.ts';

/** Records of 5 MB are among them. */
const HEAP_MB = 512;
/** Of several at a time. */
const HOST_HEAP_MB = 768;
/** They use nothing of a JVM that another one could change, and leave nothing behind. */
const HOSTED = new Set(['ConfigOracle', 'GroupClient', 'RecordDump', 'TopicAdmin']);

let host: Promise<JavaHost> | null = null;

/**
 * Hands a request to one of the Java tools of this folder and returns the lines that it answered. Throws with the
 * tool's own words when it failed. `timeoutMs` defaults to two minutes.
 */
export async function askJava(
  mainClass: string,
  request: object,
  { timeoutMs = 120_000 }: { timeoutMs?: number } = {},
): Promise<string[]> {
  if (HOSTED.has(mainClass)) {
    const jvm = await hostNow();
    return (await jvm.ask(mainClass, JSON.stringify(request), timeoutMs)).split('\n');
  }
  const { stdout, stderr, code } = await runJava(mainClass, [JSON.stringify(request)], { timeoutMs, heapMb: HEAP_MB });
  if (code !== 0) throw new Error(`${mainClass} failed with exit code ${code}\n${stderr.trimEnd()}`);
  return stdout.split('\n');
}

async function hostNow(): Promise<JavaHost> {
  const last = host;
  if (last && !(await last).isGone) return last;
  if (host === last) host = JavaHost.start(HOST_HEAP_MB); // else another question has begun one
  return must(host, 'a JVM that starts');
}
