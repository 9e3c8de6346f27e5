/** What `lockstep plan` says: what a mirror would do, and what keeps it from doing it. Nothing has been changed yet. */
import type { ErrorCode } from './errors.ts';

export interface Finding {
  readonly code: ErrorCode;
  /** An error refuses the topic (or, on a mirror, the mirror); a warning does not. */
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly nextStep: string;
}

export type TopicAction =
  | 'create' // the target topic does not exist
  | 'adopt' // it exists, is empty, and nobody claims it
  | 'resume' // it is ours already
  | 'refused';

export interface PlannedTopic {
  readonly source: string;
  readonly target: string;
  /** Of the source. */
  readonly partitions: number;
  /** Of the target as it is now; null where it does not exist. */
  readonly targetPartitions: number | null;
  readonly mode: 'identical';
  /** Why this mode, and what it will take: 'log start at 0', '1,200 offsets to fill'. */
  readonly why: string;
  readonly action: TopicAction;
  /** Of the target, present or to be; null where it is not known. */
  readonly replicationFactor: number | null;
  /** Settings that would be written to the target topic. */
  readonly configs: Readonly<Record<string, string>>;
  readonly findings: readonly Finding[];
}

export interface MirrorPlan {
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly topics: readonly PlannedTopic[];
  /** About the mirror as a whole: rules that match nothing, missing rights. */
  readonly findings: readonly Finding[];
}

/** True where a run would change the target topic itself, beyond copying records into it. */
export function isPending(topic: PlannedTopic): boolean {
  if (topic.action === 'refused') return false;
  if (topic.action !== 'resume') return true;
  return topic.targetPartitions !== topic.partitions || Object.keys(topic.configs).length > 0;
}

/** True where something keeps the mirror, or one of its topics, from being copied. */
export function isRefused(plan: MirrorPlan): boolean {
  const findings = [...plan.findings, ...plan.topics.flatMap((topic) => topic.findings)];
  return plan.topics.some((topic) => topic.action === 'refused') || findings.some((each) => each.severity === 'error');
}
