import { isPending, isRefused, type Finding, type MirrorPlan, type PlannedTopic } from '#contract/plan.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatNumberOf, formatTable, UNKNOWN, wrap } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';

export const plan: Verb<CommonOptions> = {
  summary: 'show what a run would do',
  description:
    'Shows what a run would do, and changes nothing: topics, offset mode and why, what is created or set, what is missing.\n\nExit code 3 where something would change, 5 where something keeps a topic from being copied, 0 where a run would just go on.',
  examples: ['lockstep plan -f link.yaml', 'lockstep plan -f link.yaml --json | jq .mirrors[].topics[].action'],
  options: {},
  async run({ io, host, app }, options) {
    const mirrors = await app.planMirrors(readMirrors(host.disk, options.file), host);
    const refused = mirrors.some(isRefused);
    const pending = mirrors.some((mirror) => mirror.topics.some(isPending));
    if (options.json) io.out(`${JSON.stringify({ pending, refused, mirrors })}\n`);
    else io.out(`${mirrors.map((mirror) => describe(io, mirror)).join('\n')}`);
    return refused ? exitCodes.findings : pending ? exitCodes.pending : exitCodes.ok;
  },
};

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
  const lines = [io.style('bold', `Mirror ${mirror.mirror}: ${mirror.source} → ${mirror.target}`)];
  if (rows.length > 0) lines.push('', `  ${io.style('dim', titles)}`);
  for (const [index, row] of rows.entries()) {
    const topic = mirror.topics[index];
    lines.push(`  ${topic?.action === 'refused' ? io.style('red', row) : row}`);
    for (const [name, value] of Object.entries(topic?.configs ?? {}))
      if (!shared.has(name)) lines.push(`    set ${name} = ${value}`);
  }
  if (shared.size > 0) lines.push('', '  On each topic that is created or changed:');
  for (const [name, value] of shared) lines.push(`    set ${name} = ${value}`);
  const findings = [
    ...mirror.findings.map((finding) => describeFinding(io, null, finding)),
    ...mirror.topics.flatMap((topic) => topic.findings.map((finding) => describeFinding(io, topic.source, finding))),
  ];
  if (findings.length > 0) lines.push('', ...findings.flat());
  return `${lines.join('\n')}\n\n  ${summary(mirror)}\n`;
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
