/** The real `lockstep verify` as the judge of a copy: its own process, which knows nothing but the mirror's file. */
import { expect } from 'vitest';
import type { MirrorVerification, PartitionVerification } from '#contract/verification.ts';
import { Command, type Ended } from './command.ts';
import { writeLink, type Link } from './link-file.ts';

export interface Verified {
  readonly ended: Ended;
  /** Of all mirrors, in their order. */
  readonly partitions: readonly PartitionVerification[];
}

/** Runs it, whatever it finds. `link` is a file, or what one is written of. */
export async function runVerify(
  link: Link | string,
  argv: readonly string[] = [],
  timeoutMs = 120_000,
): Promise<Verified> {
  const file = typeof link === 'string' ? link : writeLink(link);
  const ended = await new Command(['verify', '-f', file, '--json', ...argv]).ended(timeoutMs);
  const last = ended.out.trim().split('\n').at(-1) ?? '';
  const { mirrors } = (last.startsWith('{') ? JSON.parse(last) : { mirrors: [] }) as { mirrors: MirrorVerification[] };
  return { ended, partitions: mirrors.flatMap(({ partitions }) => partitions) };
}

/**
 * Every record of every partition of the mirrors of `link` is proven to be on the target: exit code 0, no difference, and
 * nothing that could not be looked at. Returns how many records that were.
 */
export async function expectVerified(
  link: Link | string,
  options: {
    /** Somebody still writes to the source: what came since is no fault. */
    readonly mayLag?: boolean;
    /** Offsets that one side has not got, by intention: another start, a shorter retention. */
    readonly mayBeUnverified?: boolean;
    /** Default: 120 s. */
    readonly timeoutMs?: number;
  } = {},
): Promise<number> {
  const { ended, partitions } = await runVerify(link, [], options.timeoutMs);
  const isProven = ({ verdict, lag }: PartitionVerification): boolean =>
    (verdict === 'identical' || (verdict === 'unverified' && options.mayBeUnverified === true)) &&
    (lag === 0 || options.mayLag === true);
  const others = partitions.filter((partition) => !isProven(partition));
  expect(others, `lockstep verify: exit code ${ended.code}\n${ended.err}`).toEqual([]);
  expect(ended.code, ended.err).toBe(0);
  expect(partitions.length, ended.out).toBeGreaterThan(0);
  return partitions.reduce((records, partition) => records + partition.records, 0);
}
