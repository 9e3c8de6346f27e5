import { stringify } from 'yaml';
import type { configurationRoutes } from '#contract/api/routes/configuration.ts';
import { AppError } from '#contract/errors.ts';
import { fileValueOf, nestOptions, readOptionDocument } from '#contract/option-document.ts';
import { nearestOption, optionKeyOf } from '#contract/option-file.ts';
import { optionsFor } from '#contract/option-values.ts';
import { isSettable, rowOf, type OptionKey } from '#contract/options.ts';
import type { Json } from '#store/json.ts';
import type { Call, Handlers } from '../http/call.ts';
import { RESOURCE_SECRETS } from '#store/vault.ts';
import type { Context } from './context.ts';
import { everyItem, fileTime } from './pages.ts';
import { userNameOf } from './user-names.ts';

type Change = 'replaceConfiguration' | 'importConfiguration';

/** Those that the server itself reads. */
const OPTIONS = optionsFor('serve');

export function configurationHandlers({
  ports,
  configuration,
}: Context): Pick<Handlers, keyof typeof configurationRoutes> {
  const { store, vault, clock } = ports;

  const optionView = (key: OptionKey) => {
    const { type, isHot, description } = rowOf(key);
    const { values, sources } = configuration.resolved;
    return {
      key,
      value: fileValueOf(key, values[key]) as Json,
      source: sources[key],
      isHot,
      isSettable: isSettable(key),
      isWaiting: configuration.isWaiting(key),
      form: type.shown,
      description,
      version: configuration.stored.version,
    };
  };

  const nested = (keys: readonly OptionKey[]) =>
    nestOptions(keys.map((key) => [key, configuration.resolved.values[key]] as const)) as Record<string, Json>;

  const view = async () => {
    const { version, updatedAt, updatedBy } = configuration.stored;
    return {
      config: nested(OPTIONS),
      options: OPTIONS.map(optionView),
      version,
      updatedAt,
      updatedBy: await userNameOf(store, updatedBy),
    };
  };

  const changeAll = async ({ body, caller, ifVersion, store: aggregates }: Call<Change>, reset: 'all' | []) => {
    const { stated, problems } = readOptionDocument(body);
    if (problems.length > 0)
      throw new AppError('CONFIG_INVALID', problems.map(({ path, message }) => `${path} ${message}`).join('\n'), {
        details: { problems },
        nextStep: 'Correct this; docs/configuration.md has all options.',
      });
    await configuration.change({ set: stated, reset, ifVersion, by: caller.identity.userId, store: aggregates });
    return view();
  };

  const changeOne = async (
    { params, caller, ifVersion, store: aggregates }: Call<'setOption' | 'resetOption'>,
    value: unknown,
  ) => {
    const key = keyOf(params.key);
    const { error } = value === undefined ? {} : rowOf(key).type.schema.safeParse(value);
    if (error)
      throw new AppError('CONFIG_INVALID', `${key} must be ${rowOf(key).type.shown}.`, {
        nextStep: 'Send a value of this form.',
      });
    const set = new Map(value === undefined ? [] : [[key, value] as const]);
    await configuration.change({ set, reset: [key], ifVersion, by: caller.identity.userId, store: aggregates });
    return optionView(key);
  };

  const secretViews = async (names: (name: string) => boolean = () => true) => {
    const listed = (await vault.list(RESOURCE_SECRETS)).map((secret) => ({
      ...secret,
      name: secret.name.slice(RESOURCE_SECRETS.length),
    }));
    const users = await usersOfSecrets();
    return Promise.all(
      listed
        .filter(({ name }) => names(name))
        .map(async ({ name, version, keyId, createdAt, updatedAt, updatedBy }) => ({
          name,
          version,
          keyId,
          usedBy: users.get(name) ?? [],
          createdAt,
          updatedAt,
          updatedBy: await userNameOf(store, updatedBy),
        })),
    );
  };

  /** Which clusters refer to which secret. */
  const usersOfSecrets = async (): Promise<ReadonlyMap<string, readonly string[]>> => {
    const users = new Map<string, string[]>();
    for await (const { name, document } of everyItem((request) => store.clusters.list(request)))
      for (const secret of new Set(secretsIn(document))) users.set(secret, [...(users.get(secret) ?? []), name]);
    return users;
  };

  return {
    getConfiguration: view,
    replaceConfiguration: (call) => changeAll(call as unknown as Call<Change>, 'all'),
    importConfiguration: (call) => changeAll(call as unknown as Call<Change>, []),

    async exportConfiguration() {
      const { sources } = configuration.resolved;
      const text = stringify(nested(OPTIONS.filter((key) => sources[key] !== 'default')));
      return {
        name: `lockstep-config-${fileTime(clock.now())}.yaml`,
        chunks: (async function* () {
          yield text;
        })(),
      };
    },

    getOption: async ({ params }) => optionView(keyOf(params.key)),
    setOption: (call) => changeOne(call as unknown as Call<'setOption' | 'resetOption'>, call.body.value),
    resetOption: (call) => changeOne(call as unknown as Call<'setOption' | 'resetOption'>, undefined),

    listSecrets: () => secretViews(),

    async setSecret({ params: { name }, body, caller }) {
      await vault.write(`${RESOURCE_SECRETS}${name}`, body.value, caller.identity.userId);
      const [secret] = await secretViews((each) => each === name);
      if (secret !== undefined) return secret;
      throw new AppError('RESOURCE_CHANGED', `Secret "${name}" was deleted as soon as it was set.`, {
        nextStep: 'Set it again if it is still wanted.',
      });
    },

    async deleteSecret({ params: { name } }) {
      const users = (await usersOfSecrets()).get(name) ?? [];
      if (users.length > 0)
        throw new AppError('RESOURCE_CONFLICT', `The cluster "${users[0]}" refers to the secret "${name}".`, {
          nextStep: 'Change the cluster first.',
        });
      if (!(await vault.delete(`${RESOURCE_SECRETS}${name}`)))
        throw new AppError('RESOURCE_NOT_FOUND', `There is no secret "${name}".`, {
          nextStep: 'GET /api/v1/secrets shows those that there are.',
        });
    },

    rotateSecrets: () => vault.rotate(),
  };
}

/** Throws RESOURCE_NOT_FOUND. */
function keyOf(written: string): OptionKey {
  const key = optionKeyOf(written);
  if (key !== null && OPTIONS.includes(key)) return key;
  const near = nearestOption(written);
  throw new AppError('RESOURCE_NOT_FOUND', `The server has no option "${written}".`, {
    nextStep: near === null ? 'GET /api/v1/config shows all of them.' : `Did you mean "${near}"?`,
  });
}

/** Every `{ store: NAME }` in it. */
function secretsIn(value: Json): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { store } = value as { readonly store?: Json };
  return [...(typeof store === 'string' ? [store] : []), ...Object.values(value).flatMap((each) => secretsIn(each))];
}
