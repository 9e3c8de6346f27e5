/** Configuration values that were set while running; what is not here comes from file, environment and defaults. */
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
