/** How a store is opened: for a server in a thread of its own, for tests and commands in theirs. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { access, type Access, type AggregateName } from './access.ts';
import type { Call, Caller } from './call.ts';
import { CallQueue, type QueueLimits } from './call-queue.ts';
import type { Database } from './database.ts';
import type { Engine } from './engine.ts';
import { createLocalCaller } from './local-caller.ts';
import type { StoreLocation } from './location.ts';
import type { Aggregates, Store } from './store.ts';
import { PATIENCE_MS } from './patience.ts';
import { startThread } from './thread-caller.ts';

const MIB = 1024 * 1024;

const defaultLimits: Readonly<Record<Engine, QueueLimits>> = {
  sqlite: { bytesMax: 32 * MIB, concurrentMax: 8, deadlineMs: 5000, longDeadlineMs: 60_000 },
  postgres: { bytesMax: 32 * MIB, concurrentMax: 16, deadlineMs: 5000, longDeadlineMs: 60_000 },
};

export interface StoreOptions {
  readonly clock: Clock;
  readonly limits?: Partial<QueueLimits>;
}

/** In a thread of its own, which opens and migrates the database. Throws AppError STORE_…. */
export async function openStore(location: StoreLocation, options: StoreOptions): Promise<Store> {
  return createStore(await startThread(location, options.clock), location.engine, options);
}

/** On a database that is open, and migrated, in this thread. */
export function createLocalStore(database: Database, options: StoreOptions & { readonly random: Random }): Store {
  const { clock, random } = options;
  const caller = createLocalCaller(database, { clock, random, newId: randomUUID, patienceMs: PATIENCE_MS });
  return createStore(caller, database.engine, options);
}

function createStore(caller: Caller, engine: Engine, { clock, limits = {} }: StoreOptions): Store {
  const queue = new CallQueue(caller, { clock, engine, limits: { ...defaultLimits[engine], ...limits } });
  const aggregates = (intent: number | null): Aggregates =>
    createAggregates((aggregate, method, args) => {
      const isRead = (access[aggregate] as Readonly<Record<string, Access>>)[method] === 'read';
      return queue.call({ aggregate, method, args, intent }, isRead);
    });
  return {
    ...aggregates(null),
    under: (intent) => aggregates(intent),
    health: () => queue.health(),
    close: (withinMs) => queue.close(withinMs),
  };
}

/** Every method of the table, as a call. */
function createAggregates(
  invoke: (aggregate: AggregateName, method: string, args: Call['args']) => Promise<unknown>,
): Aggregates {
  const names = Object.keys(access) as AggregateName[];
  const aggregates = names.map((aggregate) => {
    const methods = Object.keys(access[aggregate]);
    const calls = methods.map((method) => [method, (...args: unknown[]) => invoke(aggregate, method, args)]);
    return [aggregate, Object.fromEntries(calls)];
  });
  return Object.fromEntries(aggregates) as Aggregates;
}
