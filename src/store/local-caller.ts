/** Answers calls from a database that is open in this thread: each is one transaction, repeated where it met another. */
import { AppError } from '#contract/errors.ts';
import { must } from '#util/assert.ts';
import { Backoff } from '#util/backoff.ts';
import { type Clock, sleep } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { access, type Access } from './access.ts';
import { creators } from './aggregates.ts';
import type { Call, Caller } from './call.ts';
import type { Database } from './database.ts';
import { closeDumps } from './dumps.ts';
import { readFact, writeFact } from './facts.ts';
import { noVersions } from './maintenance.ts';
import type { Scope } from './scope.ts';
import { storeError, type Trouble, troubleOf } from './trouble.ts';

export interface LocalCallerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: () => string;
  /** How long a call tries to come past a lock or another transaction. */
  readonly patienceMs: number;
}

export function createLocalCaller(database: Database, options: LocalCallerOptions): Caller {
  const { clock, random, patienceMs } = options;
  return {
    async call(call) {
      const kind = accessOf(call);
      const backoff = new Backoff(random, { baseMs: 5, maxMs: 200 });
      const begun = clock.monotonic();
      for (;;) {
        try {
          return await once(database, call, options);
        } catch (error) {
          const trouble = error instanceof AppError ? null : troubleOf(error);
          if (trouble === null) throw error;
          const isOver = clock.monotonic() - begun >= patienceMs;
          if (isOver || !isWorthRepeating(trouble)) throw storeError(trouble, error, effectOf(trouble, kind));
        }
        await sleep(clock, backoff.next());
      }
    },
    async close() {
      await closeDumps(database);
      await database.close();
    },
  };
}

function isWorthRepeating(trouble: Trouble): boolean {
  return trouble === 'locked' || trouble === 'raced';
}

function effectOf(trouble: Trouble, kind: Access): 'none' | 'unknown' {
  return trouble === 'lost' && kind !== 'read' ? 'unknown' : 'none'; // the commit may have come through
}

function accessOf({ aggregate, method }: Call): Access {
  const methods: Readonly<Record<string, Access>> = access[aggregate];
  return must(methods[method], `access of ${aggregate}.${method}`);
}

async function once(database: Database, call: Call, { clock, newId }: LocalCallerOptions): Promise<unknown> {
  const kind = accessOf(call);
  const scope = { database, now: clock.now(), newId };
  if (kind === 'read') return run({ ...scope, db: database.kysely }, call);
  let transaction = database.kysely.transaction();
  // SQLite writes one after another anyway.
  if (database.engine === 'postgres') transaction = transaction.setIsolationLevel('serializable');
  return transaction.execute(async (db) => {
    const inside: Scope = { ...scope, db };
    const answer = await run(inside, call);
    if (kind !== 'write') await bumpVersions(inside, kind);
    if (call.intent !== null)
      await db
        .insertInto('log_effects')
        .values({ intent: call.intent, at: scope.now })
        .onConflict((existing) => existing.column('intent').doNothing()) // an intent may take several calls
        .execute();
    return answer;
  });
}

function run(scope: Scope, { aggregate, method, args }: Call): Promise<unknown> {
  const methods = creators[aggregate](scope) as unknown as Readonly<
    Record<string, (...args: readonly unknown[]) => Promise<unknown>>
  >;
  return must(methods[method], `${aggregate}.${method}`)(...args);
}

async function bumpVersions(scope: Scope, kind: keyof typeof noVersions | 'everything'): Promise<void> {
  const versions = await readFact(scope, 'versions', noVersions);
  const more = (each: keyof typeof noVersions): number =>
    versions[each] + Number(kind === each || kind === 'everything');
  await writeFact(scope, 'versions', {
    identities: more('identities'),
    resources: more('resources'),
    configuration: more('configuration'),
  });
}
