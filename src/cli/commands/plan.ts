import { AppError } from '#contract/errors.ts';
import type { MirrorCapacity } from '#contract/capacity.ts';
import { printable, printableJson } from '#util/printable.ts';
import {
  isChange,
  isPending,
  isRefused,
  type Access,
  type Finding,
  type Grant,
  type MirrorPermissions,
  type MirrorPlan,
  type NotChecked,
  type PlannedChange,
  type PlannedTopic,
  type Right,
  type SettingDifference,
} from '#contract/plan.ts';
import type { CapacityOptions } from '../../main.ts';
import { describeCapacity } from '../capacity-text.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { describeChange } from '../progress/words.ts';
import { formatCount, formatNumberOf, formatTable, UNKNOWN, wrap } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';

interface Options extends CommonOptions {
  readonly permissions?: true;
  readonly rate?: string;
  readonly capacity?: true;
  readonly sample?: string;
  readonly recordsPerSecond?: string;
  readonly recordBytes?: string;
  readonly processes?: string;
}

const RATE = /^(\d+(?:\.\d+)?)(MB|GB)$/;

export const plan: Verb<Options> = {
  summary: 'show what a run would do',
  description:
    'Shows what a run would do, and changes nothing: topics, offset mode and why, what is created or set, which rights are missing and which settings stand against it.\n\nExit code 3 where something would change, 5 where something keeps a topic from being copied, 0 where a run would just go on.',
  examples: [
    'lockstep plan -f link.yaml',
    'lockstep plan -f link.yaml --json | jq .mirrors[].topics[].action',
    'lockstep plan -f link.yaml --permissions',
    'lockstep plan -f link.yaml --rate 20MB',
    'lockstep plan -f link.yaml --capacity --sample 60',
    'lockstep plan -f link.yaml --capacity --records-per-second 500000 --record-bytes 1000',
  ],
  options: {
    '--permissions': 'list the rights that the mirrors may need, and what grants them; asks no cluster',
    '--rate <size>': 'what can be copied in a second (20MB, 1GB), against the retention of the source; 50MB by default',
    '--capacity':
      'what the mirrors take instead: CPU, memory, connections, requests, processes; from the rates of the source',
    '--sample <seconds>': 'with --capacity: how long the source is looked at; 10 by default',
    '--records-per-second <number>': 'with --capacity: of a mirror, instead of what is measured',
    '--record-bytes <number>': 'with --capacity: as records lie in the log, instead of what is measured',
    '--processes <number>': 'with --capacity: with so many, instead of as many as are needed',
  },
  async run({ io, host, app }, options) {
    const documents = readMirrors(host.disk, options.file);
    if (options.permissions) return printPermissions(io, app.permissionsOfMirrors(documents), options);
    if (options.capacity)
      return printCapacity(io, await app.capacityOfMirrors(documents, host, capacityOptions(options)), options);
    refuseWithoutCapacity(options);
    const rate = options.rate === undefined ? {} : { rateBytesPerSecond: parseRate(options.rate) };
    const mirrors = await app.planMirrors(documents, host, rate);
    const refused = mirrors.some(isRefused);
    const pending = mirrors.some(({ topics, around }) => topics.some(isPending) || around.some(isChange));
    if (options.json) io.out(`${printableJson({ pending, refused, mirrors })}\n`);
    else io.out(`${mirrors.map((mirror) => describe(io, mirror)).join('\n')}`);
    return refused ? exitCodes.findings : pending ? exitCodes.pending : exitCodes.ok;
  },
};

function refuseWithoutCapacity({ sample, recordsPerSecond, recordBytes, processes }: Options): void {
  const given = Object.entries({
    '--sample': sample,
    '--records-per-second': recordsPerSecond,
    '--record-bytes': recordBytes,
    '--processes': processes,
  });
  const [first] = given.filter(([, value]) => value !== undefined);
  if (!first) return;
  throw new AppError('REQUEST_INVALID', `${first[0]} is for --capacity`, {
    nextStep: 'Write --capacity too, or leave it out.',
  });
}

