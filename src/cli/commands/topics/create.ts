/** `lockstep topics create`: checked by the cluster first, shown, and created when somebody has said yes. */
import { AppError } from '#contract/errors.ts';
import { formatCount, formatFacts, UNKNOWN } from '../../format.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { needed, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { chosenOfServer } from './of-server.ts';

interface Options extends RemoteOptions, ConfirmOptions {
  readonly cluster?: string;
  readonly partitions?: string;
  readonly replicationFactor?: string;
  readonly setting?: readonly string[];
  readonly dryRun?: true;
}

export const createTopic: Verb<Options> = remoteVerb({
  summary: 'create a topic on a cluster of the server',
  description:
    'Has the cluster check the topic first, with its own policies, and shows what it would have; then creates it, when that is confirmed. --dry-run ends before that. Names that begin with "__" are refused.',
  examples: [
    'lockstep topics create orders --cluster east --partitions 6 --replication-factor 3 --dry-run',
    'lockstep topics create prices --cluster east --partitions 6 --setting cleanup.policy=compact min.insync.replicas=2 --yes',
  ],
  options: {
    '--cluster <name>': 'which cluster; may be left out where the server has one',
    '--partitions <count>': 'how many',
    '--replication-factor <count>': 'on how many brokers each is; without it as the brokers are set',
    '--setting <name=value...>': 'of the topic, where it differs from the brokers; may be repeated',
    '--dry-run': 'create nothing, show what would be',
    ...YES_OPTION,
  },
  async run({ api, io }, options, [name = '']) {
    const { partitions, replicationFactor, setting = [], dryRun = false } = options;
    needed({ '--partitions': partitions });
    const cluster = await chosenOfServer({ api, io }, options.cluster);
    const body = {
      name,
      partitions: wholeNumber('--partitions', partitions ?? '', 1),
      replicationFactor:
        replicationFactor === undefined ? null : wholeNumber('--replication-factor', replicationFactor, 1),
      configs: Object.fromEntries(setting.map(settingFrom)),
    };
    const foreseen = await api.call('foreseeTopic', { params: { name: cluster }, body });
    if (dryRun)
      return {
        json: { cluster, dryRun, topic: foreseen },
        lines: [...linesOf(cluster, foreseen), 'Nothing was created.'],
      };
    if (!options.yes) io.out(`${linesOf(cluster, foreseen).join('\n')}\n`);
    await confirm(io, options, `Create the topic ${name} on ${cluster}?`);
    const topic = await api.call('createTopic', { params: { name: cluster }, body });
    const counts = `${formatCount(topic.partitions)} partitions, ${formatCount(topic.replicationFactor)} replicas each`;
    return { json: { cluster, topic }, lines: [`Topic ${name} is created on ${cluster}: ${counts}`] };
  },
});

/** Only the first `=` parts. */
function settingFrom(written: string): [string, string] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(written) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  throw new AppError('REQUEST_INVALID', `--setting must be NAME=VALUE, not "${written}"`, {
    nextStep: 'Write, for example, --setting retention.ms=604800000.',
  });
}

function linesOf(
  cluster: string,
  topic: {
    readonly name: string;
    readonly partitions: number;
    readonly replicationFactor: number | null;
    readonly configs: Readonly<Record<string, string>>;
    readonly settings: Readonly<Record<string, string | null>> | null;
  },
): string[] {
  const telling = ['cleanup.policy', 'retention.ms', 'min.insync.replicas', 'max.message.bytes'];
  const shown = [...new Set([...Object.keys(topic.configs), ...telling])];
  return formatFacts([
    ['topic', topic.name],
    ['cluster', cluster],
    ['partitions', formatCount(topic.partitions)],
    ['replicas', topic.replicationFactor === null ? 'as the brokers are set' : formatCount(topic.replicationFactor)],
    ...shown.map((key): [string, string] => [key, topic.settings?.[key] ?? topic.configs[key] ?? UNKNOWN]),
  ]);
}
