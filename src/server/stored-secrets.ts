/**
 * What `{ store: NAME }` of a cluster stands for: an environment that has the stored secrets beside the variables of the process,
 * under names that no variable can have. It is read at each login, so a new value counts from the next connection on.
 */
import { storedSecretVariable } from '#contract/cluster-security.ts';
import { RESOURCE_SECRETS, type Vault } from '#store/vault.ts';

export class StoredSecrets {
  readonly #vault: Pick<Vault, 'list' | 'read'>;
  readonly #values: Record<string, string | undefined>;
  readonly #versions = new Map<string, number>();

  constructor({
    vault,
    environment,
  }: {
    readonly vault: Pick<Vault, 'list' | 'read'>;
    readonly environment: Readonly<Record<string, string | undefined>>;
  }) {
    this.#vault = vault;
    this.#values = { ...environment };
  }

  /** For whoever connects to clusters. Its values change; it stays the same object. */
  get environment(): Readonly<Record<string, string | undefined>> {
    return this.#values;
  }

  /** Throws SECRET_UNAVAILABLE or STORE_…: what was known before is still there then. */
  async refresh(): Promise<void> {
    const listed = await this.#vault.list(RESOURCE_SECRETS);
    const versions = new Map(listed.map(({ name, version }) => [name, version]));
    for (const [name, version] of versions) {
      if (this.#versions.get(name) === version) continue;
      const value = await this.#vault.read(name);
      if (value === null) continue; // deleted a moment ago: the next call sees it in the list
      this.#values[variableOf(name)] = value;
      this.#versions.set(name, version);
    }
    for (const name of this.#versions.keys())
      if (!versions.has(name)) {
        delete this.#values[variableOf(name)];
        this.#versions.delete(name);
      }
  }
}

function variableOf(name: string): string {
  return storedSecretVariable(name.slice(RESOURCE_SECRETS.length));
}
