/** Money that moves between accounts, and who adds it up again and again (src/testing/java/MoneyLedger.java). */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { must } from '#util/assert.ts';
import { spawnJava } from './java.ts';

export interface Ledger {
  readonly topic: string;
  readonly partitions: number;
  /** What each partition begins with, and what every read at read_committed has to find in it. */
  readonly opening: number;
}

/** Transactions so far. */
export interface MoneyMoved {
  readonly committed: number;
  readonly aborted: number;
}

/** One read from the beginning to the end: by partition the sum, null where nothing was there. */
export interface MoneySum {
  readonly records: number;
  readonly sums: readonly (number | null)[];
}

export interface MoneyProcess<Line> {
  /** What it has told so far. */
  readonly lines: readonly Line[];
  /** Has it end, a reader after one more read; rejects when it failed. */
  stop(): Promise<readonly Line[]>;
}

/** Writes transactions to each partition until it is stopped. The topic must be there. */
export function moveMoney(
  bootstrap: readonly string[],
  ledger: Ledger,
  options: { readonly seed: number },
): Promise<MoneyProcess<MoneyMoved>> {
  return start({ ...ledger, ...options, mode: 'write', bootstrap: bootstrap.join(',') });
}

/** Adds up the whole ledger again and again until it is stopped. The topic must be there. */
export function addUpMoney(
  bootstrap: readonly string[],
  ledger: Ledger,
  isolation: 'read_committed' | 'read_uncommitted' = 'read_committed',
): Promise<MoneyProcess<MoneySum>> {
  return start({ ...ledger, isolation, mode: 'read', bootstrap: bootstrap.join(',') });
}

async function start<Line>(request: object): Promise<MoneyProcess<Line>> {
  const child: ChildProcess = await spawnJava('MoneyLedger', [JSON.stringify(request)]);
  const lines: Line[] = [];
  let messages = '';
  must(child.stderr, 'standard error of the ledger').on('data', (chunk: Buffer) => {
    messages = (messages + chunk.toString()).slice(-4000);
  });
  const output = createInterface({ input: must(child.stdout, 'standard output of the ledger') });
  output.on('line', (line) => lines.push(JSON.parse(line) as Line));
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the ledger ended with exit code ${code}\n${messages}`));
    });
  });
  ended.catch(() => {}); // who does not wait for the end does not die of it
  return {
    lines,
    async stop() {
      must(child.stdin, 'standard input of the ledger').end();
      await ended;
      return lines;
    },
  };
}
