/** Consumer groups on both sides of a mirror: set without a JVM, read, and waited for. */
import { onTestFinished } from 'vitest';
import type { RunEvent } from '#contract/status.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { GroupMember } from '#kafka/group-member.ts';
import { commitGroupOffsets, listGroups, readGroupOffsets } from '#kafka/groups.ts';
import { listOffsets, LATEST } from '#kafka/offsets.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { assert, must } from '#util/assert.ts';
import { writeLink, type MirrorSpec } from '../acceptance/link-file.ts';
import { LockstepProcess } from '../acceptance/lockstep-process.ts';
import type { ClusterPair, Side } from './mirror-under-test.ts';

/** By `topic/partition`. */
export type Offsets = Readonly<Record<string, number>>;

const waitMs = 90_000;

export class GroupScene {
  readonly #clusters: Readonly<Record<Side, Cluster>>;
  readonly #ends: Readonly<Record<Side, readonly string[]>>;

  private constructor(clusters: Readonly<Record<Side, Cluster>>, ends: Readonly<Record<Side, readonly string[]>>) {
    this.#clusters = clusters;
    this.#ends = ends;
  }

  /** Clients of both clusters that end with the test, and the addresses that mirrors are given. */
  static async open(pair: ClusterPair, { isProxied = false } = {}): Promise<GroupScene> {
    const clusters = { source: openCluster(pair.source.bootstrap), target: openCluster(pair.target.bootstrap) };
    for (const cluster of Object.values(clusters)) {
      onTestFinished(() => cluster.close());
      await cluster.connect();
    }
    const { source, target } = pair;
    const ends = isProxied
      ? { source: source.bootstrap, target: target.proxiedBootstrap }
      : { source: source.bootstrap, target: target.bootstrap };
    return new GroupScene(clusters, ends);
  }

  file(mirrors: Readonly<Record<string, MirrorSpec>>): string {
    return writeLink({ ...this.#ends, mirrors });
  }

  /** A mirror that goes on until the test ends it, or ends. */
  run(file: string): LockstepProcess {
    const lockstep = LockstepProcess.run(file);
    onTestFinished(() => lockstep.kill());
    return lockstep;
  }

  /** As an administrator, or a client that counts offsets itself, commits: without leader epochs. Throws where any is refused. */
  async commit(side: Side, group: string, offsets: Offsets, metadata = ''): Promise<void> {
    const commits = Object.entries(offsets).map(([key, offset]) => {
      const at = key.lastIndexOf('/');
      return { topic: key.slice(0, at), partition: Number(key.slice(at + 1)), offset, metadata };
    });
    const [outcome] = await commitGroupOffsets(this.#clusters[side], [{ groupId: group, offsets: commits }]);
    const [failed] = must(outcome, 'outcome').failed;
    if (failed) throw failed.error;
  }

  async places(side: Side, group: string): Promise<Offsets> {
    const found = must((await readGroupOffsets(this.#clusters[side], [group])).get(group), 'answer');
    if (found instanceof KafkaError) throw found;
    const entries = found.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset] as const);
    return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The high watermark. */
  async end(side: Side, topic: string, partition = 0): Promise<number> {
    const [answer] = await listOffsets(this.#clusters[side], [{ topic, partition, timestamp: LATEST }]);
    const { offset, error } = must(answer, 'answer');
    if (error) throw error;
    return offset;
  }

  /** A member without partitions, which stays for 30 s or until it leaves. */
  async join(side: Side, group: string): Promise<GroupMember> {
    const options = { protocolType: 'consumer', protocolName: 'range', sessionTimeoutMs: 30_000 };
    const member = new GroupMember(this.#clusters[side], { groupId: group, ...options });
    onTestFinished(() => member.close());
    const joined = await member.join(Buffer.alloc(0));
    assert(joined.kind === 'accepted', 'a member joins');
    await member.sync(new Map([[member.memberId, Buffer.alloc(0)]]));
    return member;
  }

  /** As ListGroups names it. */
  async stateOf(side: Side, group: string): Promise<string> {
    const groups = await listGroups(this.#clusters[side]);
    return groups.find(({ groupId }) => groupId === group)?.state ?? 'none';
  }

  async topics(side: Side): Promise<string[]> {
    return (await this.#clusters[side].refresh('all')).map(({ name }) => name).sort();
  }

  /** Waits until the group stands there on the target, in all of these partitions. */
  async untilAt(lockstep: LockstepProcess, group: string, offsets: Offsets): Promise<void> {
    const isThere = async (): Promise<boolean> => {
      const places = await this.places('target', group).catch(noneWhileAway);
      return Object.entries(offsets).every(([key, offset]) => places[key] === offset);
    };
    await lockstep.until(isThere, `${group} is at ${JSON.stringify(offsets)}`, waitMs);
  }

  /** Waits until the mirror says of a group why it is left alone. */
  async untilLeft(lockstep: LockstepProcess, group: string, why: string, mirror?: string): Promise<void> {
    const isTold = (): boolean => whyLeft(lockstep, group, mirror)?.includes(why) === true;
    await lockstep.until(isTold, `${group} is left alone: ${why}`, waitMs);
  }
}

type GroupsEvent = Extract<RunEvent, { event: 'groups' }>;

export function groupEvents(lockstep: LockstepProcess, mirror?: string): GroupsEvent[] {
  return lockstep.events.flatMap((event) =>
    event.event === 'groups' && (mirror === undefined || event.mirror === mirror) ? [event] : [],
  );
}

export function whyLeft(lockstep: LockstepProcess, group: string, mirror?: string): string | undefined {
  const last = groupEvents(lockstep, mirror).at(-1);
  return last?.leftAlone.find((left) => left.group === group)?.why;
}

/** Whether so long has passed since the call. */
export function waited(ms: number): () => boolean {
  const endsAt = performance.now() + ms;
  return () => performance.now() >= endsAt;
}

/** A broker that starts does not answer yet. */
function noneWhileAway(error: unknown): Offsets {
  if (error instanceof KafkaError && error.retryable) return {};
  throw error;
}
