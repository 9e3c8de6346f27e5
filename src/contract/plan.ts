/** What `lockstep plan` says: what a mirror would do, and what keeps it from doing it. Nothing has been changed yet. */
import type { ErrorCode } from './errors.ts';

export interface Finding {
  readonly code: ErrorCode;
  /** An error refuses the topic (or, on a mirror, the mirror); a warning does not. */
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly nextStep: string;
}

/** A setting that differs between a source topic and its target. Values are those in effect; null where there is none. */
export interface SettingDifference {
  readonly name: string;
  readonly source: string | null;
  readonly target: string | null;
  /** `reset` to the target's default; `keep` is no change. */
  readonly action: 'set' | 'reset' | 'keep';
  /** With `set`, what the target gets; else null. */
  readonly value: string | null;
  readonly reason: string;
}

export type TopicAction =
  | 'create' // the target topic does not exist
  | 'adopt' // it exists, is empty, and nobody claims it
  | 'resume' // it is ours already
  | 'refused';

export interface PlannedTopic {
  readonly source: string;
  readonly target: string;
  /** Of the source; null where we may not see it. */
  readonly partitions: number | null;
  /** Of the target as it is now; null where it does not exist. */
  readonly targetPartitions: number | null;
  readonly mode: 'identical' | 'mapped';
  /** Why this mode, and what it will take: 'log start at 0', '1,200 offsets to fill'. */
  readonly why: string;
  readonly action: TopicAction;
  /** Of the target, present or to be; null where it is not known. */
  readonly replicationFactor: number | null;
  /** Settings that would be written to the target topic. */
  readonly configs: Readonly<Record<string, string>>;
  /** From an existing target topic, and why; what stays as it is too. */
  readonly differences: readonly SettingDifference[];
  readonly findings: readonly Finding[];
}

/** Something around the records that differs between source and target, and what becomes of it. */
export interface PlannedChange {
  readonly what: 'acl' | 'quota';
  /** `ALLOW READ on topic orders for User:alice from *`, `producer_byte_rate of user alice`. */
  readonly subject: string;
  /** On the target; `keep`, `leave-out` and `expand` (one ACL of the source is several) are no change in themselves. */
  readonly action: 'create' | 'delete' | 'set' | 'keep' | 'leave-out' | 'expand';
  /** Values of a quota; null where there is none. */
  readonly source: string | null;
  readonly target: string | null;
  readonly reason: string;
  /** The file says so: nothing that anybody has to look at. */
  readonly isChosen: boolean;
}

/** A user of the source with SCRAM credentials that the target lacks; they cannot be read from a cluster. */
export interface UnprovisionedUser {
  readonly user: string;
  /** `SCRAM-SHA-512` */
  readonly mechanism: string;
  readonly iterations: number;
}

/** A consumer group of the source. */
export interface PlannedGroup {
  readonly group: string;
  /** `classic`, `consumer`, `share`, `streams`. */
  readonly type: string;
  /** Whether its places on the target would be those of the source. */
  readonly action: 'sync' | 'leave';
  /** Of mirrored topics, on which it has committed; null where that was not asked. */
  readonly partitions: number | null;
  /** Why it would be left alone. */
  readonly why: string | null;
}

/** As whom, and where, a cluster is asked. */
export interface Access {
  /** Name of the Cluster. */
  readonly cluster: string;
  /** Addresses with commas between. */
  readonly bootstrap: string;
  /** `User:mirror`, by the security settings and Kafka's default rules; null where only the broker knows. */
  readonly principal: string | null;
  /** How the principal is known, or why it is not. */
  readonly how: string;
}

/** One operation on one resource of one cluster. */
export interface Right {
  readonly side: 'source' | 'target';
  /** Name of the Cluster. */
  readonly cluster: string;
  readonly resourceType: 'topic' | 'transactional-id' | 'group' | 'cluster';
  /** A name, the beginning of names (`prefixed`), or `*` for all; `kafka-cluster` for the cluster. */
  readonly resource: string;
  readonly pattern: 'literal' | 'prefixed';
  /** Kafka's AclOperation. */
  readonly operation: string;
  /** `always`, `while the topic does not exist` */
  readonly when: string;
  readonly why: string;
  readonly without: string;
  /** What stops without it: nothing is copied; the topic is not; a part is left out, or stops later; the plan knows less. */
  readonly stops: 'mirror' | 'topic' | 'part' | 'plan';
  /** Grants it, run by an administrator. */
  readonly command: string;
}

/** Rights that one command grants. */
export interface Grant {
  readonly side: Right['side'];
  /** Name of the Cluster. */
  readonly cluster: string;
  /** `READ, WRITE on topics "orders", "payments"` */
  readonly what: string;
  /** What comes of it without them: the worst of it, each once. */
  readonly without: readonly string[];
  readonly stops: Right['stops'];
  readonly command: string;
}

/** What `lockstep plan --permissions` says: what a mirror may need, by its file alone. */
export interface MirrorPermissions {
  readonly mirror: string;
  readonly rights: readonly Right[];
  readonly grants: readonly Grant[];
}

/** Something that could not be looked at without writing, or without a right. */
export interface NotChecked {
  readonly what: string;
  readonly why: string;
  /** What would make it known; null where nothing does. */
  readonly command: string | null;
}

export interface MirrorPlan {
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly access: { readonly source: Access; readonly target: Access };
  readonly topics: readonly PlannedTopic[];
  /** ACLs and quotas that differ. */
  readonly around: readonly PlannedChange[];
  /** Empty also where the mirror does not ask for them (`sync.users`). */
  readonly usersToProvision: readonly UnprovisionedUser[];
  /** Those that would follow first; null where the file does not ask for them. */
  readonly groups: readonly PlannedGroup[] | null;
  /** About the mirror as a whole: rules that match nothing, settings of brokers. */
  readonly findings: readonly Finding[];
  /** In the order in which a mirror meets them. */
  readonly missingRights: readonly Right[];
  /** What grants them. */
  readonly grants: readonly Grant[];
  readonly notChecked: readonly NotChecked[];
}

/** True where a run would change the target topic itself, beyond copying records into it. */
export function isPending(topic: PlannedTopic): boolean {
  if (topic.action === 'refused') return false;
  if (topic.action !== 'resume') return true;
  return topic.targetPartitions !== topic.partitions || Object.keys(topic.configs).length > 0;
}

/** True where a run would change something on the target for it. */
export function isChange({ action }: Pick<PlannedChange, 'action'>): boolean {
  return action === 'create' || action === 'delete' || action === 'set';
}

/** True where something keeps the mirror, or one of its topics, from being copied. */
export function isRefused(plan: MirrorPlan): boolean {
  const findings = [...plan.findings, ...plan.topics.flatMap((topic) => topic.findings)];
  return (
    plan.topics.some((topic) => topic.action === 'refused') ||
    findings.some((each) => each.severity === 'error') ||
    plan.missingRights.some((right) => right.stops === 'mirror' || right.stops === 'topic')
  );
}
