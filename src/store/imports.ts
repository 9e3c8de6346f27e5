/**
 * Another installation's estate beside the own one. Nothing that is here is changed: what has the name of something else here
 * stays out, and so does what refers to that, since it would then mean another thing.
 */
import { isDeepStrictEqual } from 'node:util';
import { createClusters } from './clusters.ts';
import { createConfiguration } from './configuration.ts';
import type { Estate, EstateFigures, EstateSecret, EstateUser } from './estate.ts';
import { addPast } from './history-writer.ts';
import { createJobs } from './jobs.ts';
import type { Json } from './json.ts';
import { createRoles, type RoleText } from './roles.ts';
import type { Scope } from './scope.ts';
import { createSealedSecrets } from './sealed-secrets.ts';
import { createUserAccounts } from './user-accounts.ts';
import { RESOURCE_SECRETS } from './vault.ts';
import { must } from '#util/assert.ts';

export interface ImportedItem {
  readonly kind: 'secret' | 'cluster' | 'role' | 'user' | 'job' | 'schedule' | 'figures';
  readonly name: string;
  /** `same`: it was here already, and is the same. `conflict`: it was left out. */
  readonly fate: 'added' | 'same' | 'conflict';
  /** Of a conflict. */
  readonly why: string | null;
}

export interface Imports {
  /** What `take` would do, and changes nothing. */
  foresee(estate: Estate): Promise<readonly ImportedItem[]>;
  /** All that has no conflict, or nothing. Jobs are stopped; users have no password and have to be given one. */
  take(estate: Estate): Promise<readonly ImportedItem[]>;
}

export function createImports(scope: Scope): Imports {
  return {
    foresee: (estate) => new Merge(scope, { isDry: true }).run(estate),
    take: (estate) => new Merge(scope, { isDry: false }).run(estate),
  };
}

type Kind = ImportedItem['kind'];
type Verdict = Pick<ImportedItem, 'fate' | 'why'>;

const ADDED: Verdict = { fate: 'added', why: null };
const SAME: Verdict = { fate: 'same', why: null };
const conflict = (why: string): Verdict => ({ fate: 'conflict', why });

class Merge {
  readonly #scope: Scope;
  readonly #isDry: boolean;
  readonly #items: ImportedItem[] = [];
  /** What is, or will be, here as it is there. */
  readonly #taken = new Set<string>();

  constructor(scope: Scope, { isDry }: { readonly isDry: boolean }) {
    this.#scope = scope;
    this.#isDry = isDry;
  }

  /** Each kind after those that it refers to. */
  async run({ secrets, clusters, roles, users, jobs, schedules, figures }: Estate): Promise<readonly ImportedItem[]> {
    for (const secret of secrets) await this.#secret(secret);
    for (const cluster of clusters) await this.#cluster(cluster);
    for (const role of roles) await this.#role(role);
    const custom = new Set(roles.map(({ name }) => name));
    for (const user of users.toSorted((a, b) => Number(a.owner !== null) - Number(b.owner !== null)))
      await this.#user(user, custom);
    for (const job of jobs) await this.#job(job);
    for (const [job, own] of Map.groupBy(figures, (each) => each.job)) await this.#figures(job, own);
    await this.#schedules(schedules);
    return this.#items;
  }

  async #secret({ sealed, isSame }: EstateSecret): Promise<void> {
    const secrets = createSealedSecrets(this.#scope);
    const isHere = (await secrets.get(sealed.name)) !== null;
    const verdict = !isHere ? ADDED : isSame ? SAME : conflict('There is another secret of that name.');
    const name = sealed.name.slice(RESOURCE_SECRETS.length);
    await this.#settle('secret', name, verdict, () => secrets.put(sealed, null));
  }

