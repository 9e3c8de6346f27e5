/** Adding, changing and removing the clusters of a server. */
import { AppError } from '#contract/errors.ts';
import { printable } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatMoment, formatYaml } from '../../format.ts';
import type { CallOf } from '../../remote/api-client.ts';
import { confirm, pick, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type Remote, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { readStated, type Stated } from '../../remote/stated-files.ts';
import type { Verb } from '../../verb.ts';
import { CLUSTER_OPTIONS, clusterSpec, isStated, type ClusterFlags } from './flags.ts';
import { clusterLines, statusLines } from './shown.ts';

type ClusterBody = CallOf<'createCluster'>['body'];

const FILE_OPTION = { '-f, --file <file...>': 'YAML files with Cluster documents, instead of the flags' } as const;

interface AddOptions extends RemoteOptions, ClusterFlags {
  readonly name?: string;
  readonly file?: readonly string[];
  readonly untested?: true;
  readonly topics?: true;
}

export const addClusters: Verb<AddOptions> = remoteVerb({
  summary: 'add a cluster, after it has answered',
  description:
    'Adds a cluster to a server, as flags say it or as Cluster documents of files do. It is contacted first, and not added where it does not answer. At a terminal what is missing is asked for, and asked again until it answers.\n\nSecrets are named by where they stand on the machine of the server: they are no flags, and the server shows none back.\n\nExit code 1 where a cluster does not answer.',
  examples: [
    'lockstep clusters add --name east --brokers east-1.example:9092,east-2.example:9092',
    'lockstep clusters add --name west --brokers west.example:9093 --protocol SASL_SSL --mechanism SCRAM-SHA-512 --username mirror --password-file /run/secrets/west',
    'lockstep clusters add -f link.yaml',
  ],
  options: {
    '--name <name>': 'what it is called',
    ...CLUSTER_OPTIONS,
    ...FILE_OPTION,
    '--untested': 'add it without contacting it',
    '--topics': 'show its topics then',
  },
  async run(remote, options) {
    const { file, name, brokers } = options;
    if (file !== undefined && (name !== undefined || isStated(options)))
      throw new AppError('REQUEST_INVALID', '-f and flags both state a cluster', {
        nextStep: 'Leave one of them out.',
      });
    if (file !== undefined) return addAll(remote, options, readStated(remote, file, 'Cluster'));
    if (name !== undefined && brokers !== undefined)
      return addAll(remote, options, [{ ...clusterSpec(options), name }]);
    return addAll(remote, { ...options, untested: true }, [await askCluster(remote, options)]);
  },
});

async function addAll(remote: Remote, options: AddOptions, clusters: readonly Stated[]): Promise<Shown> {
  const { api } = remote;
  if (!options.untested) {
    const tested = await Promise.all(clusters.map((body) => api.call('testCluster', { body: body as ClusterBody })));
    const silent = tested.filter(({ isReachable }) => !isReachable);
    if (silent.length > 0)
      return {
        json: { added: [], tested },
        lines: [...silent.flatMap(statusLines), 'Nothing was added; --untested adds it all the same.'],
        code: exitCodes.failed,
      };
  }
  const added = [];
  for (const body of clusters) added.push(await api.call('createCluster', { body: body as ClusterBody }));
  const topics = options.topics
    ? await Promise.all(added.map(({ name }) => api.all('listClusterTopics', { params: { name } })))
    : [];
  return {
    json: { added, ...(options.topics ? { topics } : {}) },
    lines: [...clusterLines(added), ...topics.flatMap((names) => names.map((each) => `  ${each}`))],
  };
}

/** Asks until a cluster answers. */
async function askCluster({ io, api }: Remote, flags: AddOptions): Promise<Stated> {
  const { ask } = io;
  if (!ask)
    throw new AppError('REQUEST_INVALID', '--name and --brokers are needed', {
      nextStep: 'Name both, or a file with -f; there is no terminal at which they could be asked for.',
    });
  const orAsk = async (given: string | undefined, question: string): Promise<string> =>
    given ?? (await ask(question)).trim();
  for (let given = flags; ; given = {}) {
    const name = await orAsk(given.name, 'Name: ');
    const brokers = await orAsk(given.brokers, 'Brokers (host:port, with commas): ');
    const provider = await orAsk(
      given.provider,
      'Provider (plain, confluent, redpanda, azure, msk; return for plain): ',
    );
    const protocol = await orAsk(given.protocol, "Protocol (return for the provider's): ");
    const isSasl = protocol === '' ? provider !== '' && provider !== 'plain' : protocol.startsWith('SASL');
    const login = isSasl ? await askLogin(orAsk, given) : {};
    try {
      const spec = clusterSpec({
        ...given,
        brokers,
        ...login,
        ...(provider === '' ? {} : { provider }),
        ...(protocol === '' ? {} : { protocol }),
      });
      const body = { ...spec, name };
      const status = await api.call('testCluster', { body: body as ClusterBody });
      io.out(
        statusLines(status)
          .map((line) => `${line}\n`)
          .join(''),
      );
      if (status.isReachable) return body;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'REQUEST_INVALID') throw error;
      io.out(`${printable(error.message)}\n`);
    }
    io.out('Once more; an end of input (Ctrl-D) or Ctrl-C gives up.\n');
    if (name === '' && brokers === '') throw new AppError('REQUEST_INVALID', 'nothing was typed; nothing was added');
  }
}

