/** A member of a consumer group as applications write it (src/testing/java/LiveConsumer.java): polls, handles, commits. */
import { createInterface } from 'node:readline';
import { must } from '#util/assert.ts';
import { spawnJava } from './java.ts';

export interface LiveConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** Default: read_committed. */
  readonly isolation?: 'read_committed' | 'read_uncommitted';
  /** Of a static member (KIP-345), which stays in the group until its session of 10 s has ended, though it has closed. */
  readonly instance?: string;
}

export interface LiveConsumer {
  /** `topic/partition offset` in the order of the reading. */
  readonly read: readonly string[];
  /** Commits what it has read, and leaves. */
  stop(): Promise<readonly string[]>;
}

export async function spawnConsumer(bootstrap: readonly string[], options: LiveConsumerOptions): Promise<LiveConsumer> {
  const { read, child, ended } = await start(bootstrap, options, false);
  return {
    read,
    async stop() {
      must(child.stdin, 'standard input of a consumer').end();
      await ended;
      return read;
    },
  };
}

/** Reads from where the group stands to the end as of now, commits, and leaves. */
export async function consumeToEnd(
  bootstrap: readonly string[],
  options: LiveConsumerOptions,
): Promise<readonly string[]> {
  const { read, ended } = await start(bootstrap, options, true);
  await ended;
  return read;
}

async function start(bootstrap: readonly string[], options: LiveConsumerOptions, untilEnd: boolean) {
  const request = { bootstrap: bootstrap.join(','), untilEnd, ...options };
  const child = await spawnJava('LiveConsumer', [JSON.stringify(request)]);
  const read: string[] = [];
  let messages = '';
  must(child.stderr, 'standard error of a consumer').on('data', (chunk: Buffer) => {
    messages = (messages + chunk.toString()).slice(-4000);
  });
  const lines = createInterface({ input: must(child.stdout, 'standard output of a consumer') });
  lines.on('line', (line) => read.push(line));
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`consumer ended with exit code ${code}\n${messages}`));
    });
  });
  ended.catch(() => {}); // who does not wait for the end does not die of it
  return { read, child, ended };
}
