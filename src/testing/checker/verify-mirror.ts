/** The verdict of an acceptance run: both clusters read raw and judged, and compared by Kafka's Java consumer. */
import type { ComparisonRequest, Difference } from '../java-reader.ts';
import { compareWithJava, formatDifferences } from '../java-reader.ts';
import type { CheckResult, MirrorPolicy } from './check-replication.ts';
import { checkReplication } from './check-replication.ts';
import { readHistories } from './read-history.ts';

export interface VerifyRequest {
  /** Bootstrap addresses. */
  readonly source: readonly string[];
  readonly target: readonly string[];
  readonly topics: readonly { readonly source: string; readonly target: string }[];
  /** Default: committed-only with equal timestamps. */
  readonly policy?: Partial<MirrorPolicy>;
}

/** Plain data, fit for JSON. */
export interface CheckReport {
  readonly isIdentical: boolean;
  readonly recordsEqual: number;
  readonly topics: readonly (CheckResult & { readonly source: string; readonly target: string })[];
  readonly java: readonly Difference[];
}

/**
 * Reads everything twice over and judges it. Both clusters should be quiet; with `isCaughtUp: false` only the mirror
 * needs to be, and Java's comparison, which has no notion of a part, is left out.
 */
export async function verifyMirror(request: VerifyRequest): Promise<CheckReport> {
  const policy: MirrorPolicy = { transactions: 'committed-only', timestamps: 'equal', ...request.policy };
  const topics: CheckReport['topics'][number][] = [];
  for (const { source, target } of request.topics) {
    // The target first: what a mirror on its way adds meanwhile has then certainly been on the source.
    const targetHistories = await readHistories(request.target, target);
    const sourceHistories = await readHistories(request.source, source);
    topics.push({ source, target, ...checkReplication({ source: sourceHistories, target: targetHistories, policy }) });
  }
  const java = policy.isCaughtUp === false ? [] : await compareByPolicy(request, policy);
  const isClean = topics.every((topic) => topic.findings.every((finding) => finding.count === 0));
  return {
    isIdentical: isClean && java.length === 0,
    recordsEqual: topics.reduce((sum, topic) => sum + topic.recordsEqual, 0),
    topics,
    java,
  };
}

/** verifyMirror as an assertion: returns the report of an identical mirror, throws with every difference named. */
export async function expectIdentical(request: VerifyRequest): Promise<CheckReport> {
  const report = await verifyMirror(request);
  if (!report.isIdentical) throw new Error(`the mirror is not identical\n${formatReport(report)}`);
  return report;
}

/** What was found, for people. */
export function formatReport(report: CheckReport): string {
  const lines: string[] = [];
  for (const { source, target, findings } of report.topics) {
    for (const { check, meaning, count, instances } of findings) {
      if (count === 0) continue;
      lines.push(`${source} → ${target}: ${check} ${meaning}, ${count} in all`);
      for (const { partition, offset, cause } of instances)
        lines.push(`  partition ${partition} offset ${offset}: ${cause}`);
    }
  }
  if (report.java.length > 0) lines.push("Kafka's Java consumer finds:", formatDifferences(report.java));
  return lines.length > 0 ? lines.join('\n') : `identical, ${report.recordsEqual} records`;
}

async function compareByPolicy(request: VerifyRequest, policy: MirrorPolicy): Promise<Difference[]> {
  const shared: Omit<ComparisonRequest, 'isolation'> = {
    source: request.source,
    target: request.target,
    topics: request.topics,
    timestamps: policy.timestamps,
    bounds: policy.logStart === 'any' ? 'end' : 'both',
  };
  if (policy.transactions === 'committed-only') {
    return compareWithJava({ ...shared, isolation: 'read_uncommitted', sourceIsolation: 'read_committed' });
  }
  const committed = await compareWithJava({ ...shared, isolation: 'read_committed' });
  return [...committed, ...(await compareWithJava({ ...shared, isolation: 'read_uncommitted' }))];
}
