/** Creating, changing, copying and deleting the jobs of a server. */
import { AppError } from '#contract/errors.ts';
import { printable } from '#util/printable.ts';
import type { CallOf } from '../../remote/api-client.ts';
import { confirm, pick, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type Remote, type RemoteOptions } from '../../remote/remote-verb.ts';
import { readStated, type Stated } from '../../remote/stated-files.ts';
import { needed } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { isStated, JOB_OPTIONS, jobSpec, type JobFlags } from './flags.ts';
import { pickJob } from './list.ts';
import { jobLines } from './shown.ts';

type JobBody = CallOf<'createJob'>['body'];

const FILE_OPTION = { '-f, --file <file...>': 'YAML files with Mirror documents, instead of the flags' } as const;

interface AddOptions extends RemoteOptions, JobFlags {
  readonly name?: string;
  readonly file?: readonly string[];
  readonly started?: true;
}

export const addJobs: Verb<AddOptions> = remoteVerb({
  summary: 'create a job, which stands until it is started',
  description:
    'Creates a mirror between two clusters of the server, as flags say it or as Mirror documents of files do. It stands until it is started. At a terminal what is missing is asked for, with the topics of the source to choose from.\n\nBatches keep the size and compression that they have at the source, and partitions are copied side by side: the batch size, parallelism and compression of kaf-mirror have no equal.',
  examples: [
    'lockstep jobs add --name orders --source east --target west --topic orders --topic "user.*" --exclude user.test',
    "lockstep jobs add --name backup --source east --target west --topic '/^orders-(.*)$/=backup-$1'",
    'lockstep jobs add -f link.yaml --started',
  ],
  options: { '--name <name>': 'what it is called', ...JOB_OPTIONS, ...FILE_OPTION, '--started': 'start it at once' },
  async run(remote, options) {
    const { file, name } = options;
    const { api } = remote;
    if (file !== undefined && (name !== undefined || isStated(options)))
      throw new AppError('REQUEST_INVALID', '-f and flags both state a job', { nextStep: 'Leave one of them out.' });
    const stated = file === undefined ? [await statedJob(remote, options)] : readStated(remote, file, 'Mirror');
    const jobs = [];
    for (const body of stated) {
      const job = await api.call('createJob', { body: body as JobBody });
      jobs.push(options.started ? await api.call('startJob', { params: { id: job.id } }) : job);
    }
    return { json: { jobs }, lines: jobLines(jobs) };
  },
});

async function statedJob(remote: Remote, options: AddOptions): Promise<Stated> {
  const { name, source, target, topic } = options;
  const isWhole = [name, source, target, topic].every((each) => each !== undefined);
  if (!isWhole && !remote.io.ask)
    needed({ '--name': name, '--source': source, '--target': target, '--topic': topic?.[0] });
  const asked = isWhole ? options : { ...options, ...(await askJob(remote, options)) };
  return { ...jobSpec(asked), name: asked.name ?? '' };
}

const TOPICS_SHOWN_MAX = 50;

async function askJob({ api, io }: Remote, given: AddOptions): Promise<JobFlags & { name: string }> {
  const ask = async (question: string): Promise<string> => (await io.ask?.(question))?.trim() ?? '';
  const clusters = async (): Promise<string[]> =>
    (await api.all('listClusters', { query: { status: 'active' } })).map((each) => each.name);
  const name = given.name ?? (await ask('Name: '));
  const source = await pick(io, given.source, { what: 'source', names: clusters });
  const target = await pick(io, given.target, {
    what: 'target',
    names: async () => (await clusters()).filter((each) => each !== source),
  });
  if (given.topic !== undefined) return { name, source, target };
  const known = (await api.all('listClusterTopics', { params: { name: source } })).filter(
    (each) => !each.startsWith('__'),
  );
  for (const each of known.slice(0, TOPICS_SHOWN_MAX)) io.out(`  ${printable(each)}\n`);
  if (known.length > TOPICS_SHOWN_MAX) io.out(`  and ${known.length - TOPICS_SHOWN_MAX} more\n`);
  const written = await ask('Topics (names, "user.*", /expressions/, NAME=OTHER; with spaces between them): ');
  const topic = written.split(/\s+/).filter((each) => each !== '');
  if (topic.length === 0) throw new AppError('REQUEST_INVALID', 'no topic was named; nothing was created');
  return { name, source, target, topic };
}

