/** What the state topic of the source says about where its topics come from: read only, and read on while a mirror runs. */
import { AppError } from '#contract/errors.ts';
import type { Finding } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { compileTopicRules, type TopicPlan, type TopicRules } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { isDenied } from '#kafka/permissions.ts';
import { hopsOf, mergeHops, routeTopics, type ReturningPair, type Routes } from './provenance.ts';
import type { CreatingRecord, Hop } from './state-records.ts';
import { StateTopic } from './state-topic.ts';

export class SourceProvenance {
  readonly #source: Cluster;
  #state: StateTopic | null = null;
  #isKnown = false;

  constructor(source: Cluster) {
    this.#source = source;
  }

  /** Without the right to read it nothing is known, and nothing fails. Throws KafkaError where the cluster does not answer. */
  async read(): Promise<void> {
    try {
      if (this.#state) await this.#state.load();
      else this.#state = await StateTopic.look(this.#source);
      this.#isKnown = true;
    } catch (error) {
      if (!isDenied(error)) throw error; // what was read before stays
      this.#isKnown = false;
    }
  }

  /** As of the last read, of a topic as the source's metadata shows it. */
  hopsOf(topic: string): readonly Hop[] {
    const topicId = this.#source.topicOf(topic)?.topicId;
    const state = this.#state;
    if (!state || topicId === undefined) return [];
    try {
      const claim = state.claim(topic);
      if (claim?.targetTopicId !== topicId) return hopsOfNew(state.creating(topic), state);
      const { mirrorId } = claim;
      const phase = state.failover(mirrorId)?.phase ?? 'draining';
      const isFailedOver = phase !== 'draining';
      const sourceTopics = claim.mode === 'shared' ? state.sourcesOf(topic) : [];
      return hopsOf({ topicId, claim, mirror: state.mirror(mirrorId), sourceTopics, isFailedOver });
    } catch (error) {
      if (error instanceof AppError) return []; // a record of another mirror that cannot be read: its own runs say so
      throw error;
    }
  }

  /** Of all that goes into a target topic; null where it could not be read. */
  hopsInto(targetTopic: string, { pairs }: Pick<TopicPlan, 'pairs'>): readonly Hop[] | null {
    if (!this.#isKnown) return null;
    return mergeHops(pairs.flatMap((pair) => (pair.target === targetTopic ? [this.hopsOf(pair.source)] : [])));
  }

  route(plan: TopicPlan, { rules, target }: { readonly rules: TopicRules; readonly target: Cluster }): Routes {
    return routeTopics(plan, { rules, targetId: target.clusterId, hopsOf: (topic) => this.hopsOf(topic) });
  }
}

/** Of a topic without a claim, which a mirror may have created just now. */
function hopsOfNew(creating: CreatingRecord | null, state: StateTopic): Hop[] {
  const mirror = creating && state.mirror(creating.mirrorId);
  if (!mirror) return [];
  const nearest = { clusterId: mirror.sourceClusterId, topic: creating.sourceTopic, mirror: mirror.name };
  return mergeHops([[nearest], creating.provenance ?? []]);
}

/** Takes what comes from the target out of plans, as of the moment that it is asked. */
export function openRoutes(
  { spec }: MirrorResource,
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
): (plan: TopicPlan) => Promise<TopicPlan> {
  const provenance = new SourceProvenance(source);
  const rules = compileTopicRules(spec.topics);
  return async (plan) => {
    await provenance.read();
    return provenance.route(plan, { rules, target }).plan;
  };
}

export interface RouteNames {
  readonly resource: MirrorResource;
  readonly source: Cluster;
  readonly target: Cluster;
}

export function cycleFinding({ pair, through }: ReturningPair, { resource, source, target }: RouteNames): Finding {
  const names = new Map([source, target].map(({ clusterId, name }) => [clusterId, `cluster "${name}"`]));
  const place = ({ clusterId, topic }: Hop): string =>
    `"${topic}" of ${names.get(clusterId) ?? `the cluster with id ${clusterId}`}`;
  const way = through.map((hop) => `from ${place(hop)} by mirror "${hop.mirror}"`).join(', ');
  return {
    code: 'TOPIC_CYCLE',
    severity: 'error',
    message: `Mirror "${resource.metadata.name}" would copy topic "${pair.source}" of cluster "${source.name}" to "${pair.target}" on cluster "${target.name}", where it comes from: it is copied ${way}.`,
    nextStep:
      'Give the copies of one direction another name with "to" (to: east.$0), exclude the topic, or end one of these mirrors with "lockstep failover", or by deleting the topic that it writes to.',
  };
}

export function leftOutFinding(
  { pair, rule, origin }: ReturningPair,
  { resource, source, target }: RouteNames,
): Finding {
  const each = resource.spec.topics[rule];
  const match = each && 'match' in each ? each.match : '';
  return {
    code: 'TOPIC_LEFT_OUT',
    severity: 'warning',
    message: `topics[${rule}] of mirror "${resource.metadata.name}" (match: ${match}) takes in topic "${pair.source}" of cluster "${source.name}", whose records come from "${origin.topic}" of cluster "${target.name}" by mirror "${origin.mirror}": it is left out.`,
    nextStep: `Exclude it to be rid of this warning (exclude: ${pair.source}); a rule that names it exactly copies it all the same.`,
  };
}
