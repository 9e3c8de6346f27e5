/**
 * The plan, once more, before a run writes anything: a run that could copy nothing for lack of rights is refused with the
 * list of them, and what would get in its way is said. It only warns of the rest, and waits for nobody: what a cluster in
 * trouble does not answer now, the run finds out itself.
 */
import { AppError } from '#contract/errors.ts';
import type { Access, Finding, Grant, MirrorPlan } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { RunEvent } from '#contract/status.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { sleep } from '#util/clock.ts';
import { planMirror, stopsTopic } from './plan.ts';

const CHECKED_WITHIN_MS = 15_000;

/** Throws AppError PERMISSION_DENIED where nothing could be copied. */
export async function checkBeforeRun(
  mirror: {
    readonly resource: MirrorResource;
    readonly source: Cluster;
    readonly target: Cluster;
    readonly access: { readonly source: Access; readonly target: Access };
  },
  signal: AbortSignal,
  onEvent: (event: RunEvent) => void,
): Promise<void> {
  const { resource, source, target, access } = mirror;
  const name = resource.metadata.name;
  const warn = ({ code, message }: { code: Finding['code']; message: string }): void =>
    onEvent({ event: 'warning', mirror: name, code, message, at: target.clock.now() });
  const checked = new AbortController();
  const plan = planMirror(resource, source, target, { access }).catch((error: unknown) => {
    if (error instanceof AppError) return null; // the run meets it too, and says it
    if (!(error instanceof KafkaError)) throw error;
    const { code, message } = toAppError(error, `mirror "${name}"`);
    warn({ code, message: `Rights and settings could not be checked: ${message}` });
    return null;
  });
  const late = sleep(target.clock, CHECKED_WITHIN_MS, AbortSignal.any([signal, checked.signal])).then(() => null);
  const found = await Promise.race([plan, late]);
  checked.abort();
  if (found === null) return;
  if (isHopeless(found)) throw nothingAllowed(found);
  for (const grant of found.grants) warn({ code: 'PERMISSION_DENIED', message: sentenceOf(grant) });
  for (const finding of [...found.findings, ...found.topics.flatMap((topic) => topic.findings)])
    if (SAID_BY_RUN.has(finding.code)) warn({ code: finding.code, message: `${finding.message} ${finding.nextStep}` });
}

/** The others are the run's own to say, when it meets them. */
const SAID_BY_RUN = new Set<Finding['code']>(['TOPIC_SETTING_UNFIT', 'CLUSTER_SETTING_UNFIT']);

/** Nothing could be copied: a right is missing that the mirror needs as a whole, or one for each of its topics. */
function isHopeless({ missingRights, topics }: MirrorPlan): boolean {
  if (missingRights.some(({ stops }) => stops === 'mirror')) return true;
  return topics.length > 0 && topics.every((topic) => missingRights.some((right) => stopsTopic(right, topic)));
}

function nothingAllowed({ mirror, grants, missingRights }: MirrorPlan): AppError {
  const list = grants.map(({ what, cluster }) => `${what} of cluster "${cluster}"`);
  return new AppError(
    'PERMISSION_DENIED',
    `Mirror "${mirror}" can copy nothing, for lack of rights: ${list.join('; ')}.`,
    {
      nextStep: `Grant them as an administrator, and start again:\n${grants.map(({ command }) => `  ${command}`).join('\n')}`,
      details: { missingRights },
    },
  );
}

function sentenceOf({ what, cluster, without, command }: Grant): string {
  return `Missing: ${what} of cluster "${cluster}". ${without.join(' ')} Grant: ${command}`;
}
