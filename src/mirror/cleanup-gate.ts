/**
 * DeleteRecords is refused on a topic that is only compacted (POLICY_VIOLATION), so `delete` joins its cleanup.policy, with
 * a retention without end, while any of its partitions aligns its log start (exactness.md rule 5). After a crash in between
 * the topic keeps a policy that deletes nothing; the next alignment or config sync takes it away.
 */
import { must } from '#util/assert.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { alterTopicConfigs, describeTopicConfigs } from '#kafka/configs.ts';
import { isDenied } from '#kafka/permissions.ts';
import type { LogStartGate } from './shard-context.ts';

const FOR_EVER = '-1';

export class CleanupGate implements LogStartGate {
  readonly #target: Cluster;
  readonly #topic: string;
  #inside = 0;
  /** One change after the other; a failure is its caller's. */
  #last: Promise<void> = Promise.resolve();
  #isOpen = false;

  constructor(target: Cluster, topic: string) {
    this.#target = target;
    this.#topic = topic;
  }

  /** Who is refused is not inside and does not leave. Looks each time: another process may have taken `delete` away. */
  async enter(): Promise<void> {
    this.#inside++;
    try {
      await this.#inTurn(() => this.#addDelete());
    } catch (error) {
      this.#inside--;
      throw error;
    }
  }

  leave(): Promise<void> {
    this.#inside--;
    return this.#inTurn(() => (this.#inside === 0 && this.#isOpen ? this.#takeDeleteAway() : Promise.resolve()));
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #addDelete(): Promise<void> {
    const configs = must((await describeTopicConfigs(this.#target, [this.#topic]))[0], 'described topic');
    if (isDenied(configs.error)) return; // it matters on compacted topics only, and there DeleteRecords will say so
    if (configs.error) throw configs.error;
    const policy = configs.configs.get('cleanup.policy')?.value ?? '';
    const isTemporary =
      policy.includes('compact') &&
      policy.includes('delete') &&
      configs.configs.get('retention.ms')?.value === FOR_EVER;
    if (policy !== 'compact' && !isTemporary) return;
    await alterTopicConfigs(this.#target, this.#topic, {
      set: new Map([
        ['cleanup.policy', 'compact,delete'],
        ['retention.ms', FOR_EVER],
        ['retention.bytes', FOR_EVER],
      ]),
      remove: [],
    });
    this.#isOpen = true;
  }

  async #takeDeleteAway(): Promise<void> {
    await alterTopicConfigs(this.#target, this.#topic, {
      set: new Map([['cleanup.policy', 'compact']]),
      remove: ['retention.ms', 'retention.bytes'],
    });
    this.#isOpen = false;
  }
}
