/** docs/versions.md, from the results of `npm run test:versions`: nothing in it is written by hand. */

/** What the suites came to on one pair of Kafka versions. */
export interface PairResult {
  readonly source: string;
  readonly target: string;
  readonly state: 'passed' | 'failed' | 'interrupted';
  readonly tests: readonly {
    readonly name: string;
    readonly state: string;
    readonly seconds: number;
    readonly error: string | null;
  }[];
  readonly error: string | null;
  readonly seconds: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Digest of src/ and test/ as they were. */
  readonly sources: string;
  readonly version: string;
  readonly commit: string | null;
}

const head = `# Kafka versions

The pairs of Apache Kafka versions (KRaft, one broker on either side) on which the suites below ran, and what they came
to. Written by \`npm run test:versions -- --report\` from the results of the runs. Each pair is held to: nine kinds of topic
copied to the same offsets, bytes and times, then a second run with nothing to do; eight kills with \`kill -9\` in copying,
alignment and holes, identical afterwards; the rules of the state topic on the target; and, in rows of more than nine
tests, the frames of every request that Lockstep sends, as that version's own classes encode them.
`;

export function formatVersions(results: readonly PairResult[]): string {
  const rows = results.map(
    ({ source, target, state, tests, seconds, startedAt, version, commit }) =>
      `| ${source} | ${target} | ${state === 'passed' ? 'passed' : `**${state}**`} | ${tests.length} | ${seconds} | ${startedAt.slice(0, 10)}, ${version}${commit ? ` at ${commit}` : ''} |`,
  );
  const failures = results.filter(({ state }) => state !== 'passed');
  const reasons = failures.map(
    ({ source, target, error }) => `- ${source} to ${target}: ${(error ?? 'no reason').split('\n')[0]}`,
  );
  const table = ['| Source | Target | Result | Tests | Seconds | When |', '|---|---|---|---|---|---|', ...rows];
  return `${[head, ...table, ...(reasons.length > 0 ? ['', ...reasons] : [])].join('\n')}\n`;
}