async function askLogin(
  orAsk: (given: string | undefined, question: string) => Promise<string>,
  { mechanism, username, passwordEnv, passwordFile }: ClusterFlags,
): Promise<ClusterFlags> {
  const stated = await orAsk(mechanism, "Mechanism (return for the provider's): ");
  const name = await orAsk(username, 'User name: ');
  const place =
    passwordEnv === undefined && passwordFile === undefined
      ? await orAsk(undefined, 'Where the password stands for the server (env:NAME or file:PATH): ')
      : '';
  const [, kind, at = ''] = /^(env|file):(.+)$/.exec(place) ?? [];
  return {
    ...(stated === '' ? {} : { mechanism: stated }),
    ...(name === '' ? {} : { username: name }),
    ...(kind === 'env' ? { passwordEnv: at } : kind === 'file' ? { passwordFile: at } : {}),
  };
}

const clusterNames = (api: Remote['api'], status?: 'active' | 'inactive') => async (): Promise<string[]> =>
  (await api.all('listClusters', { query: status === undefined ? {} : { status } })).map(({ name }) => name);

interface EditOptions extends RemoteOptions, ClusterFlags {
  readonly file?: readonly string[];
}

export const editCluster: Verb<EditOptions> = remoteVerb({
  summary: 'change what is stated of a cluster; jobs that use it restart with it',
  description:
    'Changes what flags say of a cluster, and leaves the rest; with -f the document of that name replaces all of it. Jobs that use the cluster restart with it. A change that somebody else made meanwhile is not overwritten.',
  examples: ['lockstep clusters edit east --brokers east-3.example:9092', 'lockstep clusters edit east -f link.yaml'],
  options: { ...CLUSTER_OPTIONS, ...FILE_OPTION },
  async run(remote, options, [named]) {
    const { api, io } = remote;
    const name = await pick(io, named, { what: 'cluster', names: clusterNames(api) });
    const before = await api.call('getCluster', { params: { name } });
    const stated = options.file && readStated(remote, options.file, 'Cluster').find((each) => each.name === name);
    if (options.file !== undefined && stated === undefined)
      throw new AppError('RESOURCE_NOT_FOUND', `there is no Cluster "${name}" in ${options.file.join(', ')}`);
    if (options.file === undefined && !isStated(options))
      throw new AppError('REQUEST_INVALID', 'it is not said what shall change', {
        nextStep: '--help shows the flags.',
      });
    const body = stated ?? { ...clusterSpec(options, before.spec), name };
    const cluster = await api.call('updateCluster', {
      params: { name },
      body: body as ClusterBody,
      ifVersion: before.version,
    });
    return { json: { cluster }, lines: clusterLines([cluster]) };
  },
});

export const removeCluster: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'take a cluster out of use',
  aliases: ['delete'],
  description:
    'Takes a cluster out of use, unless a job uses it. After 72 hours it is archived; until it is purged, "lockstep clusters restore" brings it back.',
  examples: ['lockstep clusters remove east --yes'],
  options: YES_OPTION,
  async run({ api, io }, options, [named]) {
    const name = await pick(io, named, { what: 'cluster', names: clusterNames(api, 'active') });
    await confirm(io, options, `Take the cluster ${name} out of use?`);
    const cluster = await api.call('deleteCluster', { params: { name } });
    return {
      json: { cluster },
      lines: [
        `${name} is ${cluster.status} since ${formatMoment(cluster.updatedAt)}; lockstep clusters restore ${name} brings it back`,
      ],
    };
  },
});

export const restoreCluster: Verb<RemoteOptions> = remoteVerb({
  summary: 'take a cluster into use again',
  examples: ['lockstep clusters restore east'],
  async run({ api, io }, _, [named]) {
    const name = await pick(io, named, { what: 'cluster', names: clusterNames(api, 'inactive') });
    const cluster = await api.call('restoreCluster', { params: { name } });
    return { json: { cluster }, lines: [`${name} is ${cluster.status}`] };
  },
});

export const purgeClusters: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'delete the archived clusters for good',
  examples: ['lockstep clusters purge --yes'],
  options: YES_OPTION,
  async run({ api, io }, options) {
    const archived = await api.all('listClusters', { query: { status: 'archived' } });
    const names = archived.map(({ name }) => name).join(', ');
    if (archived.length > 0) await confirm(io, options, `Delete ${names} for good?`);
    const { purged } = await api.call('purgeClusters', {});
    return {
      json: { purged },
      lines: [purged.length === 0 ? 'no archived clusters' : `deleted: ${purged.join(', ')}`],
    };
  },
});

export const testCluster: Verb<RemoteOptions & ClusterFlags & { readonly name?: string }> = remoteVerb({
  summary: 'contact a cluster, and show what answers or why nothing does',
  description:
    'Contacts a cluster from the server, and shows what answers or why nothing does: one that it knows, or with --brokers one that it need not know.\n\nExit code 1 where it does not answer.',
  examples: ['lockstep clusters test east', 'lockstep clusters test --brokers new.example:9092'],
  options: CLUSTER_OPTIONS,
  async run({ api, io }, options, [named]) {
    const body = { ...clusterSpec(options), name: named ?? 'untold' };
    const status =
      options.brokers === undefined
        ? await api.call('getClusterStatus', {
            params: { name: await pick(io, named, { what: 'cluster', names: clusterNames(api) }) },
          })
        : await api.call('testCluster', { body: body as ClusterBody });
    return {
      json: { status },
      lines: statusLines(status),
      code: status.isReachable ? exitCodes.ok : exitCodes.failed,
    };
  },
});

export const getCluster: Verb<RemoteOptions> = remoteVerb({
  summary: 'show one cluster, as it was stated',
  examples: ['lockstep clusters get east'],
  async run({ api, io }, _, [named]) {
    const name = await pick(io, named, { what: 'cluster', names: clusterNames(api) });
    const cluster = await api.call('getCluster', { params: { name } });
    return { json: { cluster }, lines: [...clusterLines([cluster]), '', ...formatYaml(cluster.spec)] };
  },
});