interface EditOptions extends RemoteOptions, JobFlags {
  readonly file?: readonly string[];
}

export const editJob: Verb<EditOptions> = remoteVerb({
  summary: 'change what is stated of a job; one that runs restarts with it',
  description:
    'Changes what flags say of a job, and leaves the rest; --topic and --exclude replace all its rules; with -f the document of that name replaces everything. A job that runs restarts with it. A change that somebody else made meanwhile is not overwritten.',
  examples: ['lockstep jobs edit orders --topic orders payments', 'lockstep jobs edit orders -f link.yaml'],
  options: { ...JOB_OPTIONS, ...FILE_OPTION },
  async run(remote, options, [named]) {
    const { api } = remote;
    const id = await pickJob(remote, named);
    const before = await api.call('getJob', { params: { id } });
    const { name, version } = before;
    const stated = options.file && readStated(remote, options.file, 'Mirror').find((each) => each.name === name);
    if (options.file !== undefined && stated === undefined)
      throw new AppError('RESOURCE_NOT_FOUND', `there is no Mirror "${name}" in ${options.file.join(', ')}`);
    if (options.file === undefined && !isStated(options))
      throw new AppError('REQUEST_INVALID', 'it is not said what shall change', {
        nextStep: '--help shows the flags.',
      });
    const body = stated ?? { ...jobSpec(options, before.spec), name };
    const job = await api.call('updateJob', { params: { id }, body: body as JobBody, ifVersion: version });
    return { json: { job }, lines: jobLines([job]) };
  },
});

export const deleteJob: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'stop a job, then delete it; what it has copied stays',
  aliases: ['remove'],
  examples: ['lockstep jobs delete orders --yes'],
  options: YES_OPTION,
  async run(remote, options, [named]) {
    const id = await pickJob(remote, named);
    await confirm(remote.io, options, `Stop and delete the job ${id}? What it has copied stays.`);
    await remote.api.call('deleteJob', { params: { id } });
    return { json: { id, deleted: true }, lines: [`${id} is deleted; what it has copied stays`] };
  },
});

export const cloneJob: Verb<RemoteOptions & { readonly target?: string }> = remoteVerb({
  summary: 'create a job like another one, under a new name',
  examples: ['lockstep jobs clone orders orders-to-north --target north'],
  options: { '--target <cluster>': 'another target than that of the first' },
  async run({ api }, { target }, [id = '', name = '']) {
    const body = { name, ...(target === undefined ? {} : { target }) };
    const job = await api.call('cloneJob', { params: { id }, body });
    return { json: { job }, lines: jobLines([job]) };
  },
});

export const getMappings: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the topic rules of a job',
  examples: ['lockstep jobs mappings orders'],
  async run(remote, _, [named]) {
    const { topics, version } = await remote.api.call('getMappings', { params: { id: await pickJob(remote, named) } });
    return { json: { topics, version }, lines: topics.map((rule) => JSON.stringify(rule)) };
  },
});

export const setMappings: Verb<RemoteOptions & Pick<JobFlags, 'topic' | 'exclude'>> = remoteVerb({
  summary: 'replace the topic rules of a job; one that runs restarts with them',
  examples: ["lockstep jobs set-mappings orders --topic orders '/^pay-(.*)$/=backup-$1'"],
  options: {
    '--topic <rule...>': JOB_OPTIONS['--topic <rule...>'],
    '--exclude <pattern...>': JOB_OPTIONS['--exclude <pattern...>'],
  },
  async run(remote, { topic, exclude }, [named]) {
    needed({ '--topic': topic?.[0] });
    const params = { id: await pickJob(remote, named) };
    const { version } = await remote.api.call('getMappings', { params });
    const body = jobSpec({ ...(topic ? { topic } : {}), ...(exclude ? { exclude } : {}) });
    const mappings = await remote.api.call('setMappings', {
      params,
      body: body as CallOf<'setMappings'>['body'],
      ifVersion: version,
    });
    return { json: mappings, lines: mappings.topics.map((rule) => JSON.stringify(rule)) };
  },
});
