/**
 * The thread that a server's database lives in: SQLite blocks, and PostgreSQL's answers take time to read. It opens and
 * migrates the database, then answers calls. A SQLite file that was lost or damaged is opened anew by the next thread: this one ends.
 */
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { AppError } from '#contract/errors.ts';
import { must } from '#util/assert.ts';
import { systemHost } from '#util/host.ts';
import type { Caller } from './call.ts';
import { createLocalCaller } from './local-caller.ts';
import { openMigrated, type StoreLocation } from './location.ts';
import { PATIENCE_MS } from './patience.ts';
import { type FromThread, toSent, type ToThread } from './thread-messages.ts';

const port = must(parentPort, 'port of the thread');
const location = workerData as StoreLocation;

const send = (message: FromThread): void => port.postMessage(message);

const caller = await open();
if (caller !== null) {
  port.on('message', (message: ToThread) => {
    if (message.kind === 'call') void answer(caller, message);
    else void caller.close().then(() => port.close());
  });
  send({ kind: 'ready' });
}

async function open(): Promise<Caller | null> {
  try {
    const { clock, random, disk } = systemHost;
    return createLocalCaller(await openMigrated(location, disk), {
      clock,
      random,
      newId: randomUUID,
      patienceMs: PATIENCE_MS,
    });
  } catch (error) {
    send({ kind: 'failed', error: toSent(error) });
    return null;
  }
}

async function answer(database: Caller, { id, call }: Extract<ToThread, { kind: 'call' }>): Promise<void> {
  try {
    send({ kind: 'answer', id, value: await database.call(call) });
  } catch (error) {
    send({ kind: 'error', id, error: toSent(error) });
    const isLost = error instanceof AppError && ['lost', 'damaged'].includes(String(error.details['trouble']));
    if (isLost && location.engine === 'sqlite') port.close();
  }
}
