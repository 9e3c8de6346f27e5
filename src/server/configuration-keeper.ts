/**
 * What of the options holds: flags, environment, what was set over the API, and file, in this order. A change is tried before it is
 * stored and stored before it is told; one that another server has made, or that the file has got, is taken over within seconds.
 */
import { fileValueOf } from '#contract/option-document.ts';
import { resolveOptions, storedOptions, type ResolvedOptions } from '#contract/option-values.ts';
import { isSettable, optionKeys, rowOf, variableOf, type OptionKey, type OptionValues } from '#contract/options.ts';
import { AppError } from '#contract/errors.ts';
import type { StoredConfiguration } from '#store/configuration.ts';
import type { Json } from '#store/json.ts';
import type { Aggregates } from '#store/store.ts';
import type { ServerPorts } from './ports.ts';

const LOOK_MS = 2_000;

export interface ConfigurationChange {
  /** By key, as a file would hold them. */
  readonly set: ReadonlyMap<OptionKey, unknown>;
  /** Taken back: `all`, before `set`. */
  readonly reset: 'all' | readonly OptionKey[];
  readonly ifVersion: number | null;
  readonly by: string;
  /** What is changed through it is noted under the intent. */
  readonly store: Aggregates;
}

export class ConfigurationKeeper {
  readonly #ports: ServerPorts;
  /** What options that need a restart are held against. */
  readonly #started: OptionValues;
  #resolved: ResolvedOptions;
  #stored: StoredConfiguration;
  #version: number;
  #cancel: (() => void) | null = null;
  #isClosed = false;

  private constructor(ports: ServerPorts, read: { stored: StoredConfiguration; version: number }) {
    this.#ports = ports;
    this.#stored = read.stored;
    this.#version = read.version;
    this.#resolved = this.#resolve(storedOptions(read.stored.values));
    this.#started = this.#resolved.values;
    this.#schedule();
  }

  static async open(ports: ServerPorts): Promise<ConfigurationKeeper> {
    const { configuration: version } = await ports.store.maintenance.versions();
    return new ConfigurationKeeper(ports, { stored: await ports.store.configuration.read(), version });
  }

  get stored(): StoredConfiguration {
    return this.#stored;
  }

  /** As it is set; of what needs a restart, as it will hold. */
  get resolved(): ResolvedOptions {
    return this.#resolved;
  }

  /** It was changed, and holds after a restart. */
  isWaiting(key: OptionKey): boolean {
    return !rowOf(key).isHot && !isSame(this.#resolved.values[key], this.#started[key]);
  }

  /** Reads file and store anew. Throws CONFIG_INVALID where they make no sense together: what held before holds on. */
  async refresh(): Promise<void> {
    const { store } = this.#ports;
    const { configuration: version } = await store.maintenance.versions();
    const stored = await store.configuration.read();
    await this.#take(this.#resolve(storedOptions(stored.values)));
    this.#stored = stored;
    this.#version = version;
  }

  /** Throws CONFIG_INVALID, RESOURCE_CONFLICT, RESOURCE_CHANGED; nothing was changed then. */
  async change({ set, reset, ifVersion, by, store }: ConfigurationChange): Promise<void> {
    const before = await store.configuration.read();
    const next = new Map(reset === 'all' ? [] : storedOptions(before.values));
    for (const key of reset === 'all' ? [] : reset) next.delete(key);
    const without = this.#resolve(new Map());
    for (const [key, value] of set) {
      const { type } = rowOf(key);
      const wanted = type.toFile(type.schema.parse(value));
      // What holds without being stored need not be: so that what was read can be sent back.
      if (isSame(wanted, fileValueOf(key, without.values[key]))) next.delete(key);
      else {
        refuseFixed(key, without);
        next.set(key, wanted);
      }
    }
    const resolved = this.#resolve(next);
    const previous = this.#resolved;
    await this.#take(resolved);
    try {
      this.#stored = await store.configuration.write(Object.fromEntries(next) as Record<string, Json>, {
        ifVersion: ifVersion ?? before.version,
        by,
        replace: true,
      });
    } catch (error) {
      await this.#take(previous);
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #resolve(stored: ReadonlyMap<OptionKey, unknown>): ResolvedOptions {
    return resolveOptions({ ...this.#ports.options.sources(), stored });
  }

  async #take(resolved: ResolvedOptions): Promise<void> {
    const isNew = optionKeys.some(
      (key) => rowOf(key).isHot && !isSame(resolved.values[key], this.#resolved.values[key]),
    );
    if (isNew) await this.#ports.options.apply(resolved.values);
    this.#resolved = resolved;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#ports.clock.schedule(LOOK_MS, () => {
      void this.#look()
        .catch((error: unknown) =>
          this.#ports.log({ message: 'changed configuration not taken over', requestId: null, error }),
        )
        .then(() => this.#schedule());
    });
  }

  async #look(): Promise<void> {
    const { configuration } = await this.#ports.store.maintenance.versions();
    if (configuration !== this.#version) await this.refresh();
  }
}

/** A value that is stored and has no effect would be a lie. */
function refuseFixed(key: OptionKey, { sources }: ResolvedOptions): void {
  const source = sources[key];
  if (source === 'flag' || source === 'environment')
    throw new AppError(
      'RESOURCE_CONFLICT',
      `"${key}" is fixed by ${source === 'flag' ? 'a flag' : `the variable ${variableOf(key)}`} of the server.`,
      { nextStep: 'Change it there, or leave it out.' },
    );
  if (isSettable(key)) return;
  throw new AppError('CONFIG_INVALID', `"${key}" cannot be set over the API.`, {
    nextStep: 'It belongs into the file or the environment that the server is started with.',
  });
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