  async #cluster({ name, document, pinnedId }: Estate['clusters'][number]): Promise<void> {
    const clusters = createClusters(this.#scope);
    const here = await clusters.get(name);
    const other = storedSecretsIn(document).find((secret) => !this.#has('secret', secret));
    const judge = (): Verdict => {
      if (here === null)
        return other === undefined ? ADDED : conflict(`Its secret "${other}" is not that of the other installation.`);
      if (here.state !== 'active') return conflict(`There is a cluster of that name, which is ${here.state}.`);
      const isPinnedElsewhere = here.pinnedId !== null && pinnedId !== null && here.pinnedId !== pinnedId;
      const isSame = isDeepStrictEqual(here.document, document) && !isPinnedElsewhere;
      return isSame ? SAME : conflict('There is another cluster of that name.');
    };
    await this.#settle('cluster', name, judge(), async () => {
      await clusters.create({ name, document });
      if (pinnedId !== null) await clusters.pin(name, pinnedId);
    });
  }

  async #role(role: RoleText): Promise<void> {
    const roles = createRoles(this.#scope);
    const here = await roles.get(role.name);
    const isSame = here !== null && !here.isBuiltIn && isDeepStrictEqual(here.grants, role.grants);
    const verdict =
      here === null ? ADDED : isSame ? SAME : conflict('There is a role of that name that allows other things.');
    await this.#settle('role', role.name, verdict, () => roles.create(role));
  }

  async #user(user: EstateUser, custom: ReadonlySet<string>): Promise<void> {
    const accounts = createUserAccounts(this.#scope);
    const { name, kind, displayName, roles, oidc, owner, isDisabled } = user;
    const judge = async (): Promise<Verdict> => {
      const here = await accounts.getByName(name);
      if (here !== null) {
        const isSame = here.kind === kind && isDeepStrictEqual(here.roles.toSorted(), roles.toSorted());
        return isSame
          ? SAME
          : conflict(`There is a user of that name, with the roles ${here.roles.join(', ') || '(none)'}.`);
      }
      const subject = oidc === null ? null : await accounts.getByOidc(oidc.issuer, oidc.subject);
      if (subject !== null) return conflict(`The identity provider knows that one as "${subject.name}" here.`);
      for (const role of roles)
        if (custom.has(role) ? !this.#has('role', role) : !(await this.#isBuiltIn(role)))
          return conflict(`The role "${role}" is not that of the other installation.`);
      return ADDED;
    };
    await this.#settle('user', name, await judge(), async () => {
      const ownerId = owner !== null && this.#has('user', owner) ? await this.#idOf(owner) : null;
      const made = { name, kind, displayName, roles, oidc, ownerId, mustChangePassword: kind === 'local' };
      const { id } = await accounts.create(made);
      if (isDisabled) await accounts.setDisabled(id, true, { ifVersion: null });
    });
  }

  async #isBuiltIn(role: string): Promise<boolean> {
    return (await createRoles(this.#scope).get(role))?.isBuiltIn ?? false;
  }

  async #idOf(user: string): Promise<string | null> {
    return (await createUserAccounts(this.#scope).getByName(user))?.id ?? null;
  }

  async #job(job: Estate['jobs'][number]): Promise<void> {
    const jobs = createJobs(this.#scope);
    const here = await jobs.getByName(job.name);
    const judge = (): Verdict => {
      if (here !== null) {
        const { name, kind, source, target, document } = here;
        const isSame = isDeepStrictEqual({ name, kind, source, target, document }, job);
        return isSame ? SAME : conflict('There is another job of that name.');
      }
      const other = [job.source, job.target].find((cluster) => cluster !== null && !this.#has('cluster', cluster));
      return other === undefined ? ADDED : conflict(`Its cluster "${other}" is not that of the other installation.`);
    };
    await this.#settle('job', job.name, judge(), () => jobs.create({ ...job, desired: 'stopped' }));
  }

  /** Of a job that is new here: beside own figures they would count twice. */
  async #figures(job: string, figures: readonly EstateFigures[]): Promise<void> {
    const isNew = this.#items.some(({ kind, name, fate }) => kind === 'job' && name === job && fate === 'added');
    const verdict = isNew ? ADDED : conflict('The job is not new here.');
    await this.#settle('figures', job, verdict, async () => {
      const { id } = must(await createJobs(this.#scope).getByName(job), 'job that was added');
      await addPast(this.#scope, id, figures);
    });
  }

  async #schedules(schedules: Estate['schedules']): Promise<void> {
    const configuration = createConfiguration(this.#scope);
    const { values } = await configuration.read();
    const added: Record<string, Json> = {};
    for (const [key, value] of Object.entries(schedules)) {
      const verdict = !Object.hasOwn(values, key)
        ? ADDED
        : isDeepStrictEqual(values[key], value)
          ? SAME
          : conflict(`It is set to ${JSON.stringify(values[key])} here.`);
      await this.#settle('schedule', key, verdict, async () => void (added[key] = value));
    }
    if (Object.keys(added).length > 0) await configuration.write(added, { ifVersion: null, by: null, replace: false });
  }

  async #settle(kind: Kind, name: string, verdict: Verdict, add: () => Promise<unknown>): Promise<void> {
    if (verdict.fate === 'added' && !this.#isDry) await add();
    if (verdict.fate !== 'conflict') this.#taken.add(`${kind} ${name}`);
    this.#items.push({ kind, name, ...verdict });
  }

  #has(kind: Kind, name: string): boolean {
    return this.#taken.has(`${kind} ${name}`);
  }
}

/** The names in `{ store: NAME }`, wherever they stand in a document. */
function storedSecretsIn(document: Json): string[] {
  if (typeof document !== 'object' || document === null) return [];
  if (isReference(document)) return [document.store];
  return Object.values(document).flatMap((value: Json) => storedSecretsIn(value));
}

function isReference(value: object): value is { readonly store: string } {
  return 'store' in value && typeof value.store === 'string' && Object.keys(value).length === 1;
}
