/** Names of ours for the names of others: resources have small letters, digits, "-" and ".", variables capitals and "_". */

const NAME_MAX = 100;

/** Gives each name one of ours, the same one each time, and no two the same. */
export class ResourceNames {
  readonly #given = new Map<string, string>();
  readonly #taken = new Set<string>();

  of(original: string): string {
    const known = this.#given.get(original);
    if (known !== undefined) return known;
    const wanted = slugOf(original);
    let name = wanted;
    for (let count = 2; this.#taken.has(name); count++) name = `${wanted.slice(0, NAME_MAX - 5)}-${count}`;
    this.#given.set(original, name);
    this.#taken.add(name);
    return name;
  }
}

function slugOf(original: string): string {
  const slug = original
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, '-')
    .slice(0, NAME_MAX)
    .replaceAll(/^[.-]+|[.-]+$/g, '');
  return slug === '' ? 'unnamed' : slug;
}

/** `EAST_PASSWORD` of `east`, `password`. */
export function variableOf(cluster: string, key: string): string {
  const name = `${cluster}_${key.replaceAll(/([a-z])([A-Z])/g, '$1_$2')}`.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
  return /^[A-Z]/.test(name) ? name : `CLUSTER_${name}`;
}
