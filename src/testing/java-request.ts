import { runJava } from './java.ts';

/**
 * Hands a request to one of the Java tools of this folder and returns the lines that it answered. Throws with the
 * tool's own words when it failed. `timeoutMs` defaults to two minutes, `heapMb` to 512: records of 5 MB are among them.
 */
export async function askJava(
  mainClass: string,
  request: object,
  options: { timeoutMs?: number; heapMb?: number } = {},
): Promise<string[]> {
  const { timeoutMs = 120_000, heapMb = 512 } = options;
  const { stdout, stderr, code } = await runJava(mainClass, [JSON.stringify(request)], { timeoutMs, heapMb });
  if (code !== 0) throw new Error(`${mainClass} failed with exit code ${code}\n${stderr.trimEnd()}`);
  return stdout.split('\n');
}