function capacityOptions({ sample, recordsPerSecond, recordBytes, processes }: Options): CapacityOptions {
  return {
    sampleMs: (positive('--sample', sample) ?? 10) * 1000,
    recordsPerSecond: positive('--records-per-second', recordsPerSecond),
    recordBytes: positive('--record-bytes', recordBytes),
    processes: positive('--processes', processes, { isWhole: true }),
  };
}

/** Null for what is not written. */
function positive(option: string, text: string | undefined, { isWhole = false } = {}): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0 && (!isWhole || Number.isInteger(value))) return value;
  throw new AppError('REQUEST_INVALID', `${option}: "${text}" is no ${isWhole ? 'whole ' : ''}number above 0`, {
    nextStep: '"lockstep plan --help" shows what can be written.',
  });
}

function printCapacity(io: Io, mirrors: readonly MirrorCapacity[], options: Options): number {
  if (options.json) io.out(`${printableJson({ mirrors })}\n`);
  else io.out(mirrors.map((mirror) => describeCapacity(io, mirror)).join('\n'));
  return exitCodes.ok;
}

function parseRate(text: string): number {
  const [, number, unit] = RATE.exec(text) ?? [];
  const rate = Number(number) * (unit === 'GB' ? 1e9 : 1e6);
  if (Number.isFinite(rate) && rate > 0) return rate;
  throw new AppError('REQUEST_INVALID', `--rate: "${text}" is no size`, {
    nextStep: 'Write what can be copied in a second, as in --rate 20MB or --rate 1.5GB.',
  });
}

function printPermissions(io: Io, mirrors: readonly MirrorPermissions[], options: Options): number {
  if (options.json) io.out(`${printableJson({ mirrors })}\n`);
  else io.out(mirrors.map((mirror) => describePermissions(io, mirror)).join('\n'));
  return exitCodes.ok;
}

