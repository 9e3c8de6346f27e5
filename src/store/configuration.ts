/** Configuration values that were set while running; what is not here comes from file, environment and defaults. */
import { readFact, writeFact } from './facts.ts';
import { type Scope, checkVersion } from './scope.ts';
import { fromJson } from './json.ts';
import type { Json } from './json.ts';

export interface StoredConfiguration {
  readonly values: Readonly<Record<string, Json>>;
  /** Of all of them together, for ETag; grows with each change. */
  readonly version: number;
  readonly updatedAt: number | null;
  readonly updatedBy: string | null;
}

export interface Configuration {
  read(): Promise<StoredConfiguration>;
  /** Sets and, with `replace`, takes away what is not named. A value of undefined cannot be stored; null takes one key away. */
  write(
    values: Readonly<Record<string, Json>>,
    options: { readonly ifVersion: number | null; readonly by: string | null; readonly replace: boolean },
  ): Promise<StoredConfiguration>;
}

interface LastChange {
  readonly version: number;
  readonly at: number | null;
  readonly by: string | null;
}

const FACT = 'configuration';

export function createConfiguration(scope: Scope): Configuration {
  const { db, now } = scope;
  const lastChange = () => readFact<LastChange>(scope, FACT, { version: 0, at: null, by: null });
  const read = async (): Promise<StoredConfiguration> => {
    const rows = await db.selectFrom('configuration_values').selectAll().orderBy('key').execute();
    const { version, at, by } = await lastChange();
    const values = Object.fromEntries(rows.map(({ key, value }) => [key, fromJson<Json>(value)]));
    return { values, version, updatedAt: at, updatedBy: by };
  };
  return {
    read,
    async write(values, { ifVersion, by, replace }) {
      const { version } = await lastChange();
      checkVersion('configuration', version, ifVersion);
      if (replace) await db.deleteFrom('configuration_values').execute();
      for (const [key, value] of Object.entries(values)) {
        await db.deleteFrom('configuration_values').where('key', '=', key).execute();
        if (value !== null)
          await db
            .insertInto('configuration_values')
            .values({ key, value: JSON.stringify(value) })
            .execute();
      }
      await writeFact(scope, FACT, { version: version + 1, at: now, by });
      return read();
    },
  };
}