function describePermissions(io: Io, { mirror, rights, grants }: MirrorPermissions): string {
  const [titles = '', ...rows] = formatTable(
    [{ title: 'CLUSTER' }, { title: 'RESOURCE' }, { title: 'OPERATION' }, { title: 'NEEDED' }, { title: 'WHY' }],
    rights.map((right) => [right.cluster, nameOf(right), right.operation, right.when, right.why]),
  );
  const lines = [
    io.style('bold', `Mirror ${mirror}: rights that it may need`),
    '',
    `  ${io.style('dim', titles)}`,
    ...rows.map((row) => `  ${row}`),
    '',
    '  What grants them:',
    ...grants.map(({ command }) => `  ${printable(command)}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** `topic orders`, `topic dr.*`, `cluster`. */
function nameOf({ resourceType, resource, pattern }: Right): string {
  return resourceType === 'cluster' ? 'cluster' : `${resourceType} ${resource}${pattern === 'prefixed' ? '*' : ''}`;
}

function describe(io: Io, mirror: MirrorPlan): string {
  const [titles = '', ...rows] = formatTable(
    [
      { title: 'SOURCE TOPIC' },
      { title: 'TARGET TOPIC' },
      { title: 'PARTITIONS', align: 'right' },
      { title: 'REPLICAS', align: 'right' },
      { title: 'ACTION' },
      { title: 'OFFSETS' },
    ],
    mirror.topics.map((topic) => [
      topic.source,
      topic.target,
      partitionsOf(topic),
      topic.replicationFactor === null ? UNKNOWN : String(topic.replicationFactor),
      topic.action,
      `${topic.mode}: ${topic.why}`,
    ]),
  );
  const shared = sharedConfigs(mirror.topics);
  const lines = [
    io.style('bold', printable(`Mirror ${mirror.mirror}: ${mirror.source} → ${mirror.target}`)),
    ...[mirror.access.source, mirror.access.target].map((access) => printable(`  ${describeAccess(access)}`)),
  ];
  if (rows.length > 0) lines.push('', `  ${io.style('dim', titles)}`);
  for (const [index, row] of rows.entries()) {
    const topic = mirror.topics[index];
    lines.push(`  ${topic?.action === 'refused' ? io.style('red', row) : row}`);
    const why = new Map(topic?.differences.map((each) => [each.name, each]));
    for (const [name, value] of Object.entries(topic?.configs ?? {}))
      if (!shared.has(name)) lines.push(printable(`    set ${name} = ${value}${whyOf(why.get(name))}`));
    for (const { name, source, target, action, reason } of topic?.differences ?? [])
      if (action === 'keep')
        lines.push(
          printable(`    keep ${name} = ${target ?? '(none)'}; the source has ${source ?? '(none)'}: ${reason}`),
        );
  }
  if (shared.size > 0) lines.push('', '  On each topic that is created or changed:');
  for (const [name, value] of shared) lines.push(printable(`    set ${name} = ${value}`));
  const findings = [
    ...mirror.findings.map((finding) => describeFinding(io, null, finding)),
    ...mirror.topics.flatMap((topic) => topic.findings.map((finding) => describeFinding(io, topic.source, finding))),
  ];
  if (findings.length > 0) lines.push('', ...findings.flat());
  lines.push(...describeGroups(io, mirror));
  lines.push(...describeAround(mirror));
  lines.push(...describeGrants(io, mirror.grants), ...describeNotChecked(io, mirror.notChecked));
  return `${lines.join('\n')}\n\n  ${summary(mirror)}\n`;
}

function describeAccess({ cluster, principal, how }: Access): string {
  return principal === null
    ? `${cluster}: as a principal that is not known: ${how}`
    : `${cluster}: as ${principal}, ${how}`;
}

/** Why a setting of an existing topic is set. */
function whyOf(difference: SettingDifference | undefined): string {
  return difference === undefined ? '' : ` (was ${difference.target ?? 'not set'}; ${difference.reason})`;
}

const CHANGES_SHOWN_MAX = 20;
const GROUPS_SHOWN_MAX = 20;

/** Consumer groups that would be moved to their places, and those that would not. */
function describeGroups(io: Io, { groups }: MirrorPlan): string[] {
  if (groups === null) return [];
  const [titles = '', ...rows] = formatTable(
    [{ title: 'CONSUMER GROUP' }, { title: 'TYPE' }, { title: 'PARTITIONS', align: 'right' }, { title: 'OFFSETS' }],
    groups
      .slice(0, GROUPS_SHOWN_MAX)
      .map(({ group, type, partitions, why }) => [
        group,
        type,
        partitions === null ? UNKNOWN : formatCount(partitions),
        why === null ? 'follow the source' : `left alone: ${why}`,
      ]),
  );
  const more = groups.length - GROUPS_SHOWN_MAX;
  return [
    '',
    ...(groups.length === 0 ? ['  No consumer group is seen on the source.'] : [`  ${io.style('dim', titles)}`]),
    ...rows.map((row) => `  ${row}`),
    ...(more > 0 ? [`  and ${formatCount(more)} more, which --json lists`] : []),
  ];
}

/** ACLs, quotas and users. What the file itself leaves out is counted, the rest listed. */
function describeAround({ around, usersToProvision, access }: MirrorPlan): string[] {
  const listed = around.filter(({ isChosen }) => !isChosen);
  const chosen = around.length - listed.length;
  const more = listed.length - CHANGES_SHOWN_MAX;
  const lines = [
    ...listed.slice(0, CHANGES_SHOWN_MAX).map((change) => `    ${describeChange(change)}`),
    ...(more > 0 ? [`    and ${formatCount(more)} more, which --json lists`] : []),
    ...(chosen > 0 ? [`    ${countOf(around)}; --json lists them`] : []),
  ];
  const users = usersToProvision.map(
    ({ user, mechanism, iterations }) =>
      `    kafka-configs.sh --bootstrap-server ${access.target.bootstrap} --alter --entity-type users --entity-name ${user} --add-config '${mechanism}=[iterations=${iterations},password=…]'`,
  );
  return [
    ...(lines.length > 0 ? ['', '  Around the records, on the target:', ...lines.map(printable)] : []),
    ...(users.length > 0
      ? ['', '  Users that the target lacks; passwords cannot be read from a cluster:', ...users.map(printable)]
      : []),
  ];
}

/** What is as the file says, and no change in itself. */
function countOf(around: readonly PlannedChange[]): string {
  const count = (action: PlannedChange['action']): number =>
    around.filter((change) => change.isChosen && change.action === action).length;
  const [left, expanded] = [count('leave-out'), count('expand')];
  const parts = [
    ...(left > 0 ? [`${formatNumberOf(left, 'ACL')} left out by sync.acls.write`] : []),
    ...(expanded > 0 ? [`${formatNumberOf(expanded, 'ACL')} about many topics made one for each that is copied`] : []),
  ];
  return parts.join('; ');
}

/** Commands stand whole on lines of their own, so that they can be copied. */
function describeGrants(io: Io, grants: readonly Grant[]): string[] {
  if (grants.length === 0) return [];
  const width = Math.min(io.columns(), 120);
  const lines = grants.flatMap(({ what, cluster, without, stops, command }) => {
    const style = stops === 'part' ? 'yellow' : 'red';
    const text = `  missing on ${cluster}: ${what}. ${without.join(' ')}`;
    return [...wrap(text, width, '      ').map((line) => io.style(style, line)), `    ${printable(command)}`];
  });
  return ['', '  Rights to grant, as an administrator:', ...lines];
}

function describeNotChecked(io: Io, facts: readonly NotChecked[]): string[] {
  if (facts.length === 0) return [];
  const width = Math.min(io.columns(), 120);
  const lines = facts.flatMap(({ what, why, command }) => [
    ...wrap(`  ${what.replace(/\.$/, '')}: ${why}`, width, '      '),
    ...(command === null ? [] : [`    ${printable(command)}`]),
  ]);
  return ['', '  Not checked:', ...lines];
}

/** What is set to the same value on all of several topics is said once: with hundreds of them nothing else could be seen. */
function sharedConfigs(topics: readonly PlannedTopic[]): Map<string, string> {
  const changed = topics.filter(({ configs }) => Object.keys(configs).length > 0);
  const [first, ...rest] = changed;
  if (first === undefined || rest.length === 0) return new Map();
  return new Map(
    Object.entries(first.configs).filter(([name, value]) => rest.every(({ configs }) => configs[name] === value)),
  );
}

function describeFinding(io: Io, topic: string | null, finding: Finding): string[] {
  const width = Math.min(io.columns(), 120);
  const where = topic === null ? '' : `${topic}: `;
  const [first = '', ...rest] = wrap(
    `  ${finding.severity} ${finding.code} ${where}${finding.message}`,
    width,
    '      ',
  );
  const style = finding.severity === 'error' ? 'red' : 'yellow';
  return [
    ...[first, ...rest].map((line) => io.style(style, line)),
    ...wrap(`    next: ${finding.nextStep}`, width, '      '),
  ];
}

function partitionsOf({ partitions, targetPartitions }: PlannedTopic): string {
  const grows = targetPartitions !== null && targetPartitions !== partitions;
  return grows ? `${formatCount(targetPartitions)} → ${formatCount(partitions)}` : formatCount(partitions);
}

function summary(mirror: MirrorPlan): string {
  const count = (action: PlannedTopic['action']): number =>
    mirror.topics.filter((topic) => topic.action === action).length;
  const parts = [
    [count('create'), 'to create'],
    [count('adopt'), 'to adopt (exists and is empty)'],
    [count('resume'), 'to go on with'],
    [count('refused'), 'refused'],
  ] as const;
  const named = parts.filter(([number]) => number > 0).map(([number, what]) => `${formatCount(number)} ${what}`);
  return `${formatNumberOf(mirror.topics.length, 'topic')}${named.length > 0 ? `: ${named.join(', ')}` : ''}.`;
}
